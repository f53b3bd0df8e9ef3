//! What goes in comes out, in SQLite.

use std::collections::BTreeSet;

use jiff::Timestamp;
use topology::graph::DependencyId;
use topology::level::{Health, Level};
use topology::model::{ComponentId, InstanceId};
use topology::text::Text;
use topology::verdict::{Affected, Culprit, Evidence, Suspect, Verdict};

use super::*;
use crate::announce::{Event, Told};
use crate::incident::{IncidentState, TimelineEntry};
use crate::incidents::{Change, What};
use crate::testkit;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn outage() -> Incident {
    let root = Suspect {
        culprit: Culprit::Instance(InstanceId(2)),
        fault: Some(topology::fault::FaultKind::Refused),
        signal: None,
        overloads: None,
        confidence: 0.93,
        evidence: vec![Evidence { kind: "own_fault", text: Text::new("db-1 refuses", "db-1 拒连") }],
    };
    Incident {
        id: "0190-a".to_owned(),
        state: IncidentState::Open,
        level: Level::Red,
        opened_at: at(0),
        resolved_at: None,
        title: Text::new("db is down", "db 宕机"),
        advice: Text::same("Fix db-1."),
        verdict: Verdict {
            roots: vec![root.clone()],
            suspects: vec![root],
            affected: vec![Affected {
                component: ComponentId(0),
                health: Health::Red,
                root: 0,
                over: vec![DependencyId(0)],
                because: Text::same("it needs db-1"),
            }],
            explained: vec![(InstanceId(0), 0)],
        },
        timeline: vec![TimelineEntry { at: at(0), what: Text::same("db-1: first bad look") }],
    }
}

fn change(incident: Incident, messages: u32, message: Option<Event>) -> Change {
    let told =
        Told { confirmed_at: at(1), messages, roots: BTreeSet::from(["db-1".to_owned()]), level: Level::Red };
    Change { what: What::Updated, incident, told, message }
}

async fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite://{}", dir.path().join("new.db").display())).await.unwrap()
}

fn model_with_receiver() -> Model {
    let mut model = testkit::model("web x2 -> db\ndb tcp");
    model.receivers.push(topology::model::Receiver {
        name: "ops".to_owned(),
        channel: topology::model::Channel::Webhook {
            url: "http://127.0.0.1:1/".to_owned().into(),
            secret: None,
        },
    });
    model
}

#[tokio::test]
async fn an_incident_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = model_with_receiver();
    let store = store(&dir).await;
    let mut batch = Batch::default();
    batch.incident(&model, &change(outage(), 1, Some(Event::Open)), at(7)).unwrap();
    let moved = LevelChange {
        node: "db".to_owned(),
        at: at(0),
        level: "red".to_owned(),
        words: "refused".to_owned(),
        ..LevelChange::default()
    };
    batch.level(moved, at(0));
    store.write(&batch).await.unwrap();
    drop(store);

    let store = self::store(&dir).await;
    let restored = store.restore(&model).await.unwrap();
    assert_eq!(restored.open.len(), 1);
    let kept = &restored.open[0];
    assert_eq!(format!("{:?}", kept.incident), format!("{:?}", outage()));
    assert_eq!(kept.told, change(outage(), 1, None).told);
    assert_eq!(
        restored.nodes,
        [NodeLevel { name: "db".to_owned(), level: "red".to_owned(), since_ms: at(0).as_millisecond() }]
    );
}

#[tokio::test]
async fn a_message_is_written_with_its_incident_once_and_taken_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (model_with_receiver(), store(&dir).await);
    let mut batch = Batch::default();
    batch.incident(&model, &change(outage(), 1, Some(Event::Open)), at(7)).unwrap();
    // A write that was repeated (its commit's answer was lost) makes no second message.
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    let mut over = outage();
    over.state = IncidentState::Resolved;
    over.resolved_at = Some(at(60));
    let mut batch = Batch::default();
    batch.incident(&model, &change(over, 2, Some(Event::Resolve)), at(60)).unwrap();
    store.write(&batch).await.unwrap();

    let mut told = Vec::new();
    while let Some(row) = store.next_message("ops").await.unwrap() {
        let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
        told.push((row.key.clone(), body["event"].as_str().unwrap().to_owned()));
        store.tried("ops", &row.key, Some(1), None).await.unwrap();
    }
    let pair = |key: &str, event: &str| (key.to_owned(), event.to_owned());
    assert_eq!(told, [pair("0190-a-1", "open"), pair("0190-a-2", "resolve")]);
    assert!(store.restore(&model).await.unwrap().open.is_empty());
}

#[tokio::test]
async fn a_message_that_was_not_taken_is_next_again() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (model_with_receiver(), store(&dir).await);
    let mut batch = Batch::default();
    batch.incident(&model, &change(outage(), 1, Some(Event::Open)), at(7)).unwrap();
    store.write(&batch).await.unwrap();
    let row = store.next_message("ops").await.unwrap().unwrap();
    store.tried("ops", &row.key, None, Some("status 500")).await.unwrap();
    let again = store.next_message("ops").await.unwrap().unwrap();
    assert_eq!((again.key, again.attempts), (row.key, 1));
}

