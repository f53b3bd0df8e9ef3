//! Compose files: services, their ports, health checks and dependencies.

mod healthcheck;
mod variables;

use topology::diagnostic::Diagnostic;
use topology::document::{Node, Value};

use self::healthcheck::Check;
use self::variables::interpolate;
use super::references::{self, references};
use super::tree::{at, entries, items, port, text, text_at, truth};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Probe, Setting, Strength, known, slug};

/// Reads compose files, later ones over earlier ones, as compose itself does.
pub(super) fn read(files: &Files, wanted: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut whole: Option<Node> = None;
    for document in files.documents() {
        match &mut whole {
            None => whole = Some(document.clone()),
            Some(whole) => merge(whole, document),
        }
    }
    let Some(whole) = whole else { return Ok(()) };
    let Some(services) = whole.get("services").filter(|node| matches!(node.value, Value::Map(_))) else {
        return Err(wrong(
            whole.place,
            "this is no compose file: it has no `services`",
            "name a docker-compose.yml, or compose.yaml",
        ));
    };
    if let Some(name) = text_at(&whole, "name") {
        draft.name = interpolate(&name);
    }
    if let Some(include) = whole.get("include") {
        draft.note(
            files.at(include.place),
            "include",
            "not followed: give the included files as well, or the output of `docker compose config`",
        );
    }
    let reader = Reader { files, wanted, services };
    for (key, node) in entries(Some(services)) {
        reader.service(&key.name, key.place, node, draft);
    }
    if wanted.host.is_none() {
        draft.heading.push("Addresses are the services' names: topowatch runs in their network. `--host 127.0.0.1` takes the published ports instead.".to_owned());
    }
    Ok(())
}

struct Reader<'a> {
    files: &'a Files,
    wanted: &'a Wanted,
    services: &'a Node,
}

