//! Gatus: endpoints and their conditions.

mod conditions;

use topology::diagnostic::Diagnostic;
use topology::document::Node;
use url::Url;

use self::conditions::Conditions;
use super::references::{is_secret, page_of};
use super::tree::{at, entries, items, text, text_at, truth};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Probe, Setting, authorization, secret, slug};

/// Reads the configuration, several files joined.
pub(super) fn read(files: &Files, _: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut known = false;
    for document in files.documents() {
        let (endpoints, others) = (document.get("endpoints"), document.get("external-endpoints"));
        known |= endpoints.is_some() || others.is_some();
        for node in items(endpoints).iter().chain(items(document.get("services"))) {
            endpoint(node, files, draft);
        }
        for node in items(others) {
            let name = text_at(node, "name").unwrap_or_default();
            draft.note(
                files.at(node.place),
                name,
                "left out: it reports by itself; the probe kind `heartbeat` is that",
            );
        }
        for key in ["alerting", "maintenance", "announcements", "remote", "suites"] {
            if let Some(node) = document.get(key) {
                let why = match key {
                    "alerting" => "not carried over: docs/alerts.md has each receiver in five minutes",
                    "maintenance" => {
                        "not carried over: windows are written under `alerts: { maintenance: … }`"
                    }
                    _ => "not carried over",
                };
                draft.note(files.at(node.place), key, why);
            }
        }
    }
    if let (false, Some(first)) = (known, files.documents().next()) {
        return Err(wrong(
            first.place,
            "this is no Gatus configuration: it has no `endpoints`",
            "name its config.yaml",
        ));
    }
    if !draft.components.is_empty() {
        draft.note(
            None,
            "dependencies",
            "Gatus knows none: write `depends_on`, or let `topowatch discover` find them",
        );
    }
    Ok(())
}

fn endpoint(node: &Node, files: &Files, draft: &mut Draft) {
    let place = files.at(node.place);
    let name = text_at(node, "name").unwrap_or_else(|| "endpoint".to_owned());
    if truth(node.get("enabled")) == Some(false) {
        draft.note(place, name, "left out: it is turned off");
        return;
    }
    let Some(written) = text_at(node, "url") else {
        draft.note(place, name, "left out: it has no `url`");
        return;
    };
    let conditions = Conditions::of(items(node.get("conditions")));
    let made = if node.get("dns").is_some() {
        dns(node, &written)
    } else {
        by_url(node, &name, &written, &conditions)
    };
    let (address, mut probe, lost) = match made {
        Ok(made) => made,
        Err(why) => {
            draft.note(place, name, format!("left out: {why}"));
            return;
        }
    };
    if let (Some(limit), "http") = (conditions.slow_ms, probe.kind) {
        let red = vec![("red".to_owned(), Setting::Text(format!("{limit}ms")))];
        probe = probe.with("slow", Setting::Map(red));
    }
    if let Some(hours) = conditions.expires_hours
        && matches!(probe.kind, "http" | "tls" | "websocket")
    {
        let red = vec![("red".to_owned(), Setting::Text(format!("{hours}h")))];
        probe = probe.with("expires_in", Setting::Map(red));
    }
    let mut component = Component::at(slug(&name), address, probe);
    component.title = Some(name.clone()).filter(|title| slug(title) != *title);
    component.group = text_at(node, "group");
    component.comments.push(files.short(node.place));
    if let Some(interval) = text_at(node, "interval") {
        component.comments.push(format!("Asked every {interval} there; every 3 s here."));
    }
    for why in lost.into_iter().chain(conditions.lost) {
        draft.note(place.clone(), name.clone(), why);
    }
    if !items(node.get("alerts")).is_empty() {
        draft.note(
            place,
            format!("{name}: alerts"),
            "not carried over: who is told stands under `alerts` of topology.yaml",
        );
    }
    draft.components.push(component);
}

type Made = Result<(String, Probe, Vec<String>), String>;

fn dns(node: &Node, server: &str) -> Made {
    let name = at(node, &["dns", "query-name"]).and_then(text).ok_or("its `dns` names no `query-name`")?;
    let server = server.split_once("://").map_or(server, |(_, rest)| rest);
    let address = if server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        server.to_owned()
    } else {
        format!("{server}:53")
    };
    let kind = at(node, &["dns", "query-type"]).and_then(text);
    Ok((
        address,
        Probe::of("dns").with("name", Setting::Text(name)).with_text("type", kind.as_deref()),
        Vec::new(),
    ))
}

fn by_url(node: &Node, name: &str, written: &str, conditions: &Conditions) -> Made {
    let mut lost = Vec::new();
    let url = Url::parse(written).map_err(|error| format!("`url` is none: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("its `url` names no host")?.to_owned();
    let tls = || {
        if truth(at(node, &["client", "insecure"])) == Some(true) {
            Setting::Map(vec![("verify".to_owned(), Setting::Truth(false))])
        } else {
            Setting::Truth(true)
        }
    };
    let port = |usual: u16| url.port().unwrap_or(usual);
    let (port, probe) = match url.scheme() {
        scheme @ ("http" | "https") => {
            let mut probe = Probe::of("http").with("path", page_of(&url, name));
            if scheme == "https" {
                probe = probe.with("tls", tls());
            }
            probe = headers(node, name, &url, probe, &mut lost);
            let expect = conditions.expect();
            if !expect.is_empty() {
                probe = probe.with("expect", Setting::Map(expect));
            }
            if text_at(node, "method").is_some_and(|method| method != "GET") || node.get("body").is_some() {
                lost.push(
                    "asked by GET: another method, or a body, needs the probe kind `journey`".to_owned(),
                );
            }
            (port(if scheme == "https" { 443 } else { 80 }), probe)
        }
        scheme @ ("ws" | "wss") => {
            let probe = Probe::of("websocket").with("path", page_of(&url, name));
            let probe = if scheme == "wss" { probe.with("tls", tls()) } else { probe };
            (port(if scheme == "wss" { 443 } else { 80 }), probe)
        }
        "tcp" => (url.port().ok_or("its `url` names no port")?, Probe::of("tcp")),
        "tls" => (port(443), Probe::of("tls")),
        "starttls" => (port(587), Probe::of("tls").with("starttls", Setting::Text("smtp".to_owned()))),
        "icmp" => (1, Probe::of("icmp")),
        "ssh" => {
            lost.push("only the port is asked: no probe logs in by SSH".to_owned());
            (port(22), Probe::of("tcp").with("expect", Setting::Text("^SSH-".to_owned())))
        }
        scheme => return Err(format!("no probe asks `{scheme}://`")),
    };
    Ok((format!("{host}:{port}"), probe, lost))
}

fn headers(node: &Node, name: &str, url: &Url, mut probe: Probe, lost: &mut Vec<String>) -> Probe {
    let mut headers = Vec::new();
    for (key, value) in entries(node.get("headers")) {
        let Some(value) = text(value) else { continue };
        if key.name.eq_ignore_ascii_case("host") {
            probe = probe.with_text("host", Some(&value));
        } else if is_secret(&key.name) || value.contains('$') {
            headers.push((key.name.clone(), secret(name, &key.name)));
        } else {
            headers.push((key.name.clone(), Setting::Text(value)));
        }
    }
    if !url.username().is_empty() || at(node, &["client", "oauth2"]).is_some() {
        headers.push(authorization(name, lost));
    }
    probe.with_headers(headers)
}
