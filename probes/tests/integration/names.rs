//! Names and addresses.

use crate::fakes::Fake;
use crate::support::{answer, fault, free_port, look_at, networked, probe, summary};

#[tokio::test]
async fn a_name_is_resolved_as_a_stage_of_its_own() {
    let fake = Fake::silent().await;
    let seen = look_at(&probe("tcp"), "localhost", fake.port).await;
    assert!(answer(&seen).signals.contains_key("net.resolve_seconds"), "{seen:?}");
    assert!(answer(&seen).signals.contains_key("net.connect_seconds"), "{seen:?}");
    assert_eq!(seen.stages[0].name, "resolve");
}

#[tokio::test]
async fn a_name_without_an_address_is_unresolvable_for_every_kind() {
    for probe in networked() {
        let seen = look_at(&probe, "no-such-host.invalid", 9).await;
        assert!(summary(&seen).starts_with("unresolvable resolve"), "{}: {seen:?}", probe.kind.name);
        assert!(fault(&seen).words.contains("no-such-host.invalid"));
    }
}

#[tokio::test]
async fn an_address_of_version_6_needs_no_brackets() {
    for probe in networked() {
        if probe.kind.name == "icmp" {
            continue;
        }
        let seen = look_at(&probe, "::1", free_port()).await;
        let summary = summary(&seen);
        // A host without version 6 has no such address.
        assert!(summary == "refused tcp" || summary.starts_with("local"), "{}: {summary}", probe.kind.name);
    }
}
