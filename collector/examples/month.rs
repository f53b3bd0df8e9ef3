//! Thirty days of a platform's history in as long as it takes to write them: how big it gets, and how long the
//! questions of the week page take.
//!
//! `cargo run --release -p collector --example month [INSTANCES] [DAYS]`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that speaks to a person")]

use std::time::Duration;

use collector::clock::Clock;
use collector::history::{History, Window};
use collector::store::upkeep::Upkeep;
use collector::store::{Batch, LevelChange, LookRow, Store};
use jiff::{SignedDuration, Timestamp};

/// Signals of one look, beside what every look has.
const SIGNALS: [&str; 8] = [
    "latency_seconds",
    "failed_ratio",
    "redis.memory_used_ratio",
    "redis.connected_clients",
    "redis.commands_per_second",
    "redis.keyspace_hit_ratio",
    "redis.replication_lag_seconds",
    "redis.uptime_seconds",
];
const INTERVAL: i64 = 3;

/// A small generator of numbers (xorshift64*): the same month every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<i64>().unwrap());
    let (instances, days) = (arguments.next().unwrap_or(300), arguments.next().unwrap_or(30));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("month.db");
    let store = Store::open(&format!("sqlite://{}", file.display())).await.unwrap();
    let clock = Clock::of_process();
    let began = clock.now();
    let start: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
    let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
    let mut numbers = Numbers(42);
    let mut upkeep = Upkeep::default();
    let names: Vec<String> = (0..instances).map(|i| format!("service-{}-{}", i / 20, i % 20 + 1)).collect();
    let mut red = vec![false; names.len()];
    let mut largest = 0;
    let end = days * 86_400;
    for minute in 0..end / 60 {
        let mut batch = Batch::default();
        for second in (minute * 60..(minute + 1) * 60).step_by(INTERVAL as usize) {
            for name in &names {
                let signals = SIGNALS.iter().map(|signal| {
                    (
                        (*signal).to_owned(),
                        match *signal {
                            "failed_ratio" => 0.0,
                            "redis.uptime_seconds" => second as f64,
                            _ => numbers.next(),
                        },
                    )
                });
                batch.look(LookRow { node: name.clone(), at: at(second), signals: signals.collect() });
            }
        }
        // Every node is said again every six hours, and changes its level some twice a day.
        for (name, red) in names.iter().zip(&mut red) {
            let again = minute % 360 == 0;
            let change = numbers.next() < if *red { 0.2 } else { 1.0 / 1440.0 };
            *red ^= change;
            if again || change {
                let level = if *red { "red" } else { "green" };
                let moved = LevelChange {
                    node: name.clone(),
                    at: at(minute * 60),
                    level: level.to_owned(),
                    words: if *red {
                        "refused: nobody listens on 10.0.0.1:6379".to_owned()
                    } else {
                        String::new()
                    },
                    again: again && !change,
                    ..LevelChange::default()
                };
                batch.level(moved, at(minute * 60));
            }
        }
        batch.watched(start, at((minute + 1) * 60));
        store.write(&batch).await.unwrap();
        upkeep.step(&store, at((minute + 1) * 60).as_millisecond()).await.unwrap();
        if minute % 1440 == 1439 {
            let size = std::fs::metadata(&file).unwrap().len();
            largest = largest.max(size);
            println!("day {:>3}: {:>6.1} MB", minute / 1440 + 1, size as f64 / 1e6);
        }
    }
    let took = clock.now().duration_since(began);
    println!("{instances} instances, {days} days, a look each {INTERVAL} s, {} signals each", SIGNALS.len());
    println!("written in {:.0} s; largest file {:.1} MB", took.as_secs_f64(), largest as f64 / 1e6);

    let history = History::of(&store);
    let now = at(end);
    let week = Window::last(Duration::from_hours(7 * 24), now);
    for round in ["first", "again"] {
        let began = clock.instant();
        let changes = history.availability(week, &[]).await.unwrap();
        let availability = began.elapsed();
        let levels = history.levels_at(at(end - 3 * 86_400 - 1_234)).await.unwrap();
        let travel = began.elapsed().saturating_sub(availability);
        let series = history.series(&names[7], week, 600, now).await.unwrap();
        let curve = began.elapsed().saturating_sub(availability + travel);
        println!(
            "{round}: availability of {} nodes over the week {:.1} ms, levels of {} nodes at a moment {:.1} ms, \
             a node's week in {} points {:.1} ms",
            changes.len(),
            availability.as_secs_f64() * 1e3,
            levels.nodes.len(),
            travel.as_secs_f64() * 1e3,
            series.signals["latency_seconds"].len(),
            curve.as_secs_f64() * 1e3,
        );
    }
}