impl Reader<'_> {
    fn service(&self, name: &str, place: topology::diagnostic::Place, node: &Node, draft: &mut Draft) {
        let at_place = self.files.at(place);
        let image = text_at(node, "image").map(|image| interpolate(&image));
        let server = image.as_deref().and_then(known::by_image);
        if self.is_job(name, node) {
            draft.note(at_place, name, "left out: it runs once and ends");
            return;
        }
        let check = Check::of(node);
        if check.is_off {
            draft.note(at_place.clone(), name, "its health check is turned off; it is watched all the same");
        }
        let container_port = check
            .port
            .or_else(|| {
                server
                    .map(|server| server.port)
                    .filter(|port| exposes(node).is_empty() || exposes(node).contains(port))
            })
            .or_else(|| exposes(node).first().copied());
        let Some(container_port) = container_port else {
            let why = "left out: nothing is said to listen in it (`ports`, `expose`, a health check); the probe kind `heartbeat` \
                       lets such a worker report by itself";
            draft.note(at_place, name, why);
            return;
        };
        let variables = variables_of(node);
        let account = {
            let mut account = references::account(&variables);
            account.has_password |= has_requirepass(node);
            account
        };
        let (probe, comments) = probe_of(name, server, &check, container_port, &account);
        let Some(address) = self.address(name, node, container_port, draft) else {
            let why = "left out: it publishes no port, so it is reached in its own network only (import without `--host`)";
            draft.note(at_place, name, why);
            return;
        };
        let mut component = Component::at(slug(name), address, probe);
        if let Some(server) = server {
            component.tier = Some(server.tier.to_owned());
        }
        let from = image.map_or_else(|| "built here".to_owned(), |image| image.clone());
        component.comments.push(format!("{}: {from}", self.files.short(place)));
        component.comments.extend(comments);
        self.replicas(name, node, &mut component, draft);
        self.depends_on(node, &variables, &mut component, draft);
        for key in ["extends", "env_file", "profiles"] {
            if let Some(said) = node.get(key) {
                let why = match key {
                    "extends" => "not followed: `docker compose config` writes it out",
                    "env_file" => "not read: addresses in it make no dependencies",
                    _ => "it is started on demand only; it is watched always",
                };
                draft.note(self.files.at(said.place), format!("{name}: {key}"), why);
            }
        }
        draft.components.push(component);
    }

    /// Something that ends: others wait for its end, or it is never started again and asked nothing.
    fn is_job(&self, name: &str, node: &Node) -> bool {
        let awaited = entries(Some(self.services)).iter().any(|(_, other)| {
            at(other, &["depends_on", name, "condition"]).and_then(text).as_deref()
                == Some("service_completed_successfully")
        });
        let command = node.get("command").map(|command| format!("{:?}", command.value)).unwrap_or_default();
        awaited || (text_at(node, "restart").as_deref() == Some("no") && command.contains("migrat"))
    }

    /// Where it is asked: under its own name, or at the host that it is published on.
    fn address(&self, name: &str, node: &Node, container_port: u16, draft: &mut Draft) -> Option<String> {
        let Some(host) = &self.wanted.host else {
            let mode = text_at(node, "network_mode").unwrap_or_default();
            if mode == "host" {
                draft.note(
                    self.files.at(node.place),
                    name,
                    "it is in the host's network: its address is guessed as 127.0.0.1",
                );
                return Some(format!("127.0.0.1:{container_port}"));
            }
            let owner = mode.strip_prefix("service:").unwrap_or(name);
            return Some(format!("{owner}:{container_port}"));
        };
        let all: Vec<(Option<u16>, u16)> = items(node.get("ports")).iter().filter_map(published).collect();
        let outside = all.iter().find(|(_, inside)| *inside == container_port)?.0;
        if outside.is_none() {
            draft.note(
                self.files.at(node.place),
                name,
                "the port it is published at changes with each start",
            );
        }
        Some(format!("{host}:{}", outside?))
    }

    fn replicas(&self, name: &str, node: &Node, component: &mut Component, draft: &mut Draft) {
        let said = at(node, &["deploy", "replicas"]).or_else(|| node.get("scale"));
        let Some(count) = said.and_then(text).and_then(|text| interpolate(&text).parse::<u32>().ok()) else {
            return;
        };
        if count > 1 {
            let project = if draft.name.is_empty() { "PROJECT" } else { draft.name.as_str() };
            let why = format!(
                "{count} replicas answer under one name, so any of them is asked; name each, as {project}-{name}-[1-{count}]:PORT"
            );
            draft.note(said.and_then(|said| self.files.at(said.place)), name, why.clone());
            component.comments.push(why);
        }
    }

    fn depends_on(
        &self,
        node: &Node,
        variables: &[(String, String)],
        component: &mut Component,
        draft: &mut Draft,
    ) {
        for one in items(node.get("depends_on")) {
            if let Some(on) = text(one) {
                component.needs(&slug(&on), Strength::Required, "depends_on");
            }
        }
        for (key, said) in entries(node.get("depends_on")) {
            let condition = text_at(said, "condition").unwrap_or_default();
            if condition == "service_completed_successfully" {
                let what = format!("{} -> {}", component.name, key.name);
                draft.note(self.files.at(key.place), what, "left out: it waits for the end of a job");
                continue;
            }
            let strength = if truth(said.get("required")) == Some(false) {
                Strength::Optional
            } else {
                Strength::Required
            };
            component.needs(&slug(&key.name), strength, "depends_on");
        }
        for one in items(node.get("links")) {
            if let Some(link) = text(one) {
                component.needs(
                    &slug(link.split(':').next().unwrap_or_default()),
                    Strength::Required,
                    "links",
                );
            }
        }
        let own = component.name.clone();
        for (key, value) in variables {
            for reference in references(key, value) {
                if let Some(service) = self.named(&reference.host)
                    && slug(service) != own
                {
                    component.needs(&slug(service), Strength::Required, format!("by {key}"));
                }
            }
        }
    }

    /// The service that a host name means: its own name, its container's, or an alias.
    fn named(&self, host: &str) -> Option<&str> {
        let service = |(key, node): &(topology::document::Key, Node)| {
            key.name == host
                || text_at(node, "container_name").as_deref() == Some(host)
                || text_at(node, "hostname").as_deref() == Some(host)
                || entries(node.get("networks")).iter().any(|(_, network)| {
                    items(network.get("aliases")).iter().filter_map(text).any(|alias| alias == host)
                })
        };
        entries(Some(self.services)).iter().find(|one| service(one)).map(|(key, _)| key.name.as_str())
    }
}