#[tokio::test]
async fn what_the_file_no_longer_has_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let mut batch = Batch::default();
    batch.incident(&model_with_receiver(), &change(outage(), 0, None), at(7)).unwrap();
    store.write(&batch).await.unwrap();
    let smaller = testkit::model("web x2");
    let restored = store.restore(&smaller).await.unwrap();
    let verdict = &restored.open[0].incident.verdict;
    // Whoever it affected stays: if that is still unhealthy, it is the same outage.
    assert!(verdict.roots.is_empty() && verdict.explained.is_empty());
    assert_eq!((verdict.affected.len(), verdict.affected[0].over.len()), (1, 0));
}

#[tokio::test]
async fn changes_come_back_once_each_and_old_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let model = testkit::model("web");
    let note = |seconds: i64, by: Option<&str>| ChangeNote {
        at: at(seconds),
        node: "web".to_owned(),
        what: "release 1.2".to_owned(),
        by: by.map(str::to_owned),
        link: None,
    };
    let mut batch = Batch::default();
    for note in [note(0, None), note(60, Some("ci")), note(60, Some("ci"))] {
        batch.noted(note);
    }
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    assert_eq!(store.restore(&model).await.unwrap().changes, [note(60, Some("ci")), note(0, None)]);
    let mut later = Batch::default();
    later.noted(note(90 * 86_400 + 30, None));
    store.write(&later).await.unwrap();
    let kept: Vec<Timestamp> = store.restore(&model).await.unwrap().changes.iter().map(|n| n.at).collect();
    assert_eq!(kept, [at(90 * 86_400 + 30), at(60)]);
}

#[tokio::test]
async fn a_node_that_left_the_file_is_forgotten_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let model = testkit::model("web");
    let level = |seconds: i64| LevelChange {
        node: "web-1".to_owned(),
        at: at(seconds),
        level: "red".to_owned(),
        words: String::new(),
        ..LevelChange::default()
    };
    let levels = async || -> Vec<i64> {
        store.restore(&model).await.unwrap().nodes.iter().map(|node| node.since_ms).collect()
    };
    let mut batch = Batch::default();
    batch.level(level(0), at(0));
    batch.forget("web-1".to_owned());
    store.write(&batch).await.unwrap();
    assert!(levels().await.is_empty());
    // Gone and back while the database was away.
    let mut gone = Batch::default();
    gone.forget("web-1".to_owned());
    let mut back = Batch::default();
    back.level(level(9), at(9));
    gone.append(back);
    store.write(&gone).await.unwrap();
    assert_eq!(levels().await, [at(9).as_millisecond()]);
    let mut gone = Batch::default();
    gone.forget("web-1".to_owned());
    store.write(&gone).await.unwrap();
    assert!(levels().await.is_empty());
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_said_without_its_password() {
    let error = Store::open("mysql://me:s3cret@db/x").await.unwrap_err().to_string();
    assert!(error.contains("no database URL") && !error.contains("s3cret"), "{error}");
}

/// What every version could write.
async fn write_as_the_first_version_did(store: &Store) {
    for query in [
        "INSERT INTO nodes (name, level, since_ms) VALUES ('db', 'red', 1700000000000)",
        "INSERT INTO level_changes (node, at_ms, level, words) VALUES ('db', 1700000000000, 'red', 'refused')",
        "INSERT INTO outbox (key, receiver, position, created_ms, body, attempts) \
         VALUES ('0190-a-1', 'ops', 1, 1700000000000, '{}', 0)",
    ] {
        sqlx::query(query).execute(&store.pool).await.unwrap();
    }
}

async fn schema(store: &Store) -> Vec<String> {
    let query = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
    let rows = sqlx::query(query).fetch_all(&store.pool).await.unwrap();
    rows.iter().map(|row| row.try_get(0).unwrap()).collect()
}

#[tokio::test]
async fn a_database_of_every_earlier_version_is_brought_up_and_keeps_what_it_has() {
    let fresh = schema(&Store::open("sqlite::memory:").await.unwrap()).await;
    for version in versions() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("old.db").display());
        let old = Store::open_at(&url, version).await.unwrap();
        write_as_the_first_version_did(&old).await;
        drop(old);
        let store = Store::open(&url).await.unwrap();
        assert_eq!(schema(&store).await, fresh, "from version {version}");
        let restored = store.restore(&testkit::model("db")).await.unwrap();
        assert_eq!((restored.nodes.len(), &*restored.nodes[0].level), (1, "red"), "from version {version}");
        assert_eq!(store.next_message("ops").await.unwrap().unwrap().key, "0190-a-1");
        let history = crate::history::History::of(&store);
        let window = crate::history::Window::new(at(-10), at(10)).unwrap();
        let changes = history.changes(window, None, 10).await.unwrap();
        assert_eq!(changes[0].level.words.en, "refused", "from version {version}");
        store.write(&Batch::default()).await.unwrap();
    }
}
