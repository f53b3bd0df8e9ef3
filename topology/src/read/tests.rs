//! What a topology.yaml means, and what is said of one that means nothing.

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use crate::diagnostic::Severity;
use crate::level::Kind;
use crate::model::{Policy, Strength};
use crate::testkit::read;

fn shown(text: &str) -> String {
    let diagnostics = match read(text) {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        writeln!(out, "{}", diagnostic.line("topology.yaml")).unwrap();
        if let Some(help) = diagnostic.help {
            writeln!(out, "  help: {help}").unwrap();
        }
    }
    out
}

const GOOD: &str = r#"
name: shop
defaults: { interval: 3s, timeout: 1500ms, confirm: { red_after: 3 } }
tiers: { app: { en: Application, zh: 应用层 } }
components:
  web:
    title: { en: Web server, zh: 网站 }
    tier: app
    instances:
      - "10.0.0.[1-2]:80"
      - { name: spare, address: "${env:HOST}:80", labels: { zone: b } }
      - "10.0.0.7:80"
    labels: { zone: a }
    policy: { replicas: { min_healthy: 60% } }
    probe: { http: { path: /health, password: "${file:secrets/db}", slow: { red: 5s } } }
    depends_on: [mq, { on: db, strength: optional }]
    runbook: https://wiki.example/web
  db: { instances: ["db:5432"], probe: { tcp: }, interval: 10s, policy: shards, tier: data }
  mq: { instances: ["mq:5672"], probe: { amqp: { queues: { orders: { messages: { yellow: 10, red: 20 } }, dead: } } } }
"#;

#[test]
fn a_good_file_means_what_it_says() {
    let (model, warnings) = read(GOOD).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(model.name, "shop");
    assert_eq!(model.tiers.iter().map(|t| t.title.zh.as_str()).collect::<Vec<_>>(), ["应用层", "data"]);
    let names: Vec<String> = model.instances.iter().map(|i| format!("{} {}", i.name, i.address)).collect();
    assert_eq!(
        names,
        [
            "web-1 10.0.0.1:80",
            "web-2 10.0.0.2:80",
            "spare 10.0.0.9:80",
            "web-4 10.0.0.7:80",
            "db-1 db:5432",
            "mq-1 mq:5672"
        ]
    );
    let zones: Vec<&str> = model.instances[..4].iter().map(|i| i.labels["zone"].as_str()).collect();
    assert_eq!(zones, ["a", "a", "b", "a"]);
    let web = &model.components[0];
    assert_eq!(web.policy, Policy::Replicas { min_healthy: 0.6 });
    assert_eq!((web.confirm.red_after, web.confirm.green_after), (3, 2));
    assert_eq!(web.probes[0].timeout, Duration::from_millis(1500));
    assert_eq!(web.probes[0].secret("password").unwrap().expose_secret(), "s3cret");
    assert!(!format!("{:?}", web.probes[0]).contains("s3cret"));
    // Who sets red alone keeps the default yellow where the two fit together.
    let slow = &web.probes[0].thresholds[0];
    assert_eq!((slow.yellow, slow.red, slow.effect), (Some(0.3), Some(5.0), Kind::Impaired));
    assert_eq!(model.components[1].probes[0].interval, Duration::from_secs(10));
    let queues: Vec<String> = model.components[2].probes[0]
        .thresholds
        .iter()
        .map(|t| format!("{} {:?}", t.signal, t.red))
        .collect();
    assert_eq!(queues, ["amqp.queue_messages[orders] Some(20.0)", "amqp.queue_messages[dead] Some(10000.0)"]);
    let strengths: Vec<Strength> = model.dependencies.iter().map(|d| d.strength).collect();
    assert_eq!(strengths, [Strength::Required, Strength::Optional]);
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(shown(include_str!("../../tests/bad/everything.yaml")));
}

#[test]
fn what_is_not_yaml_says_where() {
    let all: Vec<String> = [
        "",
        "components:\n\tweb: {}\n",
        "components: [\n",
        "just a text",
        "components: {}\n",
        "a: &x [1]\nb: *y\n",
        "name: x\n---\nname: y\n",
    ]
    .into_iter()
    .map(|text| format!("{text:?}\n{}", shown(text)))
    .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        writeln!(text, "a{i}: &a{i} [{refs}]").unwrap();
    }
    let said = read(&text).unwrap_err();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].severity, Severity::Error);
}

