//! The written topology: what a monitor needs to know of a deployment. This file is all that knows of it.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::catalog::{Component, Dependency, Kind, Strength, TIERS};
use crate::plan::{DEFAULT_BASE_PORT, Instance, Plan};

/// The text for one deployment; `secrets` is their directory as seen from where the text is written to.
pub(crate) fn render(plan: &Plan, secrets: &str) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write_all(&mut text, plan, secrets).ok();
    text
}

fn write_all(text: &mut String, plan: &Plan, secrets: &str) -> std::fmt::Result {
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
                write_component(text, plan, component, &present, secrets)?;
            }
        }
    }
    // One line feed at the end, not two.
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(())
}

fn write_component(
    text: &mut String,
    plan: &Plan,
    component: &Component,
    present: &HashSet<&str>,
    secrets: &str,
) -> std::fmt::Result {
    writeln!(text, "  {}:", component.name)?;
    writeln!(text, "    title: {{ en: {}, zh: {} }}", component.en, component.zh)?;
    writeln!(text, "    tier: {}", component.tier)?;
    write_instances(text, component, &plan.of(component.name).collect::<Vec<_>>())?;
    write_probe(text, component, secrets)?;
    match component.kind {
        Kind::MiniApp => writeln!(text, "    policy: {{ replicas: {{ min_healthy: 50% }} }}")?,
        Kind::Line => {
            writeln!(text, "    policy: any                         # one of the two suffices")?;
        }
        Kind::Postgres if component.is_sharded() => {
            writeln!(text, "    policy: shards                      # the order id modulo 4 says which")?;
        }
        _ => {}
    }
    write_dependencies(text, component, present)?;
    writeln!(text)
}

fn write_instances(text: &mut String, component: &Component, instances: &[&Instance]) -> std::fmt::Result {
    if component.is_sharded() {
        writeln!(text, "    instances:")?;
        for instance in instances {
            writeln!(
                text,
                "      - {{ address: \"{}\", labels: {{ shard: \"{}\", role: primary }} }}",
                instance.address, instance.number
            )?;
        }
        return Ok(());
    }
    if component.kind == Kind::Line {
        writeln!(text, "    instances:")?;
        for Instance { name, address, .. } in instances {
            writeln!(text, "      - {{ name: {name}, address: \"{address}\", labels: {{ line: {name} }} }}")?;
        }
        return Ok(());
    }
    let Some(first) = instances.first() else { return Ok(()) };
    let port = first.address.port();
    let [a, b, c, d] = first.address.ip().octets();
    match instances {
        [_] => writeln!(text, "    instances: [\"{a}.{b}.{c}.{d}:{port}\"]"),
        many => writeln!(text, "    instances: [\"{a}.{b}.{c}.[{d}-{}]:{port}\"]", many.len()),
    }
}

fn write_probe(text: &mut String, component: &Component, secrets: &str) -> std::fmt::Result {
    let database = component.database();
    match component.kind {
        Kind::Nginx => writeln!(
            text,
            "    probe:\n      nginx: {{ path: /stub_status }}\n      \
             # Through the gateway to a page: what a customer sees.\n      \
             http: {{ path: /api/home, witness: off, slow: {{ yellow: 600ms, red: 1200ms }} }}"
        ),
        Kind::Line => writeln!(
            text,
            "    # Through the line to the OMS: what a store sees.\n    \
             probe: {{ http: {{ path: /health, witness: off, slow: {{ yellow: 500ms, red: 1s }} }} }}"
        ),
        Kind::MiniApp | Kind::Service | Kind::Oms | Kind::PosProxy | Kind::Pos | Kind::Outside => {
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
        Kind::Postgres => writeln!(
            text,
            "    probe: {{ postgres: {{ database: {database}, user: monitor, password: \
             \"${{file:{secrets}/monitor-postgres}}\", expect_role: primary }} }}"
        ),
        Kind::RabbitMq => writeln!(
            text,
            "    probe:\n      amqp:\n        user: monitor\n        \
             password: \"${{file:{secrets}/monitor-amqp}}\"\n        vhost: /\n        queues:\n          \
             orders: {{ messages: {{ yellow: 1000, red: 10000 }}, consumers: {{ red: 0 }} }}"
        ),
    }
}

fn write_dependencies(text: &mut String, component: &Component, present: &HashSet<&str>) -> std::fmt::Result {
    let kept: Vec<&Dependency> =
        component.depends_on.iter().filter(|dependency| present.contains(dependency.on)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    if kept.iter().all(|dependency| dependency.strength == Strength::Required) {
        let names: Vec<&str> = kept.iter().map(|dependency| dependency.on).collect();
        return writeln!(text, "    depends_on: [{}]", names.join(", "));
    }
    writeln!(text, "    depends_on:")?;
    for Dependency { on, strength } in kept {
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

    #[test]
    fn the_file_at_the_root_is_the_small_scale_on_its_fixed_ports() {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../topology.yaml");
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            render(&plan, ".demo/secrets"),
            "write it anew: ordering-platform topology --secrets-prefix .demo/secrets > topology.yaml"
        );
    }

    #[test]
    fn shards_are_listed_one_by_one_and_equals_as_a_range() {
        let text = render(&Plan::new(Scale::Small, 20_000).unwrap(), "secrets");
        assert!(
            text.contains("- { address: \"127.10.34.4:20034\", labels: { shard: \"4\", role: primary } }")
        );
        assert!(text.contains("instances: [\"127.10.2.[1-4]:20002\"]"));
        assert!(text.contains("password: \"${file:secrets/redis}\""));
    }
}
