//! `load`: customers at a fixed rate. Open loop: they come when they come, also while the platform is slow,
//! and a latency counts from the moment a customer came.

mod histogram;
mod mix;
mod tally;

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::histogram::Histogram;
pub(crate) use self::mix::{Mix, STEPS, Step};
use self::tally::Outcome;
pub(crate) use self::tally::Tally;
use crate::accepted::Accepted;
use crate::catalog::{PRODUCTS, STORES};
use crate::clock;
use crate::deployment::Deployment;
use crate::output::say;
use crate::roles::{cancel_on_signal, innermost, read_answer};
use crate::servers::STATIC_MENU;

/// Requests under way. What comes on top is shed, and counted.
const UNDER_WAY: usize = 512;
const PATIENCE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Orders that customers still look after.
const REMEMBERED: usize = 500;

#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadOptions {
    pub(crate) rate: u32,
    pub(crate) length: Duration,
    pub(crate) mix: Mix,
    pub(crate) json: bool,
}

struct Load {
    client: reqwest::Client,
    gateways: Vec<SocketAddrV4>,
    edges: Vec<SocketAddrV4>,
    accepted: Accepted,
    tally: Mutex<Tally>,
    orders: Mutex<VecDeque<i64>>,
}

pub(crate) async fn load(dir: &Path, options: LoadOptions) -> Result<u8> {
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let (tally, ran) = run(dir, options, &stop).await?;
    if options.json {
        say(serde_json::to_string_pretty(&tally.to_json(ran))?);
    } else {
        say(tally.table(ran));
    }
    Ok(0)
}

/// What came of it, and how long it took to send all.
pub(crate) async fn run(
    dir: &Path,
    options: LoadOptions,
    stop: &CancellationToken,
) -> Result<(Tally, Duration)> {
    let load = Arc::new(Load::new(dir)?);
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let began = clock::now();
    send_all(&load, options, began, &slots, stop).await;
    let ran = clock::now() - began;
    // Those under way have their own deadline.
    let all = u32::try_from(UNDER_WAY).unwrap_or(u32::MAX);
    let _all = slots.acquire_many(all).await;
    let tally = load.tally().clone();
    Ok((tally, ran))
}

/// So many customers, each asking again as soon as it is answered: good answers a second.
pub(crate) async fn most(dir: &Path, mix: Mix, connections: u32, length: Duration) -> Result<f64> {
    let load = Arc::new(Load::new(dir)?);
    let began = clock::now();
    let all = (0..u64::from(connections)).map(|connection| {
        let load = Arc::clone(&load);
        tokio::spawn(async move {
            let mut turn = 0;
            while clock::now() - began < length {
                let draw = scramble(connection << 32 | turn);
                let (step, asked) = (mix.step(draw >> 32), clock::now());
                let outcome = load.visit(step, draw).await;
                load.tally().add(step, outcome, clock::now() - asked);
                turn += 1;
            }
        })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.context("a customer's task failed")?;
    }
    let well = load.tally().well();
    Ok(well as f64 / (clock::now() - began).as_secs_f64())
}

async fn send_all(
    load: &Arc<Load>,
    options: LoadOptions,
    began: Instant,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) {
    let shows_progress = !options.json && std::io::stdout().is_terminal();
    let mut tell_at = began + TELL_EVERY;
    for number in 0_u64.. {
        let comes = Duration::from_secs_f64(number as f64 / f64::from(options.rate));
        if comes >= options.length {
            return;
        }
        let due = began + comes;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(due.into()) => {}
        }
        if shows_progress && clock::now() >= tell_at {
            let under_way = UNDER_WAY - slots.available_permits();
            say(load.tally().progress(clock::now() - began, under_way));
            tell_at += TELL_EVERY;
        }
        let draw = scramble(number);
        let step = options.mix.step(draw >> 32);
        let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
            load.tally().add(step, Outcome::Shed, Duration::ZERO);
            continue;
        };
        let load = Arc::clone(load);
        tokio::spawn(async move {
            let outcome = load.visit(step, draw).await;
            load.tally().add(step, outcome, clock::now() - due);
            drop(slot);
        });
    }
}

