//! The verdict for a recorded case.

use std::collections::BTreeMap;

use super::judge::{self, Judged, Look, Told};
use super::{RecordedCase, series};
use crate::fault::FaultKind;
use crate::graph::Graph;
use crate::level::Health;
use crate::model::{
    Address, Component, ComponentId, Dependency, Instance, InstanceId, Model, Policy, Strength,
};
use crate::normal::Normal;
use crate::text::Text;
use crate::verdict::{ChangeFact, InstanceFacts, Situation, Suspect, Verdict, WitnessFact, solve};

/// The verdict of a case, with everything named.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The case's name.
    pub name: String,
    /// The root causes.
    pub roots: Vec<Named>,
    /// All suspects, ranked.
    pub suspects: Vec<Named>,
}

/// A suspect by name.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name of the node, edge or label.
    pub node: String,
    /// `instance`, `component`, `edge`, `label` or `monitor`.
    pub kind: &'static str,
    /// 0 to 1.
    pub confidence: f64,
    /// What speaks for it: the stable word and the sentence.
    pub evidence: Vec<(&'static str, Text)>,
}

/// Judges a recorded case.
pub fn replay(case: &RecordedCase) -> Answer {
    let platform = Platform::of(case);
    let verdict =
        if case.observations.is_empty() { series::verdict(case, &platform) } else { platform.verdict(case) };
    let named = |list: &[Suspect]| {
        list.iter()
            .map(|s| Named {
                node: platform.name_of(s),
                kind: s.culprit.kind(),
                confidence: s.confidence,
                evidence: s.evidence.iter().map(|e| (e.kind, e.text.clone())).collect(),
            })
            .collect()
    };
    Answer { name: case.name.clone(), roots: named(&verdict.roots), suspects: named(&verdict.suspects) }
}

/// A case's graph as a model.
pub(super) struct Platform {
    pub(super) model: Model,
    pub(super) graph: Graph,
    instances: BTreeMap<String, InstanceId>,
    components: BTreeMap<String, ComponentId>,
}

impl Platform {
    fn of(case: &RecordedCase) -> Self {
        let mut order: Vec<String> = Vec::new();
        let mut members: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for component in &case.graph.components {
            if !order.contains(&component.id) {
                order.push(component.id.clone());
            }
        }
        for (i, node) in case.graph.nodes.iter().enumerate() {
            let component = node.component.clone().unwrap_or_else(|| node.id.clone());
            if !members.contains_key(&component) && !case.graph.components.iter().any(|c| c.id == component) {
                order.push(component.clone());
            }
            members.entry(component).or_default().push(i);
        }
        let policies: BTreeMap<&str, &serde_json::Value> =
            case.graph.components.iter().filter_map(|c| Some((c.id.as_str(), c.policy.as_ref()?))).collect();
        let mut model = Model { name: case.name.clone(), ..Model::default() };
        let (mut instances, mut components) = (BTreeMap::new(), BTreeMap::new());
        for name in order {
            let id = ComponentId(model.components.len() as u32);
            let first = model.instances.len() as u32;
            for i in members.remove(&name).unwrap_or_default() {
                let node = &case.graph.nodes[i];
                instances.insert(node.id.clone(), InstanceId(model.instances.len() as u32));
                model.instances.push(Instance {
                    name: node.id.clone(),
                    component: id,
                    address: Address { host: node.id.clone(), port: 0 },
                    labels: node.labels.clone().unwrap_or_default(),
                });
            }
            components.insert(name.clone(), id);
            model.components.push(Component {
                title: Text::same(name.clone()),
                policy: policy(policies.get(name.as_str()).copied()),
                name,
                instances: first..model.instances.len() as u32,
                ..Component::default()
            });
        }
        let mut groups: Vec<(ComponentId, String)> = Vec::new();
        for edge in &case.graph.edges {
            let end = |name: &str| -> Option<(ComponentId, Vec<InstanceId>)> {
                components.get(name).map(|id| (*id, Vec::new())).or_else(|| {
                    let id = *instances.get(name)?;
                    Some((model.instances[id.index()].component, vec![id]))
                })
            };
            let (Some((from, from_part)), Some((to, to_part))) = (end(&edge.from), end(&edge.to)) else {
                continue;
            };
            let one_of = edge.one_of.as_ref().filter(|v| !v.is_null()).map(|v| {
                let group = (from, v.to_string());
                let at = groups.iter().position(|g| *g == group).unwrap_or(groups.len());
                if at == groups.len() {
                    groups.push(group);
                }
                at as u32
            });
            let strength = match edge.strength.as_deref() {
                Some("optional") => Strength::Optional,
                Some("async") => Strength::Async,
                _ => Strength::Required,
            };
            model.dependencies.push(Dependency { from, to, strength, from_part, to_part, one_of });
        }
        let graph = Graph::new(&model);
        Self { model, graph, instances, components }
    }

