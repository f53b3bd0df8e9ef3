//! The written topology: what a monitor needs to know of a deployment. This file is all that knows of it.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::catalog::{Component, Dependency, Kind, Strength, TIERS};
use crate::certificates::ROOT;
use crate::deployment::{Assigned, Deployment};
use crate::names::PAYMENT_CHANNEL;
use crate::plan::{DEFAULT_BASE_PORT, Instance, Plan};
use crate::servers::STATIC_MENU;

/// How a deployment is to be watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    /// The directory of the secrets, as seen from where the text is written to.
    pub(crate) secrets: &'a str,
    /// The gateways send their access log to the monitor.
    pub(crate) access_log: bool,
}

/// The text that lies beside a running deployment.
pub(crate) fn of(deployment: &Deployment, plan: &Plan) -> String {
    let access_log = deployment.access_log_to.is_some();
    render(plan, &deployment.assigned, Watched { secrets: "secrets", access_log })
}

/// The text for one deployment.
pub(crate) fn render(plan: &Plan, assigned: &Assigned, watched: Watched<'_>) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write_all(&mut text, plan, assigned, watched).ok();
    text
}

fn write_all(text: &mut String, plan: &Plan, assigned: &Assigned, watched: Watched<'_>) -> std::fmt::Result {
    writeln!(
        text,
        "# The ordering platform as `ordering-platform up` starts it: what there is, how it is asked,"
    )?;
    writeln!(text, "# and what depends on what. Written by `ordering-platform topology`.")?;
    if plan.base_port == DEFAULT_BASE_PORT {
        writeln!(
            text,
            "# Every process has an address of its own; a component's port is {DEFAULT_BASE_PORT} and its number."
        )?;
    }
    writeln!(text, "name: ordering-platform\ndefaults: {{ interval: 3s, timeout: 1500ms }}\n")?;
    writeln!(text, "tiers:                                  # the lanes, from the customer inwards")?;
    for (name, en, zh) in TIERS {
        writeln!(text, "  {name}: {{ en: {en}, zh: {zh} }}")?;
    }
    writeln!(text, "\ncomponents:")?;
    let present: HashSet<&str> = plan.instances.iter().map(|instance| instance.component.name).collect();
    for (tier, words, _) in TIERS {
        writeln!(text, "  # {words}")?;
        for component in crate::catalog::COMPONENTS {
            if component.tier == *tier && present.contains(component.name) {
                write_component(text, plan, assigned, component, &present, watched)?;
            }
        }
    }
    write_curve(text)?;
    // One line feed at the end, not two.
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(())
}

/// Business: the last whole minute, counted by each shard from its own orders.
fn write_curve(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "curves:\n  orders:\n    title: {{ en: Orders a minute, zh: 每分钟订单 }}\n    unit: a minute\n    \
         postgres:\n      component: order-db\n      query: >-\n        \
         SELECT coalesce(sum(orders), 0)::bigint FROM order_counts\n        \
         WHERE minute = date_trunc('minute', now()) - interval '1 minute'\n    \
         compare: [yesterday, last_week]"
    )
}

fn write_component(
    text: &mut String,
    plan: &Plan,
    assigned: &Assigned,
    component: &Component,
    present: &HashSet<&str>,
    watched: Watched<'_>,
) -> std::fmt::Result {
    writeln!(text, "  {}:", component.name)?;
    writeln!(text, "    title: {{ en: {}, zh: {} }}", component.en, component.zh)?;
    writeln!(text, "    tier: {}", component.tier)?;
    write_instances(text, component, plan, assigned)?;
    write_probe(text, component, watched.secrets)?;
    if component.kind == Kind::Nginx && watched.access_log {
        writeln!(
            text,
            "      # Every request of a customer, as the gateway logged it: its word on each server behind it.\n      \
             access_log:\n        interfaces:\n          home: {{ path: /api/home }}\n          \
             orders: {{ path: \"/api/orders*\" }}"
        )?;
    }
    match component.kind {
        _ if assigned.is_kept(component) => {
            writeln!(
                text,
                "    policy: standby                     # kept to switch to; carries no traffic"
            )?;
        }
        Kind::MiniApp => writeln!(text, "    policy: {{ replicas: {{ min_healthy: 50% }} }}")?,
        Kind::Line => {
            writeln!(text, "    policy: any                         # one of the two suffices")?;
        }
        Kind::Postgres if component.is_sharded() => {
            writeln!(text, "    policy: shards                      # the order id modulo 4 says which")?;
        }
        _ => {}
    }
    write_dependencies(text, component, assigned, present)?;
    writeln!(text)
}

