//! The OpenAPI document and the API say the same.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use collector::objectives::Objectives;
use serde_json::{Value, json};

use crate::looking_back::server;
use crate::routes::{board, get};

/// The document, from its source.
pub(crate) fn document() -> Value {
    serde_json::from_str(include_str!("../src/api/openapi.json")).unwrap()
}

/// Holds an answer to what the document says of it.
pub(crate) fn check(path: &str, method: &str, status: StatusCode, body: &Value) {
    let document = document();
    let answers = &document["paths"][path][method]["responses"];
    let answer = &answers[status.as_str()];
    assert!(answer.is_object(), "{method} {path} is not said to answer {status}: {answers}");
    let Some(schema) = answer.pointer("/content/application~1json/schema") else { return };
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:#?}\n{body:#}");
}

/// The API's routes with their methods, by the source of the router.
fn routes() -> BTreeMap<String, BTreeSet<&'static str>> {
    let source = include_str!("../src/server.rs");
    let source = source.split("/// Serves until").next().unwrap();
    let mut routes: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for chunk in source.split(".route(").skip(1) {
        let path = chunk.split('"').nth(1).unwrap().to_owned();
        if !path.starts_with("/api/") {
            continue;
        }
        // Up to the end of this call, the layer behind the last one left out.
        let call = chunk.split(".layer(").next().unwrap();
        let has = |method: &str| {
            let word = format!("{method}(");
            call.match_indices(&word)
                .any(|(at, _)| !call[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let methods = ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| has(method));
        routes.entry(path).or_default().extend(methods);
    }
    routes
}

#[test]
fn every_route_is_in_the_document_and_the_other_way_round() {
    let document = document();
    let told: BTreeMap<String, BTreeSet<&str>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, methods)| {
            (path.clone(), methods.as_object().unwrap().keys().map(String::as_str).collect())
        })
        .collect();
    assert!(told.len() > 25, "{}", told.len());
    assert_eq!(routes(), told);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let text = document.to_string();
    let mut used = BTreeSet::new();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        used.insert(pointer.to_owned());
    }
    for section in ["schemas", "parameters", "responses"] {
        for name in document["components"][section].as_object().unwrap().keys() {
            assert!(used.contains(&format!("/components/{section}/{name}")), "nobody uses {name}");
        }
    }
}

#[tokio::test]
async fn real_answers_are_as_the_document_says() {
    for state in ["green", "member-db", "two-roots", "mixed", "blind"] {
        let mut board = board(state);
        board.curves = std::sync::Arc::new(vec![crate::fixture::curve(&board)]);
        let incident = board.open.first().or(board.resolved.first()).unwrap().id.clone();
        let server = server(board, Objectives::default()).await;
        let window = "from=2026-11-17T00:00:00Z&to=2026-11-24T12:11:00Z";
        for (path, asked) in [
            ("/api/v1/health", String::new()),
            ("/api/v1/board", String::new()),
            ("/api/v1/incidents", String::new()),
            ("/api/v1/incidents/{id}", format!("/api/v1/incidents/{incident}")),
            ("/api/v1/nodes/{name}", "/api/v1/nodes/member-db".to_owned()),
            ("/api/v1/nodes/{name}", "/api/v1/nodes/member-db-1".to_owned()),
            ("/api/v1/topology", String::new()),
            ("/api/v1/openapi.json", String::new()),
            ("/api/v1/changes", String::new()),
            ("/api/v1/silences", String::new()),
            ("/api/v1/maintenance", String::new()),
            ("/api/v1/curves", String::new()),
            ("/api/v1/curves/{name}", "/api/v1/curves/orders".to_owned()),
            ("/api/v1/objectives", String::new()),
            ("/api/v1/changes-since", String::new()),
            ("/api/v1/audit", format!("/api/v1/audit?{window}")),
            ("/api/v1/board", "/api/v1/board?at=2026-11-24T12:10:00Z".to_owned()),
            ("/api/v1/history/board", "/api/v1/history/board?at=2026-11-24T12:10:00Z".to_owned()),
            ("/api/v1/history/availability", format!("/api/v1/history/availability?{window}")),
            ("/api/v1/history/changes", format!("/api/v1/history/changes?{window}&limit=50")),
            ("/api/v1/history/deliveries", format!("/api/v1/history/deliveries?{window}")),
            ("/api/v1/history/incidents", format!("/api/v1/history/incidents?{window}")),
            ("/api/v1/history/nodes/{name}", format!("/api/v1/history/nodes/member-db-1?{window}&points=20")),
        ] {
            let asked = if asked.is_empty() { path } else { &asked };
            let (status, _, body) = get(&server.app, asked).await;
            assert_eq!(status, StatusCode::OK, "{state} {asked}: {body}");
            check(path, "get", status, &serde_json::from_str(&body).unwrap());
        }
    }
}

#[tokio::test]
async fn a_check_that_finds_nothing_would_be_none() {
    let wrong = json!({ "incidents": [{ "id": 7 }] });
    let refused = std::panic::catch_unwind(|| check("/api/v1/incidents", "get", StatusCode::OK, &wrong));
    assert!(refused.is_err());
}
