//! The story's measures: the site's limit, the edge, scaling, switching, promotion, push, and faults that are
//! undone whatever happens to the command that made them.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Platform, await_until, command, run};

fn load(platform: &Platform, options: &[&str]) -> Value {
    let output = run(&[&["load", "--json"], options].concat(), platform.dir.path());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn done(platform: &Platform, arguments: &[&str]) -> String {
    let output = run(arguments, platform.dir.path());
    assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_clean(platform: &Platform) {
    let audit = run(&["audit", "--json", "--wait", "90s"], platform.dir.path());
    let told: Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert!(audit.status.success(), "{told}");
}

#[test]
fn the_excess_is_refused_pictures_stay_at_the_edge_and_instances_come_and_go() {
    let platform = Platform::up_with(&["--rate-limit", "60"]);
    let told = load(&platform, &["--rate", "240", "--for", "4s", "--mix", "browse=1"]);
    assert!(told["refused"].as_u64().unwrap() > 400, "{told}");
    assert!(told["well"].as_u64().unwrap() > 150, "{told}");
    assert_eq!(told["availability"], 1.0, "{told}");
    the_access_log_tells_each_request(&platform);
    done(&platform, &["limit", "5000"]);
    pictures_stay_at_the_edge(&platform);

    let under_way = command(&["load", "--json", "--rate", "60", "--for", "20s"], platform.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    done(&platform, &["scale", "miniapp-server", "6"]);
    assert_eq!(platform.get("miniapp-server-6", "/health/deep").unwrap().0, 200);
    done(&platform, &["switch", "coupon-service", "vm"]);
    let deep = await_until("the VM group in the deep answer", || {
        let (_, deep) = platform.get("miniapp-server-1", "/health/deep")?;
        deep["checks"]["coupon-service-vm"].is_array().then_some(deep)
    });
    assert!(deep["checks"]["coupon-service"].is_null(), "{deep}");
    let topology = std::fs::read_to_string(platform.dir.path().join("topology.yaml")).unwrap();
    assert!(topology.contains("{ on: coupon-service-vm, strength: optional }"), "{topology}");
    done(&platform, &["switch", "coupon-service", "container"]);
    done(&platform, &["scale", "coupon-service-vm", "0"]);
    done(&platform, &["scale", "miniapp-server", "3"]);
    let told: Value = serde_json::from_slice(&under_way.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&told["availability"], &told["refused"]), (&json!(1.0), &json!(0)), "{told}");
    let told = run(&["scale", "order-db", "5"], platform.dir.path());
    assert!(String::from_utf8_lossy(&told.stderr).contains("cannot be scaled"), "{told:?}");
    is_clean(&platform);
}

fn the_access_log_tells_each_request(platform: &Platform) {
    let log = std::path::Path::new(platform.deployment()["data"].as_str().unwrap())
        .join("gateway-1")
        .join("access.log");
    await_until("a refused and a served request in the log", || {
        let text = std::fs::read_to_string(&log).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let served = lines.iter().find(|line| line["status"] == 200 && line["path"] == "/api/menu")?;
        assert!(served["upstream"].as_str().unwrap().starts_with("127.10.2."), "{served}");
        assert!(served["seconds"].is_number(), "{served}");
        lines.iter().any(|line| line["status"] == 429 && line["limit"] == "REJECTED").then_some(())
    });
}

fn pictures_stay_at_the_edge(platform: &Platform) {
    // The gateways are still a little over their limit.
    await_until("a picture", || {
        platform.get("cdn-1", "/static/pictures/7.svg").filter(|(status, _)| *status == 200)
    });
    for gateway in ["gateway-1", "gateway-2"] {
        platform.kill_whole(gateway);
    }
    assert!(platform.get("gateway-1", "/static/pictures/7.svg").is_none());
    assert_eq!(platform.get("cdn-1", "/static/pictures/7.svg").unwrap().0, 200);
    platform.repair();
    let walked = done(platform, &["warm-up"]);
    assert!(walked.contains("of 183 pages"), "{walked}");
}

#[test]
fn a_lost_primary_is_replaced_by_its_replica_and_no_order_is_lost() {
    let platform = Platform::up_with(&["--history"]);
    let under_way = command(&["load", "--json", "--rate", "60", "--for", "14s"], platform.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let refused = run(&["promote", "order-db-1"], platform.dir.path());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"), "{refused:?}");
    await_until("a read from a replica", || {
        let text = platform.text("order-service-1", "/metrics")?;
        text.contains("read from the replica").then_some(())
    });
    platform.signal("order-db-3", Signal::SIGKILL);
    let promoted = run(&["promote", "order-db-3"], platform.dir.path());
    if !promoted.status.success() {
        // An order was being written in that moment. Its customer heard nothing, so it is none.
        let words = String::from_utf8_lossy(&promoted.stderr);
        assert!(words.contains("never reached"), "{words}");
        done(&platform, &["promote", "order-db-3", "--force"]);
    }
    assert!(platform.repair().contains("order-db-3 again"));
    let told: Value = serde_json::from_slice(&under_way.wait_with_output().unwrap().stdout).unwrap();
    assert!(told["orders_accepted"].as_u64().unwrap() > 100, "{told}");
    // Back again: the first server, now the replica, has all that was written meanwhile.
    await_until("the replica", || platform.is_followed("order-db-3-replica").then_some(()));
    done(&platform, &["promote", "order-db-3", "--force"]);
    platform.repair();
    is_clean(&platform);

    let order = platform.order(6);
    let mine = await_until("the order among its member's", || {
        let (_, mine) = platform.get("gateway-1", "/api/orders?member=7")?;
        mine["orders"].as_array()?.iter().any(|one| one["id"] == order).then_some(mine)
    });
    assert_eq!(mine["missing"], json!([]), "{mine}");
    let (days, now): (i64, i64) = platform.orders_a_minute("order-db-2");
    assert!(days > 8 * 1440 - 10, "{days}");
    assert!(now > 0);
}

#[test]
fn stores_are_told_at_once_and_ask_in_turn_when_nobody_tells_them() {
    let platform = Platform::up_with(&["--poll", "2s"]);
    let told =
        done(&platform, &["listen", "--connections", "2000", "--rate", "300", "--for", "4s", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["connections"], &told["arrived"]), (&json!(2000), &told["sent"]), "{told}");
    assert!(told["sent"].as_u64().unwrap() > 1000, "{told}");

    for centre in ["push-centre-1", "push-centre-2"] {
        platform.signal(centre, Signal::SIGKILL);
    }
    platform.await_ready(platform.order(9));
    await_until("the stores without push", || {
        let (status, deep) = platform.get("pos-1", "/health/deep")?;
        (status == 200 && deep["checks"]["push-centre"][0]["status"] == "fail").then_some(())
    });
    platform.repair();
    await_until("the stores with push", || {
        platform.get("pos-1", "/health/deep").filter(|(_, deep)| deep["status"] == "pass")
    });

    faults_of_killed_commands_are_undone(&platform);
    what_nobody_can_read_is_kept(&platform);
    is_clean(&platform);
}

fn faults_of_killed_commands_are_undone(platform: &Platform) {
    let is_read_only = || {
        let (status, _) = platform.get("coupon-service-1", "/health/deep")?;
        (status == 503).then_some(())
    };
    let is_full = || platform.redis_refuses("product-redis-1").then_some(());
    // Asked of the OMS: the Redis itself is started anew for this.
    let has_no_disk = || {
        let (_, deep) = platform.get("oms-1", "/health/deep")?;
        let said = deep["checks"]["oms-redis"][0]["output"].as_str().unwrap_or_default();
        said.contains("No space left on device").then_some(())
    };
    // The channel itself is well: what fails is the certificate, or the way to its name.
    let cannot_pay = |words: &str| {
        let (status, deep) = platform.get("payment-service-1", "/health/deep")?;
        let said = deep["checks"]["payment-channel"][0]["output"].as_str().unwrap_or_default();
        (status == 503 && said.contains(words)).then_some(())
    };
    let has_expired = || cannot_pay("expired");
    let has_no_name = || cannot_pay("cannot resolve payment-channel.example");
    let is_misconfigured = || {
        let (status, _) = platform.get("gateway-2", "/api/menu")?;
        (status == 502).then_some(())
    };
    for (fault, broken) in [
        ("read-only-coupon-db", &is_read_only as &dyn Fn() -> Option<()>),
        ("full-product-redis", &is_full),
        ("disk-full-oms-redis", &has_no_disk),
        ("expired-certificate-payment-channel", &has_expired),
        ("name-gone-payment-channel", &has_no_name),
        ("misconfigured-gateway", &is_misconfigured),
    ] {
        let mut breaking = command(&["break", fault, "--for", "10m"], platform.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        await_until(fault, broken);
        kill(Pid::from_raw(breaking.id().cast_signed()), Signal::SIGKILL).unwrap();
        breaking.wait().unwrap();
        assert!(broken().is_some(), "{fault} ended with its command: this proves nothing");
        let said = done(platform, &["repair"]);
        assert!(said.contains(fault), "{said}");
        await_until("an end of it", || broken().is_none().then_some(()));
        assert!(done(platform, &["repair"]).contains("nothing to repair"));
    }
}

fn what_nobody_can_read_is_kept(platform: &Platform) {
    let mut breaking = command(&["break", "poison-order-mq", "--for", "10m"], platform.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let letters = || -> Value { serde_json::from_str(&done(platform, &["dead-letters", "--json"])).unwrap() };
    await_until("three dead letters", || {
        (letters()["messages"].as_array().unwrap().len() == 3).then_some(())
    });
    done(platform, &["dead-letters", "--drop"]);
    assert_eq!(letters()["messages"], json!([]));
    kill(Pid::from_raw(breaking.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(breaking.wait().unwrap().success());
}
