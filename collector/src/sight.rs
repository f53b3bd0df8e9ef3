//! "This monitor is blind": one incident, one alert, nobody blamed; over when sight is back. Pure.

use std::time::Duration;

use jiff::Timestamp;
use topology::level::Level;
use topology::model::Model;
use topology::text::Text;
use topology::verdict::{Culprit, Evidence, Suspect, Verdict};

use crate::announce::Told;
use crate::beside::{self, Beside};
use crate::incident::Incident;
use crate::incidents::{Change, Kept, What};
use crate::silence::Silences;

/// What tells it from other incidents that no node makes.
const MARK: &str = "beside:blind";
/// It is told when it has lasted so long: a hiccup of the host is nobody's business.
const HOLD: Duration = Duration::from_secs(3);

/// The monitor's own sight.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    open: Option<Beside>,
}

/// True for the incident of a blind monitor.
pub(crate) fn is_of_sight(told: &Told) -> bool {
    beside::mark(told) == Some(MARK)
}

impl Sight {
    /// Takes over what a database kept.
    pub(crate) fn restore(&mut self, kept: Vec<Kept>) {
        self.open = kept.into_iter().map(Beside::back).next();
    }

    /// The open incident, if it has this id.
    pub(crate) fn find(&mut self, id: &str) -> Option<&mut Beside> {
        self.open.as_mut().filter(|blind| blind.incident.id == id)
    }

    pub(crate) fn open(&self) -> Option<&Incident> {
        self.open.as_ref().map(|blind| &blind.incident)
    }

    /// One step: `why` it is blind, if it is.
    pub(crate) fn step(
        &mut self,
        (model, silences): (&Model, &Silences),
        why: Option<&Text>,
        now: Timestamp,
        new_id: &dyn Fn(Timestamp) -> String,
    ) -> Option<Change> {
        match (&mut self.open, why) {
            (None, None) => None,
            (None, Some(why)) => {
                let blind = Beside::open("blind", opened(why, now, new_id), now);
                let change = blind.change(What::Opened, Vec::new());
                self.open = Some(blind);
                Some(change)
            }
            (Some(blind), Some(_)) => {
                let messages = blind.due(model, silences, HOLD, now);
                let asked = blind.was_asked();
                (asked || !messages.is_empty()).then(|| blind.change(What::Updated, messages))
            }
            (open @ Some(_), None) => {
                let why = Text::new("the monitor sees again", "监控恢复视野");
                Some(open.take()?.end(model, why, now).1)
            }
        }
    }
}

fn opened(why: &Text, now: Timestamp, new_id: &dyn Fn(Timestamp) -> String) -> Incident {
    let root = Suspect {
        culprit: Culprit::Monitor,
        fault: None,
        signal: None,
        overloads: None,
        confidence: 0.95,
        evidence: vec![Evidence { kind: "monitor", text: why.clone() }],
    };
    let advice = Text::new(
        "It has lost its own network or processor; nobody is blamed.",
        "监控失去了自身的网络或处理器，不归咎于任何组件。",
    );
    let title = Text::new("This monitor is blind", "监控失明");
    let mut incident = beside::incident(new_id(now), Level::Red, title, advice, now, why.clone());
    incident.verdict = Verdict { roots: vec![root.clone()], suspects: vec![root], ..Verdict::default() };
    incident
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announce::Event;
    use crate::testkit;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn it_can_be_taken_on_and_silenced_as_every_other() {
        let (why, new_id) = (Text::same("no answer from anybody"), |_: Timestamp| "b-1".to_owned());
        let model = testkit::model_with_receiver();
        let mut silences = Silences::default();
        silences.add(crate::silence::Silence {
            id: "s-1".to_owned(),
            kind: crate::silence::QuietKind::Silence,
            nodes: vec!["b-1".to_owned()],
            from: at(0),
            until: at(20),
            by: None,
            why: None,
            created_at: at(0),
        });
        let mut sight = Sight::default();
        assert!(sight.step((&model, &silences), Some(&why), at(1), &new_id).is_some());
        assert!(sight.step((&model, &silences), Some(&why), at(10), &new_id).is_none());
        assert!(sight.open().unwrap().silenced);
        let told = sight.step((&model, &silences), Some(&why), at(21), &new_id).unwrap();
        assert_eq!(told.messages[0].event, Event::Open);
        assert!(sight.find("other").is_none());
        let ack = crate::incident::Acknowledgement {
            at: at(22),
            by: "wang".to_owned(),
            note: None,
            level: Level::Green,
        };
        let taken = sight.find("b-1").unwrap().acknowledge(Some(ack), at(22));
        assert_eq!(taken.acknowledged.unwrap().level, Level::Red);
        let change = sight.step((&model, &silences), Some(&why), at(23), &new_id).unwrap();
        assert!(change.incident.acknowledged.is_some() && change.messages.is_empty(), "it is kept");
        let over = sight.step((&model, &silences), None, at(30), &new_id).unwrap();
        assert_eq!(over.messages[0].event, Event::Resolve);
    }

    #[test]
    fn one_alert_when_it_lasts_and_one_when_it_is_over() {
        let (why, new_id) = (Text::same("no answer from anybody"), |_: Timestamp| "b-1".to_owned());
        let model = testkit::model_with_receiver();
        let mut sight = Sight::default();
        let mut step = |seconds: i64, blind: bool| {
            let change =
                sight.step((&model, &Silences::default()), blind.then_some(&why), at(seconds), &new_id);
            change.and_then(|change| change.messages.first().map(|message| message.event))
        };
        assert_eq!(step(0, false), None);
        assert_eq!(step(1, true), None);
        assert_eq!(step(3, true), None);
        assert_eq!(step(5, true), Some(Event::Open));
        assert_eq!(step(6, true), None);
        assert_eq!(step(60, false), Some(Event::Resolve));
        // A hiccup is told to nobody.
        assert_eq!(step(70, true), None);
        assert_eq!(step(71, false), None);
        assert!(sight.open().is_none());
    }
}