#[test]
fn a_node_is_found_by_its_name_or_a_prefix_of_one() {
    let (model, _) = read(GOOD).unwrap();
    let found = |name: &str| model.find(name).map(|node| model.node_name(node).to_owned());
    assert_eq!(found("web").unwrap(), "web");
    assert_eq!(found("we").unwrap(), "web");
    assert_eq!(found("spa").unwrap(), "spare");
    assert_eq!(found("web-").unwrap_err(), ["web-1", "web-2", "web-4"]);
    assert!(found("nothing").unwrap_err().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_changed_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let i = at.index(bytes.len());
        bytes[i] = byte;
        assert!(read(&String::from_utf8_lossy(&bytes)).map_or_else(|said| !said.is_empty(), |_| true));
    }
}

#[test]
fn a_threshold_may_be_so_many_times_its_own_normal() {
    let file = |slow: &str| {
        format!("components: {{ web: {{ instances: [\"h:1\"], probe: {{ http: {{ slow: {slow} }} }} }} }}")
    };
    let of = |slow: &str| read(&file(slow)).unwrap().0.components[0].probes[0].thresholds[0].clone();
    let alone = of("{ normal: { yellow: 3x, red: 10x } }");
    assert_eq!((alone.yellow, alone.red), (None, None));
    let times = alone.times.unwrap();
    assert_eq!((times.yellow, times.red), (Some(3.0), Some(10.0)));
    let beside = of("{ red: 2s, normal: { yellow: 2.5x } }");
    assert_eq!((beside.red, beside.times.unwrap().yellow), (Some(2.0), Some(2.5)));
    for (wrong, says) in [
        ("{ normal: { yellow: 3 } }", "is not how many times its normal"),
        ("{ normal: { yellow: 0.5x } }", "is not how many times its normal"),
        ("{ normal: { yellow: 9x, red: 2x } }", "red is milder than yellow"),
        ("{ normal: {} }", "sets neither"),
    ] {
        let found = read(&file(wrong)).unwrap_err();
        assert!(found.iter().any(|d| d.message.contains(says)), "{wrong}: {found:#?}");
    }
}

#[test]
fn a_variable_may_have_a_text_in_its_place_and_an_empty_password_is_none() {
    let probe = |password: &str| {
        let text = format!(
            "components:\n  db: {{ instances: [\"${{env:HOST:-10.0.0.1}}:${{env:PORT:-5432}}\"], probe: {{ http: {{ password: \"{password}\" }} }} }}\n"
        );
        let (model, _) = read(&text).unwrap();
        let secret = model.components[0].probes[0].secret("password").map(|s| s.expose_secret().to_owned());
        (model.instances[0].address.to_string(), secret)
    };
    assert_eq!(probe("${env:NONE:-}"), ("10.0.0.9:5432".to_owned(), None));
    assert_eq!(probe("${env:NONE:-a:-b}").1.as_deref(), Some("a:-b"));
    assert_eq!(probe("${env:HOST:-x}").1.as_deref(), Some("10.0.0.9"));
    assert!(shown(&GOOD.replace("env:HOST", "env:NONE")).contains("`NONE` is not set"));
}

#[test]
fn links_are_those_of_the_file_and_of_the_component() {
    let text = "links: { cat: \"https://cat.example/{component}\", host: \"http://{host}:9100\" }\n\
                components:\n  \
                web: { instances: [\"h:1\"], probe: { tcp: {} }, links: { host: null, logs: \"https://l/{instance}\" } }\n  \
                db: { instances: [\"d:1\"], probe: { tcp: {} }, links: { cat: \"https://other/{component}\" } }";
    let (model, warnings) = read(text).unwrap();
    assert!(warnings.is_empty());
    let of = |i: usize| -> Vec<String> {
        let (component, instance) = (&model.components[i], &model.instances[i]);
        let links = component.links.iter();
        links.map(|link| format!("{} {}", link.name, link.of_instance(&component.name, instance))).collect()
    };
    assert_eq!(of(0), ["cat https://cat.example/web", "logs https://l/web-1"]);
    assert_eq!(of(1), ["cat https://other/db", "host http://d:9100"]);
}

#[test]
fn what_is_wrong_with_a_link_is_told_with_its_place() {
    let text = "components:\n  web:\n    instances: [\"h:1\"]\n    probe: { tcp: {} }\n    links:\n      \
                cat: \"https://cat.example/{compnent}\"\n      bad: \"javascript:alert(1)\"\n      open: \"https://x/{host\"\n\
                links: [https://x]";
    insta::assert_snapshot!(shown(text), @r"
    topology.yaml:6:12: error: unknown place in a link: `compnent`
      help: did you mean `component`?
    topology.yaml:7:12: error: a link begins with `https://` or `http://`
      help: write it as `https://cat.example/app/{component}`; the places are {component}, {instance}, {host}, {port}
    topology.yaml:8:13: error: `{` and `}` stand around a place, both of them
      help: write it as `https://cat.example/app/{component}`; the places are {component}, {instance}, {host}, {port}
    topology.yaml:9:8: error: `links` is a map from a name to an address, and this is a list
    ");
}
