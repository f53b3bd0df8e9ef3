//! Starting the binary, waiting for conditions, and ending only what was started here.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Everything awaited here comes within this, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn topowatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_topowatch"));
    command
        .env_remove("TOPOWATCH_URL")
        .env_remove("TOPOWATCH_TOKEN")
        .env_remove("DEMO_DIR")
        .env_remove("DEMO_PORT")
        .env_remove("DEMO_WEBHOOK");
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    topowatch().args(args).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Waits until `what` gives something.
#[expect(clippy::disallowed_methods, reason = "a deadline needs the clock")]
pub(crate) fn await_some<T>(name: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for: {name}", PATIENCE.as_secs());
        // The pause between two looks at the condition, not a wait for it.
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn await_true(name: &str, mut what: impl FnMut() -> bool) {
    await_some(name, || what().then_some(()));
}

/// A port that was free a moment ago, outside the range that outgoing connections take.
pub(crate) fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Ten for each test: they run side by side, as processes with neighbouring ids.
    let start = 26_000 + (std::process::id() % 600) as u16 * 10;
    await_some("a free port", || {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        std::net::TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}

/// A process that is ended, and waited for, with the test.
pub(crate) struct Process {
    pub(crate) child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn await_end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = await_some("the end of a process", || self.child.try_wait().unwrap());
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A demo needs its time to stop everything; its guard does so even after a SIGKILL.
            let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
            if kill(pid, Signal::SIGTERM).is_ok() && !thread::panicking() {
                self.await_end();
            } else {
                drop(self.child.wait());
            }
        }
    }
}

/// One of the demo's processes by hand.
pub(crate) fn send(pid: i64, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// A running demo.
pub(crate) struct Demo {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    pub(crate) process: Process,
}

impl Demo {
    /// Starts one and waits until it has seen everything.
    pub(crate) fn start(dir: &Path, webhook: Option<&str>) -> Self {
        let demo = Self::begin(dir, webhook);
        await_true("the demo", || {
            assert!(demo.is_running(), "the demo ended: {}", demo.said());
            dir.join("url").exists()
        });
        demo
    }

    /// Starts one.
    pub(crate) fn begin(dir: &Path, webhook: Option<&str>) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let port = free_port();
        let mut command = topowatch();
        command.arg("demo").arg("--dir").arg(dir).args(["--port", &port.to_string()]);
        if let Some(webhook) = webhook {
            command.env("DEMO_WEBHOOK", webhook);
        }
        let process = Process::start(&mut command, &dir.join("demo.log"));
        Self { dir: dir.to_owned(), port, process }
    }

    pub(crate) fn is_running(&self) -> bool {
        Path::new(&format!("/proc/{}/stat", self.process.child.id())).exists()
            && std::fs::read_to_string(format!("/proc/{}/stat", self.process.child.id()))
                .is_ok_and(|stat| !stat.contains(") Z "))
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.dir.join("demo.log")).unwrap_or_default()
    }

    /// A query of its monitor.
    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        let url = format!("http://127.0.0.1:{}", self.port);
        topowatch().args(args).args(["--url", &url]).output().unwrap()
    }

    /// The JSON of a query.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        serde_json::from_str(&stdout(&self.ask(&all))).unwrap()
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.dir.join("state.json")).unwrap()).unwrap()
    }

    /// The main process of an instance.
    pub(crate) fn pid_of(&self, instance: &str) -> i64 {
        let state = self.state();
        let components = state["components"].as_object().unwrap();
        components
            .values()
            .flat_map(|list| list.as_array().unwrap())
            .find(|one| one["name"] == instance)
            .unwrap_or_else(|| panic!("no {instance} in state.json"))["pid"]
            .as_i64()
            .unwrap()
    }

    pub(crate) fn platform(&self, args: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_topowatch")).with_file_name("ordering-platform");
        Command::new(program).args(args).arg("--dir").arg(&self.dir).output().unwrap()
    }

    pub(crate) fn await_green(&self) {
        let output = self.ask(&["health", "--wait", "green", "--timeout", "90s"]);
        assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    }
}

/// The processes, zombies left out, that belong to the demo in `dir`: by their command line, their environment
/// or their working directory.
pub(crate) fn left_behind(dir: &Path) -> Vec<String> {
    let wanted = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let wanted = wanted.as_os_str().as_encoded_bytes();
    let mentions = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        if pid == std::process::id() || stat.contains(") Z ") || stat.is_empty() {
            continue;
        }
        if mentions(&read("cmdline")) || mentions(&read("environ")) {
            left.push(format!("{pid} {}", String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
        }
    }
    left
}