    /// A node by its id: an instance, and its component.
    pub(super) fn node(&self, name: &str) -> Option<(ComponentId, Option<InstanceId>)> {
        self.components
            .get(name)
            .map(|id| (*id, None))
            .or_else(|| self.instances.get(name).map(|id| (self.model.instance(*id).component, Some(*id))))
    }

    pub(super) fn instance(&self, name: &str) -> Option<InstanceId> {
        self.instances.get(name).copied()
    }

    /// A suspect's name; an edge between two nodes by theirs.
    fn name_of(&self, suspect: &Suspect) -> String {
        suspect.culprit.name(&self.model)
    }

    fn verdict(&self, case: &RecordedCase) -> Verdict {
        let judged = self.judge(case);
        let exercised = self.exercised(case);
        let facts: Vec<InstanceFacts<'_>> = self
            .model
            .instance_ids()
            .map(|id| {
                let j = &judged[id.index()];
                let role = match self.model.instance(id).labels.get("role").map(String::as_str) {
                    Some("replica") => Some("replica"),
                    Some("primary") => Some("primary"),
                    _ => None,
                };
                InstanceFacts {
                    health: j.health,
                    suspected: j.suspected,
                    fault: j.fault.as_ref(),
                    signal: j.signal,
                    onset: j.onset,
                    last_good: j.last_good,
                    role,
                    chronic: j.chronic,
                    exercises: exercised[self.model.instance(id).component.index()],
                    interval: j.interval,
                    looks: j.looks,
                    slower_by: j.slower_by,
                }
            })
            .collect();
        let witnesses = self.witnesses(case, &judged);
        let began = facts
            .iter()
            .filter_map(|f| f.onset)
            .map(|o| o.first_bad)
            .min_by(f64::total_cmp)
            .unwrap_or(case.incident.from);
        let signs = series::signs(case, self, began);
        let changes: Vec<ChangeFact> = case
            .changes
            .iter()
            .filter_map(|c| {
                let (component, instance) = self.node(&c.node)?;
                Some(ChangeFact { component, instance, at: c.t, what: c.what.clone() })
            })
            .collect();
        solve(&Situation {
            model: &self.model,
            graph: &self.graph,
            instances: &facts,
            witnesses: &witnesses,
            signs: &signs,
            changes: &changes,
        })
    }

    fn judge(&self, case: &RecordedCase) -> Vec<Judged> {
        // What came with each look.
        let mut told: BTreeMap<(&str, u64), Told> = BTreeMap::new();
        for w in &case.witnesses {
            let entry = told.entry((w.by.as_str(), w.t.to_bits())).or_insert(Told::Fine);
            if !w.ok {
                *entry = Told::Bad;
            }
        }
        let levelled = case.observations.iter().any(|o| o.level.is_some());
        let mut looks: Vec<Vec<Look<'_>>> = vec![Vec::new(); self.model.instances.len()];
        for o in &case.observations {
            let Some(id) = self.instance(&o.node) else { continue };
            let fault = o.fault.as_deref().and_then(FaultKind::from_word);
            let health = match o.level.as_deref() {
                Some("red") => Health::Red,
                Some("yellow") => Health::Impaired,
                Some("green") => Health::Green,
                _ if fault.is_some() => Health::Red,
                _ => Health::Green,
            };
            looks[id.index()].push(Look {
                t: o.t,
                health,
                fault,
                latency: o.latency_s,
                words: o.words.as_deref().unwrap_or_default(),
                told: told.get(&(o.node.as_str(), o.t.to_bits())).copied().unwrap_or_default(),
            });
        }
        looks
            .into_iter()
            .map(|mut looks| {
                looks.sort_by(|a, b| a.t.total_cmp(&b.t));
                let usual = looks
                    .iter()
                    .filter(|l| l.t < case.normal.to && l.health == Health::Green)
                    .filter_map(|l| l.latency);
                let normal = Normal::of(usual, 0.001);
                for look in &mut looks {
                    // Where the recorder gave levels, none means green.
                    if !levelled && look.health == Health::Green {
                        look.health = judge::level_of_latency(look.latency, normal.as_ref());
                    }
                }
                judge::judge(&looks, case.incident.from, case.incident.to, normal.as_ref())
            })
            .collect()
    }

