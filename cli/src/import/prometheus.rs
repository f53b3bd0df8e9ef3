//! Prometheus: scrape jobs with fixed targets, target files, and what a blackbox exporter asks.

mod blackbox;

use std::collections::BTreeMap;

use topology::diagnostic::Diagnostic;
use topology::document::{Node, Value};

use self::blackbox::{Module, modules};
use super::references::is_secret;
use super::tree::{entries, items, text, text_at};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Instance, Probe, Setting, secret, slug};

/// Ports of exporters: what they tell of is somewhere else.
const EXPORTERS: [(u16, &str); 12] = [
    (9100, "node_exporter"),
    (9104, "mysqld_exporter"),
    (9113, "nginx-prometheus-exporter"),
    (9115, "blackbox_exporter"),
    (9116, "snmp_exporter"),
    (9121, "redis_exporter"),
    (9150, "memcached_exporter"),
    (9182, "windows_exporter"),
    (9187, "postgres_exporter"),
    (9216, "mongodb_exporter"),
    (9308, "kafka_exporter"),
    (8080, "cadvisor"),
];

/// Reads prometheus.yml, blackbox.yml and target files, in any order.
pub(super) fn read(files: &Files, _: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut blackbox: BTreeMap<String, Module> = BTreeMap::new();
    let (mut known, mut first) = (false, None);
    for document in files.documents() {
        first.get_or_insert(document.place);
        for (name, module) in modules(document) {
            known = true;
            blackbox.insert(name, module);
        }
    }
    let mut used = Vec::new();
    for document in files.documents() {
        for job in items(document.get("scrape_configs")) {
            known = true;
            used.extend(Job::of(job).read(files, &blackbox, draft));
        }
    }
    for (i, file) in files.0.iter().enumerate() {
        for document in &file.documents {
            let is_targets = items(Some(document)).iter().any(|one| one.get("targets").is_some());
            if !is_targets {
                continue;
            }
            known = true;
            if used.contains(&i) {
                continue;
            }
            let stem = file.path.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
            let job = Job { name: stem.to_owned(), ..Job::default() };
            job.groups(items(Some(document)), files, draft);
        }
    }
    if let (false, Some(place)) = (known, first) {
        return Err(wrong(
            place,
            "this is neither a prometheus.yml nor a blackbox.yml nor a file of targets",
            "name a file with `scrape_configs`, `modules`, or a list of `targets`",
        ));
    }
    if !draft.components.is_empty() {
        draft.note(
            None,
            "dependencies",
            "Prometheus knows none: `topowatch discover`, or an import of a service graph, finds them",
        );
    }
    Ok(())
}

#[derive(Default)]
struct Job<'a> {
    name: String,
    node: Option<&'a Node>,
    path: String,
    tls: bool,
    /// The module of a blackbox job.
    module: Option<String>,
}

impl<'a> Job<'a> {
    fn of(node: &'a Node) -> Self {
        let path = text_at(node, "metrics_path").unwrap_or_else(|| "/metrics".to_owned());
        let module = items(node.get("params").and_then(|params| params.get("module"))).first().and_then(text);
        Self {
            name: text_at(node, "job_name").unwrap_or_else(|| "job".to_owned()),
            node: Some(node),
            module: module.filter(|_| path.ends_with("/probe")),
            path,
            tls: text_at(node, "scheme").as_deref() == Some("https"),
        }
    }

    /// Reads the job's targets; the target files that belong to it.
    fn read(&self, files: &Files, blackbox: &BTreeMap<String, Module>, draft: &mut Draft) -> Vec<usize> {
        let Some(node) = self.node else { return Vec::new() };
        let mut used = Vec::new();
        let mut groups: Vec<Node> = items(node.get("static_configs")).to_vec();
        for one in items(node.get("file_sd_configs")) {
            for pattern in items(one.get("files")).iter().filter_map(text) {
                let mut found = false;
                for (i, file) in
                    files.0.iter().enumerate().filter(|(_, file)| same_name(&pattern, &file.path))
                {
                    found = true;
                    used.push(i);
                    groups.extend(file.documents.iter().flat_map(|document| items(Some(document)).to_vec()));
                }
                if !found {
                    draft.note(
                        files.at(one.place),
                        format!("{}: {pattern}", self.name),
                        "not read: give the file as well",
                    );
                }
            }
        }
        for (key, value) in entries(Some(node)) {
            if key.name.ends_with("_sd_configs")
                && key.name != "file_sd_configs"
                && !items(Some(value)).is_empty()
            {
                let help = if key.name.starts_with("kubernetes") {
                    "; `topowatch import kubernetes` reads the cluster"
                } else {
                    ""
                };
                draft.note(
                    files.at(key.place),
                    format!("{}: {}", self.name, key.name),
                    format!("left out: what it finds is not in the file{help}"),
                );
            }
            if matches!(key.name.as_str(), "relabel_configs" | "metric_relabel_configs")
                && self.module.is_none()
            {
                draft.note(
                    files.at(key.place),
                    format!("{}: {}", self.name, key.name),
                    "not applied: addresses and labels stand as written",
                );
            }
        }
        match &self.module {
            Some(module) => self.asked_from_outside(module, &groups, files, blackbox, draft),
            None => self.groups(&groups, files, draft),
        }
        used
    }

