//! The faults there are: real ones, each with the node that is to blame.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breakage {
    /// SIGKILL to every process of these instances.
    Kill(&'static [&'static str]),
    /// SIGSTOP: they hold their connections and answer nobody.
    Stop(&'static [&'static str]),
    /// Stopped and continued several times a second: everything takes long, nothing fails by itself.
    Slow(&'static str),
    /// A Redis with a limit it has reached, which refuses to write.
    Fill(&'static str),
    /// The services' password is no longer the server's.
    Password(&'static str),
}

impl Breakage {
    /// In one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kill(_) => "killed",
            Self::Stop(_) => "stopped",
            Self::Slow(_) => "slowed",
            Self::Fill(_) => "filled",
            Self::Password(_) => "password changed",
        }
    }

    pub(super) fn instances(&self) -> &[&'static str] {
        match self {
            Self::Kill(all) | Self::Stop(all) => all,
            Self::Slow(one) | Self::Fill(one) | Self::Password(one) => std::slice::from_ref(one),
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

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "kill-member-db",
        what: "the members' database is killed: no home page and no order without a member",
        breakage: Breakage::Kill(&["member-db-1"]),
        roots: &["member-db-1", "member-db"],
    },
    Fault {
        name: "stop-miniapp-server",
        what: "one of four mini-program servers hangs: the gateways go round it",
        breakage: Breakage::Stop(&["miniapp-server-2"]),
        roots: &["miniapp-server-2"],
    },
    Fault {
        name: "kill-order-shard",
        what: "one of four order databases is killed: a quarter of the orders is refused",
        breakage: Breakage::Kill(&["order-db-2"]),
        roots: &["order-db-2"],
    },
    Fault {
        name: "kill-order-mq",
        what: "RabbitMQ is killed: orders are accepted and wait in the outbox",
        breakage: Breakage::Kill(&["order-mq-1"]),
        roots: &["order-mq-1", "order-mq"],
    },
    Fault {
        name: "stop-order-mq",
        what: "RabbitMQ hangs: it takes connections and confirms nothing",
        breakage: Breakage::Stop(&["order-mq-1"]),
        roots: &["order-mq-1", "order-mq"],
    },
    Fault {
        name: "full-product-redis",
        what: "the products' cache is full and takes no more: everything is read from the database",
        breakage: Breakage::Fill("product-redis-1"),
        roots: &["product-redis-1", "product-redis"],
    },
    Fault {
        name: "wrong-password-coupon-db",
        what: "the coupon service's password is refused by its database, which is well otherwise",
        breakage: Breakage::Password("coupon-db-1"),
        roots: &["coupon-service -> coupon-db", "coupon-db-1", "coupon-db"],
    },
    Fault {
        name: "slow-store-db",
        what: "the stores' database gets a fraction of the time it needs: every answer is slow",
        breakage: Breakage::Slow("store-db-1"),
        roots: &["store-db-1", "store-db"],
    },
    Fault {
        name: "kill-oms",
        what: "both OMS instances are killed: orders wait on the queue, the stores see none",
        breakage: Breakage::Kill(&["oms-1", "oms-2"]),
        roots: &["oms"],
    },
    Fault {
        name: "stop-payment-db",
        what: "the payment database hangs: nobody can pay",
        breakage: Breakage::Stop(&["payment-db-1"]),
        roots: &["payment-db-1", "payment-db"],
    },
    Fault {
        name: "cut-telecom-line",
        what: "the telecom line carries nothing any more: the stores move to the mobile line",
        breakage: Breakage::Stop(&["telecom"]),
        roots: &["telecom"],
    },
    Fault {
        name: "kill-gateway",
        what: "one of two gateways is killed: customers go to the other",
        breakage: Breakage::Kill(&["gateway-1"]),
        roots: &["gateway-1"],
    },
    Fault {
        name: "kill-payment-channel",
        what: "the payment channel, a service of others, is gone: orders stand and are not paid",
        breakage: Breakage::Kill(&["payment-channel-1"]),
        roots: &["payment-channel-1", "payment-channel"],
    },
    Fault {
        name: "stop-wechat",
        what: "WeChat hangs: messages wait, nothing else does",
        breakage: Breakage::Stop(&["wechat-1"]),
        roots: &["wechat-1", "wechat"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalog::{COMPONENTS, Scale};
    use crate::plan::{DEFAULT_BASE_PORT, Plan};

    #[test]
    fn every_fault_breaks_what_there_is_and_names_nodes_of_the_topology() {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT).unwrap();
        let names: HashSet<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        for fault in FAULTS {
            for instance in fault.breakage.instances() {
                plan.instance(instance).unwrap();
            }
            for node in fault.roots.iter().flat_map(|root| root.split(" -> ")) {
                let is_component = COMPONENTS.iter().any(|component| component.name == node);
                assert!(is_component || plan.instance(node).is_ok(), "{}: {node}", fault.name);
            }
        }
    }
}