impl Load {
    fn new(dir: &Path) -> Result<Self> {
        let plan = Deployment::require(dir)?.plan()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            client,
            gateways: plan.addresses("gateway"),
            edges: plan.addresses("cdn"),
            accepted: Accepted::open(dir)?,
            tally: Mutex::default(),
            orders: Mutex::default(),
        })
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, VecDeque<i64>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One customer, one step. A gateway that takes no connection sends the customer to the next, as a
    /// name with several addresses does.
    async fn visit(&self, step: Step, draw: u64) -> Outcome {
        let (path, body) = self.request(step, draw);
        let first = draw as usize;
        let mut last = "there is no gateway".to_owned();
        let doors = if step == Step::Static { &self.edges } else { &self.gateways };
        for turn in 0..doors.len() {
            let Some(door) = doors.get(first.wrapping_add(turn) % doors.len()) else {
                continue;
            };
            let url = format!("http://{door}{path}");
            let request = match &body {
                Some(body) => self.client.post(url).json(body),
                None => self.client.get(url),
            };
            let answer = match request.send().await {
                Ok(answer) => {
                    if let Some(word) = answer.headers().get("x-cache").and_then(|word| word.to_str().ok()) {
                        self.tally().edge(word);
                    }
                    read_answer(answer).await
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok((status, bytes)) => return self.judge(step, status, &bytes),
                Err(error) if error.is_timeout() && !error.is_connect() => {
                    return Outcome::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
                }
                Err(error) if error.is_connect() => last = format!("no connection: {}", innermost(&error)),
                // Closed in the moment when it was used again, as HTTP allows. Every step may be asked for
                // again, so a phone does; it is counted.
                Err(error) => {
                    last = innermost(&error);
                    self.tally().ask_again();
                }
            }
        }
        Outcome::Failed(last)
    }

    fn judge(&self, step: Step, status: StatusCode, bytes: &[u8]) -> Outcome {
        if status.is_success() {
            if step == Step::Order
                && let Some(id) = self.accepted.note(bytes)
            {
                self.tally().accept();
                let mut orders = self.orders();
                orders.push_back(id);
                if orders.len() > REMEMBERED {
                    orders.pop_front();
                }
            }
            return Outcome::Well;
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Outcome::Refused;
        }
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let what = body.get("dependency").and_then(Value::as_str).unwrap_or("from the gateway");
        Outcome::Failed(format!("{} {what}", status.as_u16()))
    }

    fn request(&self, step: Step, draw: u64) -> (String, Option<Value>) {
        let (member, store, product) = (
            draw % 1000 + 1,
            draw / 1000 % STORES.unsigned_abs() + 1,
            draw / 20_000 % PRODUCTS.unsigned_abs() + 1,
        );
        match step {
            Step::Order => {
                let key = Uuid::now_v7().to_string();
                let order = json!({ "member": member, "store": store, "product": product, "request": key });
                ("/api/orders".to_owned(), Some(order))
            }
            Step::Coupon => {
                let claim = json!({ "member": member, "campaign": draw / 7 % 3 + 1 });
                ("/api/coupons/claim".to_owned(), Some(claim))
            }
            Step::Refresh => {
                let orders = self.orders();
                let page = match orders.get(draw as usize % orders.len().max(1)) {
                    // Now and then all of one's orders.
                    Some(_) if draw.is_multiple_of(5) => format!("/api/orders?member={member}"),
                    Some(order) => format!("/api/orders/{order}"),
                    // Nobody has ordered yet.
                    None => "/api/menu".to_owned(),
                };
                (page, None)
            }
            Step::Static => {
                let page = match draw / 3 % 5 {
                    0 => STATIC_MENU.to_owned(),
                    _ => format!("/static/pictures/{product}.svg"),
                };
                (page, None)
            }
            Step::Browse => {
                let page = match draw / 3 % 3 {
                    0 => format!("/api/home?member={member}&store={store}"),
                    1 => "/api/menu".to_owned(),
                    _ => format!("/api/products/{product}"),
                };
                (page, None)
            }
        }
    }
}

/// Numbers without a visible order, and the same in every run (the finaliser of splitmix64).
pub(crate) fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
