//! Several files that make one topology: includes, overlays, templates; and what depends on a part.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Environment, Reading, read_files};
use crate::model::{Model, NodeId};
use crate::testkit::{KINDS, read};

/// Files by path.
struct Tree(BTreeMap<String, Vec<u8>>);

impl Environment for Tree {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let bytes = self.0.get(path).ok_or("there is no such file")?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        let whole = format!("{directory}{pattern}");
        let (before, after) = whole.split_once('*').unwrap_or((&whole, ""));
        let fits = |path: &&String| {
            if whole.contains('*') {
                path.starts_with(before) && path.ends_with(after)
            } else {
                **path == whole
            }
        };
        Ok(self.0.keys().filter(fits).cloned().collect())
    }
}

/// Files written one behind the other, each after a line `--- PATH`.
fn tree(text: &str) -> Tree {
    let mut files = BTreeMap::new();
    for part in text.split("--- ").skip(1) {
        let (path, content) = part.split_once('\n').unwrap();
        files.insert(path.to_owned(), content.as_bytes().to_vec());
    }
    Tree(files)
}

fn reading(text: &str, overlays: &[&str]) -> Reading {
    let overlays: Vec<String> = overlays.iter().map(ToString::to_string).collect();
    read_files("conf/topology.yaml", &overlays, &KINDS, &tree(text))
}

fn shown(reading: &Reading) -> String {
    let mut out = String::new();
    for diagnostic in &reading.diagnostics {
        let file = &reading.sources[diagnostic.place.file.0 as usize].path;
        writeln!(out, "{}", diagnostic.line(file)).unwrap();
        if let Some(help) = &diagnostic.help {
            writeln!(out, "  help: {help}").unwrap();
        }
    }
    out
}

fn edges(model: &Model) -> Vec<String> {
    let part = |ids: &[crate::model::InstanceId]| {
        let names: Vec<&str> = ids.iter().map(|id| model.node_name(NodeId::Instance(*id))).collect();
        if names.is_empty() { String::new() } else { format!("[{}]", names.join(" ")) }
    };
    model
        .dependencies
        .iter()
        .map(|d| {
            let (from, to) = (&model.component(d.from).name, &model.component(d.to).name);
            let group = d.one_of.map(|n| format!(" one_of {n}")).unwrap_or_default();
            format!("{from}{} -> {to}{} {}{group}", part(&d.from_part), part(&d.to_part), d.strength.as_str())
        })
        .collect()
}

fn edges_of(text: &str) -> Vec<String> {
    match read(text) {
        Ok((model, warnings)) => {
            assert!(warnings.is_empty(), "{warnings:#?}");
            edges(&model)
        }
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    }
}

#[test]
fn included_files_bring_components_and_their_own_secrets() {
    let reading = reading(
        r#"--- conf/topology.yaml
name: shop
include: ["teams/*.yaml"]
components:
  web: { instances: ["web:80"], probe: { http: {} }, depends_on: [db] }
--- conf/teams/data.yaml
components:
  db: { like: store, instances: ["db:80"], probe: { http: { password: "${file:db.secret}" } } }
templates: { store: { tier: data, runbook: "https://wiki/store" } }
alerts: { receivers: { data: { webhook: { url: "http://x" } } } }
--- conf/teams/db.secret
s3cret
--- conf/other.yaml
nonsense: true
"#,
        &[],
    );
    assert_eq!(shown(&reading), "");
    let model = reading.model.unwrap();
    assert_eq!(edges(&model), ["web -> db required"]);
    let db = &model.components[1];
    assert_eq!((db.runbook.as_deref(), db.tier), (Some("https://wiki/store"), Some(0)));
    assert!(db.probes[0].secret("password").is_some());
    assert_eq!(model.alerting.receivers[0].name, "data");
    let paths: Vec<&str> = reading.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["conf/topology.yaml", "conf/teams/data.yaml"]);
    let globs: Vec<_> = reading.globs.iter().map(|g| (g.directory.as_str(), g.pattern.as_str())).collect();
    assert_eq!(globs, [("conf/", "teams/*.yaml")]);
}

