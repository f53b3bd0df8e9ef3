//! What other programs read of topowatch: Prometheus its metrics and rules, Grafana its dashboard, Nagios its plug-in
//! output, a log shipper its log. Prometheus' own `promtool` is the judge where it can be.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use web::metrics::METRICS;

use crate::serving::{Serve, listen, serve, serve_with};
use crate::support::{await_true, code, free_port, run, stderr, stdout, topowatch};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// Runs promtool (Debian's package `prometheus`) with `input`.
fn promtool(args: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(deploy("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: scripts/need servers");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    stdout(output) + &stderr(output)
}

/// `web` answers and needs `db`, which does not: one incident, its root cause, one affected component.
fn outage(dir: &Path) -> (Serve, std::net::TcpListener) {
    let (web, db, port) = (free_port(), free_port(), free_port());
    let file = dir.join("topology.yaml");
    let text = format!(
        "name: \"a \\\"shop\\\"\"\ndefaults: {{ interval: 200ms, timeout: 200ms }}\ncomponents:\n  \
         web: {{ instances: [\"127.0.0.1:{web}\"], probe: {{ tcp: {{}} }}, depends_on: [db] }}\n  \
         db: {{ instances: [\"127.0.0.1:{db}\"], probe: {{ tcp: {{}} }} }}\n\
         objectives: {{ web: {{ availability: 99.9%, window: 30d }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let listener = listen(web);
    let serve = serve(dir, port, &file.display().to_string());
    await_true("the verdict", || {
        serve.open_incident().is_some_and(|incident| incident["verdict"]["roots"][0]["node"] == "db-1")
    });
    (serve, listener)
}

fn get(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let mut stream = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    write!(stream, "GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", url.path()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn metrics_of_a_running_server_are_clean_to_promtool_and_tell_the_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (serve, _web) = outage(dir.path());
    let metrics = get(&format!("{}/metrics", serve.url));
    let lint = promtool(&["check", "metrics"], &metrics);
    assert!(lint.status.success() && text(&lint).is_empty(), "{}\n{metrics}", text(&lint));
    for line in [
        "topowatch_platform_level 2",
        "topowatch_component_own_level{component=\"web\"} 0",
        "topowatch_component_affected{component=\"web\"} 1",
        "topowatch_component_instances{component=\"db\",level=\"red\"} 1",
        "topowatch_instance_fault{component=\"db\",fault=\"refused\",instance=\"db-1\"} 1",
        "topowatch_root_cause_level{kind=\"instance\",root_cause=\"db-1\"} 2",
        "topowatch_root_cause_affected_components{kind=\"instance\",root_cause=\"db-1\"} 1",
        "topowatch_monitor_storage_ok 1",
    ] {
        // The order of labels says nothing.
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
        let value = line.rsplit(' ').next().unwrap();
        let found = metrics.lines().any(|other| {
            other.starts_with(name)
                && other[name.len()..].starts_with(['{', ' '])
                && labels.split(',').all(|label| other.contains(label))
                && other.ends_with(&format!(" {value}"))
        });
        assert!(found, "{line}\n{metrics}");
    }
    let count = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (looks, refused) = (
        count("topowatch_probe_duration_seconds_count{kind=\"tcp\"}"),
        count("topowatch_probe_faults_total{kind=\"tcp\",fault=\"refused\"}"),
    );
    assert!(looks > refused && refused >= 2.0, "{looks} looks, {refused} refused");
    let confidence = count("topowatch_root_cause_confidence_ratio");
    assert!(confidence > 0.5 && confidence <= 1.0, "{confidence}");

    // Every metric of the table is there, but for those of what this platform has not.
    let written: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let missing: Vec<_> = known.difference(&written).collect();
    assert!(
        missing.iter().all(|name| name.contains("_curve_") || name.contains("_objective_")),
        "never written: {missing:?}"
    );
}

#[test]
fn the_alert_rules_are_good_and_do_what_their_tests_say() {
    for args in [["check", "rules", "topowatch.rules.yml"], ["test", "rules", "topowatch.test.yml"]] {
        let output = promtool(&args, "");
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    }
}

/// The names of metrics in a query.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("topowatch_") || word.starts_with("process_"))
}

#[test]
fn dashboard_and_rules_ask_for_metrics_that_there_are() {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("grafana/topowatch.json")).unwrap()).unwrap();
    let mut expressions = Vec::new();
    let mut walk = vec![&dashboard];
    while let Some(value) = walk.pop() {
        match value {
            Value::Object(map) => {
                expressions.extend(map.get("expr").and_then(Value::as_str));
                walk.extend(map.values());
            }
            Value::Array(list) => walk.extend(list),
            _ => {}
        }
    }
    assert!(expressions.len() >= 10, "{expressions:?}");
    let rules = std::fs::read_to_string(deploy("prometheus/topowatch.rules.yml")).unwrap();
    let asked = rules.lines().filter(|line| !line.trim_start().starts_with('#')).chain(expressions);
    let mut seen = 0;
    for name in asked.flat_map(names) {
        let bare = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let known = |name: &str| METRICS.iter().any(|metric| metric.name == name);
        assert!(known(name) || bare.is_some_and(known), "{name}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn the_plug_in_output_names_the_level_and_never_leaves_the_four_statuses() {
    let dir = tempfile::tempdir().unwrap();
    let (serve, _web) = outage(dir.path());
    let ask = |args: &[&str]| {
        topowatch().args(["health", "--nagios", "--url", &serve.url]).args(args).output().unwrap()
    };
    let whole = ask(&[]);
    assert_eq!(code(&whole), 2);
    let said = stdout(&whole);
    assert!(said.starts_with("TOPOWATCH CRITICAL - a \"shop\": "), "{said}");
    assert!(said.contains(" | red=2;;;0 yellow=0;;;0 "), "{said}");
    assert!(said.ends_with("db: red\n") || said.contains("\ndb: red\n"), "{said}");

    let web = ask(&["web-1"]);
    assert_eq!(code(&web), 0, "{}", stdout(&web));
    assert!(stdout(&web).starts_with("TOPOWATCH OK - web-1"), "{}", stdout(&web));

    let nobody = ask(&["nobody"]);
    assert_eq!(code(&nobody), 3);
    assert!(stdout(&nobody).starts_with("TOPOWATCH UNKNOWN - "), "{}", stdout(&nobody));
    drop(serve);

    let gone = run(&["health", "--nagios", "--url", &format!("http://127.0.0.1:{}", free_port())]);
    assert_eq!(code(&gone), 3);
    assert!(stdout(&gone).starts_with("TOPOWATCH UNKNOWN - "), "{}", stdout(&gone));
}

#[test]
fn the_log_is_json_or_text_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.yaml");
    let text = format!(
        "components: {{ db: {{ instances: [\"127.0.0.1:{}\"], probe: {{ tcp: {{ interval: 200ms }} }} }} }}\n",
        free_port()
    );
    std::fs::write(&file, text).unwrap();
    for (format, json) in [("json", true), ("auto", true), ("text", false)] {
        let port = free_port();
        let file = file.display().to_string();
        let mut serve = serve_with(dir.path(), port, &file, &["--log-format", format]);
        await_true("the outage", || serve.level_of("db") == "red");
        serve.process.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(serve.process.await_end(), 0);
        let log = std::fs::read_to_string(dir.path().join("serve.log")).unwrap();
        // The one line on standard output is for whoever started it.
        let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("topowatch watches")).collect();
        assert!(!lines.is_empty(), "nothing was logged");
        for line in lines {
            assert!(!line.contains('\u{1b}'), "colour in a file: {line}");
            let parsed: Result<Value, _> = serde_json::from_str(line);
            assert_eq!(parsed.is_ok(), json, "{format}: {line}");
            if let Ok(entry) = parsed {
                assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
                assert!(entry["fields"]["message"].is_string(), "{line}");
            }
        }
    }
}

/// A bare container has none: plain HTTP, and the monitor, need none.
#[test]
fn a_machine_without_root_certificates_is_watched_from_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (target, port) = (free_port(), free_port());
    let file = dir.path().join("topology.yaml");
    let text = format!(
        "components: {{ db: {{ instances: [\"127.0.0.1:{target}\"], probe: {{ http: {{ interval: 200ms }} }} }} }}\n\
         alerts: {{ receivers: {{ ops: {{ webhook: {{ url: \"http://127.0.0.1:{target}/\" }} }} }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let bare = |args: &[&str]| {
        let mut command = topowatch();
        command.args(args).env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        command
    };
    let listen = format!("127.0.0.1:{port}");
    let database = format!("sqlite://{}", dir.path().join("history.db").display());
    let file = file.display().to_string();
    let mut serve = bare(&["serve", "-c", &file, "--listen", &listen, "--database", &database]);
    let _serve = crate::support::Process::start(&mut serve, &dir.path().join("serve.log"));
    let url = format!("http://{listen}");
    let health = || bare(&["health", "--url", &url]).output().unwrap();
    await_true("the level", || code(&health()) == 2);
}