    /// A component of all targets.
    fn groups(&self, groups: &[Node], files: &Files, draft: &mut Draft) {
        let mut component =
            Component { name: slug(&self.name), tier: Some("app".to_owned()), ..Component::default() };
        for group in groups {
            for target in items(group.get("targets")) {
                let Some(address) = text(target) else { continue };
                let address = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest).to_owned();
                let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                let exporter = EXPORTERS.iter().find(|(p, name)| {
                    Some(*p) == port
                        && (*p != 8080 || self.name.contains("cadvisor"))
                        && (*p != 9115 || name.contains("blackbox"))
                });
                if let Some((_, name)) = exporter {
                    let why = format!(
                        "left out: this is the {name}, not what it tells of; write the service's own address with its own probe"
                    );
                    draft.note(files.at(target.place), format!("{}: {address}", self.name), why);
                    continue;
                }
                let usual = if self.tls { 443 } else { 80 };
                let address = if port.is_some() { address } else { format!("{address}:{usual}") };
                let mut labels = labels(group);
                labels.remove("job");
                component.instances.push(Instance { name: None, address, labels });
            }
        }
        if component.instances.is_empty() {
            return;
        }
        if let Some(node) = self.node {
            component.comments.push(format!("{}: job {}", files.short(node.place), self.name));
        }
        component.comments.push(
            "The page of metrics shows that it answers; a health page shows more: `http: { path: /health }`."
                .to_owned(),
        );
        let path = if self.path.starts_with('/') { self.path.clone() } else { "/metrics".to_owned() };
        let mut probe = Probe::of("http")
            .with("path", Setting::Text(path))
            .with("witness", Setting::Text("off".to_owned()));
        probe = probe.with("max_body", Setting::Text("8MiB".to_owned()));
        if self.tls {
            probe = probe.with("tls", Setting::Truth(true));
        }
        let account = self.node.filter(|node| {
            ["basic_auth", "authorization", "oauth2"].iter().any(|key| node.get(key).is_some())
        });
        if account.is_some() {
            let Setting::Template(variable) = secret(&component.name, "authorization") else { return };
            probe = probe.with(
                "headers",
                Setting::Map(vec![("Authorization".to_owned(), Setting::Template(variable))]),
            );
            component.comments.push(
                "Its account is not copied: the variable holds the whole header, as `Basic …` or `Bearer …`."
                    .to_owned(),
            );
        }
        component.probes.push(probe);
        draft.components.push(component);
    }

    /// A component for each target of a blackbox job.
    fn asked_from_outside(
        &self,
        module: &str,
        groups: &[Node],
        files: &Files,
        blackbox: &BTreeMap<String, Module>,
        draft: &mut Draft,
    ) {
        let guessed;
        let known = if let Some(module) = blackbox.get(module) {
            module
        } else {
            guessed = Module::guess(module);
            draft.note(
                self.node.and_then(|node| files.at(node.place)),
                format!("module {module}"),
                "guessed by its name: give blackbox.yml as well",
            );
            &guessed
        };
        for group in groups {
            for target in items(group.get("targets")) {
                let Some(target_text) = text(target) else { continue };
                match known.component(&target_text, module) {
                    Ok((mut component, notes)) => {
                        component.group = Some(self.name.clone());
                        component.comments.push(format!(
                            "{}: {} by {module}",
                            files.short(target.place),
                            self.name
                        ));
                        for why in notes {
                            draft.note(files.at(target.place), format!("{module}: {target_text}"), why);
                        }
                        if let Some(instance) = component.instances.first_mut() {
                            instance.labels = labels(group);
                        }
                        let same = draft
                            .components
                            .iter_mut()
                            .find(|c| c.instances == component.instances && c.name == component.name);
                        match same {
                            // One address asked in two ways is one component.
                            Some(same)
                                if !same
                                    .probes
                                    .iter()
                                    .any(|probe| component.probes.iter().any(|p| p.kind == probe.kind)) =>
                            {
                                same.probes.extend(component.probes);
                            }
                            _ => draft.components.push(component),
                        }
                    }
                    Err(why) => draft.note(files.at(target.place), format!("{module}: {target_text}"), why),
                }
            }
        }
    }
}

/// The labels of a group of targets; secrets are none.
fn labels(group: &Node) -> BTreeMap<String, String> {
    let all = entries(group.get("labels")).iter();
    all.filter(|(key, _)| !key.name.starts_with("__") && !is_secret(&key.name))
        .filter(|(_, value)| !matches!(value.value, Value::Map(_) | Value::List(_)))
        .filter_map(|(key, value)| Some((key.name.clone(), text(value)?)))
        .collect()
}

fn same_name(pattern: &str, path: &str) -> bool {
    let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    glob::Pattern::new(&last(pattern)).is_ok_and(|pattern| pattern.matches(&last(path)))
}
