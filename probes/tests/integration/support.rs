//! Probes to look with, and real servers that end with their test.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Gid, Pid, Uid, chown};
use probes::Prober;
use probes::observation::{Answer, Observation, Outcome};
use tempfile::TempDir;
use topology::fault::Fault;
use topology::model::{Address, OptionValue, Probe};

use crate::table::Table;

/// Generous: a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_mins(1);
/// Debian's `nobody`: the databases refuse to run as root.
const NOBODY: u32 = 65534;

pub(crate) fn probe(kind: &str) -> Probe {
    let kind = probes::specs().into_iter().find(|spec| spec.name == kind).unwrap();
    Probe {
        kind,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        options: std::collections::BTreeMap::new(),
        thresholds: Vec::new(),
        labels: Vec::new(),
        entries: Vec::new(),
    }
}

struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

/// A probe as topology.yaml gives it: `{ redis: { password: x } }`.
pub(crate) fn read(probe: &str) -> Probe {
    let file = format!("components:\n  it: {{ instances: [\"127.0.0.1:1\"], probe: {probe} }}\n");
    let model = topology::read(&file, &probes::specs(), &Nothing);
    let (mut model, _) = model.unwrap_or_else(|wrong| panic!("{probe}: {wrong:?}"));
    std::sync::Arc::into_inner(model.components.remove(0).probes.remove(0)).unwrap()
}

/// A probe of each kind that goes over a network, with no more options than it needs.
pub(crate) fn networked() -> Vec<Probe> {
    let mut probes = Vec::new();
    for spec in probes::specs() {
        let options = match spec.name {
            "exec" | "heartbeat" | "access_log" => continue,
            "dns" => "{ name: shop.example }",
            "prometheus" => "{ values: { it: { metric: up } } }",
            "journey" => "{ steps: { browse: { get: / } } }",
            _ => "{}",
        };
        probes.push(read(&format!("{{ {}: {options} }}", spec.name)));
    }
    probes
}

/// What is wrong with a probe as it is written.
pub(crate) fn mistakes(probe: &str) -> Vec<String> {
    let file = format!("components:\n  it: {{ instances: [\"127.0.0.1:1\"], probe: {probe} }}\n");
    match topology::read(&file, &probes::specs(), &Nothing) {
        Ok(_) => Vec::new(),
        Err(wrong) => wrong.into_iter().map(|diagnostic| diagnostic.message).collect(),
    }
}

