//! A journey through a small shop.

use crate::fakes::Fake;
use crate::support::{answer, fault, look, mistakes, read};
use crate::table::Table;

/// Browse, log in, order, pay, fetch the code: each step needs what the one before has said.
async fn shop(paying: &'static str) -> Fake {
    Fake::talking(move |head, body| {
        let good = |body: &str, more: &str| {
            format!(
                "HTTP/1.1 200 OK\r\n{more}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let first = head.lines().next().unwrap_or_default();
        let has = |text: &str| head.to_ascii_lowercase().contains(text);
        match first {
            "GET /menu HTTP/1.1" => good(r#"{"items":[{"id":"tea/1","price":3.5}]}"#, ""),
            "POST /login HTTP/1.1" if body == "user=monitor&password=s3+cret" => {
                good(r#"<input name="token" value="abc-123">"#, "Set-Cookie: session=xyz; Path=/\r\n")
            }
            "POST /login HTTP/1.1" => {
                format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            "POST /orders/tea%2F1 HTTP/1.1"
                if has("cookie: session=xyz") && has("x-token: abc-123") && body == r#"{"item":"tea/1"}"# =>
            {
                "HTTP/1.1 201 Created\r\nLocation: /orders/77\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
            "PUT /orders/77/payment HTTP/1.1" => paying.to_owned(),
            "GET /orders/77 HTTP/1.1" => good(r#"{"state":"paid","code":"A-17"}"#, "Connection: close\r\n"),
            _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        }
    })
    .await
}

const STEPS: &str = r#"
    browse: { get: /menu, expect: { status: 200, json: { "$.items[0].price": { at_most: 10 } } }, save: { item: "$.items[0].id" } },
    claim: { post: /login, form: { user: monitor, password: "{{password}}" }, save: { token: { regex: "value=\"([^\"]+)\"" } } },
    order: { post: "/orders/{{item}}", headers: { X-Token: "{{token}}" }, json: '{"item":"{{item}}"}', expect: { status: 201 }, save: { place: { header: Location } } },
    pay: { put: "/orders/77/payment", slow: { yellow: 1s, red: 2s } },
    pickup: { get: "/orders/77", expect: { json: { "$.state": paid, "$.code": { matches: "^A-\\d+$" } } } },
"#;

fn journey(password: &str, steps: &str) -> topology::model::Probe {
    read(&format!("{{ journey: {{ secrets: {{ password: \"{password}\" }}, steps: {{ {steps} }} }} }}"))
}

#[tokio::test]
async fn an_order_goes_all_the_way() {
    let mut table = Table::new("journey");
    let paid = "HTTP/1.1 204 No Content\r\n\r\n";
    let fake = shop(paid).await;
    let probe = journey("s3 cret", STEPS);
    let seen = look(&probe, fake.port).await;
    let found = answer(&seen);
    for step in ["browse", "claim", "order", "pay", "pickup"] {
        assert!(found.signals[&format!("journey.step_seconds[{step}]")] > 0.0, "{step}");
    }
    assert!(found.signals["journey.total_seconds"] > 0.0);
    let pay = probe.thresholds.iter().find(|limit| limit.signal == "journey.step_seconds[pay]").unwrap();
    assert_eq!((pay.yellow, pay.red), (Some(1.0), Some(2.0)));

    let wrong = look(&journey("gu essed", STEPS), fake.port).await;
    table.fault("a wrong password in step 2", &wrong, "auth ask no_credentials");
    assert!(!fault(&wrong).words.contains("essed"));
    let broken = shop("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n").await;
    let failed = look(&probe, broken.port).await;
    table.fault("step 4 answers 500", &failed, "bad_answer ask status_5xx");
    // How long the steps took is known also when one of them fails.
    let timed: Vec<&str> =
        failed.measured.keys().map(String::as_str).filter(|name| name.contains("step")).collect();
    let steps = ["browse", "claim", "order", "pay"].map(|step| format!("journey.step_seconds[{step}]"));
    assert_eq!(timed, steps);
    let cut = shop("").await;
    table.fault("step 4 closes the connection", &look(&probe, cut.port).await, "dropped ask");
    let dear = STEPS.replace("at_most: 10", "at_most: 1");
    table.fault(
        "step 1 fails its assertion",
        &look(&journey("s3 cret", &dear), fake.port).await,
        "bad_answer body assertion",
    );
    let nothing = STEPS.replace("$.items[0].id", "$.items[7].id");
    table.fault(
        "step 1 has nothing to save",
        &look(&journey("s3 cret", &nothing), fake.port).await,
        "bad_answer body assertion",
    );
    let mut silent = journey("s3 cret", "browse: { get: /menu }");
    silent.timeout = std::time::Duration::from_millis(500);
    table.fault("step 1 never answers", &look(&silent, Fake::silent().await.port).await, "hung ask");
    table.finish();

    assert_eq!(
        mistakes("{ journey: { steps: {} } }"),
        ["probe `journey`: `steps` is missing: name at least one"]
    );
    assert_eq!(
        mistakes("{ journey: { steps: { a: { get: /, post: / } } } }"),
        ["probe `journey`: the step `a` takes one of get, post, put, patch and delete"]
    );
    let wrong = mistakes("{ journey: { steps: { a: { get: menu, save: { b: '$[' } } } } }");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}
