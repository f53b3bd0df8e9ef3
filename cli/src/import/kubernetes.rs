//! Kubernetes manifests, or what `kubectl get -o json` prints: workloads behind their services, and who names whom.

mod objects;

use topology::diagnostic::Diagnostic;
use topology::document::Node;

use self::objects::{Objects, Service, Workload};
use super::references::{self, references};
use super::tree::{at, items, port, text, text_at};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Instance, Probe, Setting, Strength, known, slug};

/// Reads manifests, several documents and lists of them included.
pub(super) fn read(files: &Files, _: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let objects = Objects::of(files, draft);
    if let (true, Some(first)) = (objects.are_none(), files.documents().next()) {
        return Err(wrong(
            first.place,
            "there is no workload, service or ingress in this",
            "give manifests, or the output of `kubectl get deploy,sts,ds,svc,ingress,cm -o json`",
        ));
    }
    let reader = Reader { files, objects: &objects };
    for workload in &objects.workloads {
        reader.workload(workload, draft);
    }
    for service in &objects.services {
        reader.service_alone(service, draft);
    }
    for ingress in &objects.ingresses {
        reader.ingress(ingress, draft);
    }
    draft.heading.push("Addresses are those of the cluster's own names: topowatch runs in it.".to_owned());
    Ok(())
}

struct Reader<'a> {
    files: &'a Files,
    objects: &'a Objects<'a>,
}

