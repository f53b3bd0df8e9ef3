//! Situations and what must be said of them.

use crate::fault::{Fault, FaultKind, Reason};
use crate::graph::Graph;
use crate::level::Health;
use crate::model::Model;
use crate::testkit::{instance, model};

use super::{InstanceFacts, Looks, Onset, Situation, Verdict, WitnessFact, solve};

/// The mini-program platform in small.
const PLATFORM: &str = "
    gateway x2 -> miniapp
    miniapp x4 -> member, order, coupon:optional
    member x2 -> member-db, member-redis:optional
    order x2 -> order-db, mq:async
    coupon x2 -> coupon-db
    oms x2 -> mq, oms-db, order:async
    mq amqp -> oms:async
    member-db tcp
    order-db x4 tcp shards
    coupon-db tcp
    oms-db tcp
    member-redis tcp
";

/// A scene: who is bad how, who says what. Bad things began at 100 s unless told otherwise; everything
/// healthy was last seen so at `seen`.
struct Scene {
    model: Model,
    bad: Vec<Bad>,
    says: Vec<(String, String, bool)>,
    roles: Vec<(&'static str, &'static str)>,
    seen: f64,
}

/// Name, level, fault, signal, and when it went bad.
type Bad = (String, Health, Option<Fault>, Option<&'static str>, f64);

impl Scene {
    fn new() -> Self {
        Self::of(PLATFORM)
    }

    fn of(lines: &str) -> Self {
        Self { model: model(lines), bad: Vec::new(), says: Vec::new(), roles: Vec::new(), seen: 110.0 }
    }

    fn fault(mut self, name: &str, kind: FaultKind) -> Self {
        self.bad.push((name.to_owned(), Health::Red, Some(Fault::new(kind, "ask", "")), None, 100.0));
        self
    }

    /// 503, naming `on`.
    fn blames(mut self, name: &str, on: &str) -> Self {
        let fault =
            Fault::new(FaultKind::BadAnswer, "ask", &format!("503: {on} fail")).because(Reason::Status5xx);
        self.bad.push((name.to_owned(), Health::Red, Some(fault), None, 101.0));
        self.says.push((name.to_owned(), on.to_owned(), false));
        self
    }

    fn unwell(mut self, name: &str, signal: &'static str, health: Health) -> Self {
        self.bad.push((name.to_owned(), health, None, Some(signal), 100.0));
        self
    }

    /// An answer in which the instance itself says that it is not well.
    fn reports(mut self, name: &str, on: &str) -> Self {
        self.bad.push((name.to_owned(), Health::AtRisk, None, None, 101.0));
        self.says.push((name.to_owned(), on.to_owned(), false));
        self
    }

    fn says(mut self, by: &str, on: &str, ok: bool) -> Self {
        self.says.push((by.to_owned(), on.to_owned(), ok));
        self
    }

    /// 5xx without a word on whose fault it is.
    fn fails(self, name: &str) -> Self {
        let mut scene = self.fault(name, FaultKind::BadAnswer);
        let last = scene.bad.last_mut().unwrap();
        last.2 = last.2.take().map(|fault| fault.because(Reason::Gateway));
        last.4 = 101.0;
        scene
    }

    fn looks(&self, name: &str) -> Looks {
        let words: Vec<bool> = self.says.iter().filter(|says| says.0 == name).map(|says| says.2).collect();
        Looks::last((!words.is_empty()).then(|| words.iter().any(|ok| !ok)))
    }

    fn has_role(mut self, name: &'static str, role: &'static str) -> Self {
        self.roles.push((name, role));
        self
    }

    fn role(&self, name: &str) -> Option<&'static str> {
        self.roles.iter().find(|known| known.0 == name).map(|known| known.1)
    }

    fn verdict(&self) -> Verdict {
        let graph = Graph::new(&self.model);
        let exercises = |component| self.model.component(component).exercises_dependencies();
        let facts: Vec<InstanceFacts<'_>> = self
            .model
            .instances
            .iter()
            .map(|i| match self.bad.iter().find(|bad| bad.0 == i.name) {
                Some((_, health, fault, signal, at)) => InstanceFacts {
                    health: *health,
                    suspected: false,
                    fault: fault.as_ref(),
                    signal: *signal,
                    onset: Some(Onset { last_good: at - 3.0, first_bad: *at }),
                    last_good: Some(at - 3.0),
                    exercises: exercises(i.component),
                    interval: 5.0,
                    looks: self.looks(&i.name),
                    role: self.role(&i.name),
                    ..InstanceFacts::UNSEEN
                },
                None => InstanceFacts {
                    role: self.role(&i.name),
                    health: Health::Green,
                    last_good: Some(self.seen),
                    exercises: exercises(i.component),
                    interval: 5.0,
                    ..InstanceFacts::UNSEEN
                },
            })
            .collect();
        let witnesses: Vec<WitnessFact> = self
            .says
            .iter()
            .map(|(by, on, ok)| WitnessFact {
                by: instance(&self.model, by),
                on: self.model.component_by_name(on).unwrap(),
                on_instance: None,
                ok: *ok,
                words: if *ok { String::new() } else { "no answer in 400 ms".to_owned() },
                count: 1,
            })
            .collect();
        solve(&Situation {
            model: &self.model,
            graph: &graph,
            instances: &facts,
            witnesses: &witnesses,
            signs: &[],
            changes: &[],
        })
    }

    fn roots(&self) -> Vec<String> {
        self.verdict().roots.iter().map(|root| root.culprit.name(&self.model)).collect()
    }

    fn affected(&self) -> Vec<String> {
        self.verdict().affected.iter().map(|a| self.model.component(a.component).name.clone()).collect()
    }

    fn evidence(&self) -> Vec<String> {
        self.verdict().roots[0].evidence.iter().map(|e| e.text.en.clone()).collect()
    }
}

