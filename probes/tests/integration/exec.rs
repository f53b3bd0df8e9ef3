//! Plug-ins: a real one of Debian's, and ones that misbehave.

use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use topology::level::Health;

use crate::support::{answer, fault, look, mistakes, read};
use crate::table::Table;

fn shell(script: &str) -> topology::model::Probe {
    let quoted = serde_json::Value::from(script).to_string();
    read(&format!("{{ exec: {{ command: [/bin/sh, -c, {quoted}] }} }}"))
}

#[tokio::test]
async fn a_plug_in_of_nagios_works_as_it_is() {
    let disk = "/usr/lib/nagios/plugins/check_disk";
    let plug_in = |limits: &str| read(&format!("{{ exec: {{ command: [{disk}, {limits}, -p, /] }} }}"));
    let seen = look(&plug_in("-w, 0%, -c, 0%"), 1).await;
    let found = answer(&seen);
    assert_eq!(found.reported, None, "{found:?}");
    assert!(found.signals["exec.value[/]"] > 1e6, "{found:?}");
    assert!(found.signals["exec.run_seconds"] > 0.0);
    assert!(found.notes[0].starts_with("DISK OK"), "{:?}", found.notes);
    let seen = look(&plug_in("-w, 100%, -c, 0%"), 1).await;
    assert_eq!(answer(&seen).reported.as_ref().unwrap().0, Health::AtRisk);
    let seen = look(&plug_in("-w, 100%, -c, 100%"), 1).await;
    let (health, words) = answer(&seen).reported.clone().unwrap();
    assert_eq!(health, Health::Red);
    assert!(words.starts_with("DISK CRITICAL"), "{words}");

    // It is given the address, and can be overruled.
    let tcp = read(
        "{ exec: { command: [/usr/lib/nagios/plugins/check_tcp, -H, \"{host}\", -p, \"{port}\"], perfdata: { time: { above: { red: 5 } } } } }",
    );
    assert_eq!(tcp.thresholds.iter().filter(|limit| limit.signal == "exec.value[time]").count(), 1);
    let seen = look(&tcp, crate::support::free_port()).await;
    assert_eq!(answer(&seen).reported.as_ref().unwrap().0, Health::Red, "{seen:?}");
}

#[tokio::test]
async fn plug_ins_that_misbehave_are_ended_and_no_fault_of_the_node() {
    let mut table = Table::new("exec");
    table.reported("exit status 1", &look(&shell("echo WARN: half full; exit 1"), 1).await, "yellow");
    table.reported("exit status 2", &look(&shell("echo CRITICAL: full; exit 2"), 1).await, "red");
    table.reported("exit status 3", &look(&shell("echo UNKNOWN: cannot tell; exit 3"), 1).await, "unknown");
    table.reported("exit status 42", &look(&shell("echo what >&2; exit 42"), 1).await, "unknown");
    table.reported("a signal ends it", &look(&shell("kill -SEGV $$"), 1).await, "unknown");
    let missing = read("{ exec: { command: [/no/such/plugin] } }");
    table.reported("there is no such program", &look(&missing, 1).await, "unknown");
    let chatty = look(&shell("head -c 10000000 /dev/zero | tr '\\0' x; exit 1"), 1).await;
    let words = &answer(&chatty).reported.as_ref().unwrap().1;
    assert!(words.len() <= 256, "{}", words.len());
    table.reported("it prints 10 MB", &chatty, "yellow");

    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!("trap '' TERM; sleep 60 & echo $$ $! > {}; wait; sleep 60", pids.display());
    let mut stubborn = shell(&script);
    stubborn.timeout = Duration::from_millis(700);
    let hung = look(&stubborn, 1).await;
    table.fault("it sleeps, and so does its child", &hung, "hung ask plugin");
    assert!(fault(&hung).words.starts_with("the plug-in did not end"));
    let started = std::fs::read_to_string(&pids).unwrap();
    let started: Vec<Pid> =
        started.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect();
    assert_eq!(started.len(), 2);
    let gone = async {
        while started.iter().any(|pid| kill(*pid, None).is_ok() && !is_zombie(*pid)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("both ended");

    // The environment is its own.
    let seen =
        look(&shell("env | grep -v '^PATH=\\|^LC_ALL=\\|^PWD=\\|^SHLVL=\\|^_=' && exit 2; echo clean"), 1)
            .await;
    assert_eq!(answer(&seen).notes, ["clean"], "{seen:?}");
    table.finish();
    assert_eq!(
        mistakes("{ exec: { command: check_disk } }"),
        ["probe `exec`: `command` is a list that begins with the program's full path"]
    );
}

/// Its parent is this test's init, which may not have noticed yet.
fn is_zombie(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
