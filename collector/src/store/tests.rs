//! What goes in comes out, in SQLite.

use std::collections::BTreeSet;

use jiff::Timestamp;
use topology::graph::DependencyId;
use topology::level::{Health, Level};
use topology::model::{ComponentId, InstanceId};
use topology::text::Text;
use topology::verdict::{Affected, Culprit, Evidence, Suspect, Verdict};

use super::*;
use crate::announce::{Event, Known, Message, Told};
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
        acknowledged: Some(crate::incident::Acknowledgement {
            at: at(3),
            by: "wang".to_owned(),
            note: None,
            level: Level::Red,
        }),
        silenced: false,
        subsumed_by: None,
    }
}

fn change(incident: Incident, messages: u32, message: Option<Event>) -> Change {
    let roots = BTreeSet::from(["db-1".to_owned()]);
    let known = Known { at: at(2), updates: 0, roots: roots.clone(), level: Level::Red };
    let told = Told {
        confirmed_at: at(1),
        messages,
        first_at: Some(at(2)),
        recurs: true,
        settled: Some((roots, at(1))),
        receivers: [("ops".to_owned(), known)].into(),
    };
    let messages = message.map(|event| Message { receiver: "ops".to_owned(), event });
    Change { what: What::Updated, incident, told, messages: messages.into_iter().collect() }
}

async fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite://{}", dir.path().join("new.db").display())).await.unwrap()
}

async fn next(store: &Store) -> Option<OutboxRow> {
    store.waiting("ops", 1).await.unwrap().pop()
}

#[tokio::test]
async fn an_incident_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = testkit::model_with_receiver();
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
async fn lesson_07_a_message_written_twice_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (testkit::model_with_receiver(), store(&dir).await);
    let mut batch = Batch::default();
    batch.incident(&model, &change(outage(), 1, Some(Event::Open)), at(7)).unwrap();
    // A write that was repeated (its commit's answer was lost) makes no second message.
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    let mut over = outage();
    over.state = IncidentState::Resolved;
    over.resolved_at = Some(at(60));
    let mut batch = Batch::default();
    let mut ended = change(over, 2, Some(Event::Resolve));
    ended.told.receivers.clear();
    batch.incident(&model, &ended, at(60)).unwrap();
    store.write(&batch).await.unwrap();

    let mut told = Vec::new();
    while let Some(row) = next(&store).await {
        let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
        told.push((row.key.clone(), body["event"].as_str().unwrap().to_owned()));
        store.tried("ops", std::slice::from_ref(&row), Some(1), None, None).await.unwrap();
    }
    let pair = |key: &str, event: &str| (key.to_owned(), event.to_owned());
    assert_eq!(told, [pair("0190-a-1", "open"), pair("0190-a-2", "resolve")]);
    assert!(store.restore(&model).await.unwrap().open.is_empty());
}

#[tokio::test]
async fn a_message_that_was_not_taken_is_next_again() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (testkit::model_with_receiver(), store(&dir).await);
    let mut batch = Batch::default();
    batch.incident(&model, &change(outage(), 1, Some(Event::Open)), at(7)).unwrap();
    store.write(&batch).await.unwrap();
    let row = next(&store).await.unwrap();
    store.tried("ops", std::slice::from_ref(&row), None, Some("status 500"), None).await.unwrap();
    let again = next(&store).await.unwrap();
    assert_eq!((again.key, again.attempts), (row.key, 1));
}

#[tokio::test]
async fn what_the_file_no_longer_has_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let mut batch = Batch::default();
    batch.incident(&testkit::model_with_receiver(), &change(outage(), 0, None), at(7)).unwrap();
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

