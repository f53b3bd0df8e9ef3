//! The story, on the real platform: a hung server turns red, a dead database is named as the cause, and all of
//! it ends by itself; a demo leaves nothing behind, however it is ended.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::receiver::Receiver;
use crate::support::{Demo, await_some, await_true, code, left_behind, send, stderr, stdout, topowatch};

fn names(value: &Value, list: &str, key: &str) -> Vec<String> {
    value[list].as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn live_the_whole_story() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let mut demo = Demo::start(dir.path(), Some(&receiver.url));
    demo.await_green();

    one_hung_server(&demo);
    a_dead_database(&demo, &receiver);
    the_board_without_a_server(&demo);

    demo.process.signal(Signal::SIGTERM);
    assert_eq!(demo.process.await_end(), 0, "{}", demo.said());
    assert_eq!(left_behind(dir.path()), Vec::<String>::new());
    assert!(!dir.path().join("url").exists());
}

fn one_hung_server(demo: &Demo) {
    let health = demo.json(&["health"]);
    let components = names(&health, "components", "name");
    assert!(components.len() >= 25);
    // Every name of the platform is a name on the board, and no other.
    let board = demo.json(&["health"]);
    assert_eq!(board["counts"]["green"].as_u64().unwrap() as usize, components.len());
    let state = demo.state();
    let in_state: BTreeSet<String> = state["components"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(in_state, components.into_iter().collect());

    let pid = demo.pid_of("miniapp-server-3");
    send(pid, Signal::SIGSTOP);
    let output = demo.ask(&["health", "miniapp-server-3", "--wait", "red", "--timeout", "60s", "--json"]);
    let node: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((node["level"].as_str(), node["fault"].as_str()), (Some("red"), Some("hung")), "{node}");
    let asked = ["why", "miniapp-server-3"];
    // Until there is one about it, the answer is an error and no JSON.
    let why = await_some("the incident", || {
        let answer = demo.ask(&["why", "miniapp-server-3", "--json"]);
        serde_json::from_str(&stdout(&answer)).ok().filter(|why: &Value| why["id"].is_string())
    });
    assert_eq!(why["verdict"]["roots"][0]["node"], "miniapp-server-3", "{why}");
    assert_eq!(why["affected"].as_array().unwrap().len(), 0, "{why}");
    let text = stdout(&demo.ask(&asked));
    assert!(
        text.contains("1 of 4") && text.contains("hung") && text.contains("Nobody else is affected"),
        "{text}"
    );
    assert_eq!(code(&demo.ask(&["health"])), 1);
    send(pid, Signal::SIGCONT);
    demo.await_green();
}

fn a_dead_database(demo: &Demo, receiver: &Receiver) {
    let told_before = receiver.events().len();
    send(demo.pid_of("member-db-1"), Signal::SIGKILL);
    let why = await_some("the verdict", || {
        let why = demo.json(&["why"]);
        let affected: BTreeSet<String> = names(&why, "affected", "node").into_iter().collect();
        let all = ["member-service", "miniapp-server", "gateway"].iter().all(|name| affected.contains(*name));
        all.then_some(why)
    });
    let roots = why["verdict"]["roots"].as_array().unwrap();
    assert_eq!(roots.len(), 1, "{why}");
    assert_eq!(roots[0]["node"], "member-db-1");
    assert!(roots[0]["evidence"].as_array().unwrap().len() >= 2);
    assert!(names(&why, "affected", "because").iter().all(|because| !because.is_empty()));
    // The gateway's log tells of the failed requests before the servers are confirmed to fail.
    await_true("red", || code(&demo.ask(&["health"])) == 2);
    // A page or script may name either end of it.
    assert_eq!(demo.json(&["why", "gateway"])["id"], why["id"]);
    await_true("the message", || receiver.events().len() > told_before);

    let output = demo.platform(&["up", "--repair"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    demo.await_green();
    await_true("the last message", || receiver.events().last().is_some_and(|event| event == "resolve"));
    // One outage: one incident, told once that it is there and once that it is over. An update is for a cause that comes
    // to light, as on a busy machine a slow database; nobody who only suffered is ever called one.
    let told: Vec<Value> = receiver.told().split_off(told_before).into_iter().map(|(_, body)| body).collect();
    let events: Vec<&str> = told.iter().map(|body| body["event"].as_str().unwrap()).collect();
    assert!(told.iter().all(|body| body["incident"]["id"] == told[0]["incident"]["id"]), "{told:#?}");
    assert!(matches!(&events[..], ["open", .., "resolve"]), "{told:#?}");
    assert!(events[1..events.len() - 1].iter().all(|event| *event == "update"), "{told:#?}");
    for body in &told {
        let roots = names(&body["incident"]["verdict"], "roots", "node");
        let suffers = |root: &String| {
            ["member-service", "miniapp-server", "gateway", "cdn"].iter().any(|it| root.starts_with(it))
        };
        assert!(!roots.iter().any(suffers), "{told:#?}");
    }
}

fn the_board_without_a_server(demo: &Demo) {
    let file = demo.dir.join("topology.yaml");
    let output = topowatch()
        .args(["health", "--once", "--json", "-c"])
        .arg(&file)
        .env("DEMO_WEBHOOK", "http://127.0.0.1:1/")
        .output()
        .unwrap();
    let once: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let served = demo.json(&["health"]);
    assert_eq!(once["components"], served["components"]);
    assert_eq!(code(&output), 0);
}

/// What is declared is found, and nothing else: the figure of docs/import.md.
#[test]
fn live_discover_finds_the_declared_edges() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    demo.await_green();
    let file = demo.dir.join("topology.yaml");
    let drift = await_some("every dependency in use", || {
        let output = topowatch()
            .args(["drift", "--json", "--for", "20s", "-c"])
            .arg(&file)
            .env("DEMO_WEBHOOK", "http://127.0.0.1:1/")
            .output()
            .unwrap();
        let drift: Value =
            serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let (seen, declared) = (&drift["dependencies"]["seen"], &drift["dependencies"]["declared"]);
        assert_eq!(
            drift["dependencies"]["lacking"],
            serde_json::json!([]),
            "a dependency that is none: {drift:#}"
        );
        (seen.as_f64().unwrap() >= 0.95 * declared.as_f64().unwrap()).then_some(drift)
    });
    assert_eq!(drift["instances"]["lacking"], serde_json::json!([]), "{drift:#}");
    assert_eq!(drift["instances"]["seen"], drift["instances"]["declared"], "{drift:#}");

    // A line too few in the file is drift, and is named.
    let text = std::fs::read_to_string(&file).unwrap();
    let less = demo.dir.join("less.yaml");
    assert!(text.contains("      - payment-channel\n"));
    std::fs::write(&less, text.replace("      - payment-channel\n", "")).unwrap();
    await_some("the missing dependency", || {
        let output = topowatch().args(["drift", "--for", "20s", "-c"]).arg(&less).output().unwrap();
        assert_eq!(code(&output), 1, "{}", stdout(&output));
        stdout(&output).contains("+ payment-service -> payment-channel").then_some(())
    });
}

#[test]
fn live_a_demo_ended_in_any_way_leaves_nothing() {
    // Half-way up, and twice: a second signal must not cut the clearing up short.
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Demo::begin(dir.path(), None);
    await_true("the first databases", || {
        assert!(demo.is_running(), "the demo ended: {}", demo.said());
        demo.said().contains("data directories made")
    });
    demo.process.signal(Signal::SIGINT);
    await_true("the stop", || demo.said().contains("stopping everything"));
    demo.process.signal(Signal::SIGINT);
    assert_eq!(demo.process.await_end(), 0, "{}", demo.said());
    assert_eq!(left_behind(dir.path()), Vec::<String>::new());

    // Two side by side, in directories and on ports of their own; one of them is killed without a chance.
    let other_dir = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(dir.path(), None);
    let mut other = Demo::start(other_dir.path(), None);
    let again = topowatch().arg("demo").arg("--dir").arg(dir.path()).output().unwrap();
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("a demo already runs"), "{}", stderr(&again));
    demo.await_green();
    other.await_green();
    demo.process.signal(Signal::SIGKILL);
    demo.process.await_end();
    await_true("the guard's work", || left_behind(dir.path()).is_empty());
    other.await_green();
    other.process.signal(Signal::SIGTERM);
    assert_eq!(other.process.await_end(), 0, "{}", other.said());
    assert_eq!(left_behind(other_dir.path()), Vec::<String>::new());
}