/// Ports inside the container that are named.
fn exposes(node: &Node) -> Vec<u16> {
    let mut ports: Vec<u16> =
        items(node.get("ports")).iter().filter_map(|one| Some(published(one)?.1)).collect();
    ports.extend(items(node.get("expose")).iter().filter_map(|one| {
        interpolate(&text(one)?).split('/').next()?.split('-').next()?.parse::<u16>().ok()
    }));
    ports
}

/// How a service is asked, and what is said of it.
fn probe_of(
    name: &str,
    server: Option<&'static known::Known>,
    check: &Check,
    container_port: u16,
    account: &references::Account,
) -> (Probe, Vec<String>) {
    let mut comments = Vec::new();
    let probe = if let Some(path) = &check.path {
        let probe = Probe::of("http").with("path", Setting::Text(path.clone()));
        if check.tls { probe.with("tls", Setting::Truth(true)) } else { probe }
    } else if let Some(server) = server.or_else(|| check.kind.and_then(known::by_word)) {
        if server.is_nginx() {
            comments.push("With stub_status turned on, `nginx: { path: /stub_status }` beside http sees its connections.".to_owned());
        }
        references::probe_with_account(server, name, account)
    } else {
        comments.push(format!("Guessed by its port, {container_port}."));
        known::probe_for_port(container_port)
    };
    if matches!(probe.kind, "postgres" | "mysql" | "amqp") {
        comments.push(format!("Better with an account of its own: topowatch probe --grants {}", probe.kind));
    }
    if let Some(words) = &check.words {
        comments.push(words.clone());
    }
    (probe, comments)
}

/// The variables of a service, as a map or as a list of `KEY=value`.
fn variables_of(node: &Node) -> Vec<(String, String)> {
    let environment = node.get("environment");
    let mut all: Vec<(String, String)> = entries(environment)
        .iter()
        .filter_map(|(key, value)| Some((key.name.clone(), interpolate(&text(value)?))))
        .collect();
    all.extend(items(environment).iter().filter_map(|one| {
        let one = text(one)?;
        let (key, value) = one.split_once('=')?;
        Some((key.to_owned(), interpolate(value)))
    }));
    all
}

/// `redis-server --requirepass …`
fn has_requirepass(node: &Node) -> bool {
    let said = |node: &Node| text(node).is_some_and(|text| text.contains("requirepass"));
    ["command", "entrypoint"]
        .iter()
        .filter_map(|key| node.get(key))
        .any(|node| said(node) || items(Some(node)).iter().any(said))
}

/// A published port: outside, where it is fixed, and inside.
fn published(node: &Node) -> Option<(Option<u16>, u16)> {
    if matches!(node.value, Value::Map(_)) {
        let outside = node.get("published").and_then(text).and_then(|text| interpolate(&text).parse().ok());
        return Some((outside, port(node.get("target"))?));
    }
    let written = interpolate(&text(node)?);
    let written = written.split('/').next()?;
    let (outside, inside) = match written.rsplit_once(':') {
        Some((outside, inside)) => (Some(outside), inside),
        None => (None, written),
    };
    let first = |text: &str| text.split('-').next()?.parse::<u16>().ok();
    let outside = outside.and_then(|text| first(text.rsplit(':').next()?));
    Some((outside, first(inside)?))
}

/// Lays one file over another: maps merge, lists join, the rest replaces.
fn merge(under: &mut Node, over: &Node) {
    match (&mut under.value, &over.value) {
        (Value::Map(old), Value::Map(new)) => {
            for (key, node) in new {
                match old.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some((_, under)) => merge(under, node),
                    None => old.push((key.clone(), node.clone())),
                }
            }
        }
        (Value::List(old), Value::List(new)) => old.extend(new.iter().cloned()),
        _ => *under = over.clone(),
    }
}