fn member_db_dead() -> Scene {
    Scene::new()
        .fault("member-db-1", FaultKind::Refused)
        .blames("member-1", "member-db")
        .blames("member-2", "member-db")
        .blames("miniapp-1", "member")
        .blames("miniapp-2", "member")
        .blames("miniapp-3", "member")
        .blames("miniapp-4", "member")
        .fails("gateway-1")
        .fails("gateway-2")
}

#[test]
fn nothing_wrong_nobody_to_blame() {
    assert_eq!(Scene::new().verdict(), Verdict::default());
}

#[test]
fn one_hung_of_four_is_named_alone_and_affects_nobody() {
    let scene = Scene::new().fault("miniapp-3", FaultKind::Hung);
    assert_eq!(scene.roots(), ["miniapp-3"]);
    assert!(scene.affected().is_empty());
    let evidence = scene.evidence().join("; ");
    assert!(evidence.contains("1 of 4 miniapp instances is broken; 3 answer well"), "{evidence}");
    assert!(evidence.contains("Nobody else is affected"), "{evidence}");
}

#[test]
fn a_dead_database_is_the_one_root_of_a_red_chain() {
    let scene = member_db_dead();
    assert_eq!(scene.roots(), ["member-db-1"]);
    assert_eq!(scene.affected(), ["member", "miniapp", "gateway"]);
    let verdict = scene.verdict();
    assert!(verdict.roots[0].confidence >= 0.9);
    assert_eq!(verdict.explained.len(), 8);
    assert!(verdict.affected.iter().all(|a| !a.because.en.is_empty() && !a.over.is_empty()));
    let evidence = scene.evidence().join("; ");
    assert!(evidence.contains("refuses connections"), "{evidence}");
    assert!(evidence.contains("2 of 2 member instances name member-db"), "{evidence}");
}

#[test]
fn an_affected_component_without_own_trouble_is_still_affected() {
    let scene = Scene::new().fault("member-db-1", FaultKind::Refused);
    assert_eq!(scene.affected(), ["member", "miniapp", "gateway"]);
}

#[test]
fn two_independent_faults_give_two_roots() {
    let scene = member_db_dead()
        .fault("oms-db-1", FaultKind::Hung)
        .blames("oms-1", "oms-db")
        .blames("oms-2", "oms-db");
    let mut roots = scene.roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "oms-db-1"]);
}

