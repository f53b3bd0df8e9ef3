//! A backup of Uptime Kuma: its monitors.

use topology::diagnostic::Diagnostic;
use topology::document::Node;
use url::Url;

use super::references::page_of;
use super::tree::{items, port, text, text_at, truth};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Probe, Setting, authorization, secret, slug};

/// Reads the backup's JSON.
pub(super) fn read(files: &Files, _: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut known = false;
    for document in files.documents() {
        let Some(monitors) = document.get("monitorList") else { continue };
        known = true;
        for node in items(Some(monitors)) {
            monitor(node, items(Some(monitors)), files, draft);
        }
        if let Some(node) = document.get("notificationList").filter(|node| !items(Some(node)).is_empty()) {
            draft.note(
                files.at(node.place),
                "notificationList",
                "not carried over: docs/alerts.md has each receiver in five minutes",
            );
        }
    }
    if let (false, Some(first)) = (known, files.documents().next()) {
        return Err(wrong(
            first.place,
            "this is no backup of Uptime Kuma: it has no `monitorList`",
            "Settings, Backup, Export writes one",
        ));
    }
    if !draft.components.is_empty() {
        draft.note(
            None,
            "dependencies",
            "Uptime Kuma knows none: write `depends_on`, or let `topowatch discover` find them",
        );
    }
    Ok(())
}

fn monitor(node: &Node, all: &[Node], files: &Files, draft: &mut Draft) {
    let place = files.at(node.place);
    let name = text_at(node, "name").unwrap_or_else(|| "monitor".to_owned());
    let kind = text_at(node, "type").unwrap_or_default();
    if kind == "group" {
        return;
    }
    if truth(node.get("active")) == Some(false) {
        draft.note(place, name, "left out: it is paused");
        return;
    }
    let mut lost = Vec::new();
    let (address, probe) = match made(node, &kind, &name, &mut lost) {
        Ok(made) => made,
        Err(why) => {
            draft.note(place, name, format!("left out: {why}"));
            return;
        }
    };
    let mut component = Component::at(slug(&name), address, probe);
    component.title = Some(name.clone()).filter(|title| slug(title) != *title);
    let parent = text_at(node, "parent");
    component.group = parent
        .and_then(|id| all.iter().find(|other| text_at(other, "id").as_ref() == Some(&id)))
        .and_then(|group| text_at(group, "name"));
    component.comments.push(format!("{}: a monitor of type {kind}", files.short(node.place)));
    for why in lost {
        draft.note(place.clone(), name.clone(), why);
    }
    if truth(node.get("upsideDown")) == Some(true) {
        draft.note(place, name, "it is upside down there: here a good answer is green");
    }
    draft.components.push(component);
}

fn made(node: &Node, kind: &str, name: &str, lost: &mut Vec<String>) -> Result<(String, Probe), String> {
    let host = || text_at(node, "hostname").ok_or_else(|| "it names no host".to_owned());
    let at_port = |usual: Option<u16>| -> Result<String, String> {
        let port = port(node.get("port")).or(usual).ok_or("it names no port")?;
        Ok(format!("{}:{port}", host()?))
    };
    Ok(match kind {
        "http" | "keyword" | "json-query" | "real-browser" => http(node, kind, name, lost)?,
        "port" => (at_port(None)?, Probe::of("tcp")),
        "ping" | "tailscale-ping" => (format!("{}:1", host()?), Probe::of("icmp")),
        "dns" => {
            let server = text_at(node, "dns_resolve_server").ok_or("it names no resolver")?;
            let server = server.split(',').next().unwrap_or_default().trim().to_owned();
            let probe = Probe::of("dns")
                .with("name", Setting::Text(host()?))
                .with_text("type", text_at(node, "dns_resolve_type").as_deref());
            (format!("{server}:{}", port(node.get("port")).unwrap_or(53)), probe)
        }
        "postgres" | "mysql" | "redis" => database(node, kind, name, lost)?,
        "smtp" => (at_port(Some(25))?, Probe::of("tcp").with("expect", Setting::Text("^220 ".to_owned()))),
        "rabbitmq" => {
            let nodes = text_at(node, "rabbitmqNodes").ok_or("it names no node")?;
            let first = nodes
                .split([',', '"', '[', ']'])
                .find(|part| part.contains("://"))
                .ok_or("it names no node")?;
            let url = Url::parse(first).map_err(|error| format!("its node is no URL: {error}"))?;
            let probe = Probe::of("rabbitmq")
                .with_text("user", text_at(node, "rabbitmqUsername").as_deref())
                .with("password", secret(name, "password"));
            (
                format!(
                    "{}:{}",
                    url.host_str().ok_or("its node names no host")?,
                    url.port().unwrap_or(15672)
                ),
                probe,
            )
        }
        "push" => return Err("it reports by itself; the probe kind `heartbeat` is that".to_owned()),
        other => return Err(format!("no probe asks what type `{other}` asks")),
    })
}

