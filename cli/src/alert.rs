//! `topowatch alert test`: a message to try a receiver with.

use anyhow::Result;
use collector::alert::{Untold, tell_sample};
use serde_json::json;
use topology::diagnostic::did_you_mean;

use crate::args::{AlertArgs, AlertCommand, AlertTestArgs};
use crate::exit::{Exit, fail};
use crate::output;
use crate::watched::Watched;

pub(crate) async fn run(args: &AlertArgs) -> Result<Exit> {
    let AlertCommand::Test(test) = &args.command;
    let AlertTestArgs { receiver, config, overlays, json } = test;
    let (_, loaded) = Watched::load(config, overlays, &Watched::default());
    let (model, report) = match loaded {
        Ok(good) => good,
        Err(report) => {
            report.print();
            return Err(fail(Exit::Red, format!("{} is broken", config.display())));
        }
    };
    report.print();
    // An already installed provider is as good.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let now = collector::clock::now();
    let id = collector::new_incident_id()(now);
    let told = tell_sample(&model, receiver, &id, now).await;
    if *json {
        let trouble = told.as_ref().err().map(ToString::to_string);
        let answer = json!({ "receiver": receiver, "taken": told.is_ok(), "trouble": trouble });
        output::line(&serde_json::to_string_pretty(&answer)?);
    }
    match told {
        Ok(()) => {
            if !json {
                let way = model.alerting.receiver(receiver).map_or("", |found| found.channel.as_str());
                output::line(&format!("{receiver} ({way}) took a test message: look whether it arrived"));
            }
            Ok(Exit::Good)
        }
        Err(Untold::Unknown(name)) => {
            let names = model.alerting.receivers.iter().map(|receiver| receiver.name.as_str());
            let help = match did_you_mean(&name, names.clone()) {
                Some(near) => format!(": did you mean `{near}`?"),
                None => format!("; the file has {}", names.collect::<Vec<_>>().join(", ")),
            };
            Err(fail(Exit::Usage, format!("there is no receiver `{name}`{help}")))
        }
        Err(error) => Err(fail(Exit::Failed, format!("{receiver} did not take it: {error}"))),
    }
}
