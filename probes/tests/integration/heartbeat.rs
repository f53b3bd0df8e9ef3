//! Reports that come, and reports that do not.

use std::time::Duration;

use probes::heartbeat::{Report, Status};
use probes::observation::{Observation, Outcome};
use probes::{Prober, Told, Unheard};
use topology::model::Address;

use crate::support::{read, summary};
use crate::table::Table;

async fn look_until(prober: &Prober, probe: &topology::model::Probe, wanted: &str) -> Observation {
    let address = Address { host: "127.0.0.1".to_owned(), port: 1 };
    let mut last = String::new();
    let looking = async {
        loop {
            let seen = prober.look(probe, &address, "backup-1").await;
            last = match &seen.outcome {
                Outcome::Answer(answer) => match &answer.reported {
                    Some((health, _)) => format!("reported {}", health.level()),
                    None => "green".to_owned(),
                },
                _ => summary(&seen),
            };
            if last == wanted {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_mins(1), looking).await.ok();
    seen.unwrap_or_else(|| panic!("wanted {wanted}, saw {last}"))
}

#[tokio::test]
async fn silence_is_red_and_a_report_makes_it_green() {
    let mut table = Table::new("heartbeat");
    let probe = read("{ heartbeat: { every: 1s, grace: 1s } }");
    let prober = Prober::new().unwrap();
    table.reported("nobody listens", &look_until(&prober, &probe, "reported unknown").await, "unknown");
    let listening = prober.clone();
    let listener = tokio::spawn(async move { listening.listen().await });
    let waiting = look_until(&prober, &probe, "reported unknown").await;
    table.reported("no report yet", &waiting, "unknown");

    let tell = async |status, message: &str| {
        let report = Report { status, message: message.to_owned(), ..Report::default() };
        // No more than two a second are taken.
        while let Err(why) = prober.report("backup-1", Told { report: report.clone(), ..Told::default() }) {
            assert_eq!(why, Unheard::TooOften);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tell(None, "").await;
    look_until(&prober, &probe, "green").await;
    tell(Some(Status::Warn), "disk nearly full").await;
    table.reported("a report of `warn`", &look_until(&prober, &probe, "reported yellow").await, "yellow");
    tell(Some(Status::Fail), "no space left").await;
    table.reported("a report of `fail`", &look_until(&prober, &probe, "reported red").await, "red");
    tell(Some(Status::Ok), "").await;
    look_until(&prober, &probe, "green").await;
    let silent = look_until(&prober, &probe, "unreachable ask no_heartbeat").await;
    table.fault("the sender stops", &silent, "unreachable ask no_heartbeat");
    tell(None, "").await;
    look_until(&prober, &probe, "green").await;
    listener.abort();
    table.finish();
}
