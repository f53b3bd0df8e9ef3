//! nginx.conf: the gateway, its upstreams, and who passes to whom.

mod syntax;

use std::collections::BTreeMap;

use topology::diagnostic::{Diagnostic, FileId, Place};

use self::syntax::{Directive, parse};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Instance, Probe, Setting, Strength, known, slug};

/// Directives that hand a request on, and the probe kind that suits their targets (none: by the port).
const PASSES: [(&str, Option<&str>); 6] = [
    ("proxy_pass", None),
    ("grpc_pass", Some("tcp")),
    ("fastcgi_pass", Some("tcp")),
    ("uwsgi_pass", Some("tcp")),
    ("scgi_pass", Some("tcp")),
    ("memcached_pass", Some("memcached")),
];

/// Reads the files as one configuration.
pub(super) fn read(files: &Files, wanted: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut all = Vec::new();
    for (i, file) in files.0.iter().enumerate() {
        all.extend(parse(&file.text, FileId(u16::try_from(i).unwrap_or(u16::MAX)))?);
    }
    let mut reader =
        Reader { files, draft, empty: Vec::new(), upstreams: BTreeMap::new(), servers: Vec::new() };
    reader.collect(&all, false);
    if reader.upstreams.is_empty() && reader.servers.is_empty() {
        let place = Place { line: 1, column: 1, ..Place::default() };
        return Err(wrong(
            place,
            "this is no nginx.conf with a `server` or an `upstream`",
            "give the file that has them, or the output of `nginx -T`",
        ));
    }
    reader.gateway(wanted);
    Ok(())
}

struct Reader<'a> {
    files: &'a Files,
    draft: &'a mut Draft,
    /// Upstreams of which nothing is left: whoever passes to one is told so.
    empty: Vec<String>,
    upstreams: BTreeMap<String, Upstream>,
    servers: Vec<Server>,
}

#[derive(Debug, Default)]
struct Upstream {
    place: Place,
    stream: bool,
    servers: Vec<String>,
    backups: Vec<String>,
}

#[derive(Debug, Default)]
struct Server {
    stream: bool,
    /// Port and whether it speaks TLS.
    listen: Vec<(u16, bool)>,
    names: Vec<String>,
    passes: Vec<(Place, String, Option<&'static str>)>,
    status: Option<String>,
}

impl Reader<'_> {
    fn note(&mut self, place: Place, what: impl Into<String>, why: impl Into<String>) {
        let at = self.files.at(place);
        self.draft.note(at, what, why);
    }

    fn collect(&mut self, directives: &[Directive], stream: bool) {
        for one in directives {
            let first = one.arguments.first().map(String::as_str).unwrap_or_default();
            match one.name.as_str() {
                "http" => self.collect(&one.block, false),
                "stream" => self.collect(&one.block, true),
                "upstream" => self.upstream(one, first, stream),
                "server" if !one.block.is_empty() => {
                    let mut server = Server { stream, ..Server::default() };
                    read_server(&one.block, "/", &mut server);
                    self.servers.push(server);
                }
                "include" if !first.ends_with("mime.types") && !first.contains("_params") => {
                    let given = self.files.0.iter().any(|file| fits(first, &file.path));
                    if !given {
                        self.note(
                            one.place,
                            format!("include {first}"),
                            "not followed: give the file as well, or the output of `nginx -T`",
                        );
                    }
                }
                _ => {}
            }
        }
    }

    fn upstream(&mut self, one: &Directive, name: &str, stream: bool) {
        let mut upstream = Upstream { place: one.place, stream, ..Upstream::default() };
        for server in one.block.iter().filter(|directive| directive.name == "server") {
            let Some(address) = server.arguments.first() else { continue };
            let flag = |flag: &str| server.arguments.iter().any(|argument| argument == flag);
            if address.starts_with("unix:") {
                self.note(
                    server.place,
                    format!("{name}: {address}"),
                    "left out: a socket of that host cannot be asked from outside",
                );
            } else if flag("down") {
                self.note(server.place, format!("{name}: {address}"), "left out: it is marked `down`");
            } else if address.contains('$') {
                self.note(
                    server.place,
                    format!("{name}: {address}"),
                    "left out: it is known at run time only",
                );
            } else if flag("backup") {
                upstream.backups.push(with_port(address, 80));
            } else {
                upstream.servers.push(with_port(address, 80));
            }
        }
        self.upstreams.insert(name.to_owned(), upstream);
    }

