//! The monitor loses its own network, or its own processor, for real: it is blind, and blames nobody.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::receiver::Receiver;
use crate::serving::serve;
use crate::support::{Process, await_some, await_true, free_port, stdout, topowatch};

/// A network namespace with one wire to this one; both go with the test.
struct Wire {
    name: String,
    /// This side's address.
    here: String,
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|output| output.status.success())
}

impl Wire {
    fn lay() -> Option<Self> {
        let pid = std::process::id();
        let name = format!("tw{pid}");
        let net = format!("10.231.{}", pid % 250);
        if !ip(&["netns", "add", &name]) {
            return None;
        }
        let wire = Self { here: format!("{net}.1"), name };
        let (near, far) = (wire.near(), wire.far());
        let laid = ip(&["link", "add", &near, "type", "veth", "peer", "name", &far])
            && ip(&["link", "set", &far, "netns", &wire.name])
            && ip(&["addr", "add", &format!("{net}.1/30"), "dev", &near])
            && ip(&["link", "set", &near, "up"])
            && ip(&["-n", &wire.name, "addr", "add", &format!("{net}.2/30"), "dev", &far])
            && ip(&["-n", &wire.name, "link", "set", "lo", "up"])
            && wire.set("up");
        laid.then_some(wire)
    }

    fn near(&self) -> String {
        format!("{}h", self.name)
    }

    fn far(&self) -> String {
        format!("{}m", self.name)
    }

    fn set(&self, state: &str) -> bool {
        ip(&["-n", &self.name, "link", "set", &self.far(), state])
    }

    /// A command of the binary in there.
    fn inside(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(topowatch().get_program()).args(args);
        command.env_remove("TOPOWATCH_URL").env_remove("TOPOWATCH_TOKEN");
        command
    }

    fn ask(&self, url: &str, args: &[&str]) -> Option<Value> {
        let output = self.inside(args).args(["--json", "--url", url]).output().unwrap();
        serde_json::from_str(&stdout(&output)).ok()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        ip(&["link", "del", &self.near()]);
        ip(&["netns", "del", &self.name]);
    }
}

/// Listeners at `host`, and the file that watches them: `web` needs `db`.
fn platform(dir: &Path, host: &str, receiver: &str) -> (Vec<TcpListener>, String) {
    let listeners: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
    let port = |i: usize| listeners[i].local_addr().unwrap().port();
    let at = |range: std::ops::Range<usize>| -> String {
        range.map(|i| format!("\"{host}:{}\"", port(i))).collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "defaults: {{ interval: 2s, timeout: 800ms }}\ncomponents:\n  \
         web: {{ instances: [{}], probe: {{ tcp: {{}} }}, depends_on: [db] }}\n  \
         db: {{ instances: [{}], probe: {{ tcp: {{}} }} }}\n\
         alerts: {{ receivers: {{ ops: {{ webhook: {{ url: \"{receiver}\" }} }} }} }}\n",
        at(0..4),
        at(4..6)
    );
    let file = dir.join("topology.yaml");
    std::fs::write(&file, text).unwrap();
    (listeners, file.to_str().unwrap().to_owned())
}

fn roots(incident: &Value) -> Vec<&str> {
    let roots = incident["verdict"]["roots"].as_array().map(Vec::as_slice).unwrap_or_default();
    roots.iter().filter_map(|root| root["node"].as_str()).collect()
}

/// One alert, one end, and the monitor alone is named.
fn assert_told_once(receiver: &Receiver) {
    await_true("the end to be told", || receiver.events().last().is_some_and(|event| event == "resolve"));
    let told = receiver.told();
    assert_eq!(told.len(), 2, "{told:#?}");
    for (_, body) in &told {
        assert_eq!(roots(&body["incident"]), ["monitor"], "{body}");
    }
}

#[test]
fn lesson_09_a_monitor_without_its_network_is_blind_and_blames_nobody() {
    let Some(wire) = Wire::lay() else {
        eprintln!("skipped: this user may not make network namespaces");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::on(&wire.here);
    let (_listeners, file) = platform(dir.path(), &wire.here, &receiver.url);
    let url = "http://127.0.0.1:8440";
    let database = format!("sqlite://{}", dir.path().join("history.db").display());
    let mut command = wire.inside(&["serve", "--config", &file, "--database", &database]);
    let _monitor = Process::start(&mut command, &dir.path().join("serve.log"));
    let health = || wire.ask(url, &["health"]);
    await_true("green", || health().is_some_and(|health| health["level"] == "green"));

    assert!(wire.set("down"));
    let blind = await_some("blindness", || {
        health().filter(|health| health["sentence"].as_str().is_some_and(|s| s.contains("blind")))
    });
    assert_eq!(blind["counts"]["red"], 0, "{blind}");
    assert_eq!(blind["counts"]["unknown"], 2, "{blind}");
    let why = await_some("the incident", || wire.ask(url, &["why"]).filter(|why| why["id"].is_string()));
    assert_eq!(roots(&why), ["monitor"], "{why}");
    // Long enough for every probe to come round again: still nobody else is blamed.
    sleep(Duration::from_secs(5));
    let why = wire.ask(url, &["why"]).unwrap();
    assert_eq!(roots(&why), ["monitor"], "{why}");

    assert!(wire.set("up"));
    await_true("green by itself", || health().is_some_and(|health| health["level"] == "green"));
    assert_told_once(&receiver);
}

#[test]
fn lesson_09_a_monitor_without_its_processor_is_blind_and_blames_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let (_listeners, file) = platform(dir.path(), "127.0.0.1", &receiver.url);
    let monitor = serve(dir.path(), free_port(), &file);
    let health = || monitor.ask(&["health"]);
    await_true("green", || health().is_some_and(|health| health["level"] == "green"));
    // Stopped for more than an interval: that is what starvation looks like from inside.
    monitor.process.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(6));
    monitor.process.signal(Signal::SIGCONT);
    let blind = await_some("blindness", || {
        health().filter(|health| health["sentence"].as_str().is_some_and(|s| s.contains("blind")))
    });
    assert_eq!(blind["counts"]["red"], 0, "{blind}");
    await_true("green by itself", || health().is_some_and(|health| health["level"] == "green"));
    assert_told_once(&receiver);
}

#[test]
fn lesson_09_two_hundred_refusals_at_once_are_an_outage_and_no_blindness() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    // One listener for all of 127.0.7.0/24.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = dir.path().join("topology.yaml");
    let text = format!(
        "defaults: {{ interval: 5s, timeout: 1s }}\ncomponents:\n  \
         web: {{ instances: [\"127.0.7.[1-200]:{port}\"], probe: {{ tcp: {{}} }} }}\n\
         alerts: {{ receivers: {{ ops: {{ webhook: {{ url: \"{}\" }} }} }} }}\n",
        receiver.url
    );
    std::fs::write(&file, text).unwrap();
    let monitor = serve(dir.path(), free_port(), file.to_str().unwrap());
    await_true("green", || monitor.ask(&["health"]).is_some_and(|health| health["level"] == "green"));
    drop(listener);
    await_true("the alert", || !receiver.events().is_empty());
    let health = monitor.ask(&["health"]).unwrap();
    assert_eq!(health["level"], "red", "{health}");
    let (_, body) = receiver.told().remove(0);
    assert_eq!(roots(&body["incident"]), ["web"], "{body}");
}
