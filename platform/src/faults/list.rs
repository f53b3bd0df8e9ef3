//! The faults there are: real ones, each with the node that is to blame.

use crate::plan::{Instance, NEXT_RELEASE, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breakage {
    /// SIGKILL to every process of these instances; a component's name stands for all of its instances.
    Kill(&'static [&'static str]),
    /// SIGSTOP: they hold their connections and answer nobody.
    Stop(&'static [&'static str]),
    /// Stopped and continued several times a second: everything takes long, nothing fails by itself.
    Slow(&'static str),
    /// Everything on one machine is killed.
    LoseHost(&'static str),
    /// Everything in one zone is killed.
    LoseZone(&'static str),
    /// A Redis with a limit it has reached, which refuses to write.
    Fill(&'static str),
    /// A Redis that reads in its data set and serves nothing meanwhile.
    Loading(&'static str),
    /// The services' password is no longer the server's.
    Password(&'static str),
    /// One session holds the table that everybody needs.
    Lock(&'static str),
    /// One caller holds every connection that the server gives.
    Slots(&'static str),
    /// The server takes no more writes, as a primary does that was made a replica.
    ReadOnly(&'static str),
    /// The replica receives and does not replay.
    Lag(&'static str),
    /// The broker is over its memory limit and takes no messages.
    MemoryAlarm(&'static str),
    /// The account of the services may not read from its queue.
    NoConsumer(&'static str),
    /// Messages nobody can read.
    Poison(&'static str),
    /// The instances of the next release get a build with an error in it.
    BadRelease,
    /// It answers, and every answer is an error.
    Errors(&'static str),
    /// The first, an instance or a whole component, cannot reach the second.
    Cut(&'static str, &'static str),
    /// Its clock is ahead.
    Clock(&'static str),
    /// The broker's disk is below its limit, and it takes no messages.
    DiskAlarm(&'static str),
    /// The disk that a Redis writes its changes to is full.
    DiskFull(&'static str),
    /// The nginx was given the wrong port of the servers behind it.
    WrongUpstream(&'static str),
    /// The edges keep nothing: every picture is asked for at the servers.
    NoCache(&'static str),
    /// Its certificate has expired.
    ExpiredCertificate(&'static str),
    /// Its name cannot be resolved any more.
    NameGone(&'static str),
    /// A database hangs for some seconds with its cache emptied; everybody comes back at once when it is well.
    Herd { database: &'static str, cache: &'static str },
}

impl Breakage {
    /// In one word, or two.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kill(_) | Self::LoseHost(_) | Self::LoseZone(_) => "killed",
            Self::Stop(_) => "stopped",
            Self::Slow(_) => "slowed",
            Self::Fill(_) => "filled",
            Self::Loading(_) => "loading",
            Self::Password(_) => "password changed",
            Self::Lock(_) => "table locked",
            Self::Slots(_) => "connections used up",
            Self::ReadOnly(_) => "read-only",
            Self::Lag(_) => "replay paused",
            Self::MemoryAlarm(_) => "over its memory limit",
            Self::NoConsumer(_) => "reading forbidden",
            Self::Poison(_) => "sent unreadable messages",
            Self::BadRelease => "replaced by a bad release",
            Self::Errors(_) => "answering errors",
            Self::Cut(..) => "cut off",
            Self::Clock(_) => "given a clock that is ahead",
            Self::DiskAlarm(_) => "below its disk limit",
            Self::DiskFull(_) => "given a full disk",
            Self::WrongUpstream(_) => "misconfigured",
            Self::NoCache(_) => "told to keep nothing",
            Self::ExpiredCertificate(_) => "given an expired certificate",
            Self::NameGone(_) => "without a name",
            Self::Herd { .. } => "hung, then overrun",
        }
    }

    pub(super) fn instances(&self, plan: &Plan) -> Vec<String> {
        let those = |wanted: &dyn Fn(&Instance) -> bool| {
            plan.instances.iter().filter(|one| wanted(one)).map(|one| one.name.clone()).collect()
        };
        match self {
            Self::Kill(all) | Self::Stop(all) => {
                those(&|one| all.iter().any(|name| one.name == *name || one.component.name == *name))
            }
            Self::Errors(name)
            | Self::Cut(name, _)
            | Self::Clock(name)
            | Self::ExpiredCertificate(name)
            | Self::NameGone(name)
            | Self::WrongUpstream(name)
            | Self::NoCache(name) => those(&|one| one.name == *name || one.component.name == *name),
            Self::LoseHost(host) => those(&|one| one.host() == *host),
            Self::LoseZone(zone) => those(&|one| one.zone() == *zone),
            Self::BadRelease => those(&|one| one.version() == Some(NEXT_RELEASE)),
            Self::Slow(one)
            | Self::Fill(one)
            | Self::Loading(one)
            | Self::Password(one)
            | Self::Lock(one)
            | Self::Slots(one)
            | Self::ReadOnly(one)
            | Self::Lag(one)
            | Self::MemoryAlarm(one)
            | Self::NoConsumer(one)
            | Self::Poison(one)
            | Self::DiskAlarm(one)
            | Self::DiskFull(one)
            | Self::Herd { database: one, .. } => vec![(*one).to_owned()],
        }
    }
}

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) breakage: Breakage,
    /// Any one of these names the cause.
    pub(super) roots: &'static [&'static str],
}

macro_rules! faults {
    ($($name:literal, $what:literal, $breakage:expr, $roots:expr;)*) => {
        &[$(Fault { name: $name, what: $what, breakage: $breakage, roots: &$roots }),*]
    };
}

use Breakage::{
    BadRelease, Clock, Cut, DiskAlarm, DiskFull, Errors, ExpiredCertificate, Fill, Herd, Kill, Lag, Loading,
    Lock, LoseHost, LoseZone, MemoryAlarm, NameGone, NoCache, NoConsumer, Password, Poison, ReadOnly, Slots,
    Slow, Stop, WrongUpstream,
};

#[rustfmt::skip]
pub(super) const FAULTS: &[Fault] = faults! {
    // Databases.
    "kill-member-db", "the members' database is killed: no home page and no order without a member",
        Kill(&["member-db-1"]), ["member-db-1", "member-db"];
    "kill-coupon-db", "the coupons' database is killed: the page shows no coupons, orders go on",
        Kill(&["coupon-db-1"]), ["coupon-db-1", "coupon-db"];
    "stop-product-db", "the products' database hangs: what is cached is served, nothing else",
        Stop(&["product-db-1"]), ["product-db-1", "product-db"];
    "stop-payment-db", "the payment database hangs: nobody can pay",
        Stop(&["payment-db-1"]), ["payment-db-1", "payment-db"];
    "stop-notification-db", "the notifications' database hangs: nothing is notified, orders go on",
        Stop(&["notification-db-1"]), ["notification-db-1", "notification-db"];
    "kill-oms-db", "the OMS's database is killed: orders wait on the queue",
        Kill(&["oms-db-1"]), ["oms-db-1", "oms-db"];
    "slow-store-db", "the stores' database gets a fraction of the time it needs: every answer is slow",
        Slow("store-db-1"), ["store-db-1", "store-db"];
    "slow-product-db", "the products' database gets a fraction of the time it needs",
        Slow("product-db-1"), ["product-db-1", "product-db"];
    "lock-member-table", "one session holds the members' table: everybody else waits for it",
        Lock("member-db-1"), ["member-db-1", "member-db", "member-service -> member-db"];
    "herd-product-db", "the products' database hangs for some seconds with an empty cache before it; then everybody comes back at once",
        Herd { database: "product-db-1", cache: "product-redis-1" }, ["product-db-1", "product-db"];
    "lock-payment-table", "one session holds the payments' table: nobody can pay",
        Lock("payment-db-1"), ["payment-db-1", "payment-db"];
    "slots-payment-db", "one caller holds every connection of the payment database",
        Slots("payment-db-1"), ["payment-db-1", "payment-db"];
    "slots-store-db", "one caller holds every connection of the stores' database",
        Slots("store-db-1"), ["store-db-1", "store-db"];
    "read-only-coupon-db", "the coupons' database takes no writes any more: no coupon is given",
        ReadOnly("coupon-db-1"), ["coupon-db-1", "coupon-db", "coupon-service -> coupon-db"];
    "wrong-password-coupon-db", "the coupon service's password is refused by its database, which is well otherwise",
        Password("coupon-db-1"), ["coupon-service -> coupon-db", "coupon-db-1", "coupon-db"];
    "wrong-password-payment-db", "after a rotation the payment service's password is refused by its database",
        Password("payment-db-1"), ["payment-service -> payment-db", "payment-db-1", "payment-db"];
    // The shards of orders.
    "kill-order-shard", "one of four order databases is killed: a quarter of the orders is refused",
        Kill(&["order-db-2"]), ["order-db-2"];
    "stop-order-shard", "one of four order databases hangs: a quarter of the orders is refused",
        Stop(&["order-db-4"]), ["order-db-4"];
    "slow-order-shard", "one of four order databases gets a fraction of the time it needs",
        Slow("order-db-1"), ["order-db-1"];
    "read-only-order-shard", "one order database takes no writes, as if it had been made a replica",
        ReadOnly("order-db-3"), ["order-db-3", "order-service -> order-db"];
    "lock-order-table", "one session holds a shard's table of orders",
        Lock("order-db-2"), ["order-db-2"];
    "kill-order-replica", "a shard loses its replica: reads go to the primary",
        Kill(&["order-db-2-replica"]), ["order-db-2-replica"];
    "stop-order-replica", "a shard's replica hangs: commits stop waiting for it",
        Stop(&["order-db-1-replica"]), ["order-db-1-replica"];
    "lag-order-replica", "a shard's replica receives and does not replay: it falls behind",
        Lag("order-db-3-replica"), ["order-db-3-replica"];
    "kill-all-order-primaries", "all four order databases are killed: nobody can order",
        Kill(&["order-db-1", "order-db-2", "order-db-3", "order-db-4"]), ["order-db"];
    // Caches.
    "kill-product-redis", "the products' cache is killed: everything is read from the database",
        Kill(&["product-redis-1"]), ["product-redis-1", "product-redis"];
    "stop-member-redis", "the members' cache hangs: it is asked once a second and left out",
        Stop(&["member-redis-1"]), ["member-redis-1", "member-redis"];
    "full-product-redis", "the products' cache is full and takes no more: everything is read from the database",
        Fill("product-redis-1"), ["product-redis-1", "product-redis"];
    "loading-product-redis", "the products' cache reads in its data set and serves nothing meanwhile",
        Loading("product-redis-1"), ["product-redis-1", "product-redis"];
    // It has one password for all: the monitor is shut out as well.
    "wrong-password-store-redis", "the password of the stores' cache was changed and nobody told",
        Password("store-redis-1"), ["store-redis-1", "store-redis", "store-service -> store-redis"];
    "kill-oms-redis", "the OMS's list of new orders is gone until Redis is back: the stores see none",
        Kill(&["oms-redis-1"]), ["oms-redis-1", "oms-redis"];
    "disk-full-oms-redis", "the disk of the OMS's Redis is full, it takes no writes: orders wait on the queue",
        DiskFull("oms-redis-1"), ["oms-redis-1", "oms-redis"];
    "full-oms-redis", "the OMS's Redis takes no more: orders wait on the queue",
        Fill("oms-redis-1"), ["oms-redis-1", "oms-redis"];
    // The queue and the OMS.
    "kill-order-mq", "RabbitMQ is killed: orders are accepted and wait in the outbox",
        Kill(&["order-mq-1"]), ["order-mq-1", "order-mq"];
    "stop-order-mq", "RabbitMQ hangs: it takes connections and confirms nothing",
        Stop(&["order-mq-1"]), ["order-mq-1", "order-mq"];
    "memory-order-mq", "RabbitMQ is over its memory limit and lets nobody publish",
        MemoryAlarm("order-mq-1"), ["order-mq-1", "order-mq", "order-service -> order-mq"];
    "no-consumer-order-mq", "the OMS may not read its queue any more: orders pile up there",
        NoConsumer("order-mq-1"), ["oms -> order-mq", "order-mq-1", "order-mq"];
    "disk-alarm-order-mq", "RabbitMQ's disk is below its limit and it lets nobody publish",
        DiskAlarm("order-mq-1"), ["order-mq-1", "order-mq", "order-service -> order-mq"];
    "poison-order-mq", "messages that are no orders come to the queue: they end in the dead-letter queue",
        Poison("order-mq-1"), ["order-mq-1", "order-mq"];
    "kill-oms", "every OMS instance is killed: orders wait on the queue, the stores see none",
        Kill(&["oms"]), ["oms"];
    "stop-one-oms", "one of two OMS instances hangs: the other does the work",
        Stop(&["oms-2"]), ["oms-2"];
    // Push and the stores.
    "kill-push-centre", "nobody is told of anything at once: the stores ask once a minute",
        Kill(&["push-centre"]), ["push-centre"];
    "stop-one-push-centre", "one of two push centres hangs: its stores find out and go to the other",
        Stop(&["push-centre-1"]), ["push-centre-1"];
    "cut-telecom-line", "the telecom line carries nothing any more: the stores move to the mobile line",
        Stop(&["telecom"]), ["telecom"];
    "slow-telecom-line", "the telecom line carries hardly anything",
        Slow("telecom"), ["telecom"];
    "cut-both-lines", "neither line carries anything: no store hears of an order",
        Stop(&["pos-line"]), ["pos-line"];
    "kill-pos-proxy", "the stores' front proxy is killed: no store hears of an order",
        Kill(&["pos-proxy-1"]), ["pos-proxy-1", "pos-proxy"];
    // What customers meet.
    "stop-miniapp-server", "one of four mini-program servers hangs: the gateways go round it",
        Stop(&["miniapp-server-2"]), ["miniapp-server-2"];
    "slow-miniapp-server", "one of four mini-program servers gets a fraction of the time it needs",
        Slow("miniapp-server-1"), ["miniapp-server-1"];
    "bad-release", "the next release, on trial on a part of the mini-program servers, fails on the home page",
        BadRelease, ["version=2.5.0"];
    "kill-gateway", "one of two gateways is killed: customers go to the other",
        Kill(&["gateway-1"]), ["gateway-1"];
    "stop-gateway", "one of two gateways hangs",
        Stop(&["gateway-2"]), ["gateway-2"];
    "misconfigured-gateway", "one of two gateways was given the wrong port of the servers: it answers everybody with an error",
        WrongUpstream("gateway-2"), ["gateway-2", "gateway-2 -> miniapp-server", "gateway -> miniapp-server"];
    "cold-cdn", "the edges keep nothing any more: every picture is asked for at the servers",
        NoCache("cdn"), ["cdn"];
    "kill-cdn", "one of two edge caches is killed: pictures come from the other",
        Kill(&["cdn-1"]), ["cdn-1"];
    "kill-store-service", "every instance of the store service is killed: no home page and no order",
        Kill(&["store-service"]), ["store-service"];
    "stop-order-service", "every instance of the order service hangs: nobody can order",
        Stop(&["order-service"]), ["order-service"];
    "kill-one-product-service", "one of two instances of the product service is killed: the other does the work",
        Kill(&["product-service-2"]), ["product-service-2"];
    "stop-coupon-service", "the coupon service hangs: the page comes without coupons",
        Stop(&["coupon-service"]), ["coupon-service"];
    // Others' services.
    "kill-payment-channel", "the payment channel, a service of others, is gone: orders stand and are not paid",
        Kill(&["payment-channel-1"]), ["payment-channel-1", "payment-channel"];
    "stop-wechat", "WeChat hangs: messages wait, nothing else does",
        Stop(&["wechat-1"]), ["wechat-1", "wechat"];
    "clock-payment-service", "the clock of one of two payment services is an hour ahead: the payment channel refuses what it signs",
        Clock("payment-service-2"), ["payment-service-2", "payment-service-2 -> payment-channel"];
    "errors-payment-channel", "the payment channel answers every charge with an error: orders stand and are not paid",
        Errors("payment-channel"), ["payment-channel-1", "payment-channel"];
    "expired-certificate-payment-channel", "the certificate of the payment channel has expired: nobody can pay",
        ExpiredCertificate("payment-channel"), ["payment-channel-1", "payment-channel"];
    "name-gone-payment-channel", "the name of the payment channel cannot be resolved any more, the channel is well: nobody can pay",
        NameGone("payment-channel"), ["payment-service -> payment-channel"];
    "errors-wechat", "WeChat answers every message with an error: messages are given up, nothing else is",
        Errors("wechat"), ["wechat-1", "wechat"];
    // Ways between two that are well.
    "cut-payment-channel", "the payment service cannot reach the payment channel, which is well: nobody can pay",
        Cut("payment-service", "payment-channel"), ["payment-service -> payment-channel"];
    "cut-coupon-service", "the mini-program servers cannot reach the coupon service, which is well: pages come without coupons",
        Cut("miniapp-server", "coupon-service"), ["miniapp-server -> coupon-service"];
    "cut-order-mq", "the order service cannot reach RabbitMQ, which is well: orders wait in the outbox",
        Cut("order-service", "order-mq"), ["order-service -> order-mq"];
    "cut-one-member-service", "one of two instances of the member service cannot reach its database",
        Cut("member-service-2", "member-db"), ["member-service-2 -> member-db", "member-service -> member-db", "member-service-2"];
    // Machines and zones.
    "lose-host", "the machine with one instance of each service is lost: the others do the work",
        LoseHost("services-b1"), ["host=services-b1"];
    "lose-zone", "zone b is lost, with two of the order databases: half of the orders is refused",
        LoseZone("b"), ["zone=b"];
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalog::{COMPONENTS, Scale};
    use crate::plan::DEFAULT_BASE_PORT;

    #[test]
    fn every_fault_breaks_what_there_is_and_names_nodes_of_the_topology() {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT).unwrap();
        let names: HashSet<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        assert!(names.len() >= 40, "{}", names.len());
        for fault in FAULTS {
            let instances = fault.breakage.instances(&plan);
            assert!(!instances.is_empty(), "{}", fault.name);
            for instance in instances {
                plan.instance(&instance).unwrap();
            }
            for node in fault.roots.iter().flat_map(|root| root.split(" -> ")) {
                let is_component = COMPONENTS.iter().any(|component| component.name == node);
                let is_label = match node.split_once('=') {
                    Some(("host", host)) => plan.instances.iter().any(|one| one.host() == host),
                    Some(("zone", zone)) => plan.instances.iter().any(|one| one.zone() == zone),
                    Some(("version", version)) => version == NEXT_RELEASE,
                    _ => false,
                };
                assert!(is_component || is_label || plan.instance(node).is_ok(), "{}: {node}", fault.name);
            }
        }
    }
}
