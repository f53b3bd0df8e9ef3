//! Breaking. What will undo a step is written down before it is taken, so that half a fault is undone, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::at_work::{SLOW_PAGES, SLOW_STORE, herd, slow_down};
use super::journal::Journal;
use super::list::{Breakage, Fault};
use super::servers::{As, Session, connect_redis, rabbit};
use super::undo::Undo;
use crate::catalog::Kind;
use crate::clock;
use crate::deploy::{self, Change};
use crate::deployment::{Deployment, Running, State};
use crate::names;
use crate::plan::{Instance, Plan};
use crate::process::{self, Life, Process};
use crate::roles::{Defect, poison};
use crate::secrets::APP_USER;
use crate::servers::{DEAD, DISK_LIMIT, MEMORY_LIMIT, table_of};

/// Nobody knows this one.
const OTHER_PASSWORD: &str = "nobody-knows-this-one";
/// The caller that takes all connections for itself.
const HOG: &str = "nightly-report";
/// Less than an empty Redis needs for itself and a few keys.
const TOO_LITTLE: &str = "1mb";
const FILLER: &str = "filler";
const FILLERS: u32 = 64;
/// Keys that take a Redis a minute or two to read in at the pace it is given.
const LOADED: u32 = 120_000;
/// Between two keys, in microseconds.
const LOAD_PAUSE: &str = "1000";
/// Messages that are no orders.
const POISON: usize = 3;
/// A clock that is wrong by this much signs nothing that anybody takes.
const AHEAD: u32 = 3600;
const MORE_THAN_ANY_DISK: &str = "900000GB";
/// From the base port to where nothing listens.
const NOBODYS_PORT: u16 = 99;

pub(crate) struct Injected {
    dir: PathBuf,
    journal: Journal,
    /// Sessions that hold something for as long as they live.
    held: Vec<Session>,
    at_work: Vec<(JoinHandle<()>, CancellationToken)>,
    /// What was broken, with the processes.
    pub(super) broken: Vec<Value>,
}