    /// One component for nginx itself, one for each upstream or address that it passes to.
    fn gateway(&mut self, wanted: &Wanted) {
        let host = wanted.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let servers = std::mem::take(&mut self.servers);
        let (mut http, mut streams): (Vec<Server>, Vec<Server>) =
            servers.into_iter().partition(|server| !server.stream);
        let mut targets: Vec<Component> = Vec::new();
        for (name, upstream) in std::mem::take(&mut self.upstreams) {
            targets.extend(self.target(&name, &upstream));
        }
        for (name, servers) in [("nginx", &mut http), ("nginx-stream", &mut streams)] {
            let Some(mut component) = front(name, &host, servers) else { continue };
            for (place, target, kind) in servers.iter().flat_map(|server| &server.passes) {
                let file = self.files.short(*place);
                if let Some(on) = self.passed_to(*place, target, *kind, name == "nginx-stream", &mut targets)
                {
                    component.needs(&on, Strength::Required, file);
                }
            }
            self.draft.components.push(component);
        }
        self.draft.components.extend(targets);
        if wanted.host.is_none() && self.draft.components.iter().any(|c| c.name.starts_with("nginx")) {
            self.draft.heading.push("nginx.conf does not say where nginx itself runs: 127.0.0.1 stands for it (`--host` names another).".to_owned());
        }
    }

    fn target(&mut self, name: &str, upstream: &Upstream) -> Option<Component> {
        let all: Vec<String> = upstream.servers.iter().chain(&upstream.backups).cloned().collect();
        let Some(first) = all.first() else {
            self.note(
                upstream.place,
                format!("upstream {name}"),
                "left out: it has no server that could be asked",
            );
            self.empty.push(name.to_owned());
            return None;
        };
        let port = first.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(80);
        let probe = guess(port, upstream.stream);
        let mut component = Component::at(slug(name), first.clone(), probe);
        component.comments.push(format!("{}: upstream {name}", self.files.short(upstream.place)));
        component.instances = all
            .iter()
            .map(|address| {
                let mut instance = Instance { address: address.clone(), ..Instance::default() };
                if upstream.backups.contains(address) {
                    instance.labels.insert("role".to_owned(), "backup".to_owned());
                }
                instance
            })
            .collect();
        if !upstream.backups.is_empty() {
            component.policy = Some("any");
            component
                .comments
                .push("A backup takes over when the others fail: any of them is enough.".to_owned());
        }
        if component.probes.iter().any(|probe| probe.kind == "http") {
            component
                .comments
                .push("Its health page is better than /: `http: { path: /health }`.".to_owned());
        }
        Some(component)
    }

    /// The component that a `proxy_pass` means; one that is not an upstream is made.
    fn passed_to(
        &mut self,
        place: Place,
        target: &str,
        kind: Option<&'static str>,
        stream: bool,
        targets: &mut Vec<Component>,
    ) -> Option<String> {
        let (scheme, rest) = target.split_once("://").unwrap_or(("", target));
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.starts_with("unix:") || scheme == "unix" || rest.starts_with("unix:") {
            self.note(place, target, "left out: a socket of that host cannot be asked from outside");
            return None;
        }
        if authority.contains('$') {
            self.note(place, target, "left out: where it goes is known at run time only");
            return None;
        }
        if self.empty.iter().any(|name| name == authority) {
            self.note(
                place,
                target,
                format!("left out: the upstream {authority} has no server that could be asked"),
            );
            return None;
        }
        if let Some(known) = targets.iter_mut().find(|component| component.name == slug(authority)) {
            if let (Some(kind), Some(probe)) = (kind, known.probes.first_mut()) {
                *probe = Probe::of(kind);
            }
            if scheme == "https"
                && !known.probes.iter().any(|probe| probe.options.iter().any(|(key, _)| key == "tls"))
            {
                for probe in known.probes.iter_mut().filter(|probe| probe.kind == "http") {
                    probe.options.push((
                        "tls".to_owned(),
                        Setting::Map(vec![("verify".to_owned(), Setting::Truth(false))]),
                    ));
                }
            }
            return Some(known.name.clone());
        }
        let address = with_port(authority, if scheme == "https" { 443 } else { 80 });
        let (host, port) = address.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let name = slug(host);
        if let Some(known) =
            targets.iter().find(|component| component.instances.iter().any(|i| i.address == address))
        {
            return Some(known.name.clone());
        }
        let mut probe = kind.map_or_else(|| guess(port, stream), Probe::of);
        if scheme == "https" && !probe.options.iter().any(|(key, _)| key == "tls") {
            probe = probe.with("tls", Setting::Truth(true));
        }
        let name = if targets.iter().any(|component| component.name == name) {
            format!("{name}-{port}")
        } else {
            name
        };
        let mut component = Component::at(name.clone(), address, probe);
        component.comments.push(format!("{}: passed to by its address", self.files.short(place)));
        targets.push(component);
        Some(name)
    }
}

