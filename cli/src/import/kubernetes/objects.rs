//! The objects of a cluster that matter here, out of documents and lists.

use std::collections::{BTreeMap, BTreeSet};

use topology::diagnostic::Place;
use topology::document::Node;

use super::super::Files;
use super::super::tree::{at, entries, items, port, text, text_at};
use crate::draft::Draft;

/// A workload: pods made of one template.
pub(super) struct Workload<'a> {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) replicas: Option<u32>,
    pub(super) node: &'a Node,
    /// The labels of its pods.
    labels: BTreeMap<String, String>,
    pod: &'a Node,
}

/// A service: a name and ports that lead to pods.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) place: Place,
    pub(super) headless: bool,
    /// The name outside of the cluster that it stands for.
    pub(super) external: Option<String>,
    /// Port, target port as written, name.
    pub(super) ports: Vec<(u16, Option<String>, Option<String>)>,
    selector: BTreeMap<String, String>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Objects<'a> {
    pub(super) workloads: Vec<Workload<'a>>,
    pub(super) services: Vec<Service>,
    pub(super) ingresses: Vec<&'a Node>,
    config_maps: BTreeMap<(String, String), &'a Node>,
}

impl<'a> Objects<'a> {
    /// Reads every document; a list stands for its items.
    pub(super) fn of(files: &'a Files, draft: &mut Draft) -> Self {
        let mut objects = Self::default();
        for document in files.documents() {
            objects.take(document, files, draft, 0);
        }
        objects
    }

