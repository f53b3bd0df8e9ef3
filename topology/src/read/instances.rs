//! The instances of a component: addresses, names, labels, and what one of them alone depends on.

use std::collections::BTreeMap;

use super::Reader;
use super::common::read_labels;
use super::depends::Selection;
use crate::decode::{Context, Fields};
use crate::model::{ComponentId, Instance, InstanceId};
use crate::range;
use crate::yaml::{Node, Value};

/// Instances in all, at most. One process watches thousands; this bounds a typing mistake.
const MAX_INSTANCES: usize = 100_000;

impl Reader<'_> {
    pub(super) fn instances(
        &mut self,
        component: ComponentId,
        component_name: &str,
        node: &Node,
        labels: &BTreeMap<String, String>,
        cx: &mut Context<'_>,
    ) {
        let Value::List(items) = &node.value else {
            cx.expected(node, "`instances` is a list of addresses, such as `[\"10.0.0.[1-3]:8080\"]`");
            self.flawed[component.index()] = true;
            return;
        };
        if items.is_empty() {
            cx.diagnostics
                .error(node.place, "`instances` is an empty list")
                .help("write `[\"10.0.0.[1-3]:8080\"]`, or leave the component out");
            self.flawed[component.index()] = true;
        }
        // Names count through the whole component, also past instances that carry their own.
        let mut number = 0;
        for item in items {
            let mut labels = labels.clone();
            let (mut own_name, mut depends_on) = (None, None);
            let address = if let Value::Map(_) = item.value {
                let Some(mut fields) = Fields::of(item, "an instance", cx) else { continue };
                depends_on = fields.take("depends_on");
                own_name = fields
                    .take("name")
                    .and_then(|node| cx.text(node, "`name`").map(|name| (name, node.place)));
                if let Some(node) = fields.take("labels") {
                    labels.extend(read_labels(node, cx));
                }
                let address = fields.take("address");
                if address.is_none() {
                    cx.diagnostics.error(item.place, "an instance needs an `address`");
                }
                fields.finish("an instance", cx);
                address
            } else {
                Some(item)
            };
            let addresses = address.and_then(|node| {
                let text = cx.text(node, "an address")?;
                range::expand(&text).map_err(|message| cx.diagnostics.error(node.place, message)).ok()
            });
            let Some(addresses) = addresses else {
                self.flawed[component.index()] = true;
                if let Some((name, place)) = &own_name {
                    self.claim(name, *place, None, cx);
                }
                continue;
            };
            if self.instances.len() + addresses.len() > MAX_INSTANCES {
                cx.diagnostics.error(item.place, format!("more than {MAX_INSTANCES} instances in all"));
                self.flawed[component.index()] = true;
                continue;
            }
            let several = addresses.len() > 1;
            let first = self.instances.len() as u32;
            for (i, address) in addresses.into_iter().enumerate() {
                number += 1;
                let (name, place) = match &own_name {
                    Some((name, place)) if several => (format!("{name}-{}", i + 1), *place),
                    Some((name, place)) => (name.clone(), *place),
                    None => (format!("{component_name}-{number}"), item.place),
                };
                let id = InstanceId(self.instances.len() as u32);
                self.claim(&name, place, Some(id), cx);
                self.instances.push(Instance { name, component, address, labels: labels.clone() });
            }
            if let Some(node) = depends_on {
                let these = (first..self.instances.len() as u32).map(InstanceId).collect();
                self.depends_on(component, &Selection::These(these), node, cx);
            }
        }
    }
}
