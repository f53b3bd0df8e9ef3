//! `topowatch health --once`: everything looked at once, without a server.
//!
//! It is the server's own collector, run until nothing is in suspense any more, so that the levels are those
//! a server would show.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use collector::board::Board;
use collector::clock::Clock;
use collector::run::Collector;
use collector::store::Restored;
use collector::watch::BoardWatch;
use tokio_util::sync::CancellationToken;
use topology::model::Model;

use crate::args::HealthArgs;
use crate::client::find;
use crate::exit::{Exit, fail};
use crate::health::show;
use crate::load;

/// A level that still hangs in the air after so many timeouts of the slowest probe is shown as it is.
const PATIENCE: u32 = 4;

pub(crate) async fn run(args: &HealthArgs) -> Result<Exit> {
    let (model, report) = match load::load(&args.config, &args.overlays) {
        Ok(good) => good,
        Err(report) => {
            report.print();
            return Err(fail(Exit::Red, format!("{} is broken; nothing was probed", args.config.display())));
        }
    };
    if !args.server.json && !args.nagios {
        report.print();
    }
    let model = without_reports(model);
    let slowest =
        model.components.iter().flat_map(|c| &c.probes).map(|probe| probe.timeout).max().unwrap_or_default();
    let prober = probes::Prober::new().context("the probes cannot be set up")?;
    let (collector, boards) = Collector::new(
        Arc::new(model),
        Arc::new(prober),
        Clock::of_process(),
        collector::new_incident_id(),
        Restored::default(),
        None,
    );
    let shutdown = CancellationToken::new();
    let collecting = tokio::spawn(collector.run(shutdown.clone()));
    let board = settled(boards, slowest * PATIENCE).await;
    shutdown.cancel();
    collecting.await.context("the collector panicked")?;
    let answer = match &args.node {
        None => web::api::health_value(&board)?,
        Some(name) => find(&web::api::board_value(&board)?, name)?.clone(),
    };
    show(&answer, args)
}

/// Nobody reports to a single look, and no gateway sends it its log: where something else is asked, that is enough.
fn without_reports(mut model: Model) -> Model {
    for component in &mut model.components {
        if component.probes.iter().any(|probe| !probe.kind.passive) {
            component.probes.retain(|probe| !probe.kind.passive);
        }
    }
    model
}

/// The first board on which everything has been seen and nothing is suspected, or the latest one when that
/// takes too long.
async fn settled(mut boards: BoardWatch, patience: Duration) -> Arc<Board> {
    let quiet = |board: &Board| {
        board.monitor.seen == board.instances.len()
            && !board.instances.iter().any(|instance| instance.suspected)
    };
    let waiting = async {
        let mut waiting = boards.clone();
        while let Some(board) = waiting.changed().await {
            if quiet(&board) {
                break;
            }
        }
    };
    // Whether in time or not, the latest board is the answer.
    let _in_time = tokio::time::timeout(patience, waiting).await;
    // Recoveries and neighbours' looks that are under way may still move it; one more board settles that.
    boards.changed().await.unwrap_or_else(|| boards.current())
}