#[test]
fn a_hang_of_its_own_inside_the_red_chain_is_the_database_s_all_the_same_when_it_can_be() {
    // A hang can be inherited, so one root is enough.
    let mut scene = member_db_dead();
    scene.bad.retain(|bad| bad.0 != "miniapp-3");
    scene.says.retain(|says| says.0 != "miniapp-3");
    assert_eq!(scene.fault("miniapp-3", FaultKind::Hung).roots(), ["member-db-1"]);
}

#[test]
fn a_closed_port_inside_the_red_chain_is_a_root_of_its_own() {
    let mut scene = member_db_dead();
    scene.bad.retain(|bad| bad.0 != "miniapp-3");
    scene.says.retain(|says| says.0 != "miniapp-3");
    let mut roots = scene.fault("miniapp-3", FaultKind::Refused).roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "miniapp-3"]);
}

#[test]
fn a_green_database_that_its_users_cannot_reach_is_a_broken_way() {
    let scene =
        Scene::new().blames("member-1", "member-db").blames("member-2", "member-db").fails("gateway-1");
    assert_eq!(scene.roots()[0], "member -> member-db");
}

#[test]
fn a_bad_answer_that_finds_all_it_needs_fine_is_its_own() {
    let scene = Scene::new()
        .fault("member-db-1", FaultKind::Refused)
        .blames("member-1", "member-db")
        .blames("member-2", "member-db")
        .fails("order-1")
        .says("order-1", "order-db", true)
        .says("order-1", "mq", true);
    let mut roots = scene.roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "order-1"]);
}

#[test]
fn a_backlog_is_its_consumer_s_doing() {
    let scene = Scene::new().fault("oms-1", FaultKind::Refused).fault("oms-2", FaultKind::Refused).unwell(
        "mq-1",
        "amqp.queue_consumers[orders]",
        Health::Red,
    );
    assert_eq!(scene.roots(), ["oms"]);
    assert_eq!(scene.affected(), ["mq", "order"]);
}

#[test]
fn a_full_memory_is_nobody_else_s_doing() {
    let scene = Scene::new().fault("member-db-1", FaultKind::Refused).unwell(
        "member-redis-1",
        "redis.memory_used_ratio",
        Health::AtRisk,
    );
    let mut roots = scene.roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "member-redis-1"]);
}

#[test]
fn all_copies_broken_alike_are_one_suspect_the_component() {
    let mut scene = Scene::new();
    for i in 1..=4 {
        scene = scene.fault(&format!("miniapp-{i}"), FaultKind::Refused);
    }
    assert_eq!(scene.fails("gateway-1").roots(), ["miniapp"]);
}

#[test]
fn a_lost_shard_is_named_by_its_instance() {
    let scene = Scene::new().fault("order-db-3", FaultKind::Refused).reports("order-1", "order-db");
    assert_eq!(scene.roots()[0], "order-db-3");
    assert!(scene.affected().contains(&"order".to_owned()));
}

#[test]
fn the_same_situation_always_has_the_same_verdict() {
    assert_eq!(member_db_dead().verdict(), member_db_dead().verdict());
}

#[test]
fn evidence_reads_in_both_languages() {
    for suspect in member_db_dead().verdict().suspects {
        for evidence in suspect.evidence {
            assert!(!evidence.text.en.is_empty() && !evidence.text.zh.is_empty());
            assert!(!evidence.text.zh.is_ascii(), "{}", evidence.text.zh);
        }
    }
}

#[test]
fn a_replica_that_lost_its_primary_is_not_a_second_root() {
    let lost = |first: Scene| first.unwell("db-2", "postgres.wal_receiver_up", Health::Red);
    let scene = lost(Scene::of("app -> db\ndb x2 tcp primary_replica").fault("db-1", FaultKind::Refused));
    assert_eq!(scene.roots(), ["db-1"]);
    let alone = lost(Scene::of("app -> db\ndb x2 tcp primary_replica"));
    assert_eq!(alone.roots(), ["db-2"]);
}

