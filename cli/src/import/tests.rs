//! Every reader on files as people have them, on broken ones, and on what no person writes.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::draft::finish::Finished;

fn fixture(name: &str) -> (String, Vec<u8>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    (name.to_owned(), std::fs::read(path).unwrap())
}

fn imported(format: Format, names: &[&str], wanted: &Wanted) -> Finished {
    let sources = names.iter().map(|name| fixture(name)).collect();
    let draft = draft(format, sources, wanted).unwrap_or_else(|report| panic!("{:?}", report.diagnostics));
    let finished = finish::finish(draft);
    assert!(
        !finished.text.contains("hunter2") && !format!("{:?}", finished.draft.notes).contains("hunter2"),
        "a secret"
    );
    finished
}

/// The file, and behind it what was told.
fn shown(finished: &Finished) -> String {
    let mut out = finished.text.clone();
    out.push_str("\n--- notes\n");
    for note in &finished.draft.notes {
        let place =
            note.place.as_ref().map(|p| format!("{}:{}:{}: ", p.file, p.line, p.column)).unwrap_or_default();
        writeln!(out, "{place}{}: {}", note.what, note.why).unwrap();
    }
    out
}

#[test]
fn compose_files_of_three_styles() {
    for name in ["compose-voting.yml", "compose-blog.yml", "compose-shop.yml"] {
        insta::assert_snapshot!(name, shown(&imported(Format::Compose, &[name], &Wanted::default())));
    }
}

#[test]
fn compose_by_its_published_ports() {
    let wanted = Wanted { host: Some("127.0.0.1".to_owned()), name: Some("blog".to_owned()) };
    insta::assert_snapshot!(shown(&imported(Format::Compose, &["compose-blog.yml"], &wanted)));
}

#[test]
fn manifests() {
    insta::assert_snapshot!(shown(&imported(
        Format::Kubernetes,
        &["kubernetes-shop.yaml"],
        &Wanted::default()
    )));
}

#[test]
fn an_nginx_conf() {
    insta::assert_snapshot!(shown(&imported(Format::Nginx, &["nginx-gateway.conf"], &Wanted::default())));
}

#[test]
fn prometheus_with_its_blackbox_and_targets() {
    let names = ["prometheus.yml", "blackbox.yml", "targets/cache.json"];
    insta::assert_snapshot!(shown(&imported(Format::Prometheus, &names, &Wanted::default())));
}

#[test]
fn gatus_and_uptime_kuma() {
    insta::assert_snapshot!("gatus", shown(&imported(Format::Gatus, &["gatus.yaml"], &Wanted::default())));
    insta::assert_snapshot!(
        "uptime_kuma",
        shown(&imported(Format::UptimeKuma, &["uptime-kuma.json"], &Wanted::default()))
    );
}

#[test]
fn service_graphs() {
    let names = ["jaeger-dependencies.json", "tempo-service-graph.json"];
    insta::assert_snapshot!(shown(&imported(Format::Otel, &names, &Wanted::default())));
}

const ALL: [Format; 7] = [
    Format::Compose,
    Format::Kubernetes,
    Format::Nginx,
    Format::Prometheus,
    Format::Gatus,
    Format::UptimeKuma,
    Format::Otel,
];

fn said(format: Format, bytes: &[u8]) -> String {
    match draft(format, vec![("f".to_owned(), bytes.to_vec())], &Wanted::default()) {
        Ok(_) => "read".to_owned(),
        Err(report) => report.diagnostics[0].line("f").to_string(),
    }
}

#[test]
fn what_is_no_such_file_is_refused_with_its_place() {
    let mut all = String::new();
    for format in ALL {
        writeln!(all, "{}: {}", format.word(), said(format, b"# a note\nhello: world\n")).unwrap();
        writeln!(all, "{}: {}", format.word(), said(format, b"a: b\nc: \xff\n")).unwrap();
        if format != Format::Nginx {
            writeln!(all, "{}: {}", format.word(), said(format, "[".repeat(100_000).as_bytes())).unwrap();
        }
    }
    let deep = "a {".repeat(100_000);
    for text in ["server { listen 80; ", "}", "server { listen \"80; }", "upstream x { server a }", &deep] {
        writeln!(all, "nginx: {}", said(Format::Nginx, text.as_bytes())).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// A fixture with pieces of it exchanged, cut out, doubled, or replaced by what hurts.
fn mangled(text: &str, steps: &[(usize, usize, usize)]) -> String {
    const HURTS: [&str; 14] = [
        "${file:/etc/passwd}",
        "\"",
        "{",
        "]",
        ": ",
        "\n- ",
        "💥",
        "\u{202e}",
        "0",
        "99999999999",
        "[1-9]",
        "*",
        "null",
        "a b",
    ];
    let mut words: Vec<&str> = text.split_inclusive([' ', '\n', ':', ',', '"']).collect();
    for (kind, a, b) in steps {
        let (a, b) = (a % words.len(), b % words.len());
        match kind % 4 {
            0 => words.swap(a, b),
            1 => words[a] = HURTS[b % HURTS.len()],
            2 => words.insert(a, words[b]),
            _ => {
                if words.len() > 1 {
                    words.remove(a);
                }
            }
        }
    }
    words.concat()
}

struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        panic!("a foreign file is asked for: {path}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_read_the_file_is_good(
        which in 0..10_usize,
        host in prop::bool::ANY,
        steps in prop::collection::vec((0..4_usize, 0..10_000_usize, 0..10_000_usize), 0..12),
    ) {
        let (format, name) = [
            (Format::Compose, "compose-voting.yml"),
            (Format::Compose, "compose-blog.yml"),
            (Format::Compose, "compose-shop.yml"),
            (Format::Kubernetes, "kubernetes-shop.yaml"),
            (Format::Nginx, "nginx-gateway.conf"),
            (Format::Prometheus, "prometheus.yml"),
            (Format::Prometheus, "blackbox.yml"),
            (Format::Gatus, "gatus.yaml"),
            (Format::UptimeKuma, "uptime-kuma.json"),
            (Format::Otel, "jaeger-dependencies.json"),
        ][which];
        let text = String::from_utf8(fixture(name).1).unwrap();
        let text = mangled(&text, &steps);
        let wanted = Wanted { host: host.then(|| "127.0.0.1".to_owned()), name: None };
        if let Ok(draft) = draft(format, vec![(name.to_owned(), text.into_bytes())], &wanted) {
            let finished = finish::finish(draft);
            if !finished.draft.components.is_empty() {
                let read = topology::read(&finished.text, &probes::specs(), &Nothing);
                prop_assert!(read.is_ok(), "{:?}\n{}", read.err(), finished.text);
            }
        }
    }
}