    /// Components whose own answers tell of what they need: their green proves it.
    fn exercised(&self, case: &RecordedCase) -> Vec<bool> {
        let mut exercised = vec![false; self.model.components.len()];
        for w in &case.witnesses {
            if let Some((component, _)) = self.node(&w.by) {
                exercised[component.index()] = true;
            }
        }
        exercised
    }

    /// The words since each speaker's trouble began (since the incident began for those who are well).
    fn witnesses(&self, case: &RecordedCase, judged: &[Judged]) -> Vec<WitnessFact> {
        let mut facts = Facts::new();
        let began = judged
            .iter()
            .filter_map(|j| j.onset)
            .map(|o| o.first_bad)
            .min_by(f64::total_cmp)
            .unwrap_or(case.incident.from);
        let bad_at: BTreeMap<(&str, u64), bool> = case
            .observations
            .iter()
            .map(|o| {
                let bad = o.fault.is_some() || matches!(o.level.as_deref(), Some("yellow" | "red"));
                ((o.node.as_str(), o.t.to_bits()), bad)
            })
            .collect();
        for w in &case.witnesses {
            let (Some(by), Some((on, on_instance))) = (self.instance(&w.by), self.node(&w.on)) else {
                continue;
            };
            let j = &judged[by.index()];
            let since = j.onset.map_or(began, |o| o.first_bad.max(began));
            if w.t < since {
                continue;
            }
            // In a good answer a bad word is no complaint, in trouble from before it is no news.
            let complaint = bad_at.get(&(w.by.as_str(), w.t.to_bits())).copied().unwrap_or(true);
            if !w.ok && (!complaint || j.onset.is_none() && j.chronic) {
                continue;
            }
            let words = w.words.clone().unwrap_or_default();
            facts.entry((by, on, on_instance, w.ok)).and_modify(|f| f.count += 1).or_insert(WitnessFact {
                by,
                on,
                on_instance,
                ok: w.ok,
                words,
                count: 1,
            });
        }
        self.named_in_words(case, judged, &mut facts);
        facts.into_values().collect()
    }

    /// A bad answer whose words name a dependency is that dependency's witness, where the recorder kept none.
    fn named_in_words(&self, case: &RecordedCase, judged: &[Judged], facts: &mut Facts) {
        let told: std::collections::BTreeSet<(&str, u64)> =
            case.witnesses.iter().map(|w| (w.by.as_str(), w.t.to_bits())).collect();
        for o in &case.observations {
            let (Some(by), Some(words)) = (self.instance(&o.node), o.words.as_deref()) else { continue };
            let bad = o.fault.is_some() || matches!(o.level.as_deref(), Some("yellow" | "red"));
            let since = judged[by.index()].onset.map_or(f64::INFINITY, |onset| onset.first_bad);
            if !bad || o.t < since || told.contains(&(o.node.as_str(), o.t.to_bits())) {
                continue;
            }
            for edge in self.graph.needs(self.model.instance(by).component) {
                let on = self.graph.dependency(edge).to;
                let name = &self.model.component(on).name;
                let mut parts = words.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
                if parts.any(|part| part == name) {
                    facts.entry((by, on, None, false)).and_modify(|f| f.count += 1).or_insert(WitnessFact {
                        by,
                        on,
                        on_instance: None,
                        ok: false,
                        words: words.to_owned(),
                        count: 1,
                    });
                }
            }
        }
    }
}

type Facts = BTreeMap<(InstanceId, ComponentId, Option<InstanceId>, bool), WitnessFact>;

/// A policy by its word, or as a map from its word to its settings; the default for what is unknown.
fn policy(value: Option<&serde_json::Value>) -> Policy {
    let Some(value) = value else { return Policy::DEFAULT };
    let word = value.as_str().or_else(|| value.as_object()?.keys().next().map(String::as_str));
    if let Some(share) = value["replicas"]["min_healthy"].as_f64() {
        return Policy::Replicas { min_healthy: share.clamp(0.0, 1.0) };
    }
    match word {
        Some("shards") => Policy::Shards,
        Some("primary_replica") => Policy::PrimaryReplica,
        Some("any") => Policy::Any,
        Some("standby") => Policy::Standby,
        _ => Policy::DEFAULT,
    }
}