impl Injected {
    pub(super) fn new(dir: &Path, fault: &str) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            journal: Journal::begin(dir, fault)?,
            held: Vec::new(),
            at_work: Vec::new(),
            broken: Vec::new(),
        })
    }

    pub(super) async fn inject(&mut self, deployment: &Deployment, fault: &Fault) -> Result<()> {
        let state = State::load(&self.dir)?.context("the platform was never completely up")?;
        let plan = deployment.plan()?;
        let names = fault.breakage.instances(&plan);
        let mut targets = Vec::new();
        for name in &names {
            let running = state
                .find(name)
                .with_context(|| format!("no instance is called {name} in this deployment"))?;
            let life = running.process().life();
            if life != Life::Alive {
                bail!("{name} is {} already: mend it first with `up --repair`", life.word());
            }
            targets.push((running, process::family(running.pid)));
        }
        let defect = match fault.breakage {
            Breakage::BadRelease => Some(Defect::BadRelease),
            Breakage::Errors(_) => Some(Defect::Errors),
            Breakage::Cut(_, component) => Some(Defect::Cut(component)),
            Breakage::Clock(_) => Some(Defect::ClockAhead(AHEAD)),
            Breakage::ExpiredCertificate(_) => Some(Defect::ExpiredCertificate),
            _ => None,
        };
        if let Some(defect) = defect {
            self.journal.note(Undo::Restart(names.clone()))?;
            deploy::replace(&self.dir, &names, &Change::with(defect)).await?;
        }
        if let Breakage::Kill(_) | Breakage::LoseHost(_) | Breakage::LoseZone(_) = fault.breakage {
            self.journal.note(Undo::Start(names.clone()))?;
            // All at once, as a machine that loses its power.
            for (_, processes) in &targets {
                signal_all(processes, Signal::SIGKILL)?;
            }
        }
        for (running, processes) in targets {
            self.break_one(deployment, &plan, fault.breakage, running, &processes)
                .await
                .with_context(|| format!("cannot break {}", running.name))?;
            self.broken.push(json!({
                "name": running.name, "address": running.address, "how": fault.breakage.word(),
                "pid": running.pid,
                "pids": processes.iter().map(|process| process.pid).collect::<Vec<_>>(),
            }));
        }
        Ok(())
    }

    async fn break_one(
        &mut self,
        deployment: &Deployment,
        plan: &Plan,
        breakage: Breakage,
        running: &Running,
        processes: &[Process],
    ) -> Result<()> {
        let instance = plan.instance(&running.name)?;
        match breakage {
            Breakage::BadRelease
            | Breakage::Errors(_)
            | Breakage::Cut(..)
            | Breakage::ExpiredCertificate(_)
            | Breakage::Clock(_) => Ok(()),
            Breakage::Kill(_) | Breakage::LoseHost(_) | Breakage::LoseZone(_) => await_death(processes).await,
            Breakage::Stop(_) => {
                self.journal.note(Undo::Continue(processes.to_vec()))?;
                signal_all(processes, Signal::SIGSTOP)
            }
            Breakage::Slow(_) => {
                self.journal.note(Undo::Continue(processes.to_vec()))?;
                signal_all(processes, Signal::SIGSTOP)?;
                let stop = CancellationToken::new();
                let how = match instance.component.kind {
                    Kind::Redis | Kind::MariaDb | Kind::Postgres | Kind::RabbitMq => SLOW_STORE,
                    _ => SLOW_PAGES,
                };
                let task = slow_down(running.pid, how, stop.clone());
                self.at_work.push((tokio::spawn(task), stop));
                Ok(())
            }
            Breakage::Fill(_) => self.fill(deployment, instance).await,
            Breakage::Loading(_) => self.load(deployment, instance).await,
            Breakage::Password(_) => self.change_password(deployment, instance).await,
            Breakage::Lock(_) => {
                let mut session = Session::open(deployment, instance, As::Admin).await?;
                let table = table_of(instance.component.database()).context("a database without a table")?;
                match session {
                    Session::Postgres(_) => {
                        session.run("BEGIN").await?;
                        session.run(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
                    }
                    Session::MariaDb(_) => session.run(&format!("LOCK TABLES {table} WRITE")).await?,
                }
                self.held.push(session);
                Ok(())
            }
            Breakage::Slots(_) => self.take_slots(deployment, instance).await,
            Breakage::ReadOnly(_) => {
                let (on, off): (&[&str], &[&str]) = if instance.component.kind == Kind::Postgres {
                    (
                        &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
                        &["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
                    )
                } else {
                    (&["SET GLOBAL read_only = ON"], &["SET GLOBAL read_only = OFF"])
                };
                self.sql(deployment, instance, on, off).await
            }
            Breakage::Lag(_) => {
                let (on, off) = (["SELECT pg_wal_replay_pause()"], ["SELECT pg_wal_replay_resume()"]);
                self.sql(deployment, instance, &on, &off).await
            }
            Breakage::MemoryAlarm(_) => {
                let words = |limit: &str| {
                    vec![words("set_vm_memory_high_watermark absolute"), vec![limit.to_owned()]]
                };
                self.rabbit(instance, words("1MiB").concat(), words(MEMORY_LIMIT).concat()).await
            }
            Breakage::NoConsumer(_) => {
                let permissions = |read: &str| -> Vec<String> {
                    ["set_permissions", "-p", "/", APP_USER, "^$", ".*", read].map(str::to_owned).into()
                };
                self.rabbit(instance, permissions("^$"), permissions(".*")).await?;
                // Open channels would go on as if nothing had happened.
                rabbit(&self.dir, &instance.name, &words("close_all_connections rotated")).await
            }
            Breakage::NameGone(_) => {
                self.journal.note(Undo::Names)?;
                names::forget(deployment)
            }
            Breakage::DiskAlarm(_) => {
                let words = |limit: &str| vec!["set_disk_free_limit".to_owned(), limit.to_owned()];
                self.rabbit(instance, words(MORE_THAN_ANY_DISK), words(DISK_LIMIT)).await
            }
            Breakage::DiskFull(_) => {
                self.journal.note(Undo::FullDisk(instance.name.clone()))?;
                deploy::fill_disk(&self.dir, &instance.name).await
            }
            Breakage::WrongUpstream(_) => {
                let wrong = format!(":{} max_fails", plan.base_port + NOBODYS_PORT);
                let right = plan.of("miniapp-server").next().context("no mini-program server")?;
                self.misconfigure(
                    deployment,
                    running,
                    &format!(":{} max_fails", right.address.port()),
                    &wrong,
                )
            }
            Breakage::NoCache(_) => {
                self.misconfigure(deployment, running, "proxy_cache menu;", "proxy_cache off;")
            }
            Breakage::Herd { cache, .. } => {
                self.journal.note(Undo::Continue(processes.to_vec()))?;
                let mut redis = connect_redis(deployment, plan.instance(cache)?.address, None).await?;
                redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
                signal_all(processes, Signal::SIGSTOP)?;
                let stop = CancellationToken::new();
                let task = herd(self.dir.clone(), processes.to_vec(), stop.clone());
                self.at_work.push((tokio::spawn(task), stop));
                Ok(())
            }
            Breakage::Poison(_) => {
                let undo = ["purge_queue", DEAD].map(str::to_owned).into();
                self.journal.note(Undo::Rabbit { instance: instance.name.clone(), words: undo })?;
                poison(deployment, instance, POISON).await
            }
        }
    }

    async fn sql(
        &mut self,
        deployment: &Deployment,
        instance: &Instance,
        on: &[&str],
        off: &[&str],
    ) -> Result<()> {
        let mut session = Session::open(deployment, instance, As::Admin).await?;
        let statements = off.iter().map(|statement| (*statement).to_owned()).collect();
        self.journal.note(Undo::Sql { instance: instance.name.clone(), statements })?;
        for statement in on {
            session.run(statement).await?;
        }
        Ok(())
    }

    async fn rabbit(&mut self, instance: &Instance, on: Vec<String>, off: Vec<String>) -> Result<()> {
        self.journal.note(Undo::Rabbit { instance: instance.name.clone(), words: off })?;
        rabbit(&self.dir, &instance.name, &on).await
    }

    /// A wrong word in the settings of an nginx, which takes them at once.
    fn misconfigure(
        &mut self,
        deployment: &Deployment,
        running: &Running,
        right: &str,
        wrong: &str,
    ) -> Result<()> {
        self.journal.note(Undo::Configure(running.name.clone()))?;
        let path = deployment.home(&running.name).join("nginx.conf");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if !text.contains(right) {
            bail!("`{right}` is not in {}", path.display());
        }
        std::fs::write(&path, text.replace(right, wrong))
            .with_context(|| format!("cannot write {}", path.display()))?;
        running.process().try_signal(Signal::SIGHUP)
    }

    async fn fill(&mut self, deployment: &Deployment, instance: &Instance) -> Result<()> {
        let policy = if instance.component.keeps_data() { "noeviction" } else { "allkeys-lru" };
        let mut commands = vec![words("CONFIG SET maxmemory 64mb"), words("CONFIG SET maxmemory-policy")];
        if let Some(last) = commands.last_mut() {
            last.push(policy.to_owned());
        }
        let mut delete = vec!["DEL".to_owned()];
        delete.extend((0..FILLERS).map(|number| format!("{FILLER}:{number}")));
        commands.push(delete);
        self.journal.note(Undo::Redis { instance: instance.name.clone(), password: None, commands })?;
        let mut redis = connect_redis(deployment, instance.address, None).await?;
        set(&mut redis, "maxmemory-policy", "noeviction").await?;
        set(&mut redis, "maxmemory", TOO_LITTLE).await?;
        let filler = "x".repeat(64 * 1024);
        for number in 0..FILLERS {
            let key = format!("{FILLER}:{number}");
            if redis::cmd("SET").arg(key).arg(&filler).exec_async(&mut redis).await.is_err() {
                // "OOM command not allowed": it is full.
                break;
            }
        }
        Ok(())
    }

    /// A data set on disk, and a start that reads it in slowly.
    async fn load(&mut self, deployment: &Deployment, instance: &Instance) -> Result<()> {
        let dump = deployment.home(&instance.name).join("dump.rdb");
        // Undone from the last step on: the restart must not find the file any more.
        self.journal.note(Undo::Restart(vec![instance.name.clone()]))?;
        self.journal.note(Undo::RemoveFile(dump))?;
        let mut redis = connect_redis(deployment, instance.address, None).await?;
        let script = "for i = 1, ARGV[1] do redis.call('SET', 'bulk:' .. i, i) end";
        redis::cmd("EVAL").arg(script).arg(0).arg(LOADED).exec_async(&mut redis).await?;
        redis::cmd("SAVE").exec_async(&mut redis).await?;
        let slowly = ["--key-load-delay", LOAD_PAUSE, "--loading-process-events-interval-bytes", "1024"];
        deploy::replace(&self.dir, std::slice::from_ref(&instance.name), &Change::started_with(&slowly)).await
    }

    async fn change_password(&mut self, deployment: &Deployment, instance: &Instance) -> Result<()> {
        if instance.component.kind == Kind::Redis {
            let back = vec!["CONFIG", "SET", "requirepass"];
            let mut back: Vec<String> = back.into_iter().map(str::to_owned).collect();
            back.push(deployment.secrets().redis()?);
            self.journal.note(Undo::Redis {
                instance: instance.name.clone(),
                password: Some(OTHER_PASSWORD.to_owned()),
                commands: vec![back],
            })?;
            let mut redis = connect_redis(deployment, instance.address, None).await?;
            set(&mut redis, "requirepass", OTHER_PASSWORD).await?;
            // Open connections would go on as if nothing had happened.
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).exec_async(&mut redis).await.ok();
            return Ok(());
        }
        let statement = |password: &str| match instance.component.kind {
            Kind::Postgres => format!("ALTER ROLE {APP_USER} PASSWORD '{password}'"),
            // Hexadecimal digits of our own making, or the words above: nothing to quote.
            _ => format!("ALTER USER {APP_USER}@'%' IDENTIFIED BY '{password}'"),
        };
        let (on, off) =
            (statement(OTHER_PASSWORD), statement(&deployment.secrets().app(instance.component.name)?));
        self.sql(deployment, instance, &[&on], &[&off]).await?;
        Session::open(deployment, instance, As::Admin).await?.end_sessions(None).await
    }

    /// Until there is none left, and then those of the others.
    async fn take_slots(&mut self, deployment: &Deployment, instance: &Instance) -> Result<()> {
        while let Ok(session) = Session::open(deployment, instance, As::Caller(HOG)).await {
            self.held.push(session);
        }
        if instance.component.kind == Kind::Postgres {
            Session::open(deployment, instance, As::Admin).await?.end_sessions(Some(HOG)).await?;
        }
        let (deployment, instance, stop) = (deployment.clone(), instance.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while !stopped.is_cancelled() {
                // What somebody gives back is taken, too.
                match Session::open(&deployment, &instance, As::Caller(HOG)).await {
                    Ok(session) => held.push(session),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        self.at_work.push((task, stop));
        Ok(())
    }

    /// The last step first. All of them are tried, whatever fails on the way.
    pub(crate) async fn undo(&mut self) -> Result<()> {
        for (task, stop) in self.at_work.drain(..) {
            stop.cancel();
            task.await.context("a task failed")?;
        }
        self.held.clear();
        undo(&self.dir, &self.journal).await
    }
}

/// What a journal says.
pub(super) async fn undo(dir: &Path, journal: &Journal) -> Result<()> {
    let mut trouble = None;
    for step in journal.undo.iter().rev() {
        trouble = trouble.or(step.take(dir).await.err());
    }
    match trouble {
        None => {
            journal.end();
            Ok(())
        }
        Some(error) => Err(error),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

async fn set(redis: &mut redis::aio::MultiplexedConnection, name: &str, value: &str) -> Result<()> {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(redis).await?;
    Ok(())
}

fn signal_all(processes: &[Process], signal: Signal) -> Result<()> {
    for process in processes {
        process.try_signal(signal)?;
    }
    Ok(())
}

async fn await_death(processes: &[Process]) -> Result<()> {
    let deadline = clock::now() + Duration::from_secs(5);
    while processes.iter().any(|process| process.life() != Life::Dead) {
        if clock::now() > deadline {
            bail!("it does not end even when killed");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
