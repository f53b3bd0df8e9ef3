//! Makes a draft good: whatever a reader found, what is written passes `topowatch check`.

use std::collections::{BTreeMap, BTreeSet};

use topology::diagnostic::Severity;

use super::{Component, Draft, Setting, slug, write};

/// A draft that is a good topology, and its text.
pub(crate) struct Finished {
    pub(crate) draft: Draft,
    pub(crate) text: String,
}

/// Nothing is set, and no file is there: what is written stands without.
pub(crate) struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("it is not copied".to_owned())
    }
}

/// Leaves out what cannot stand in a topology, with a note for each, and writes the rest.
pub(crate) fn finish(mut draft: Draft) -> Finished {
    draft.name = slug(&draft.name);
    name_apart(&mut draft);
    without_foreign_references(&mut draft);
    without_empty(&mut draft);
    without_loose_ends(&mut draft);
    name_instances_apart(&mut draft);
    loop {
        let (text, lines) = write::write(&draft);
        let Err(diagnostics) = topology::read(&text, &probes::specs(), &Nothing) else {
            draft.notes.sort();
            return Finished { draft, text };
        };
        // From the last one on, so that the numbers of the others stay.
        let mut wrong: BTreeMap<usize, String> = BTreeMap::new();
        for one in diagnostics.iter().filter(|one| one.severity == Severity::Error) {
            let at = lines.partition_point(|line| *line <= one.place.line);
            wrong.entry(at.saturating_sub(1)).or_insert_with(|| one.message.clone());
        }
        if draft.components.is_empty() {
            draft.notes.sort();
            return Finished { draft, text };
        }
        for (at, message) in wrong.into_iter().rev() {
            if at < draft.components.len() {
                let gone = draft.components.remove(at);
                draft.note(None, gone.name, format!("left out: {message}"));
            }
        }
        without_loose_ends(&mut draft);
    }
}

/// Two components of one name become two names. Who depends on it means the first.
fn name_apart(draft: &mut Draft) {
    let mut taken = BTreeSet::new();
    for component in &mut draft.components {
        let wanted = slug(&component.name);
        let mut name = wanted.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        component.name = name;
        for dependency in &mut component.depends_on {
            dependency.on = slug(&dependency.on);
        }
    }
}

/// An instance is `component-N` unless it says otherwise: where another component is called so, it says otherwise.
fn name_instances_apart(draft: &mut Draft) {
    let mut names: BTreeSet<String> = draft.components.iter().map(|c| c.name.clone()).collect();
    for component in &mut draft.components {
        for (i, instance) in component.instances.iter_mut().enumerate() {
            let usual = format!("{}-{}", component.name, i + 1);
            let wanted = instance.name.take().map(|name| slug(&name));
            let mut name = wanted.unwrap_or_else(|| usual.clone());
            while !names.insert(name.clone()) {
                name = if name == usual { format!("{usual}-i") } else { format!("{name}-{}", i + 1) };
            }
            instance.name = (name != usual).then_some(name);
        }
    }
}

/// `${file:…}` in another program's file is not ours to follow: it would send what it names to a target.
fn without_foreign_references(draft: &mut Draft) {
    fn is_foreign(setting: &Setting) -> bool {
        match setting {
            Setting::Text(text) => text.contains("${"),
            Setting::List(items) => items.iter().any(is_foreign),
            Setting::Map(items) => items.iter().any(|(key, item)| key.contains("${") || is_foreign(item)),
            _ => false,
        }
    }
    let mut notes = Vec::new();
    for component in &mut draft.components {
        for probe in &mut component.probes {
            probe.options.retain(|(key, setting)| {
                let foreign = is_foreign(setting);
                if foreign {
                    notes.push((
                        format!("{}: {key}", component.name),
                        "it holds a `${…}` that means nothing here",
                    ));
                }
                !foreign
            });
        }
        for text in [&mut component.title, &mut component.group] {
            *text = text.take().filter(|text| !text.contains("${") && !text.trim().is_empty());
        }
        for instance in &mut component.instances {
            instance.labels.retain(|key, value| !key.contains("${") && !value.contains("${"));
        }
        component.instances.retain(|instance| {
            let good = is_address(&instance.address);
            if !good {
                notes.push((format!("{}: {}", component.name, instance.address), "it is not `host:port`"));
            }
            good
        });
    }
    for (what, why) in notes {
        draft.note(None, what, format!("left out: {why}"));
    }
}

/// `host:port` or `[ipv6]:port`, without ranges.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let good_host = match inner {
        Some(inner) => inner.contains(':') && inner.chars().all(|c| plain(c) || matches!(c, ':' | '%')),
        None => host.chars().all(plain),
    };
    good_host && !host.is_empty() && host.len() <= 253 && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn without_empty(draft: &mut Draft) {
    let empty = |component: &Component| component.instances.is_empty() || component.probes.is_empty();
    let gone: Vec<String> = draft.components.iter().filter(|c| empty(c)).map(|c| c.name.clone()).collect();
    draft.components.retain(|component| !empty(component));
    for name in gone {
        draft.note(None, name, "left out: there is no address at which it could be asked");
    }
}

fn without_loose_ends(draft: &mut Draft) {
    let names: BTreeSet<String> = draft.components.iter().map(|c| c.name.clone()).collect();
    let mut notes = Vec::new();
    for component in &mut draft.components {
        component.depends_on.retain(|dependency| {
            let known = names.contains(&dependency.on);
            if !known {
                let what = format!("{} -> {}", component.name, dependency.on);
                notes.push((what, format!("left out: there is no component `{}`", dependency.on)));
            }
            known && dependency.on != component.name
        });
    }
    for (what, why) in notes {
        draft.note(None, what, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Dependency, Instance, Probe, Strength};

    fn component(name: &str, address: &str) -> Component {
        Component::at(name, address, Probe::of("tcp"))
    }

    #[test]
    fn whatever_was_found_the_file_is_good() {
        let mut web = component("web", "web:80");
        web.instances.push(Instance { address: "nonsense".into(), ..Instance::default() });
        web.needs("db", Strength::Required, "");
        let mut other = component("web-1", "x:1");
        other.needs("web", Strength::Optional, "a\nb");
        other.needs("gone", Strength::Async, "");
        other.depends_on.push(Dependency {
            on: "web-1".into(),
            strength: Strength::Async,
            because: String::new(),
        });
        let mut spy = component("spy", "spy:80");
        spy.probes = vec![Probe::of("http").with_text("host", Some("${file:/etc/shadow}"))];
        let components = vec![component("db", "db:1"), component("db", "db:2"), web, other, spy];
        let finished = finish(Draft { name: "a b".into(), components, ..Draft::default() });
        assert!(topology::read(&finished.text, &probes::specs(), &Nothing).is_ok());
        insta::assert_snapshot!(finished.text);
        let notes: Vec<String> =
            finished.draft.notes.iter().map(|note| format!("{}: {}", note.what, note.why)).collect();
        insta::assert_snapshot!(notes.join("\n"));
    }
}
