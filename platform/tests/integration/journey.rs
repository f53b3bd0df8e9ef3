//! The order's whole way, and what happens to it while things break.

use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Platform, await_until, command, run, seconds_until};

#[test]
fn no_order_is_lost_or_doubled_whatever_breaks_on_its_way() {
    let platform = Platform::up_with(&["--poll", "1s"]);
    let load = command(&["load", "--rate", "30", "--for", "16s", "--json"], platform.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for fault in ["stop-order-mq", "kill-order-mq"] {
        let broken = run(&["break", fault, "--for", "4s"], platform.dir.path());
        assert!(broken.status.success(), "{}", String::from_utf8_lossy(&broken.stderr));
    }
    platform.signal("pos-1", Signal::SIGKILL);
    platform.signal("oms-1", Signal::SIGKILL);
    platform.repair();
    let load: Value = serde_json::from_slice(&load.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(load["availability"], 1.0, "{load}");
    assert_eq!(load["shed_by_the_client"], 0, "{load}");

    // Codes that come from the stores while nobody can take them in wait at the OMS.
    let order = platform.order(7);
    await_until("the order at the OMS", || platform.is_open(7, order).then_some(()));
    for instance in ["order-service-1", "order-service-2"] {
        platform.signal(instance, Signal::SIGKILL);
    }
    await_until("the pickup code at the OMS", || platform.pickup_code(order));
    platform.repair();
    platform.await_ready(order);

    let audit = run(&["audit", "--json", "--wait", "60s"], platform.dir.path());
    let told: Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert!(audit.status.success(), "{told}");
    assert_eq!((&told["lost"], &told["doubled"]), (&Value::from(0), &Value::from(0)), "{told}");
    let accepted = load["orders_accepted"].as_u64().unwrap();
    assert!(accepted > 50, "{load}");
    assert!(told["orders"].as_u64().unwrap() > accepted, "the light load orders, too: {told}");

    // An audit that never finds anything would pass all of the above.
    let log = platform.dir.path().join("accepted.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, format!("{text}4 1\n")).unwrap();
    let audit = run(&["audit", "--wait", "1s"], platform.dir.path());
    let words = String::from_utf8_lossy(&audit.stdout);
    assert_eq!(audit.status.code(), Some(1), "{words}");
    assert!(words.contains("4 not in its shard"), "{words}");
}

#[test]
fn pos_traffic_moves_to_the_mobile_line_and_faults_are_undone() {
    let platform = Platform::up_with(&["--poll", "1s"]);
    let in_use = |line: &str| {
        let (_, lines) = platform.get("pos-proxy-1", "/lines")?;
        (lines["in_use"] == line).then_some(())
    };
    await_until("the telecom line in use", || in_use("telecom"));
    platform.signal("telecom", Signal::SIGSTOP);
    let took = seconds_until("the mobile line in use", || {
        for instance in ["pos-proxy-1", "pos-1"] {
            let (status, deep) = platform.get(instance, "/health/deep")?;
            assert_eq!(status, 200, "{instance} {deep}");
        }
        in_use("mobile")
    });
    assert!(took <= 5.0, "moved after {took} s");
    platform.await_ready(platform.order(2));
    let (_, deep) = platform.get("pos-proxy-1", "/health/deep").unwrap();
    assert_eq!(deep["status"], "warn", "{deep}");
    platform.signal("telecom", Signal::SIGCONT);
    let took = seconds_until("the telecom line in use again", || in_use("telecom"));
    assert!(took >= 8.0, "back after {took} s: too soon to be sure of it");

    for (fault, instance) in [
        ("wrong-password-coupon-db", "coupon-service-1"),
        ("full-product-redis", "product-redis-1"),
        ("kill-payment-channel", "payment-service-1"),
    ] {
        let is_full = || platform.redis_refuses("product-redis-1").then_some(());
        let fails = || match instance {
            "product-redis-1" => is_full(),
            service => platform.get(service, "/health/deep").filter(|(status, _)| *status == 503).map(drop),
        };
        let mut broken = command(&["break", fault, "--for", "10m"], platform.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        await_until(fault, fails);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(broken.id().cast_signed()), Signal::SIGINT)
            .unwrap();
        assert!(broken.wait().unwrap().success(), "{fault} was not undone");
        await_until("an end of it", || fails().is_none().then_some(()));
    }
    platform.await_ready(platform.order(5));
}
