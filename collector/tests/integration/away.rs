//! A database that does not take writes for a while.

use std::sync::Arc;
use std::time::Duration;

use collector::incident::IncidentState;
use collector::journal::Journal;
use collector::store::{Batch, Store};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::scene::{batch, model, next};

async fn until(name: &str, mut what: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if what() {
            return;
        }
        // The pause between two looks at the condition.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited a minute for: {name}");
}

#[tokio::test]
async fn lesson_16_a_locked_database_is_said_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.db");
    let model = model();
    let store = Store::open(&format!("sqlite://{}", file.display())).await.unwrap();
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();

    let tasks = TaskTracker::new();
    let mut journal = Journal::start(store.clone(), Arc::new(Notify::new()), &tasks);
    journal.add(batch(&model, IncidentState::Open));
    until("the trouble to be said", || journal.trouble().is_some()).await;
    // What comes meanwhile is taken and kept; nobody waits.
    journal.add(batch(&model, IncidentState::Resolved));

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    until("the trouble to be over", || {
        journal.add(Batch::default());
        journal.trouble().is_none()
    })
    .await;
    drop(journal);
    tasks.close();
    tasks.wait().await;
    let first = next(&store).await.unwrap();
    assert_eq!(first.key, "0190-a-1");
    store.tried("ops", std::slice::from_ref(&first), Some(1), None, None).await.unwrap();
    assert_eq!(next(&store).await.unwrap().key, "0190-a-2");
}
