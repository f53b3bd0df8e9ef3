//! Modules of a blackbox exporter, as probes.

use topology::document::Node;
use url::Url;

use super::super::references::{is_secret, page_of};
use super::super::tree::{at, entries, items, text, text_at, truth};
use crate::draft::{Component, Probe, Setting, authorization, secret, slug};

/// How a module asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Module {
    prober: String,
    status: Vec<String>,
    method: Option<String>,
    body: Option<String>,
    body_not: Option<String>,
    headers: Vec<(String, String)>,
    has_account: bool,
    insecure: bool,
    tls: bool,
    send: Option<String>,
    expect: Option<String>,
    name: Option<String>,
    kind: Option<String>,
}

/// The modules of a blackbox.yml.
pub(super) fn modules(document: &Node) -> Vec<(String, Module)> {
    entries(document.get("modules"))
        .iter()
        .filter_map(|(key, node)| {
            let prober = text_at(node, "prober")?;
            let settings = node.get(&prober).cloned().unwrap_or_else(|| node.clone());
            let first = |key: &str| items(settings.get(key)).first().and_then(text);
            let dialogue = items(settings.get("query_response"));
            Some((
                key.name.clone(),
                Module {
                    status: items(settings.get("valid_status_codes")).iter().filter_map(text).collect(),
                    method: text_at(&settings, "method").filter(|method| method != "GET"),
                    body: first("fail_if_body_not_matches_regexp"),
                    body_not: first("fail_if_body_matches_regexp"),
                    headers: entries(settings.get("headers"))
                        .iter()
                        .filter_map(|(key, value)| Some((key.name.clone(), text(value)?)))
                        .collect(),
                    has_account: settings.get("basic_auth").is_some()
                        || settings.get("authorization").is_some()
                        || settings.get("bearer_token").is_some(),
                    insecure: truth(at(&settings, &["tls_config", "insecure_skip_verify"])) == Some(true),
                    tls: truth(settings.get("tls")) == Some(true),
                    send: dialogue.iter().find_map(|step| text_at(step, "send")),
                    expect: dialogue.iter().rev().find_map(|step| text_at(step, "expect")),
                    name: text_at(&settings, "query_name"),
                    kind: text_at(&settings, "query_type"),
                    prober,
                },
            ))
        })
        .collect()
}

impl Module {
    /// What a module of this name usually does.
    pub(super) fn guess(name: &str) -> Self {
        let prober =
            ["icmp", "tcp", "dns", "grpc"].into_iter().find(|prober| name.contains(prober)).unwrap_or("http");
        Self { prober: prober.to_owned(), tls: name.contains("tls"), ..Self::default() }
    }

    /// A component that asks `target` as the module does, and what of it is lost.
    pub(super) fn component(&self, target: &str, module: &str) -> Result<(Component, Vec<String>), String> {
        let mut lost = Vec::new();
        match self.prober.as_str() {
            "http" => {
                let whole =
                    if target.contains("://") { target.to_owned() } else { format!("http://{target}") };
                let url = Url::parse(&whole).map_err(|error| format!("left out: it is no URL: {error}"))?;
                let host = url.host_str().ok_or("left out: it names no host")?.to_owned();
                let port = url.port_or_known_default().ok_or("left out: it names no port")?;
                let tls = url.scheme() == "https";
                let probe = self.http(&url, &host, tls, &mut lost);
                Ok((Component::at(slug(&host), format!("{host}:{port}"), probe), lost))
            }
            "tcp" => {
                let kind = if self.tls { "tls" } else { "tcp" };
                let mut probe = Probe::of(kind);
                if kind == "tcp" {
                    probe = probe
                        .with_text("send", self.send.as_deref())
                        .with_text("expect", self.expect.as_deref());
                }
                let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
                Ok((Component::at(slug(host), target, probe), lost))
            }
            "icmp" => Ok((
                Component::at(slug(target), format!("{target}:1"), Probe::of("icmp")),
                vec!["a host that answers a ping may still hang".to_owned()],
            )),
            "dns" => {
                let name = self.name.as_deref().ok_or("left out: its module names no `query_name`")?;
                let address = if target.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()) {
                    target.to_owned()
                } else {
                    format!("{target}:53")
                };
                let probe =
                    Probe::of("dns").with_text("name", Some(name)).with_text("type", self.kind.as_deref());
                Ok((Component::at(slug(target), address, probe), lost))
            }
            other => Err(format!("left out: the module {module} asks by `{other}`, which no probe does")),
        }
    }

    fn http(&self, url: &Url, host: &str, tls: bool, lost: &mut Vec<String>) -> Probe {
        let mut probe = Probe::of("http").with("path", page_of(url, host));
        if tls {
            let setting = if self.insecure {
                Setting::Map(vec![("verify".to_owned(), Setting::Truth(false))])
            } else {
                Setting::Truth(true)
            };
            probe = probe.with("tls", setting);
        }
        let mut headers: Vec<(String, Setting)> = Vec::new();
        for (key, value) in &self.headers {
            if key.eq_ignore_ascii_case("host") {
                probe = probe.with_text("host", Some(value));
            } else if is_secret(key) {
                headers.push((key.clone(), secret(host, key)));
            } else {
                headers.push((key.clone(), Setting::Text(value.clone())));
            }
        }
        if self.has_account || !url.username().is_empty() {
            headers.push(authorization(host, lost));
        }
        probe = probe.with_headers(headers);
        let mut expect = Vec::new();
        if !self.status.is_empty() {
            expect.push((
                "status".to_owned(),
                Setting::List(
                    self.status
                        .iter()
                        .map(|s| s.parse().map_or(Setting::Text(s.clone()), Setting::Number))
                        .collect(),
                ),
            ));
        }
        if let Some(body) = &self.body {
            expect.push(("body".to_owned(), Setting::Text(body.clone())));
        }
        if let Some(body) = &self.body_not {
            expect.push(("body_not".to_owned(), Setting::Text(body.clone())));
        }
        if !expect.is_empty() {
            probe = probe.with("expect", Setting::Map(expect));
        }
        if let Some(method) = &self.method {
            lost.push(format!("asked by GET: {method} needs the probe kind `journey`"));
        }
        probe
    }
}