impl Reader<'_> {
    /// The component's name: with its namespace only where two have one name.
    fn name_of(&self, workload: &Workload<'_>) -> String {
        let twice = self.objects.workloads.iter().filter(|other| other.name == workload.name).count() > 1;
        slug(&if twice { format!("{}-{}", workload.name, workload.namespace) } else { workload.name.clone() })
    }

    fn workload(&self, workload: &Workload<'_>, draft: &mut Draft) {
        let place = self.files.at(workload.node.place);
        let what = format!("{} {}", workload.kind, workload.name);
        if workload.replicas == Some(0) {
            draft.note(place, what, "left out: it is scaled to nothing");
            return;
        }
        let services = self.objects.services_of(workload);
        let Some(service) = services.iter().find(|service| !service.headless).or(services.first()) else {
            draft.note(place, what, "left out: no Service leads to it, so it has no address that stays; the probe kind `heartbeat` lets such a worker report by itself");
            return;
        };
        let Some(asked) = self.probe(workload, service, draft) else {
            draft.note(place, what, format!("left out: the Service {} names no port", service.name));
            return;
        };
        let mut component =
            Component::at(self.name_of(workload), format!("{}:{}", service.host(), asked.port), asked.probe);
        component.tier = Some(asked.tier.to_owned());
        component.group = Some(workload.namespace.clone()).filter(|_| self.objects.namespaces() > 1);
        component.comments.push(format!(
            "{}: {} {}",
            self.files.short(workload.node.place),
            workload.kind,
            workload.name
        ));
        component.comments.extend(asked.comments);
        let own_names = workload.kind == "StatefulSet" && services.iter().any(|service| service.headless);
        if let (true, Some(headless)) = (own_names, services.iter().find(|service| service.headless)) {
            let port = asked.target_port.unwrap_or(asked.port);
            component.instances = (0..workload.replicas.unwrap_or(1).min(1000))
                .map(|i| Instance {
                    address: format!("{}-{i}.{}:{port}", workload.name, headless.host()),
                    ..Instance::default()
                })
                .collect();
        } else if workload.replicas.is_some_and(|replicas| replicas > 1) {
            let replicas = workload.replicas.unwrap_or_default();
            component.comments.push(format!("{replicas} replicas behind one Service: whichever it chooses is asked. A headless Service gives each a name."));
        }
        self.depends_on(workload, &mut component);
        draft.components.push(component);
    }

    fn depends_on(&self, workload: &Workload<'_>, component: &mut Component) {
        for (key, value) in self.objects.variables(workload) {
            for reference in references(&key, &value) {
                if let Some(on) = self.target(&reference.host, &workload.namespace) {
                    component.needs(&on, Strength::Required, format!("by {key}"));
                }
            }
        }
    }

    /// The component behind a service's name, as it is known in `namespace`.
    fn target(&self, host: &str, namespace: &str) -> Option<String> {
        let mut parts = host.split('.');
        let (name, rest) = (parts.next()?, parts.next());
        let namespace = rest.unwrap_or(namespace);
        let service =
            self.objects.services.iter().find(|s| s.name == name && s.namespace == namespace).or_else(
                || {
                    // The pod of a StatefulSet: orders-db-0.orders-db.shop.svc
                    let service = rest?;
                    self.objects.services.iter().find(|s| s.name == service && s.headless)
                },
            )?;
        Some(self.component_of(service))
    }

    fn component_of(&self, service: &Service) -> String {
        match self.objects.workloads.iter().find(|workload| service.selects(workload)) {
            Some(workload) => self.name_of(workload),
            None => slug(&service.name),
        }
    }

    /// A service whose workload is not in the files, or is not in the cluster at all.
    fn service_alone(&self, service: &Service, draft: &mut Draft) {
        if self.objects.workloads.iter().any(|workload| service.selects(workload)) {
            return;
        }
        let Some((port, _, _)) = service.ports.first() else {
            if let Some(name) = &service.external {
                draft.note(
                    self.files.at(service.place),
                    format!("Service {}", service.name),
                    format!("left out: it stands for {name}, and names no port"),
                );
            }
            return;
        };
        let host = service.external.clone().unwrap_or_else(|| service.host());
        let known = known::by_part(&service.name);
        let probe = known
            .filter(|known| known.port == *port)
            .map_or_else(|| known::probe_for_port(*port), known::Known::probe);
        let mut component = Component::at(slug(&service.name), format!("{host}:{port}"), probe);
        component.comments.push(format!("{}: Service {}", self.files.short(service.place), service.name));
        if service.external.is_some() {
            component.tier = Some("external".to_owned());
        } else {
            component.comments.push("What it leads to is not in these files.".to_owned());
        }
        draft.components.push(component);
    }

    fn ingress(&self, node: &Node, draft: &mut Draft) {
        let name = at(node, &["metadata", "name"]).and_then(text).unwrap_or_default();
        let namespace =
            at(node, &["metadata", "namespace"]).and_then(text).unwrap_or_else(|| "default".to_owned());
        let rules = items(at(node, &["spec", "rules"]));
        let host = rules.iter().find_map(|rule| text_at(rule, "host")).filter(|host| !host.contains('*'));
        let Some(host) = host else {
            draft.note(
                self.files.at(node.place),
                format!("Ingress {name}"),
                "left out: no rule names a host that could be asked",
            );
            return;
        };
        let tls = !items(at(node, &["spec", "tls"])).is_empty();
        let path = rules
            .iter()
            .flat_map(|rule| items(at(rule, &["http", "paths"])))
            .find_map(|path| text_at(path, "path"));
        let path = path.filter(|path| {
            path.starts_with('/')
                && path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))
        });
        let mut probe = Probe::of("http")
            .with("path", Setting::Text(path.unwrap_or_else(|| "/".to_owned())))
            .with("witness", Setting::Text("off".to_owned()));
        if tls {
            probe = probe.with("tls", Setting::Truth(true));
        }
        let taken = draft.components.iter().any(|component| component.name == slug(&name));
        let own = if taken { format!("{name}-ingress") } else { name.clone() };
        let mut component =
            Component::at(slug(&own), format!("{host}:{}", if tls { 443 } else { 80 }), probe);
        component.tier = Some("access".to_owned());
        component.comments.push(format!("{}: Ingress {name}", self.files.short(node.place)));
        let mut backends: Vec<&Node> = rules
            .iter()
            .flat_map(|rule| items(at(rule, &["http", "paths"])))
            .filter_map(|path| path.get("backend"))
            .collect();
        backends.extend(at(node, &["spec", "defaultBackend"]));
        for backend in backends {
            let service =
                at(backend, &["service", "name"]).or_else(|| backend.get("serviceName")).and_then(text);
            let Some(service) = service else { continue };
            match self.target(&service, &namespace) {
                Some(on) => component.needs(&on, Strength::Required, "a rule"),
                None => draft.note(
                    self.files.at(backend.place),
                    format!("Ingress {name} -> {service}"),
                    "left out: the Service is not in these files",
                ),
            }
        }
        draft.components.insert(0, component);
    }

    /// How a workload is asked through a service.
    fn probe(&self, workload: &Workload<'_>, service: &Service, draft: &mut Draft) -> Option<Asked> {
        let containers = workload.containers();
        let container = containers
            .iter()
            .find(|container| container.get("readinessProbe").is_some() && !is_sidecar(container))
            .or_else(|| containers.first())?;
        let server = text_at(container, "image").as_deref().and_then(known::by_image);
        let ready = container.get("readinessProbe").or_else(|| container.get("livenessProbe"));
        let mut comments = Vec::new();
        let named = |node: Option<&Node>| -> Option<u16> {
            port(node).or_else(|| {
                let name = text(node?)?;
                items(container.get("ports"))
                    .iter()
                    .find(|one| text_at(one, "name").as_deref() == Some(&name))
                    .and_then(|one| port(one.get("containerPort")))
            })
        };
        let way = |inside: u16| {
            service.ports.iter().find(|(outside, target, _)| {
                objects::leads_to(*outside, target.as_deref(), inside, container)
            })
        };
        let page = ready.and_then(|ready| ready.get("httpGet"));
        if let (Some(page), None) = (page, server.filter(|server| server.kind != "http")) {
            let inside = named(page.get("port")).unwrap_or(80);
            let path = text_at(page, "path").unwrap_or_else(|| "/".to_owned());
            let path = if path.starts_with('/') { path } else { format!("/{path}") };
            let tls = text_at(page, "scheme").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
            if let Some((outside, ..)) = way(inside) {
                let mut probe = Probe::of("http").with("path", Setting::Text(path));
                if tls {
                    probe =
                        probe.with("tls", Setting::Map(vec![("verify".to_owned(), Setting::Truth(false))]));
                }
                let tier = server.map_or("app", |server| server.tier);
                return Some(Asked { port: *outside, target_port: Some(inside), probe, comments, tier });
            }
            let why = format!(
                "its readiness page is at port {inside}, to which the Service does not lead; the Service's first port is asked"
            );
            draft.note(self.files.at(page.place), format!("{} {}", workload.kind, workload.name), why);
        }
        let (outside, target, _) =
            server.and_then(|server| way(server.port)).or_else(|| service.ports.first())?;
        let target_port = target.as_deref().and_then(|target| target.parse().ok());
        if let Some(server) = server {
            let account = references::account(&self.objects.variables(workload));
            if matches!(server.kind, "postgres" | "mysql" | "amqp") {
                comments.push(format!(
                    "Better with an account of its own: topowatch probe --grants {}",
                    server.kind
                ));
            }
            let mut account = account;
            account.has_password |= objects::has_secret_password(container);
            let probe = references::probe_with_account(server, &workload.name, &account);
            return Some(Asked { port: *outside, target_port, probe, comments, tier: server.tier });
        }
        if let Some(grpc) = ready.and_then(|ready| ready.get("grpc")) {
            draft.note(
                self.files.at(grpc.place),
                format!("{} {}", workload.kind, workload.name),
                "its gRPC health check is not carried over: no probe speaks gRPC",
            );
        }
        comments.push(format!("Guessed by its port, {outside}."));
        let is_http = page.is_some();
        let probe = if is_http {
            Probe::of("http").with("path", Setting::Text("/".to_owned()))
        } else {
            known::probe_for_port(*outside)
        };
        let tier = known::tier_of(probe.kind);
        Some(Asked { port: *outside, target_port, probe, comments, tier })
    }
}

/// How a workload is asked.
struct Asked {
    /// The service's port.
    port: u16,
    /// The pod's, where it is known by its number.
    target_port: Option<u16>,
    probe: Probe,
    comments: Vec<String>,
    tier: &'static str,
}

fn is_sidecar(container: &Node) -> bool {
    text_at(container, "name")
        .is_some_and(|name| matches!(name.as_str(), "istio-proxy" | "linkerd-proxy" | "envoy"))
}
