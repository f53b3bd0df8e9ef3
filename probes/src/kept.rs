//! Connections kept from one look to the next, for servers whose logins cost them and us much.

use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use topology::fault::FaultKind;
use topology::kind::{OptionForm, OptionSpec};
use topology::model::{OptionValue, Probe};

use crate::clock::now;
use crate::look::{Look, Stop};
use crate::observation::Answer;

/// How `connection` may be written.
const FORM: OptionForm = OptionForm::Either(
    &OptionForm::Word(&["fresh", "kept"]),
    &[OptionSpec {
        name: "every",
        form: OptionForm::Duration,
        default: None,
        help: "Kept, and a fresh one in this interval.",
    }],
);

/// `connection` for a kind that meets its server as a new user does.
pub(crate) const FRESH: OptionSpec = OptionSpec {
    name: "connection",
    form: FORM,
    default: Some("fresh"),
    help: "A new connection for each look, or a kept one. A kept one costs less, and does not see that the \
           server takes no new ones.",
};

/// `connection` for a kind whose logins cost much: kept, and fresh every 15 s or so.
pub(crate) const KEPT: OptionSpec = OptionSpec {
    name: "connection",
    form: FORM,
    default: None,
    help: "A new connection for each look (fresh), a kept one, or a kept one with a fresh one in an interval. \
           After a fault the next look is always fresh.",
};

/// How a probe connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Fresh,
    Kept,
    Every(Duration),
}

impl Policy {
    pub(crate) fn of(probe: &Probe, default: Self) -> Self {
        match probe.options.get("connection") {
            Some(OptionValue::Text(word)) if word == "fresh" => Self::Fresh,
            Some(OptionValue::Text(_)) => Self::Kept,
            Some(OptionValue::Record(record)) => match record.get("every") {
                Some(OptionValue::Duration(every)) => Self::Every(*every),
                _ => default,
            },
            _ => default,
        }
    }
}

/// A connection that can serve several looks.
pub(crate) trait Keep: Sized + Send + 'static {
    /// What holds where the file says nothing.
    const POLICY: Policy;

    /// Connects and logs in.
    fn open(look: &mut Look<'_>) -> impl Future<Output = Result<Self, Stop>> + Send;

    /// Asks the questions of one look.
    fn ask(&mut self, look: &mut Look<'_>) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Says goodbye.
    fn close(self, look: &Look<'_>) -> impl Future<Output = ()> + Send;

    /// A second handle of the socket, to see it end between two looks.
    fn socket(&self) -> Option<Arc<StdStream>>;
}

/// One look on a kept connection, or on a fresh one. A kept connection that was cut while it lay idle is no
/// outage: the same look goes on with a fresh one, once.
pub(crate) async fn look<C: Keep>(look: &mut Look<'_>) -> Result<(), Stop> {
    let policy = Policy::of(look.probe, C::POLICY);
    if policy == Policy::Fresh {
        return fresh::<C>(look, false).await;
    }
    let key = look.key();
    let kept = look.shared.memory.take::<C>(key, now());
    let Some((mut connection, opened)) = kept else { return fresh::<C>(look, true).await };
    let due = matches!(policy, Policy::Every(every) if now().saturating_duration_since(opened) >= every);
    if due || look.fresh {
        let made = fresh::<C>(look, true).await;
        // The old one goes after the new one has come: a full server shows in between.
        connection.close(look).await;
        return made;
    }
    match connection.ask(look).await {
        Ok(()) => {
            keep(look, connection, opened);
            Ok(())
        }
        Err(Stop::Fault(fault)) if fault.kind == FaultKind::Dropped => {
            drop(connection);
            look.answer = Answer::default();
            look.witnesses.clear();
            fresh::<C>(look, true).await?;
            look.note("the kept connection had been cut");
            Ok(())
        }
        Err(stop) => Err(stop),
    }
}

async fn fresh<C: Keep>(look: &mut Look<'_>, keep_it: bool) -> Result<(), Stop> {
    let mut connection = C::open(look).await?;
    let opened = now();
    // What timed out or failed is dropped: a goodbye would wait on the same dead socket.
    connection.ask(look).await?;
    if keep_it {
        keep(look, connection, opened);
    } else {
        connection.close(look).await;
    }
    Ok(())
}

fn keep<C: Keep>(look: &Look<'_>, connection: C, opened: std::time::Instant) {
    if look.spoiled {
        return;
    }
    let socket = connection.socket();
    // A second look of the same instance may have kept its own meanwhile: dropping it ends it.
    drop(look.shared.memory.keep(look.key(), now(), connection, opened, socket));
}
