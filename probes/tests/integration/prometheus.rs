//! A real Prometheus that watches itself, and its page of metrics.

use crate::support::{
    Server, answer, await_answer, await_reported, await_signal, await_summary, command, free_port, home,
    mistakes, program, read,
};
use crate::table::Table;

use nix::sys::signal::Signal;

fn start() -> Server {
    let prometheus = program("/usr/bin/prometheus", "prometheus");
    let (dir, port) = (home(), free_port());
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
         - {{ job_name: self, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n"
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let mut command = command(&prometheus, dir.path());
    command.arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Server::start(command, port, Some(dir))
}

#[tokio::test]
async fn prometheus_is_seen_as_it_is() {
    let mut table = Table::new("prometheus");
    let server = start();
    let port = server.port;
    let values = |values: &str| read(&format!("{{ prometheus: {{ values: {{ {values} }} }} }}"));
    let page = values(
        "threads: { metric: go_threads, above: { red: 100000 } }, gone: { metric: nothing_total, when_empty: green }",
    );
    let seen = await_answer(&page, port).await;
    assert!(answer(&seen).signals["prometheus.value[threads]"] >= 1.0, "{seen:?}");
    assert_eq!(answer(&seen).reported, None);

    let query = values("up: { query: 'up{job=\"self\"}', below: { red: 0 } }");
    let found = async {
        loop {
            let seen = await_answer(&query, port).await;
            if answer(&seen).signals.get("prometheus.value[up]") == Some(&1.0) {
                return seen;
            }
        }
    };
    let seen = tokio::time::timeout(std::time::Duration::from_mins(1), found).await.unwrap();
    assert!(answer(&seen).signals["prometheus.query_seconds"] > 0.0);
    assert!(
        query.thresholds.iter().any(|limit| limit.signal == "prometheus.value[up]" && limit.red == Some(0.0))
    );
    let heap = values(
        "heap: { query: 'vector(3) or label_replace(vector(8), \"a\", \"b\", \"\", \"\")', below: { red: 1 } }",
    );
    // The lowest is the worst.
    await_signal(&heap, port, "prometheus.value[heap]", |value| value == 3.0).await;

    let broken = await_reported(&values("it: { query: 'sum(' }"), port, "parse error").await;
    table.reported("a broken query", &broken, "unknown");
    let found = "nothing was found";
    let nothing = await_reported(&values("it: { query: nothing }"), port, found).await;
    table.reported("a query that finds nothing", &nothing, "unknown");
    let red = await_reported(&values("it: { query: nothing, when_empty: red }"), port, found).await;
    table.reported("the same with `when_empty: red`", &red, "red");
    let elsewhere = read("{ prometheus: { path: /nowhere, values: { it: { metric: a } } } }");
    let no_page = await_summary(&elsewhere, port, "bad_answer").await;
    table.fault("no such page of metrics", &no_page, "bad_answer ask assertion");
    server.signal(Signal::SIGSTOP);
    let unanswered = await_reported(&query, port, "connected, no answer").await;
    table.reported("SIGSTOP, with a query", &unanswered, "unknown");
    let hung = await_summary(&page, port, "hung").await;
    table.fault("SIGSTOP, with a metric", &hung, "hung ask");
    server.signal(Signal::SIGCONT);
    drop(server);
    let refused = await_reported(&query, port, "refuses").await;
    table.reported("SIGKILL, with a query", &refused, "unknown");
    let gone = await_summary(&page, port, "refused").await;
    table.fault("SIGKILL, with a metric", &gone, "refused tcp");
    table.finish();

    assert_eq!(
        mistakes("{ prometheus: {} }"),
        ["probe `prometheus`: `values` is missing: name at least one"]
    );
    assert_eq!(
        mistakes("{ prometheus: { values: { it: { query: a, metric: b } } } }"),
        ["probe `prometheus`: `it` takes one of `query` and `metric`"]
    );
    let wrong = mistakes("{ prometheus: { values: { it: { metric: 'a b' } } } }");
    assert!(wrong[0].starts_with("`metric` is a metric such as"), "{wrong:?}");
}