#[tokio::test]
async fn a_fallback_hears_first_that_it_is_open_and_then_that_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (testkit::model_with_receiver(), store(&dir).await);
    let tell = async |id: &str, number: u32, event: Event| {
        let mut incident = outage();
        id.clone_into(&mut incident.id);
        let mut batch = Batch::default();
        batch.incident(&model, &change(incident, number, Some(event)), at(7)).unwrap();
        store.write(&batch).await.unwrap();
    };
    let heard = async || -> Vec<(String, String)> {
        let rows = store.waiting("mail", 100).await.unwrap();
        let event = |row: &OutboxRow| {
            let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
            assert_eq!(body["event"], row.event.as_str());
            (row.key.clone(), row.event.clone())
        };
        rows.iter().map(event).collect()
    };
    let pair = |key: &str, event: &str| (key.to_owned(), event.to_owned());
    // `a` was told that it opened, and is away when it gets worse; it never heard of `b`'s beginning's end.
    tell("a", 1, Event::Open).await;
    let open = store.waiting("ops", 1).await.unwrap();
    store.tried("ops", &open, Some(8), None, Some("mail")).await.unwrap();
    tell("a", 2, Event::Update).await;
    let rows = store.waiting("ops", 10).await.unwrap();
    assert!(store.hand_over("ops", "mail", &rows, 9).await.unwrap());
    assert_eq!(heard().await, [pair("a-2", "open")]);
    // It is back, and takes the update and the end: the fallback is told of the end as well.
    tell("a", 3, Event::Resolve).await;
    let rows = store.waiting("ops", 10).await.unwrap();
    assert!(rows[0].handed && !rows[1].handed);
    store.tried("ops", &rows, Some(10), None, Some("mail")).await.unwrap();
    assert_eq!(heard().await, [pair("a-2", "open"), pair("a-3", "resolve")]);
    // Of an incident it never heard of it hears no end.
    tell("b", 2, Event::Resolve).await;
    let rows = store.waiting("ops", 10).await.unwrap();
    assert!(!store.hand_over("ops", "mail", &rows, 11).await.unwrap());
    assert_eq!(heard().await.len(), 2);
    // And what came to it for another goes no further.
    let rows = store.waiting("mail", 10).await.unwrap();
    assert!(!store.hand_over("mail", "ops", &rows, 12).await.unwrap());
}

#[tokio::test]
async fn silences_and_what_was_told_to_whom_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (testkit::model_with_receiver(), store(&dir).await);
    let silence = crate::silence::Silence {
        id: "0190-s".to_owned(),
        kind: crate::silence::QuietKind::Maintenance,
        nodes: vec!["db".to_owned()],
        from: at(0),
        until: at(60),
        by: Some("wang".to_owned()),
        why: None,
        created_at: at(0),
    };
    let mut batch = Batch::default();
    batch.silence(silence.clone());
    let change = change(outage(), 1, Some(Event::Open));
    batch.incident(&model, &change, at(7)).unwrap();
    store.write(&batch).await.unwrap();
    let restored = store.restore(&model).await.unwrap();
    assert_eq!(restored.silences, [silence]);
    assert_eq!(restored.open[0].told, change.told);
    assert_eq!(restored.open[0].incident.acknowledged, change.incident.acknowledged);
}

#[tokio::test]
async fn what_a_version_before_kept_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (model, store) = (testkit::model_with_receiver(), store(&dir).await);
    let body = serde_json::json!({
        "id": "0190-old", "state": "open", "level": "red", "opened_at": at(0), "resolved_at": null,
        "title": { "en": "db is down", "zh": "db 宕机" }, "advice": { "en": "", "zh": "" },
        "roots": [], "suspects": [], "affected": [], "explained": [], "timeline": [],
        "confirmed_at": at(1), "messages": 1, "told_roots": ["db-1"], "told_level": "red",
    });
    sqlx::query("INSERT INTO incidents (id, state, opened_ms, body) VALUES ('0190-old', 'open', 0, $1)")
        .bind(body.to_string())
        .execute(&store.pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO outbox (key, receiver, position, created_ms, body, attempts) VALUES ('k', 'ops', 1, 0, '{}', 2)")
        .execute(&store.pool)
        .await
        .unwrap();
    let mut kept = store.restore(&model).await.unwrap().open.remove(0);
    // Everybody was told; so everybody is told that it is over.
    let all = [("ops".to_owned()), "mail".to_owned()];
    assert_eq!(kept.told.end(Event::Resolve, all.iter(), at(9)).len(), 2);
    let row = next(&store).await.unwrap();
    assert_eq!((row.key.as_str(), row.attempts, row.incident.as_str()), ("k", 2, ""));
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
        assert_eq!(next(&store).await.unwrap().key, "0190-a-1");
        let history = crate::history::History::of(&store);
        let window = crate::history::Window::new(at(-10), at(10)).unwrap();
        let changes = history.changes(window, None, 10).await.unwrap();
        assert_eq!(changes[0].level.words.en, "refused", "from version {version}");
        store.write(&Batch::default()).await.unwrap();
    }
}