#[test]
fn a_share_of_failed_requests_comes_from_a_lost_shard_through_servers_that_are_well() {
    let scene = || Scene::new().fault("order-db-2", FaultKind::Refused).reports("order-1", "order-db");
    let counted = "access_log.interface_error_ratio[orders]";
    let seen = scene().unwell("gateway-1", counted, Health::Impaired);
    assert_eq!(seen.roots(), ["order-db-2"]);
    // A page of its own that fails while all that it needs is well is another trouble.
    let own = scene().fails("gateway-1");
    let mut roots = own.roots();
    roots.sort();
    assert_eq!(roots, ["gateway-1", "order-db-2"]);
    // And with nobody else in trouble the share is the gateway's own.
    let alone = Scene::new().unwell("gateway-1", counted, Health::Impaired);
    assert_eq!(alone.roots(), ["gateway-1"]);
}

#[test]
fn a_slow_database_is_named_though_its_users_manage_for_now() {
    let scene = Scene::new()
        .unwell("member-db-1", "mysql.select_seconds", Health::Impaired)
        .says("member-1", "member-db", true)
        .says("member-2", "member-db", true)
        .says("miniapp-1", "member", true)
        .says("miniapp-2", "member", true);
    assert_eq!(scene.roots(), ["member-db-1"]);
}

#[test]
fn a_queue_that_its_consumers_may_not_read_is_a_broken_way() {
    let scene = Scene::new().blames("oms-1", "mq").blames("oms-2", "mq").unwell(
        "mq-1",
        "amqp.queue_consumers[orders]",
        Health::Red,
    );
    assert_eq!(scene.roots(), ["oms -> mq"]);
}

#[test]
fn logins_that_fail_are_those_of_the_caller_who_cannot_log_in() {
    let counted = "mysql.aborted_connects_per_second";
    let busy = || Scene::of("app x2 -> db\ndb tcp").unwell("db-1", counted, Health::AtRisk);
    assert_eq!(busy().blames("app-1", "db").blames("app-2", "db").roots(), ["app -> db"]);
    assert_eq!(busy().roots(), ["db-1"]);
}

#[test]
fn what_is_only_at_risk_makes_nobody_hang() {
    let scene = Scene::of("gate x2 -> app\napp x2 -> mail:optional\nmail -> db\ndb tcp")
        .fault("db-1", FaultKind::Refused)
        .blames("mail-1", "db")
        .reports("app-1", "mail")
        .reports("app-2", "mail")
        .fault("gate-2", FaultKind::Hung);
    let mut roots = scene.roots();
    roots.sort();
    assert_eq!(roots, ["db-1", "gate-2"]);
}

#[test]
fn a_dead_letter_is_nobodys_backlog() {
    let with = |signal| Scene::new().unwell("mq-1", signal, Health::Impaired);
    assert_eq!(with("amqp.queue_messages[orders]").roots(), ["oms"]);
    assert_eq!(with("amqp.queue_unread[orders.dead]").roots(), ["mq-1"]);
}

#[test]
fn a_primary_that_waits_for_a_dead_replica_is_not_to_blame_and_the_other_way_round() {
    let pair = || Scene::new().has_role("order-db-1", "primary").has_role("order-db-2", "replica");
    let dead_replica = || pair().fault("order-db-2", FaultKind::Refused);
    for waiting in ["postgres.syncrep_wait_seconds", "postgres.lock_waiters"] {
        let scene = dead_replica().unwell("order-db-1", waiting, Health::Impaired);
        assert_eq!(scene.roots(), ["order-db-2"], "{waiting}");
    }
    // Locks held by somebody else are the primary's own, and so is a full table of connections.
    let locked = pair().unwell("order-db-1", "postgres.lock_waiters", Health::Impaired);
    assert_eq!(locked.roots(), ["order-db-1"]);
    // Exclusive locks of the primary are replayed by its replica.
    let locked_both = ["order-db-1", "order-db-2"]
        .into_iter()
        .fold(pair(), |scene, name| scene.unwell(name, "postgres.lock_waiters", Health::Impaired));
    assert_eq!(locked_both.roots(), ["order-db-1"]);
    let full = dead_replica().unwell("order-db-1", "postgres.connections_used_ratio", Health::AtRisk);
    let mut roots = full.roots();
    roots.sort();
    assert_eq!(roots, ["order-db-1", "order-db-2"]);
    let behind = pair().fault("order-db-1", FaultKind::Hung).unwell(
        "order-db-2",
        "postgres.wal_receiver_age_seconds",
        Health::AtRisk,
    );
    assert_eq!(behind.roots(), ["order-db-1"]);
}