/// Options as topology.yaml would give them.
pub(crate) fn with(mut probe: Probe, options: &[(&'static str, &str)]) -> Probe {
    for (name, value) in options {
        let value = match *name {
            "password" => OptionValue::Secret((*value).to_owned().into()),
            "write_check" | "tls" => OptionValue::Truth(*value == "true"),
            _ => OptionValue::Text((*value).to_owned()),
        };
        probe.options.insert(name, value);
    }
    probe
}

/// The loopback address, where nearly all servers of these tests are.
pub(crate) async fn look(probe: &Probe, port: u16) -> Observation {
    look_at(probe, "127.0.0.1", port).await
}

/// Looks once, and holds the probe to its deadline.
pub(crate) async fn look_at(probe: &Probe, host: &str, port: u16) -> Observation {
    let prober = Prober::new().unwrap();
    let address = Address { host: host.to_owned(), port };
    let limit = probe.timeout + Duration::from_secs(2);
    let looking = prober.look(probe, &address, "instance-1");
    let seen = tokio::time::timeout(limit, looking).await;
    seen.unwrap_or_else(|_| panic!("a look of {} outlived its timeout", probe.kind.name))
}

pub(crate) fn answer(observation: &Observation) -> &Answer {
    match &observation.outcome {
        Outcome::Answer(answer) => answer,
        other => panic!("no answer: {other:?}"),
    }
}

pub(crate) fn fault(observation: &Observation) -> &Fault {
    match &observation.outcome {
        Outcome::Fault(fault) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

/// `hung handshake`, `bad_answer ask status_5xx`, or `answer`.
pub(crate) fn summary(observation: &Observation) -> String {
    match &observation.outcome {
        Outcome::Answer(_) => "answer".to_owned(),
        Outcome::Fault(fault) => {
            let reason = fault.reason.map(|reason| format!(" {}", reason.as_str())).unwrap_or_default();
            format!("{} {}{reason}", fault.kind, fault.stage)
        }
        Outcome::Local(why) => format!("local: {why}"),
    }
}

/// Looks until it is answered: a server that has just been started, or goes on.
pub(crate) async fn await_answer(probe: &Probe, port: u16) -> Observation {
    let mut last = String::new();
    let looking = async {
        loop {
            let seen = look(probe, port).await;
            if matches!(seen.outcome, Outcome::Answer(_)) {
                return seen;
            }
            last = format!("{:?}", seen.outcome);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await.ok();
    seen.unwrap_or_else(|| panic!("{} did not answer: {last}", probe.kind.name))
}

/// Looks until what is seen begins with `wanted`.
pub(crate) async fn await_summary(probe: &Probe, port: u16, wanted: &str) -> Observation {
    let mut last = String::new();
    let looking = async {
        loop {
            let seen = look(probe, port).await;
            last = summary(&seen);
            if last.starts_with(wanted) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await.ok();
    seen.unwrap_or_else(|| panic!("{}: wanted {wanted}, saw {last}", probe.kind.name))
}

/// Looks until the target is reported on in words that contain `wanted`: a signal of this test's takes its time on
/// a busy machine, and so does a server.
pub(crate) async fn await_reported(probe: &Probe, port: u16, wanted: &str) -> Observation {
    let mut last = String::new();
    let looking = async {
        loop {
            let seen = look(probe, port).await;
            if let Outcome::Answer(Answer { reported: Some((_, words)), .. }) = &seen.outcome
                && words.contains(wanted)
            {
                return seen;
            }
            last = format!("{:?}", seen.outcome);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await.ok();
    seen.unwrap_or_else(|| panic!("{}: wanted a report of {wanted}, saw {last}", probe.kind.name))
}

/// Looks until a signal is as wanted.
pub(crate) async fn await_signal(
    probe: &Probe,
    port: u16,
    signal: &str,
    wanted: impl Fn(f64) -> bool,
) -> Observation {
    let mut last = String::new();
    let looking = async {
        loop {
            let seen = look(probe, port).await;
            if let Outcome::Answer(answer) = &seen.outcome
                && answer.signals.get(signal).is_some_and(|value| wanted(*value))
            {
                return seen;
            }
            last = format!("{:?}", seen.outcome);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looking).await.ok();
    seen.unwrap_or_else(|| panic!("{}: wanted another {signal}, saw {last}", probe.kind.name))
}

/// Stops a server, resumes it and kills it, and looks at it each time.
pub(crate) async fn stop_resume_kill(server: &mut Server, probe: &Probe, stage: &str, table: &mut Table) {
    server.signal(Signal::SIGSTOP);
    let hung = await_summary(probe, server.port, &format!("hung {stage}")).await;
    // UDP has no connections.
    assert!(fault(&hung).words.starts_with("connected, ") || stage == "ask", "{}", fault(&hung).words);
    assert!(hung.stages.iter().any(|known| known.name == stage), "{:?}", hung.stages);
    table.fault("SIGSTOP", &hung, &format!("hung {stage}"));
    server.signal(Signal::SIGCONT);
    await_answer(probe, server.port).await;
    server.kill();
    let gone = await_summary(probe, server.port, "refused tcp").await;
    table.fault("SIGKILL", &gone, "refused tcp");
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program of a Debian package.
pub(crate) fn program(path: &str, package: &str) -> PathBuf {
    let path = PathBuf::from(path);
    assert!(path.exists(), "{} is missing: apt-get install {package}", path.display());
    path
}

/// A directory that the servers' user may write to.
pub(crate) fn home() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    give(dir.path());
    dir
}

/// Gives a path to the servers' user, where it is another one.
pub(crate) fn give(path: &Path) {
    if Uid::effective().is_root() {
        chown(path, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).unwrap();
    }
}

/// A command that runs as the servers' user, quietly, in a group of its own.
pub(crate) fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", dir);
    command.env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("server.log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log);
    if Uid::effective().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Runs a tool to its end.
pub(crate) fn run(mut command: Command, dir: &Path) {
    let status = command.status().unwrap();
    let log = || std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
    assert!(status.success(), "{command:?}: {status}\n{}", log());
}

/// A running server; it ends with the test.
pub(crate) struct Server {
    child: Child,
    command: Command,
    pub(crate) port: u16,
    dir: Option<TempDir>,
}

impl Server {
    pub(crate) fn start(mut command: Command, port: u16, dir: Option<TempDir>) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, command, port, dir }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    /// Kills it and starts it anew, on the same port and files.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = self.command.spawn().unwrap();
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        // Its helpers are in its group.
        let _gone_already = killpg(self.pid(), Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

pub(crate) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Runs `test` again, alone, in a network (and with mounts) of its own; what it said.
pub(crate) fn in_namespace(test: &str, setup: &str) -> String {
    let me = std::env::current_exe().unwrap();
    let script = format!("{setup}\nip link set lo up\nexec \"$0\" --exact --ignored --nocapture {test}");
    let run = std::process::Command::new("unshare")
        .args(["--net", "--mount", "sh", "-ec", &script])
        .arg(me)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    said
}
