//! Pings, in a network namespace of the test's own: the range of groups that may ping is set there.

use crate::support::{answer, in_namespace, look_at, read, summary};
use crate::table::Table;

#[test]
fn pings_are_seen_as_they_are() {
    let setup = "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range\n\
                 ip route add unreachable 10.8.0.0/24";
    in_namespace("icmp::in_a_namespace_that_allows_pings", setup);
}

#[test]
fn a_host_that_forbids_pings_says_what_to_do() {
    in_namespace(
        "icmp::in_a_namespace_that_forbids_pings",
        "echo '1 0' > /proc/sys/net/ipv4/ping_group_range",
    );
}

#[tokio::test]
#[ignore = "run by pings_are_seen_as_they_are"]
async fn in_a_namespace_that_allows_pings() {
    let mut table = Table::new("icmp");
    let ping = read("{ icmp: {} }");
    let seen = look_at(&ping, "127.0.0.1", 1).await;
    let found = answer(&seen);
    assert_eq!(found.signals["icmp.loss_ratio"], 0.0);
    assert!(found.signals["icmp.rtt_seconds"] > 0.0);
    table.fault("an `unreachable` route", &look_at(&ping, "10.8.0.1", 1).await, "unreachable tcp host");
    table.fault("no route", &look_at(&ping, "192.0.2.1", 1).await, "unreachable tcp network");
    std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    let mute = look_at(&ping, "127.0.0.1", 1).await;
    table.fault("`net.ipv4.icmp_echo_ignore_all`", &mute, "connect_timeout ask");
    table.finish();
}

#[tokio::test]
#[ignore = "run by a_host_that_forbids_pings_says_what_to_do"]
async fn in_a_namespace_that_forbids_pings() {
    let said = summary(&look_at(&read("{ icmp: {} }"), "127.0.0.1", 1).await);
    assert!(
        said.starts_with("local: this host forbids pings") && said.contains("ping_group_range"),
        "{said}"
    );
}
