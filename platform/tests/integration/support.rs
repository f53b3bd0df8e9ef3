//! A platform of real servers in a directory of its own, ended with the test.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::Connection as _;
use tempfile::TempDir;

/// Generous: a loaded machine is no failure. Everything waits for a condition, nothing for a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "a deadline for a real wait")]
pub(crate) fn await_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The same, and how long it took.
#[expect(clippy::disallowed_methods, reason = "the promise is about real time")]
pub(crate) fn seconds_until(what: &str, ask: impl FnMut() -> Option<()>) -> f64 {
    let began = Instant::now();
    await_until(what, ask);
    began.elapsed().as_secs_f64()
}

pub(crate) fn command(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordering-platform"));
    command.args(arguments).arg("--dir").arg(dir);
    command
}

pub(crate) fn run(arguments: &[&str], dir: &Path) -> Output {
    command(arguments, dir).output().unwrap()
}

/// Processes that carry a deployment's mark, or work in its data directory, and are not just waiting for
/// somebody to take notice of their end.
pub(crate) fn processes_of(deployment: &Value) -> Vec<i32> {
    let mark = format!("ORDERING_PLATFORM_DIR={}", deployment["id"].as_str().unwrap());
    let data = deployment["data"].as_str().unwrap();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let proc = Path::new("/proc").join(pid.to_string());
        let environment = std::fs::read(proc.join("environ")).unwrap_or_default();
        let marked = environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
        let at_home =
            std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.to_string_lossy().starts_with(data));
        marked || at_home
    })
    .collect()
}

pub(crate) fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

pub(crate) struct Platform {
    pub(crate) dir: TempDir,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Platform {
    pub(crate) fn up() -> Self {
        Self::up_with(&[])
    }

    pub(crate) fn up_with(options: &[&str]) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let platform = Self { dir, http, runtime };
        let output = run(&[&["up", "--base-port", "auto"], options].concat(), platform.dir.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        platform
    }

    pub(crate) fn deployment(&self) -> Value {
        read_json(&self.dir.path().join("deployment.json")).unwrap()
    }

    fn instance(&self, name: &str) -> Value {
        let state = read_json(&self.dir.path().join("state.json")).unwrap();
        let instances =
            state["components"].as_object().unwrap().values().flat_map(|list| list.as_array().unwrap());
        instances.into_iter().find(|instance| instance["name"] == name).cloned().unwrap()
    }

    pub(crate) fn pid(&self, name: &str) -> i32 {
        self.instance(name)["pid"].as_i64().unwrap().try_into().unwrap()
    }

    pub(crate) fn address(&self, name: &str) -> String {
        self.instance(name)["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        kill(Pid::from_raw(self.pid(name)), signal).unwrap();
    }

    /// Every process of it: nginx's workers outlive their master.
    pub(crate) fn kill_whole(&self, name: &str) {
        let main = self.pid(name);
        let parent = |pid: i32| -> Option<i32> {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        let all = std::fs::read_dir("/proc").unwrap();
        let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let workers: Vec<i32> = all.filter(|pid| parent(*pid) == Some(main)).collect();
        for pid in std::iter::once(main).chain(workers) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }

    /// Is the other server of its shard streaming from this one?
    pub(crate) fn is_followed(&self, server: &str) -> bool {
        let url =
            format!("postgres://monitor:{}@{}/orders", self.secret("monitor-postgres"), self.address(server));
        self.runtime.block_on(async {
            let Ok(mut connection) = sqlx::PgConnection::connect(&url).await else { return false };
            sqlx::query_scalar("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
                .fetch_one(&mut connection)
                .await
                .unwrap_or(false)
        })
    }

    pub(crate) fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("secrets").join(name)).unwrap()
    }

    /// Status and body, or nothing when there was no answer.
    pub(crate) fn get(&self, instance: &str, path: &str) -> Option<(u16, Value)> {
        let request = self.http.get(format!("http://{}{path}", self.address(instance)));
        self.runtime.block_on(answer(request))
    }

    pub(crate) fn text(&self, instance: &str, path: &str) -> Option<String> {
        let request = self.http.get(format!("http://{}{path}", self.address(instance)));
        self.runtime.block_on(async { String::from_utf8(bytes(request.send().await.ok()?).await?).ok() })
    }

    /// Minutes of the order curve that one shard knows, and orders of the last one that is not made up; read
    /// with the monitor's account.
    pub(crate) fn orders_a_minute(&self, shard: &str) -> (i64, i64) {
        let url =
            format!("postgres://monitor:{}@{}/orders", self.secret("monitor-postgres"), self.address(shard));
        await_until("an order in the curve", || {
            self.runtime.block_on(async {
                let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
                sqlx::query_as(
                    "SELECT count(*), (SELECT orders FROM order_counts WHERE NOT generated
                         ORDER BY minute DESC LIMIT 1) FROM order_counts",
                )
                .fetch_one(&mut connection)
                .await
                .map(|(all, last): (i64, Option<i64>)| last.map(|last| (all, last)))
                .unwrap()
            })
        })
    }

    pub(crate) fn post(&self, instance: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.http.post(format!("http://{}{path}", self.address(instance))).json(body);
        self.runtime.block_on(answer(request))
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn repair(&self) -> String {
        let output = run(&["up", "--repair"], self.dir.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The order as its customer sees it, once it can be picked up.
    pub(crate) fn await_ready(&self, order: i64) -> Value {
        await_until("a pickup code", || {
            let (_, shown) = self.get("gateway-2", &format!("/api/orders/{order}"))?;
            (shown["status"] == "ready").then_some(shown)
        })
    }

    fn redis(&self, instance: &str) -> redis::Connection {
        let url = format!("redis://:{}@{}/", self.secret("redis"), self.address(instance));
        redis::Client::open(url).unwrap().get_connection().unwrap()
    }

    /// Is it on its store's list, or taken from there and not made?
    pub(crate) fn is_open(&self, store: i64, order: i64) -> bool {
        let mut redis = self.redis("oms-redis-1");
        let mut on = |list: &str| -> Option<f64> {
            redis::cmd("ZSCORE").arg(format!("store:{store}:{list}")).arg(order).query(&mut redis).unwrap()
        };
        on("new").or_else(|| on("taken")).is_some()
    }

    /// The pickup code that waits at the OMS for the order service.
    pub(crate) fn pickup_code(&self, order: i64) -> Option<String> {
        redis::cmd("HGET").arg("pickups").arg(order).query(&mut self.redis("oms-redis-1")).unwrap()
    }

    /// Does it take no more?
    pub(crate) fn redis_refuses(&self, instance: &str) -> bool {
        redis::cmd("SET").arg("probe").arg("x").exec(&mut self.redis(instance)).is_err()
    }

    /// Places an order, again while the platform is busy; the key makes it one order.
    pub(crate) fn order(&self, store: i64) -> i64 {
        let body = serde_json::json!({
            "member": 7, "store": store, "product": 3, "request": uuid::Uuid::now_v7().to_string(),
        });
        await_until("an accepted order", || {
            let (status, answer) = self.post("gateway-1", "/api/orders", &body)?;
            (status == 201).then(|| answer["id"].as_i64().unwrap())
        })
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        run(&["down"], self.dir.path());
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&bytes(answer).await?).unwrap_or_default()))
}

async fn bytes(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}
