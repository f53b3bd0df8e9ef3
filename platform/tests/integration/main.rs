//! The platform's promises on its real servers.
#![expect(
    clippy::unwrap_used,
    reason = "a test may end here; the lint only spares the test functions themselves"
)]

mod journey;
mod measures;
mod support;

use std::process::Stdio;

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::support::{Platform, await_until, command, processes_of, read_json, run};

// Starting everything is most of what a test costs: what does not disturb each other shares a platform.

#[test]
fn losses_are_named_and_mended_and_down_leaves_nothing() {
    let platform = Platform::up();
    the_monitoring_accounts_can_look_and_not_touch(&platform);
    an_order_goes_all_the_way(&platform);
    a_dead_database_is_named_up_to_the_gateway_and_repair_mends_it(&platform);
    a_lost_shard_takes_its_quarter_and_no_more(&platform);
    platform.repair();
    await_until("every shard again", || {
        platform.get("order-service-1", "/health/deep").filter(|(_, deep)| deep["status"] == "pass")
    });
    a_stopped_server_or_cache_takes_nothing_away_from_the_customer(&platform);
    orders_wait_out_a_dead_broker(&platform);
    // With one process of it stopped, too.
    down_leaves_nothing(&platform);
}

fn an_order_goes_all_the_way(platform: &Platform) {
    let order = platform.order(3);
    let shown = platform.await_ready(order);
    assert_eq!((&shown["store"], &shown["paid"]), (&Value::from(3), &Value::from(true)));
    assert_eq!(shown["pickup_code"].as_str().unwrap().len(), 5);
}

fn down_leaves_nothing(platform: &Platform) {
    let deployment = platform.deployment();
    assert!(processes_of(&deployment).len() > 40);
    assert!(run(&["down"], platform.dir.path()).status.success());
    assert_eq!(processes_of(&deployment), Vec::<i32>::new());
    assert!(!std::path::Path::new(deployment["data"].as_str().unwrap()).exists());
    assert!(!platform.dir.path().join("secrets").exists());
    assert!(run(&["down"], platform.dir.path()).status.success(), "down again is no error");
}

fn a_dead_database_is_named_up_to_the_gateway_and_repair_mends_it(platform: &Platform) {
    platform.signal("member-db-1", Signal::SIGKILL);

    let deep = await_until("the member service failing", || fails(platform, "member-service-1"));
    assert_eq!(deep["checks"]["member-db"][0]["status"], "fail");
    let deep = await_until("the mini-program server failing", || fails(platform, "miniapp-server-1"));
    assert_eq!(deep["checks"]["member-service"][0]["status"], "fail");
    assert_eq!(deep["checks"]["store-service"][0]["status"], "pass");
    let output = deep["checks"]["member-service"][0]["output"].as_str().unwrap();
    assert!(output.contains("member-db"), "{output}");
    let (status, home) = platform.get("gateway-1", "/api/home").unwrap();
    assert_eq!((status, &home["dependency"]), (503, &Value::from("member-service")));

    let untouched = platform.pid("store-db-1");
    let said = platform.repair();
    assert!(said.contains("member-db-1"), "{said}");
    assert_eq!(platform.pid("store-db-1"), untouched);
    for (instance, page) in [
        ("member-service-1", "/health/deep"),
        ("miniapp-server-1", "/health/deep"),
        ("gateway-1", "/api/home"),
    ] {
        await_until("everything answering again", || {
            platform.get(instance, page).filter(|(status, _)| *status == 200)
        });
    }
}

fn the_monitoring_accounts_can_look_and_not_touch(platform: &Platform) {
    let (amqp, mysql, postgres) = (
        platform.secret("monitor-amqp"),
        platform.secret("monitor-mysql"),
        platform.secret("monitor-postgres"),
    );
    let uri = format!("amqp://monitor:{amqp}@{}/%2f", platform.address("order-mq-1"));
    let shop = format!("mysql://monitor:{mysql}@{}/member", platform.address("member-db-1"));
    let shard = format!("postgres://monitor:{postgres}@{}/orders", platform.address("order-db-4"));
    platform.wait(async move {
        let connection =
            lapin::Connection::connect(&uri, lapin::ConnectionProperties::default()).await.unwrap();
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await.unwrap();
        let queue = channel.queue_declare("orders".into(), passive, FieldTable::default()).await.unwrap();
        assert_eq!(queue.consumer_count(), 2);
        assert!(channel.basic_get("orders".into(), BasicGetOptions::default()).await.is_err());

        let mut mysql = sqlx::MySqlConnection::connect(&shop).await.unwrap();
        for question in ["SHOW GLOBAL STATUS", "SHOW ALL SLAVES STATUS", "SHOW FULL PROCESSLIST"] {
            sqlx::raw_sql(question).execute(&mut mysql).await.unwrap();
        }
        assert!(sqlx::raw_sql("SELECT * FROM members").execute(&mut mysql).await.is_err());

        let mut postgres = sqlx::PgConnection::connect(&shard).await.unwrap();
        sqlx::raw_sql("SELECT * FROM pg_stat_activity").execute(&mut postgres).await.unwrap();
        assert!(sqlx::raw_sql("SELECT * FROM orders").execute(&mut postgres).await.is_err());
    });
}