/// One by one: where each runs tells a lost machine or zone from as many separate faults.
fn write_instances(
    text: &mut String,
    component: &Component,
    plan: &Plan,
    assigned: &Assigned,
) -> std::fmt::Result {
    writeln!(text, "    instances:")?;
    for instance in plan.of(component.name) {
        let Instance { name, address, number, .. } = instance;
        write!(text, "      - {{ ")?;
        if *name != format!("{}-{number}", component.name) {
            write!(text, "name: {name}, ")?;
        }
        write!(text, "address: \"{address}\", labels: {{ ")?;
        if let Some(shard) = instance.shard() {
            let role = if assigned.is_replica(instance) { "replica" } else { "primary" };
            write!(text, "shard: \"{shard}\", role: {role}, ")?;
        }
        if component.kind == Kind::Line {
            write!(text, "line: {name}, ")?;
        }
        if component.kind != Kind::Outside {
            write!(text, "zone: {}, ", instance.zone())?;
        }
        write!(text, "host: {}", instance.host())?;
        if let Some(version) = instance.version() {
            write!(text, ", version: \"{version}\"")?;
        }
        if component.kind == Kind::Service {
            let runtime = if component.stands_in_for().is_some() { "vm" } else { "container" };
            write!(text, ", runtime: {runtime}")?;
        }
        writeln!(text, " }} }}")?;
    }
    Ok(())
}

fn write_probe(text: &mut String, component: &Component, secrets: &str) -> std::fmt::Result {
    let database = component.database();
    match component.kind {
        Kind::Nginx => writeln!(
            text,
            "    probe:\n      nginx: {{ path: /stub_status }}\n      \
             # Through the gateway to a page: what a customer sees.\n      \
             http: {{ path: /probe/home, witness: off, slow: {{ yellow: 600ms, red: 1200ms }} }}"
        ),
        Kind::Cdn => writeln!(
            text,
            "    probe:\n      nginx: {{ path: /stub_status }}\n      \
             http:\n        path: {STATIC_MENU}\n        witness: off\n        \
             # An edge that keeps nothing does not say what it found in its cache.\n        \
             expect: {{ status: 200, headers: {{ x-cache: . }} }}\n        \
             slow: {{ yellow: 600ms, red: 1200ms }}"
        ),
        Kind::Line => writeln!(
            text,
            "    # Through the line to the OMS: what a store sees.\n    \
             probe: {{ http: {{ path: /health, witness: off, slow: {{ yellow: 400ms, red: 1s }} }} }}"
        ),
        Kind::Outside if component.speaks_tls() => writeln!(
            text,
            "    probe:\n      http:\n        path: /health/deep\n        \
             tls: {{ server_name: {PAYMENT_CHANNEL}, ca: \"${{file:{secrets}/{ROOT}}}\" }}\n        \
             slow: {{ yellow: 700ms, red: 1300ms }}"
        ),
        Kind::MiniApp => writeln!(
            text,
            "    probe: {{ http: {{ path: /health/deep, witness: auto, slow: {{ yellow: 500ms, red: 1300ms }} }} }}"
        ),
        Kind::Service | Kind::Oms | Kind::Push | Kind::PosProxy | Kind::Pos | Kind::Outside => {
            // The page asks everything behind it; a busy machine takes half a second over that.
            writeln!(
                text,
                "    probe: {{ http: {{ path: /health/deep, witness: auto, slow: {{ yellow: 700ms, red: 1300ms }} }} }}"
            )
        }
        Kind::Redis => {
            writeln!(text, "    probe: {{ redis: {{ password: \"${{file:{secrets}/redis}}\" }} }}")
        }
        Kind::MariaDb => writeln!(
            text,
            "    probe: {{ mysql: {{ database: {database}, user: monitor, password: \"${{file:{secrets}/monitor-mysql}}\" }} }}"
        ),
        Kind::Postgres => {
            // The servers of a shard change their roles when one is promoted.
            let role = if component.is_sharded() { "" } else { ", expect_role: primary" };
            writeln!(
                text,
                "    probe: {{ postgres: {{ database: {database}, user: monitor, password: \
                 \"${{file:{secrets}/monitor-postgres}}\"{role} }} }}"
            )
        }
        Kind::RabbitMq => writeln!(
            text,
            "    probe:\n      amqp:\n        user: monitor\n        \
             password: \"${{file:{secrets}/monitor-amqp}}\"\n        vhost: /\n        \
             # A broker that takes no messages says so only to those who send one.\n        \
             round_trip: true\n        queues:\n          \
             orders: {{ messages: {{ yellow: 1000, red: 10000 }}, consumers: {{ red: 0 }} }}\n          \
             # What nobody could read waits here for a person.\n          \
             orders.dead: {{ unread: {{ yellow: 1 }} }}"
        ),
    }
}

