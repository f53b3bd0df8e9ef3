use proptest::prelude::*;
use serde_json::json;

use super::*;

fn report(body: &Value) -> Report {
    read(body.to_string().as_bytes(), true).unwrap().unwrap()
}

fn seen(report: &Report) -> Vec<String> {
    report.checks.iter().map(|check| format!("{} {:?} {}", check.name, check.word, check.words)).collect()
}

#[test]
fn the_ietf_draft_names_components_and_their_nodes() {
    let report = report(&json!({
        "status": "fail",
        "checks": {
            "member-db:responseTime": [
                {"status": "fail", "output": "timed out\nafter 1 s", "observedValue": 1000, "observedUnit": "ms"},
            ],
            "cache": {"Status": "PASS"},
            "queue:responseTime": [
                {"componentId": "mq-1", "status": "pass", "observedValue": 0.004, "observedUnit": "s"},
                {"componentId": "mq-2", "status": "warn"},
            ],
            "cpu:utilization": [{"observedValue": 85, "observedUnit": "percent"}],
            "self:uptime": [{"status": "pass", "observedValue": 900, "observedUnit": "s"}],
        },
    }));
    assert_eq!(report.overall, Word::Bad);
    let mut checks = seen(&report);
    checks.sort();
    assert_eq!(
        checks,
        [
            "cache Good PASS",
            "member-db Bad fail: timed out after 1 s",
            "mq-1 Good pass",
            "mq-2 Warn warn",
            "self Good pass",
        ]
    );
    let latency = |name: &str| report.checks.iter().find(|check| check.name == name).unwrap().latency;
    assert_eq!(latency("member-db"), Some(Duration::from_secs(1)));
    assert_eq!(latency("mq-1"), Some(Duration::from_millis(4)));
    assert_eq!(latency("self"), None);
}

#[test]
fn two_measurements_of_one_component_are_one_check_the_worse() {
    let report = report(&json!({
        "status": "warn",
        "checks": {"db:connections": [{"status": "warn", "output": "90 of 100"}], "db:responseTime": [{"status": "pass"}]},
    }));
    assert_eq!(seen(&report), ["db Warn warn: 90 of 100"]);
}

#[test]
fn microprofile_lists_its_checks() {
    let up = report(
        &json!({"status": "DOWN", "checks": [{"name": "db", "status": "DOWN", "data": {"error": "no route"}}]}),
    );
    assert_eq!(seen(&up), ["db Bad DOWN: no route"]);
    let starting = report(&json!({"status": "DOWN", "checks": []}));
    assert!(starting.nothing_yet);
}

#[test]
fn spring_nests_its_components() {
    let report = report(&json!({
        "status": "DOWN",
        "components": {
            "db": {"status": "DOWN", "components": {"orders": {"status": "DOWN", "details": {"error": "refused"}}}},
            "ping": {"status": "UP"},
        },
    }));
    assert_eq!(seen(&report), ["db Bad DOWN", "db.orders Bad DOWN: refused", "ping Good UP"]);
}

#[test]
fn asp_net_has_entries_with_durations() {
    let report = report(&json!({
        "status": 1,
        "totalDuration": "00:00:00.0066",
        "entries": {"redis": {"status": "Degraded", "duration": "00:00:01.5", "description": "slow"}},
    }));
    assert_eq!(report.overall, Word::Warn);
    assert_eq!(seen(&report), ["redis Warn Degraded: slow"]);
    assert_eq!(report.checks[0].latency, Some(Duration::from_millis(1500)));
}

#[test]
fn terminus_and_flat_objects_are_read_too() {
    let terminus = report(
        &json!({"status": "error", "info": {"a": {"status": "up"}}, "error": {"b": {"status": "down"}}}),
    );
    assert_eq!(seen(&terminus), ["a Good up", "b Bad down"]);
    let flat = report(&json!({"status": "UP", "db": {"status": "UP"}}));
    assert_eq!(seen(&flat), ["db Good UP"]);
}

#[test]
fn text_is_a_word_or_nothing() {
    assert_eq!(read(b" Healthy\n", false).unwrap().unwrap().overall, Word::Good);
    assert_eq!(read(b"DOWN", false).unwrap().unwrap().overall, Word::Bad);
    assert_eq!(read(b"welcome", false), Ok(None));
    assert_eq!(read(b"{ not json", false), Ok(None));
    assert_eq!(read(b"{ not json", true), Err(NotJson));
    assert_eq!(read(b"[1]", true), Ok(None));
    assert_eq!(read("[".repeat(60_000).as_bytes(), true), Err(NotJson));
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "status|checks|components|details|entries|name|componentId|output|duration|observedValue",
        "[a-z:]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["UP|DOWN|pass|warn|00:00:01", ".{0,300}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400), json in any::<bool>()) {
        let _read = read(&body, json);
    }

    #[test]
    fn any_json_yields_bounded_checks(value in any_json()) {
        let value = json!({"status": "UP", "checks": value.clone(), "components": value});
        let report = report(&value);
        prop_assert!(report.checks.len() <= MAX_CHECKS);
        for check in report.checks {
            prop_assert!(check.words.len() <= topology::fault::MAX_WORDS);
            prop_assert!(!check.name.is_empty());
        }
    }
}