fn http(node: &Node, kind: &str, name: &str, lost: &mut Vec<String>) -> Result<(String, Probe), String> {
    let written = text_at(node, "url").ok_or("it has no URL")?;
    let url = Url::parse(&written).map_err(|error| format!("its URL is none: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("its URL names no host")?;
    let port = url.port_or_known_default().ok_or("its URL names no port")?;
    let mut probe = Probe::of("http").with("path", page_of(&url, name));
    if url.scheme() == "https" {
        let insecure = truth(node.get("ignoreTls")) == Some(true);
        let tls = if insecure {
            Setting::Map(vec![("verify".to_owned(), Setting::Truth(false))])
        } else {
            Setting::Truth(true)
        };
        probe = probe.with("tls", tls);
    }
    let mut headers = Vec::new();
    if text_at(node, "headers").is_some_and(|headers| headers.trim() != "{}") {
        lost.push("its headers are not copied: they may hold secrets; write them under `headers`".to_owned());
    }
    if text_at(node, "authMethod").is_some()
        || text_at(node, "basic_auth_user").is_some()
        || !url.username().is_empty()
    {
        headers.push(authorization(name, lost));
    }
    probe = probe.with_headers(headers);
    let mut expect = Vec::new();
    let codes: Vec<Setting> =
        items(node.get("accepted_statuscodes")).iter().filter_map(text).map(Setting::Text).collect();
    // 200-299 is what is expected anyway, but for redirections, which are not followed here.
    if !codes.is_empty() && codes != [Setting::Text("200-299".to_owned())] {
        expect.push(("status".to_owned(), Setting::List(codes)));
    }
    if let Some(keyword) = text_at(node, "keyword").filter(|_| kind == "keyword") {
        let inverted = truth(node.get("invertKeyword")) == Some(true);
        let escaped: String = keyword
            .chars()
            .flat_map(|c| {
                (!c.is_alphanumeric() && c.is_ascii_punctuation()).then_some('\\').into_iter().chain([c])
            })
            .collect();
        expect.push((if inverted { "body_not" } else { "body" }.to_owned(), Setting::Text(escaped)));
    }
    if kind == "json-query" {
        lost.push(
            "its JSON query is not carried over: write `expect: { json: { $.path: value } }`".to_owned(),
        );
    }
    if !expect.is_empty() {
        probe = probe.with("expect", Setting::Map(expect));
    }
    if text_at(node, "method").is_some_and(|method| method != "GET" && method != "HEAD") {
        lost.push("asked by GET: another method needs the probe kind `journey`".to_owned());
    }
    Ok((format!("{host}:{port}"), probe))
}

/// `postgres://user:password@host:port/database`: all but the password.
fn database(node: &Node, kind: &str, name: &str, lost: &mut Vec<String>) -> Result<(String, Probe), String> {
    let written = text_at(node, "databaseConnectionString").ok_or("it has no connection string")?;
    let url = Url::parse(&written).map_err(|_| "its connection string is no URL".to_owned())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("its connection string names no host")?;
    let (kind, usual) = match kind {
        "postgres" => ("postgres", 5432),
        "mysql" => ("mysql", 3306),
        _ => ("redis", 6379),
    };
    let database = url.path().trim_start_matches('/');
    let mut probe = Probe::of(kind);
    if kind != "redis" && !database.is_empty() {
        probe = probe.with_text("database", Some(database));
    }
    if !url.username().is_empty() {
        probe = probe.with_text("user", Some(url.username()));
    }
    if url.password().is_some() || !url.username().is_empty() {
        probe = probe.with("password", secret(name, "password"));
    }
    if text_at(node, "databaseQuery").is_some_and(|query| !query.trim().eq_ignore_ascii_case("select 1")) {
        lost.push("its query is not carried over: `SELECT 1` is asked".to_owned());
    }
    Ok((format!("{host}:{}", url.port().unwrap_or(usual)), probe))
}