/// What a `server` block says.
fn read_server(block: &[Directive], path: &str, server: &mut Server) {
    for one in block {
        let first = one.arguments.first().map(String::as_str).unwrap_or_default();
        match one.name.as_str() {
            "listen" => {
                let tls = one.arguments.iter().any(|argument| argument == "ssl" || argument == "quic");
                match first.rsplit(':').next().and_then(|port| port.parse().ok()) {
                    Some(port) => server.listen.push((port, tls)),
                    None if !first.starts_with("unix:") => server.listen.push((80, tls)),
                    None => {}
                }
            }
            "server_name" => server.names.extend(
                one.arguments
                    .iter()
                    .filter(|name| {
                        !name.contains(['*', '~', '$']) && name.as_str() != "_" && !name.is_empty()
                    })
                    .cloned(),
            ),
            "stub_status" => server.status = Some(path.to_owned()),
            "location" => {
                let path = one.arguments.last().map(String::as_str).unwrap_or_default();
                read_server(&one.block, path, server);
            }
            "if" | "limit_except" => read_server(&one.block, path, server),
            name => {
                if let Some((_, kind)) = PASSES.iter().find(|(pass, _)| *pass == name) {
                    server.passes.push((one.place, first.to_owned(), *kind));
                }
            }
        }
    }
}

/// nginx itself, as those of its servers that stand in one block of `http` or `stream` make it.
fn front(name: &str, host: &str, servers: &[Server]) -> Option<Component> {
    let mut listens: Vec<(u16, bool, &Server)> = Vec::new();
    for server in servers {
        let own = if server.listen.is_empty() { vec![(80, false)] } else { server.listen.clone() };
        for (port, tls) in own {
            if !listens.iter().any(|(known, ..)| *known == port) {
                listens.push((port, tls, server));
            }
        }
    }
    let usual = listens.iter().position(|(_, tls, server)| *tls && !server.names.is_empty());
    let usual =
        usual.or_else(|| listens.iter().position(|(_, _, server)| !server.passes.is_empty())).unwrap_or(0);
    let (port, tls, server) = listens.get(usual)?;
    let http = if name == "nginx-stream" {
        Probe::of("tcp")
    } else {
        let probe = Probe::of("http")
            .with("path", Setting::Text("/".to_owned()))
            .with("witness", Setting::Text("off".to_owned()));
        let first = server.names.first();
        let probe = probe.with_text("host", first.map(String::as_str));
        match (tls, first) {
            (true, Some(name)) => {
                let settings = vec![("server_name".to_owned(), Setting::Text(name.clone()))];
                probe.with("tls", Setting::Map(settings))
            }
            (true, None) => probe.with("tls", Setting::Truth(true)),
            (false, _) => probe,
        }
    };
    let mut component = Component::at(name, format!("{host}:{port}"), http);
    component.tier = Some("access".to_owned());
    let mut names: Vec<&str> = Vec::new();
    for name in servers.iter().flat_map(|server| &server.names) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        component.comments.push(format!("Serves {}.", names.join(", ")));
    }
    let here =
        servers.iter().find(|server| server.status.is_some() && server.listen.iter().any(|(p, _)| p == port));
    let elsewhere =
        servers.iter().find_map(|server| Some((server.status.as_ref()?, server.listen.first()?.0)));
    match (here.and_then(|server| server.status.as_ref()), elsewhere) {
        (Some(path), _) => {
            let probe = Probe::of("nginx").with("path", Setting::Text(path.clone()));
            component.probes.insert(0, probe);
        }
        (None, Some((path, port))) => component.comments.push(format!(
            "Its stub_status is at port {port}: a component of its own with `nginx: {{ path: {path} }}` watches its connections."
        )),
        (None, None) if name == "nginx" => component.comments.push("With stub_status turned on, `nginx: { path: /stub_status }` beside http sees its connections.".to_owned()),
        _ => {}
    }
    if listens.len() > 1 {
        let others: Vec<String> =
            listens.iter().filter(|(p, ..)| p != port).map(|(p, ..)| p.to_string()).collect();
        component.comments.push(format!("It listens on {}, too.", others.join(", ")));
    }
    Some(component)
}

/// What is passed to by HTTP speaks HTTP, whatever its port; a stream by its port.
fn guess(port: u16, stream: bool) -> Probe {
    if stream {
        known::probe_for_port(port)
    } else {
        Probe::of("http").with("path", Setting::Text("/".to_owned()))
    }
}

fn with_port(address: &str, usual: u16) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let bare_v6 = address.ends_with(']') || address.matches(':').count() > 1 && !address.starts_with('[');
    if has_port && !bare_v6 { address.to_owned() } else { format!("{address}:{usual}") }
}

/// Whether a path may be what an `include` names: the same file name, or one that its `*` stands for.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) =
        (pattern.rsplit('/').next().unwrap_or(pattern), path.rsplit('/').next().unwrap_or(path));
    glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(path))
}