    fn take(&mut self, node: &'a Node, files: &Files, draft: &mut Draft, depth: u8) {
        let kind = text_at(node, "kind").unwrap_or_default();
        if kind.ends_with("List") && depth < 4 {
            for item in items(node.get("items")) {
                self.take(item, files, draft, depth + 1);
            }
            return;
        }
        let name = at(node, &["metadata", "name"]).and_then(text).unwrap_or_default();
        let namespace =
            at(node, &["metadata", "namespace"]).and_then(text).unwrap_or_else(|| "default".to_owned());
        let owned = !items(at(node, &["metadata", "ownerReferences"])).is_empty();
        match kind.as_str() {
            // What a Deployment made is the Deployment.
            "ReplicaSet" | "Pod" if owned => {}
            "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "ReplicaSet"
            | "ReplicationController"
            | "Rollout"
            | "DeploymentConfig" => {
                let Some(pod) = at(node, &["spec", "template", "spec"]) else { return };
                let labels = map(at(node, &["spec", "template", "metadata", "labels"]));
                let replicas =
                    at(node, &["spec", "replicas"]).and_then(text).and_then(|text| text.parse().ok());
                self.workloads.push(Workload { kind, name, namespace, replicas, node, labels, pod });
            }
            "Pod" => {
                let Some(pod) = node.get("spec") else { return };
                let labels = map(at(node, &["metadata", "labels"]));
                self.workloads.push(Workload { kind, name, namespace, replicas: None, node, labels, pod });
            }
            "Service" => {
                let Some(spec) = node.get("spec") else { return };
                if (namespace.as_str(), name.as_str()) == ("default", "kubernetes") {
                    return;
                }
                let ports = items(spec.get("ports"))
                    .iter()
                    .filter(|one| text_at(one, "protocol").is_none_or(|p| p == "TCP"));
                self.services.push(Service {
                    headless: text_at(spec, "clusterIP").as_deref() == Some("None"),
                    external: text_at(spec, "externalName"),
                    ports: ports
                        .filter_map(|one| {
                            Some((
                                port(one.get("port"))?,
                                one.get("targetPort").and_then(text),
                                text_at(one, "name"),
                            ))
                        })
                        .collect(),
                    selector: map(spec.get("selector")),
                    place: node.place,
                    name,
                    namespace,
                });
            }
            "Ingress" => self.ingresses.push(node),
            "ConfigMap" => {
                self.config_maps.insert((namespace, name), node);
            }
            "Job" | "CronJob" => draft.note(
                files.at(node.place),
                format!("{kind} {name}"),
                "left out: it runs once and ends; the probe kind `heartbeat` notices one that does not come",
            ),
            "HTTPRoute" | "Gateway" | "VirtualService" | "IngressRoute" => {
                draft.note(
                    files.at(node.place),
                    format!("{kind} {name}"),
                    "left out: of what leads into the cluster only Ingress is read",
                );
            }
            _ => {}
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.workloads.is_empty() && self.services.is_empty() && self.ingresses.is_empty()
    }

    /// How many namespaces have workloads.
    pub(super) fn namespaces(&self) -> usize {
        self.workloads.iter().map(|workload| workload.namespace.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The services that lead to a workload.
    pub(super) fn services_of(&self, workload: &Workload<'_>) -> Vec<&Service> {
        self.services
            .iter()
            .filter(|service| service.selects(workload) && !service.ports.is_empty())
            .collect()
    }

    /// The variables of a workload's containers whose values stand in the files.
    pub(super) fn variables(&self, workload: &Workload<'_>) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let in_map = |name: &str| {
            self.config_maps
                .get(&(workload.namespace.clone(), name.to_owned()))
                .and_then(|map| map.get("data"))
        };
        for container in workload.containers() {
            for one in items(container.get("envFrom")) {
                let Some(name) = at(one, &["configMapRef", "name"]).and_then(text) else { continue };
                all.extend(
                    entries(in_map(&name))
                        .iter()
                        .filter_map(|(key, value)| Some((key.name.clone(), text(value)?))),
                );
            }
            for one in items(container.get("env")) {
                let Some(key) = text_at(one, "name") else { continue };
                let way = at(one, &["valueFrom", "configMapKeyRef"]);
                let from_map = way.and_then(|way| Some((text_at(way, "name")?, text_at(way, "key")?)));
                let value = one.get("value").and_then(text).or_else(|| {
                    let (name, key) = from_map?;
                    in_map(&name)?.get(&key).and_then(text)
                });
                all.extend(value.map(|value| (key, value)));
            }
            for word in
                items(container.get("args")).iter().chain(items(container.get("command"))).filter_map(text)
            {
                if let Some((key, value)) = word.trim_start_matches('-').split_once('=') {
                    all.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        all.retain(|(_, value)| !value.contains("${"));
        all
    }
}

impl<'a> Workload<'a> {
    /// The containers that stay.
    pub(super) fn containers(&self) -> &'a [Node] {
        items(self.pod.get("containers"))
    }
}

impl Service {
    /// The name under which the whole cluster knows it.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.name, self.namespace)
    }

    /// True when it leads to the pods of `workload`.
    pub(super) fn selects(&self, workload: &Workload<'_>) -> bool {
        !self.selector.is_empty()
            && self.namespace == workload.namespace
            && self.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
    }
}

fn map(node: Option<&Node>) -> BTreeMap<String, String> {
    entries(node).iter().filter_map(|(key, value)| Some((key.name.clone(), text(value)?))).collect()
}

/// Whether a password comes from a Secret.
pub(super) fn has_secret_password(container: &Node) -> bool {
    items(container.get("env")).iter().any(|one| {
        text_at(one, "name").is_some_and(|name| name.contains("PASS"))
            && at(one, &["valueFrom", "secretKeyRef"]).is_some()
    })
}

/// True when a port of a service leads to the port `inside` of a container.
pub(super) fn leads_to(outside: u16, target: Option<&str>, inside: u16, container: &Node) -> bool {
    match target {
        None => outside == inside,
        Some(target) => {
            target.parse() == Ok(inside)
                || items(container.get("ports")).iter().any(|one| {
                    text_at(one, "name").as_deref() == Some(target)
                        && port(one.get("containerPort")) == Some(inside)
                })
        }
    }
}
