//! When the loop looks: on a clock that the test turns, so that every time is exact.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::clock::Clock;
use collector::run::{Collector, Looker, Looking};
use collector::store::Restored;
use probes::observation::{Answer, Observation, Outcome};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use topology::fault::{Fault, FaultKind};
use topology::model::{Address, Probe};

use crate::scene::read;

/// When looks began and ended, by instance.
type Times = HashMap<String, Vec<(Instant, Instant)>>;

/// Answers at once, but for the host `hung`: there every look takes all its time.
#[derive(Default)]
struct World {
    looks: Mutex<Times>,
}

impl Looker for World {
    fn look<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        let clock = Clock::of_process();
        let began = clock.instant();
        Box::pin(async move {
            let outcome = if address.host == "hung" {
                tokio::time::sleep(probe.timeout).await;
                Outcome::Fault(Fault::new(FaultKind::Hung, "ask", "no answer"))
            } else {
                Outcome::Answer(Answer::default())
            };
            let mut looks = self.looks.lock().unwrap();
            looks.entry(instance.to_owned()).or_default().push((began, clock.instant()));
            Observation::of(clock.instant() - began, outcome)
        })
    }
}

/// What a file's instances see in so many seconds.
async fn watched(seconds: u64, components: &str) -> Times {
    let text = format!("defaults: {{ interval: 3s, timeout: 1s }}\ncomponents:\n{components}");
    let world = Arc::new(World::default());
    let (collector, _boards) = Collector::new(
        Arc::new(read(&text)),
        Arc::clone(&world) as Arc<dyn Looker>,
        Clock::of_process(),
        collector::new_incident_id(),
        Restored::default(),
        None,
    );
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(collector.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    shutdown.cancel();
    task.await.unwrap();
    std::mem::take(&mut *world.looks.lock().unwrap())
}

fn gaps(times: &[(Instant, Instant)]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}

/// Timers are to the millisecond.
fn near(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= Duration::from_millis(2)
}

#[tokio::test(start_paused = true)]
async fn what_answers_is_looked_at_once_an_interval_without_drift() {
    let seen = watched(120, "  web: { instances: [\"10.0.0.[1-50]:80\"], probe: { tcp: {} } }\n").await;
    assert_eq!(seen.len(), 50);
    for (name, times) in &seen {
        let gaps = gaps(times);
        assert!(gaps[0] >= Duration::from_millis(300) && gaps[0] <= Duration::from_millis(3302), "{gaps:?}");
        assert!(gaps[1..].iter().all(|gap| near(*gap, Duration::from_secs(3))), "{name}: {gaps:?}");
        let (first, last) = (times[1].0, times[times.len() - 1].0);
        assert!(near(last - first, Duration::from_secs(3) * (times.len() as u32 - 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_gets_a_second_look_at_half_time_and_then_one_in_two_intervals() {
    let seen = watched(120, "  web: { instances: [\"hung:80\"], probe: { tcp: {} } }\n").await;
    let mut times = seen["web-1"].clone();
    times.sort();
    // The second look begins before the first has timed out: confirmed after one and a half timeouts.
    assert!(near(times[1].0 - times[0].0, Duration::from_millis(500)), "{times:?}");
    // The quick look after the first answer may still come; then it is known. No faster than every 5 s, in
    // steps of the interval, one at a time.
    let later = &times[3..];
    assert!(later.len() >= 15, "{}", later.len());
    assert!(gaps(later).iter().all(|gap| near(*gap, Duration::from_secs(6))), "{:?}", gaps(later));
}

#[tokio::test(start_paused = true)]
async fn a_hung_host_takes_so_many_turns_and_delays_nobody_else() {
    let seen = watched(
        16,
        "  stuck: { instances: [\"hung:[1000-1139]\"], probe: { tcp: {} } }\n  \
         web: { instances: [\"10.0.0.[1-50]:80\"], probe: { tcp: {} } }\n",
    )
    .await;
    let stuck: Vec<(Instant, Instant)> =
        seen.iter().filter(|(name, _)| name.starts_with("stuck")).flat_map(|(_, t)| t.clone()).collect();
    // Who begins while how many others are under way.
    let most = stuck.iter().map(|(at, _)| stuck.iter().filter(|(b, e)| b <= at && at < e).count()).max();
    assert!(most <= Some(70), "{most:?} at once");
    for times in seen.iter().filter(|(name, _)| name.starts_with("web")).map(|(_, times)| times) {
        assert!(gaps(times)[1..].iter().all(|gap| *gap <= Duration::from_millis(3002)), "{:?}", gaps(times));
    }
}
