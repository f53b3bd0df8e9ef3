//! The kitchen display of one store: a bounded queue, a few hands, and a pickup code for every order made.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::roles::failure::Failure;

/// Orders on the display. What does not fit stays with the OMS until there is room.
const DISPLAY: usize = 64;
const HANDS: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Orders remembered after they are done: an answer of the OMS may be older than that.
const REMEMBERED: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticket {
    Make(i64),
    /// Made before this process started.
    Tell(i64),
}

#[derive(Default)]
struct Known {
    orders: HashSet<i64>,
    done: VecDeque<i64>,
}

impl Known {
    fn finish(&mut self, order: i64) {
        self.done.push_back(order);
        if self.done.len() > REMEMBERED
            && let Some(oldest) = self.done.pop_front()
        {
            self.orders.remove(&oldest);
        }
    }
}

pub(super) struct Kitchen {
    store: i64,
    display: mpsc::Sender<Ticket>,
    tickets: tokio::sync::Mutex<mpsc::Receiver<Ticket>>,
    known: Mutex<Known>,
    fleet: Arc<Fleet>,
}

impl Kitchen {
    /// Opens a kitchen with what a POS before this one left undone.
    pub(super) fn open(
        store: i64,
        left: Vec<Ticket>,
        fleet: &Arc<Fleet>,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let (display, tickets) = mpsc::channel(DISPLAY.max(left.len()));
        let kitchen = Arc::new(Self {
            store,
            display,
            tickets: tokio::sync::Mutex::new(tickets),
            known: Mutex::default(),
            fleet: Arc::clone(fleet),
        });
        for ticket in left {
            let (Ticket::Make(order) | Ticket::Tell(order)) = ticket;
            kitchen.known().orders.insert(order);
            // The display was made large enough for these.
            kitchen.display.try_send(ticket).ok();
        }
        for _ in 0..HANDS {
            let kitchen = Arc::clone(&kitchen);
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = kitchen.work() => {}
                }
            });
        }
        kitchen
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn knows(&self, order: i64) -> bool {
        self.known().orders.contains(&order)
    }

    /// Room for one order, or none.
    pub(super) fn room(&self) -> Option<mpsc::Permit<'_, Ticket>> {
        self.display.try_reserve().ok()
    }

    /// Onto the display, once it is written down.
    pub(super) fn accept(&self, order: i64, room: mpsc::Permit<'_, Ticket>) -> std::io::Result<()> {
        self.fleet.journal.take(self.store, order)?;
        self.known().orders.insert(order);
        room.send(Ticket::Make(order));
        self.fleet.metrics.orders.with_label_values(&["taken"]).inc();
        Ok(())
    }

    async fn work(&self) {
        loop {
            let next = self.tickets.lock().await.recv().await;
            let order = match next {
                None => return,
                Some(Ticket::Tell(order)) => order,
                Some(Ticket::Make(order)) => {
                    tokio::time::sleep(Duration::from_millis(800 + order.unsigned_abs() % 5 * 100)).await;
                    self.note("made", order, self.fleet.journal.made(self.store, order));
                    order
                }
            };
            self.tell(order).await;
            self.note("told", order, self.fleet.journal.told(self.store, order));
            self.known().finish(order);
        }
    }

    /// Until the OMS has the pickup code.
    async fn tell(&self, order: i64) {
        let path = format!("/api/stores/{}/orders/{order}/ready", self.store);
        let body = json!({ "code": pickup_code(order) });
        let mut pause = FIRST_PAUSE;
        loop {
            match self.fleet.post::<Value>(&path, &body).await {
                Ok(_) => return,
                Err(Failure::NotFound(words) | Failure::Refused(words)) => {
                    tracing::error!("the pickup code of order {order} is not wanted: {words}");
                    return;
                }
                Err(failure) => tracing::warn!("the pickup code of order {order} waits: {failure}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn note(&self, word: &str, order: i64, written: std::io::Result<()>) {
        match written {
            Ok(()) => self.fleet.metrics.orders.with_label_values(&[word]).inc(),
            Err(error) => tracing::error!("order {order} of store {} is {word}: {error}", self.store),
        }
    }
}

/// A letter and four digits. The same for the same order, however often it is asked for.
pub(super) fn pickup_code(order: i64) -> String {
    // The lowest seven bits say who made the id.
    let number = order.unsigned_abs() >> 7;
    let letter = char::from(b'A' + (number / 10_000 % 26) as u8);
    format!("{letter}{:04}", number % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickup_code_is_short_and_belongs_to_its_order() {
        assert_eq!(pickup_code(128 * 123_456), "M3456");
        assert_eq!(pickup_code(128 * 123_456), pickup_code(128 * 123_456));
        assert_ne!(pickup_code(128 * 123_456), pickup_code(128 * 123_457));
    }

    #[test]
    fn done_orders_are_remembered_for_a_while_and_not_for_ever() {
        let mut known = Known::default();
        for order in 0..=500 {
            known.orders.insert(order);
            known.finish(order);
        }
        assert!(!known.orders.contains(&0));
        assert!(known.orders.contains(&1));
        assert_eq!(known.orders.len(), REMEMBERED);
    }
}