fn write_dependencies(
    text: &mut String,
    component: &Component,
    assigned: &Assigned,
    present: &HashSet<&str>,
) -> std::fmt::Result {
    let kept: Vec<(String, Strength)> = component
        .depends_on
        .iter()
        .filter(|dependency| present.contains(dependency.on))
        .map(|Dependency { on, strength }| (assigned.active(on).into_owned(), *strength))
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    if kept.iter().all(|(_, strength)| *strength == Strength::Required) {
        let names: Vec<&str> = kept.iter().map(|(on, _)| on.as_str()).collect();
        return writeln!(text, "    depends_on: [{}]", names.join(", "));
    }
    writeln!(text, "    depends_on:")?;
    for (on, strength) in kept {
        match strength {
            Strength::Required => writeln!(text, "      - {on}")?,
            Strength::Optional => writeln!(text, "      - {{ on: {on}, strength: optional }}")?,
            Strength::Async => writeln!(text, "      - {{ on: {on}, strength: async }}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Scale;

    const WATCHED: Watched<'_> = Watched { secrets: "secrets", access_log: true };

    #[test]
    fn the_file_at_the_root_is_the_small_scale_on_its_fixed_ports() {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../topology.yaml");
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            render(&plan, &Assigned::default(), Watched { secrets: ".demo/secrets", access_log: false }),
            "write it anew: ordering-platform topology --secrets-prefix .demo/secrets > topology.yaml"
        );
    }

    #[test]
    fn every_instance_says_where_it_runs_and_what_it_is() {
        let plan = Plan::new(Scale::Full, 20_000).unwrap();
        let text = render(&plan, &Assigned::default(), WATCHED);
        for line in [
            r#"- { address: "127.10.34.4:20034", labels: { shard: "4", role: primary, zone: b, host: order-db-4-host } }"#,
            r#"- { name: order-db-4-replica, address: "127.10.34.8:20034", labels: { shard: "4", role: replica, zone: a, host: order-db-4-replica-host } }"#,
            r#"- { address: "127.10.8.2:20008", labels: { zone: b, host: services-b1, version: "2.4.0", runtime: container } }"#,
            r#"password: "${file:secrets/redis}""#,
            "access_log:",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }

    #[test]
    fn after_a_switch_and_a_promotion_the_others_do_the_work() {
        let plan = Plan::new(Scale::Full, 20_000).unwrap();
        let assigned = Assigned { on_vm: ["coupon-service".to_owned()].into(), promoted: [3].into() };
        let text = render(&plan, &assigned, WATCHED);
        assert!(text.contains("- { on: coupon-service-vm, strength: optional }"));
        assert!(!text.contains("- { on: coupon-service, strength: optional }"));
        assert!(text.contains(r#"address: "127.10.34.3:20034", labels: { shard: "3", role: replica"#));
        let part = text.split("\n  coupon-service:").nth(1).unwrap();
        assert!(part.split("\n\n").next().unwrap().contains("policy: standby"));
    }
}