#[test]
fn what_is_wrong_with_several_files_names_both_places() {
    let reading = reading(
        r#"--- conf/topology.yaml
include: [a.yaml, none/*.yaml, gone.yaml, "*.yaml"]
components:
  web: { instances: ["web:80"], probe: { http: {} }, depends_on: [cachee] }
  api: { instances: ["api:80"], probe: { http: {} }, like: bas }
--- conf/a.yaml
name: other
include: [b.yaml]
components:
  web: { instances: ["web:81"], probe: { http: {} } }
templates:
  base: { tier: x, colour: red }
--- conf/b.yaml
include: [a.yaml, b.yaml]
components:
  cache: { instances: ["cache:80"], probe: { htpp: {} } }
  broken: { instances: ["x:80], probe: { http: {} } }
  user: { instances: ["u:80"], probe: { http: {} }, depends_on: [broken] }
tieers: {}
"#,
        &[],
    );
    assert!(reading.model.is_none());
    insta::assert_snapshot!(shown(&reading));
}

const BASE: &str = r#"--- conf/topology.yaml
templates:
  service: { tier: app, runbook: "https://wiki", probe: { http: { path: /health, slow: { red: 5s } } } }
components:
  web: { like: service, instances: ["web:80"], depends_on: [db] }
  db: { instances: ["db:80"], probe: { http: {} }, labels: { zone: a }, runbook: "https://db" }
"#;

#[test]
fn an_overlay_changes_adds_and_removes() {
    let text = format!(
        "{BASE}{}",
        r#"--- prod.yaml
name: prod
components:
  web: { instances: ["web.prod:[80-81]"], runbook: null, probe: { http: { slow: { red: 9s } } } }
  db: { runbook: null, labels: { zone: null, site: west } }
  extra: { instances: ["x:80"], probe: { http: } }
"#
    );
    let reading = reading(&text, &["prod.yaml"]);
    assert_eq!(shown(&reading), "");
    let model = reading.model.unwrap();
    assert_eq!(model.name, "prod");
    assert_eq!(model.components.iter().map(|c| c.runbook.is_some()).collect::<Vec<_>>(), [false; 3]);
    let web = &model.components[0];
    assert_eq!((web.instances.clone(), web.tier), (0..2, Some(0)));
    assert_eq!(web.probes[0].text("path"), Some("/health"));
    assert_eq!(web.probes[0].thresholds[0].red, Some(9.0));
    assert_eq!(format!("{:?}", model.instances[2].labels), r#"{"site": "west"}"#);
}

#[test]
fn what_is_wrong_with_an_overlay_names_the_overlay() {
    let text = format!(
        "{BASE}{}",
        r"--- prod.yaml
include: [x.yaml]
components:
  webb: { runbook: null }
  web: { probe: { http: { slow: { red: 9 } } } }
  db: { group: null, tier: [1] }
--- stage.yaml
- a list
"
    );
    insta::assert_snapshot!(shown(&reading(&text, &["prod.yaml", "stage.yaml", "none.yaml"])));
}

#[test]
fn templates_chain_and_say_when_they_run_in_a_circle() {
    let text = r#"
templates:
  a: { tier: app, labels: { x: a, y: a }, probe: { http: { path: /a } } }
  b: { like: a, labels: { y: b }, depends_on: [db] }
components:
  web: { like: b, instances: ["w:80"], labels: { z: web }, probe: { tcp: {} } }
  plain: { like: b, instances: ["p:80"], probe: { http: null, tcp: {} }, depends_on: [] }
  db: { instances: ["db:80"], probe: { tcp: {} } }
"#;
    let (model, warnings) = read(text).unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
    assert_eq!(edges(&model), ["web -> db required"]);
    assert_eq!(format!("{:?}", model.instances[0].labels), r#"{"x": "a", "y": "b", "z": "web"}"#);
    let kinds = |i: usize| model.components[i].probes.iter().map(|p| p.kind.name).collect::<Vec<_>>();
    assert_eq!((kinds(0), kinds(1)), (vec!["http", "tcp"], vec!["tcp"]));

    let reading = reading(
        r#"--- conf/topology.yaml
templates:
  a: { like: b }
  b: { like: c }
  c: { like: a }
  unused: { probe: { http: { pth: /x } } }
  text: some
components:
  web: { like: a, instances: ["w:80"] }
  api: { like: bb, instances: ["w:80"], depends_on: [nothing] }
  job: { like: text, instances: ["w:80"] }
"#,
        &[],
    );
    insta::assert_snapshot!(shown(&reading));
}

#[test]
fn a_templates_mistake_is_told_once_however_many_use_it() {
    let reading = reading(
        r#"--- conf/topology.yaml
templates: { t: { colour: red, policy: sharded, probe: { htpp: {} }, depends_on: [nothing] } }
components:
  a: { like: t, instances: ["a:80"] }
  b: { like: t, instances: ["b:80"] }
  c: { like: t, instances: ["c:80"] }
"#,
        &[],
    );
    insta::assert_snapshot!(shown(&reading));
}

#[test]
fn a_dependency_may_concern_a_part_or_one_of_several() {
    let text = r#"
components:
  order:
    instances:
      - { address: "o:[1-2]", labels: { shard: x } }
      - { address: "o:3", labels: { shard: y }, depends_on: [cache-1] }
    probe: { tcp: {} }
    depends_on:
      - { on: db, match: shard }
      - { one_of: [telecom, { on: mobile, instances: [2] }], strength: optional }
      - { on: pay, instances: { zone: a }, from: [1, 3] }
      - { on: pay, instances: ["2-3"], from: order-2 }
  db:
    instances:
      - { address: "d:1", labels: { shard: x } }
      - { address: "d:[2-3]", labels: { shard: y } }
    probe: { tcp: {} }
    depends_on: [{ from: [2, 3], on: db, instances: [1], strength: async }]
  cache: { instances: ["c:[1-2]"], probe: { tcp: {} } }
  telecom: { instances: ["t:1"], probe: { tcp: {} } }
  mobile: { instances: ["m:[1-2]"], probe: { tcp: {} } }
  pay: { instances: [{ address: "p:1", labels: { zone: a } }, "p:[2-3]"], probe: { tcp: {} } }
"#;
    assert_eq!(
        edges_of(text),
        [
            "order[order-3] -> cache[cache-1] required",
            "order[order-1 order-2] -> db[db-1] required",
            "order[order-3] -> db[db-2 db-3] required",
            "order -> telecom optional one_of 0",
            "order -> mobile[mobile-2] optional one_of 0",
            "order[order-1 order-3] -> pay[pay-1] required",
            "order[order-2] -> pay[pay-2 pay-3] required",
            "db[db-2 db-3] -> db[db-1] async",
        ]
    );
}

#[test]
fn one_of_with_match_is_a_group_for_each_value() {
    let text = r#"
components:
  web:
    instances: [{ address: "w:1", labels: { zone: a } }, { address: "w:2", labels: { zone: b } }]
    probe: { tcp: {} }
    depends_on: [{ one_of: [x, y], match: zone }]
  x: { instances: [{ address: "x:1", labels: { zone: a } }, { address: "x:2", labels: { zone: b } }], probe: { tcp: {} } }
  y: { instances: [{ address: "y:1", labels: { zone: a } }, { address: "y:2", labels: { zone: b } }], probe: { tcp: {} } }
"#;
    assert_eq!(
        edges_of(text),
        [
            "web[web-1] -> x[x-1] required one_of 0",
            "web[web-1] -> y[y-1] required one_of 0",
            "web[web-2] -> x[x-2] required one_of 1",
            "web[web-2] -> y[y-2] required one_of 1",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_part_is_said() {
    let reading = reading(
        r#"--- conf/topology.yaml
components:
  web:
    instances: ["w:[1-2]", { address: "w:3", depends_on: [{ on: db, from: [1] }] }]
    probe: { tcp: {} }
    depends_on:
      - { on: db, instances: [4] }
      - { on: db, instances: [db-9, 0] }
      - { on: db-1, instances: [1] }
      - { on: db, match: shard }
      - { on: cache, instances: { zone: a } }
      - { on: cache, instances: [] }
      - { one_of: [] }
      - { one_of: [cache] }
      - { one_of: [{ on: db, strength: optional }, cache], on: db }
      - { one_of: [{ on: db, strength: optional }, nothing] }
      - { on: web, instances: [1] }
      - { on: web, from: [1], instances: [2] }
      - {}
  db: { instances: ["d:[1-3]"], probe: { tcp: {} } }
  cache: { instances: ["c:1", "c"], probe: { tcp: {} } }
"#,
        &[],
    );
    insta::assert_snapshot!(shown(&reading));
}

#[test]
fn defaults_hold_for_every_probe_of_a_kind() {
    let (model, _) = read(
        r#"
defaults: { interval: 4s, probe: { http: { path: /health, interval: 9s, slow: { yellow: 1s, red: 2s } } } }
components:
  a: { instances: ["a:80"], probe: { http: } }
  b: { instances: ["b:80"], probe: { http: { path: /b, slow: { red: 3s } } }, interval: 5s }
  c: { instances: ["c:80"], probe: { tcp: {} } }
"#,
    )
    .unwrap();
    let said: Vec<String> = model
        .components
        .iter()
        .map(|c| &c.probes[0])
        .map(|p| {
            let limits = p.thresholds.first().map(|t| (t.yellow.unwrap(), t.red.unwrap()));
            format!("{:?} {:?} {limits:?}", p.text("path"), p.interval)
        })
        .collect();
    assert_eq!(
        said,
        [r#"Some("/health") 9s Some((1.0, 2.0))"#, r#"Some("/b") 5s Some((1.0, 3.0))"#, "None 4s None"]
    );
}

#[test]
fn a_circle_in_which_nobody_can_be_green_first_is_warned_of() {
    let circle = |strength: &str, kind: &str| {
        format!(
            r#"--- conf/topology.yaml
components:
  a: {{ instances: ["a:80"], probe: {{ http: {{}} }}, depends_on: [b] }}
  b: {{ instances: ["b:80"], probe: {{ http: {{}} }}, depends_on: [c, {{ on: d, strength: optional }}] }}
  c: {{ instances: ["c:80"], probe: {{ {kind}: {{}} }}, depends_on: [{{ on: a, strength: {strength} }}] }}
  d: {{ instances: ["d:80"], probe: {{ http: {{}} }}, depends_on: [a] }}
"#
        )
    };
    let said = reading(&circle("required", "http"), &[]);
    assert!(said.model.is_some());
    insta::assert_snapshot!(shown(&said));
    assert_eq!(shown(&reading(&circle("async", "http"), &[])), "");
    assert_eq!(shown(&reading(&circle("required", "tcp"), &[])), "");
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let said = |bytes: &[u8]| {
        let mut files = tree("");
        files.0.insert("conf/topology.yaml".to_owned(), bytes.to_vec());
        shown(&read_files("conf/topology.yaml", &[], &KINDS, &files))
    };
    let good = b"components: { a: { instances: [\"a:80\"], probe: { tcp: {} } } }";
    assert_eq!(said(&[b"\xef\xbb\xbf".as_slice(), good].concat()), "");
    insta::assert_snapshot!(
        [
            said(b"\xff\xfen\0"),
            said("name: \u{4e2d}\n\u{6587}: ".as_bytes()),
            said(b"name: x\ntitle: \xff\n")
        ]
        .join("\n")
    );
}
