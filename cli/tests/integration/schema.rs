//! `topowatch schema`: what the reader takes the schema takes, and what it rejects for its shape the schema
//! rejects too.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{run, stdout};

/// A reader's environment in which every variable and secret is there, and files are this repository's.
struct Repository;

impl topology::Environment for Repository {
    fn variable(&self, name: &str) -> Option<String> {
        Some(if name.contains("WEBHOOK") { "https://hook.example/x" } else { "value" }.to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("secret".to_owned())
    }

    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        let found = glob::glob(&format!("{directory}{pattern}")).map_err(|error| error.to_string())?;
        Ok(found.flatten().map(|path| path.display().to_string()).collect())
    }
}

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn schema(overlay: bool) -> jsonschema::Validator {
    let args: &[&str] = if overlay { &["schema", "--overlay"] } else { &["schema"] };
    let schema: Value = serde_json::from_str(&stdout(&run(args))).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "the schema is a schema");
    jsonschema::validator_for(&schema).unwrap()
}

fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn complaints(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    let value = yaml(text);
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn reading(file: &str, overlays: &[&str]) -> topology::Reading {
    let path = |file: &str| repository(file).display().to_string();
    let overlays: Vec<String> = overlays.iter().map(|file| path(file)).collect();
    topology::read_files(&path(file), &overlays, &probes::specs(), &Repository)
}

#[test]
fn the_examples_are_good_to_the_reader_and_to_the_schema() {
    for (file, overlays) in [
        ("topology.yaml", &[][..]),
        ("deploy/etc/topology.yaml", &[]),
        ("deploy/kubernetes/topology.yaml", &[]),
        ("docs/examples/topology.yaml", &[]),
        ("docs/examples/topology.yaml", &["docs/examples/test.yaml"]),
    ] {
        let reading = reading(file, overlays);
        assert!(
            reading.model.is_some() && reading.diagnostics.is_empty(),
            "{file}: {:#?}",
            reading.diagnostics
        );
        for (i, source) in reading.sources.iter().enumerate() {
            let overlay = i >= reading.sources.len() - overlays.len();
            let said = complaints(&schema(overlay), &source.text);
            assert!(said.is_empty(), "{}: {said:#?}", source.path);
        }
    }
}

#[test]
fn what_the_documentation_shows_is_right() {
    let read = |page: &str| std::fs::read_to_string(repository(page)).unwrap();
    let text = read("docs/topology.md");
    let others = read("README.md") + &read("docs/zh/quick-start.md");
    let blocks: Vec<&str> = [&text, &others]
        .into_iter()
        .flat_map(|text| text.split("```yaml\n").skip(1))
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect();
    assert!(blocks.len() > 8);
    let (whole, overlay) = (schema(false), schema(true));
    for block in blocks {
        // Most blocks show a part of a file.
        let said = complaints(&overlay, block);
        assert!(said.is_empty() || complaints(&whole, block).is_empty(), "{block}\n{said:#?}");
    }
    let whole = text.split("```yaml\n").nth(1).unwrap().split_once("```").unwrap().0;
    let (_, warnings) = topology::read(whole, &probes::specs(), &Repository).unwrap();
    assert!(warnings.is_empty());
}

/// Every mistake of shape: the file with it, and what the reader says of it.
const SHAPES: [&str; 36] = [
    "colour: red",
    "name: [a]",
    "include: { a: b }",
    "defaults: { intervall: 3s }",
    "defaults: { interval: 3 }",
    "defaults: { interval: 3 parsecs }",
    "defaults: { confirm: { red_after: 0 } }",
    "defaults: { confirm: 2 }",
    "defaults: { probe: { htpp: {} } }",
    "tiers: [app]",
    "tiers: { app: { fr: Appli } }",
    "components: [web]",
    "components: { web: { instances: [\"w:80\"] } }",
    "components: { web: { probe: { tcp: {} } } }",
    "components: { \"a b\": { instances: [\"w:80\"], probe: { tcp: {} } } }",
    "components: { web: { instances: \"w:80\", probe: { tcp: {} } } }",
    "components: { web: { instances: [], probe: { tcp: {} } } }",
    "components: { web: { instances: [{ name: w }], probe: { tcp: {} } } }",
    "components: { web: { instances: [{ address: \"w:80\", zone: a }], probe: { tcp: {} } } }",
    "components: { web: { instances: [\"w\"], probe: { tcp: {} } } }",
    "components: { web: { instances: [\"w:80\"], probe: tcp } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { path: health } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { tls: maybe } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { witness: perhaps } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { slow: 3s } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { slow: { green: 3s } } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { http: { slow: {} } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, policy: { replicas: { min_healthy: 2 } } } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, policy: sharded } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, depends_on: [{ strength: async }] } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, depends_on: [{ one_of: [] }] } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, labels: [a] } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} } } }\ncurves: { c: { push: {}, http: { url: \"http://x\", value: $ } } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} } } }\nobjectives: { web: { window: 30d } }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} } } }\nlinks: { cat: \"javascript:alert(1)\" }",
    "components: { web: { instances: [\"w:80\"], probe: { tcp: {} }, links: { cat: \"https://cat/{compnent}\" } } }",
];

#[test]
fn what_the_reader_rejects_for_its_shape_the_schema_rejects() {
    let schema = schema(false);
    for text in SHAPES {
        assert!(topology::read(text, &probes::specs(), &Repository).is_err(), "the reader takes {text}");
        assert!(!complaints(&schema, text).is_empty(), "the schema takes {text}");
    }
}

/// The keys that the reader names for a key it does not know, and those of the schema at the same spot.
#[test]
fn reader_and_schema_know_the_same_keys() {
    let text = stdout(&run(&["schema"]));
    let schema: Value = serde_json::from_str(&text).unwrap();
    let component = |rest: &str| {
        format!("components: {{ web: {{ instances: [\"w:80\"], probe: {{ tcp: {{}} }}, {rest} }} }}")
    };
    let definition = |name: &str| format!("/definitions/{name}");
    let mut spots = vec![
        ("qqqqqq: 1".to_owned(), String::new()),
        ("defaults: { qqqqqq: 1 }".to_owned(), "/properties/defaults".to_owned()),
        (
            "defaults: { confirm: { qqqqqq: 1 } }".to_owned(),
            "/properties/defaults/properties/confirm".to_owned(),
        ),
        (component("qqqqqq: 1"), definition("component")),
        (component("title: { qqqqqq: 1 }"), "/definitions/component/properties/title/anyOf/1".to_owned()),
        (
            component("depends_on: [{ on: web, qqqqqq: 1 }]"),
            "/definitions/depends_on/items/anyOf/1+2".to_owned(),
        ),
        (
            component("depends_on: [{ one_of: [{ on: web, qqqqqq: 1 }] }]"),
            "/definitions/depends_on/items/anyOf/2/properties/one_of/items/anyOf/1".to_owned(),
        ),
        (
            "components: { web: { instances: [{ address: \"w:80\", qqqqqq: 1 }] } }".to_owned(),
            "/definitions/instances/items/anyOf/1".to_owned(),
        ),
        ("curves: { c: { qqqqqq: 1 } }".to_owned(), definition("curve")),
        (
            "curves: { c: { http: { qqqqqq: 1 } } }".to_owned(),
            "/definitions/curve/properties/http".to_owned(),
        ),
        (
            "curves: { c: { prometheus: { qqqqqq: 1 } } }".to_owned(),
            "/definitions/curve/properties/prometheus".to_owned(),
        ),
        (
            "curves: { c: { mysql: { qqqqqq: 1 } } }".to_owned(),
            "/definitions/curve/properties/mysql".to_owned(),
        ),
        ("objectives: { web: { qqqqqq: 1 } }".to_owned(), definition("objective")),
        ("alerts: { qqqqqq: 1 }".to_owned(), "/properties/alerts".to_owned()),
        ("alerts: { receivers: { r: { qqqqqq: 1 } } }".to_owned(), definition("receiver")),
        (
            "alerts: { receivers: { r: { webhook: { qqqqqq: 1 } } } }".to_owned(),
            "/definitions/receiver/properties/webhook".to_owned(),
        ),
        ("alerts: { routes: { r: { qqqqqq: 1 } } }".to_owned(), definition("route")),
        (
            "alerts: { routes: { r: { to: a, hours: { qqqqqq: 1 } } } }".to_owned(),
            "/definitions/route/properties/hours".to_owned(),
        ),
        ("alerts: { maintenance: { m: { qqqqqq: 1 } } }".to_owned(), definition("maintenance")),
        (
            "components: { web: { instances: [\"w:80\"], probe: { qqqqqq: {} } } }".to_owned(),
            definition("probes"),
        ),
    ];
    for kind in probes::specs() {
        let text = format!(
            "components: {{ web: {{ instances: [\"w:80\"], probe: {{ {}: {{ qqqqqq: 1 }} }} }} }}",
            kind.name
        );
        spots.push((text, format!("/definitions/probe-{}/anyOf/0", kind.name)));
    }
    let ways =
        ["wecom", "dingtalk", "feishu", "slack", "teams", "pagerduty", "alertmanager", "email", "exec"];
    for way in ways.into_iter().chain(["limit", "template"]) {
        let text = format!("alerts: {{ receivers: {{ r: {{ {way}: {{ qqqqqq: 1 }} }} }} }}");
        spots.push((text, format!("/definitions/receiver/properties/{way}")));
    }
    for (text, spot) in spots {
        let said = topology::read(&text, &probes::specs(), &Repository).unwrap_err();
        let listed = said
            .iter()
            .filter(|d| d.message.contains("`qqqqqq`"))
            .find_map(|d| d.help.as_deref()?.strip_prefix("it takes "))
            .unwrap_or_else(|| panic!("{text}: {said:#?}"));
        let mut taken: Vec<&str> = listed.split(", ").collect();
        // The words that only say where else a key belongs are no keys of this spot.
        taken.retain(|word| !(spot.contains("one_of") && ["strength", "from", "match"].contains(word)));
        let (first, others) = spot.split_once('+').unwrap_or((&spot, ""));
        let pointers: Vec<String> = std::iter::once(first.to_owned())
            .chain(
                others
                    .split('+')
                    .filter(|o| !o.is_empty())
                    .map(|o| format!("{}{o}", &first[..=first.rfind('/').unwrap()])),
            )
            .collect();
        let mut known: Vec<String> = pointers
            .iter()
            .flat_map(|pointer| {
                let at = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
                at["properties"]
                    .as_object()
                    .unwrap_or_else(|| panic!("{pointer}: {at}"))
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
            })
            .collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(taken, known, "{text}");
    }
}