fn fails(platform: &Platform, instance: &str) -> Option<Value> {
    let (status, deep) = platform.get(instance, "/health/deep")?;
    (status == 503 && deep["status"] == "fail").then_some(deep)
}

fn a_stopped_server_or_cache_takes_nothing_away_from_the_customer(platform: &Platform) {
    platform.signal("miniapp-server-2", Signal::SIGSTOP);
    platform.signal("product-redis-1", Signal::SIGSTOP);
    // More requests than servers: each gateway meets the stopped one.
    let mut late = Vec::new();
    for gateway in ["gateway-1", "gateway-2"] {
        for page in ["/api/home", "/api/menu"].repeat(6) {
            let (status, body) = platform.get(gateway, page).unwrap();
            if status == 503 && body["dependency"] == "product-service" {
                late.push(body);
            } else {
                assert_eq!(status, 200, "{gateway} {page} {body}");
            }
        }
    }
    // Each of the 12 menus asks the stopped cache first, within a budget of 300 ms: one or two may lose theirs to
    // the tests that share this machine.
    assert!(late.len() <= 2, "{late:?}");
    let deep = await_until("the cache missed", || {
        let (status, deep) = platform.get("product-service-1", "/health/deep")?;
        (status == 200 && deep["status"] == "warn").then_some(deep)
    });
    assert_eq!(deep["checks"]["product-redis"][0]["status"], "fail");
}

fn orders_wait_out_a_dead_broker(platform: &Platform) {
    platform.signal("order-mq-1", Signal::SIGKILL);
    let order = platform.order(4);
    let deep = await_until("the order service warning", || {
        let (status, deep) = platform.get("order-service-1", "/health/deep")?;
        (status == 200 && deep["status"] == "warn").then_some(deep)
    });
    assert_eq!(deep["checks"]["order-mq"][0]["status"], "fail");
    platform.repair();
    platform.await_ready(order);
}

fn a_lost_shard_takes_its_quarter_and_no_more(platform: &Platform) {
    platform.signal("order-db-2", Signal::SIGKILL);
    let deep = await_until("the order service warning", || {
        let (status, deep) = platform.get("order-service-1", "/health/deep")?;
        (status == 200 && deep["status"] == "warn").then_some(deep)
    });
    let shards = deep["checks"]["order-db"].as_array().unwrap();
    let states: Vec<_> = shards.iter().map(|shard| (&shard["componentId"], &shard["status"])).collect();
    assert_eq!(states.len(), 4);
    for (name, status) in states {
        assert_eq!(status == "fail", name == "order-db-2", "{name} {status}");
    }
    for number in 0..20 {
        // The request's key chooses the shard.
        let shard = number % 4;
        let request = std::iter::repeat_with(Uuid::now_v7).find(|key| key.as_u128() % 4 == shard).unwrap();
        let body = json!({ "member": 1, "store": 1, "product": 1, "request": request.to_string() });
        let (status, answer) = platform.post("gateway-1", "/api/orders", &body).unwrap();
        if shard == 1 {
            assert_eq!(status, 503, "{answer}");
            assert!(answer["error"].as_str().unwrap().contains("order-db-2"), "{answer}");
        } else {
            assert_eq!(status, 201, "{answer}");
            assert_eq!(answer["id"].as_u64().unwrap() % 4, u64::try_from(shard).unwrap());
        }
    }
    assert_eq!(platform.get("miniapp-server-1", "/health/deep").unwrap().0, 200);
}

#[test]
fn an_interrupted_start_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = command(&["up", "--base-port", "auto"], dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deployment = await_until("some servers", || {
        let deployment = read_json(&dir.path().join("deployment.json"))?;
        (processes_of(&deployment).len() > 8).then_some(deployment)
    });
    kill(Pid::from_raw(up.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(143));
    assert_eq!(processes_of(&deployment), Vec::<i32>::new());
}
