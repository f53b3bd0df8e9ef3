//! What the platform consists of: one table that the addresses, the servers to start, the roles'
//! dependencies and the written topology are all derived from, so that they cannot disagree.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How much of the platform is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scale {
    /// About 60 processes: everything once or twice, for a laptop.
    Small,
    /// The story's shape: 100 mini-program servers, every service three times and its kept VM group, about
    /// 190 processes.
    Full,
}

/// The program behind a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The load balancer with the site's rate limit.
    Nginx,
    /// An edge cache for what never changes from one customer to the next.
    Cdn,
    MiniApp,
    Service,
    Oms,
    /// Long connections to the phones and the stores.
    Push,
    /// A line between the stores and the OMS: a TCP relay.
    Line,
    PosProxy,
    Pos,
    /// Somebody else's service: a stand-in that says so.
    Outside,
    Postgres,
    MariaDb,
    Redis,
    RabbitMq,
}

/// What the loss of a dependency does to the one that depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// Without it there is no service.
    Required,
    /// Without it there is less, or it is slower.
    Optional,
    /// Work waits and is caught up later.
    Async,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dependency {
    pub(crate) on: &'static str,
    pub(crate) strength: Strength,
}

const fn required(on: &'static str) -> Dependency {
    Dependency { on, strength: Strength::Required }
}

const fn optional(on: &'static str) -> Dependency {
    Dependency { on, strength: Strength::Optional }
}

const fn later(on: &'static str) -> Dependency {
    Dependency { on, strength: Strength::Async }
}

/// One component. `index` fixes its port and its address range, so it never changes once given.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) index: u8,
    pub(crate) kind: Kind,
    pub(crate) tier: &'static str,
    pub(crate) en: &'static str,
    pub(crate) zh: &'static str,
    pub(crate) small: u8,
    pub(crate) full: u8,
    pub(crate) depends_on: &'static [Dependency],
}

impl Component {
    pub(crate) fn count(&self, scale: Scale) -> u8 {
        match scale {
            Scale::Small => self.small,
            Scale::Full => self.full,
        }
    }

    /// The service that this kept group of virtual machines can stand in for.
    pub(crate) fn stands_in_for(&self) -> Option<&'static str> {
        self.name.strip_suffix(VM)
    }

    /// Whether instances can be added and removed while the platform runs, and up to how many there may be.
    /// More than fifteen processes beside those of the VM group would need a longer order id.
    pub(crate) fn most(&self) -> Option<u8> {
        match self.kind {
            Kind::MiniApp => Some(250),
            Kind::Service => Some(15),
            _ => None,
        }
    }

    /// Several primaries, each with its own part of the data.
    pub(crate) fn is_sharded(&self) -> bool {
        self.name == "order-db"
    }

    /// `member` of `member-service`, `member-db` and `member-redis`.
    pub(crate) fn family(&self) -> &'static str {
        self.name.split('-').next().unwrap_or(self.name)
    }

    /// The database inside the server. `order` is a reserved word in SQL, hence the plural.
    pub(crate) fn database(&self) -> &'static str {
        match self.family() {
            "order" => "orders",
            family => family,
        }
    }

    /// `telecom` for the first line, `member-db-1` for most.
    pub(crate) fn instance_name(&self, number: u8) -> String {
        if self.is_sharded() && number > SHARDS {
            return format!("{}-{}-replica", self.name, number - SHARDS);
        }
        match (self.kind, number) {
            (Kind::Line, 1) => TELECOM.to_owned(),
            (Kind::Line, 2) => MOBILE.to_owned(),
            _ => format!("{}-{number}", self.name),
        }
    }

    /// Called over the open net by its name, with a certificate.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.name == "payment-channel"
    }

    /// Redis that holds the truth rather than a copy: it must survive a restart.
    pub(crate) fn keeps_data(&self) -> bool {
        self.name == "oms-redis"
    }
}

/// The order id modulo this chooses the database.
pub(crate) const SHARDS: u8 = 4;
/// What the name of a kept VM group ends in.
pub(crate) const VM: &str = "-vm";
/// Stores of the chain, each with a POS and a kitchen.
pub(crate) const STORES: i64 = 20;
/// On the menu.
pub(crate) const PRODUCTS: i64 = 60;
/// The line that POS traffic takes.
pub(crate) const TELECOM: &str = "telecom";
/// The line it moves to while the other fails.
pub(crate) const MOBILE: &str = "mobile";

/// The lanes of the topology, in the order they are drawn. Messaging stands right of the databases: between
/// them and the services its few wires would cross the many.
pub(crate) const TIERS: &[(&str, &str, &str)] = &[
    ("clients", "Stores & POS", "门店与 POS"),
    ("access", "Access", "接入层"),
    ("app", "Application", "应用层"),
    ("services", "Services", "基础服务"),
    ("cache", "Redis", "Redis"),
    ("data", "Databases", "数据库"),
    ("messaging", "Messaging & OMS", "消息与 OMS"),
    ("external", "External", "外部服务"),
];

macro_rules! component {
    ($name:literal, $index:literal, $kind:ident, $tier:literal, $small:literal / $full:literal, $en:literal, $zh:literal, [$($dep:expr),*]) => {
        Component {
            name: $name, index: $index, kind: Kind::$kind, tier: $tier, en: $en, zh: $zh, small: $small, full: $full,
            depends_on: &[$($dep),*],
        }
    };
}

/// Every component, in the order they should appear on a wall.
#[rustfmt::skip]
pub(crate) const COMPONENTS: &[Component] = &[
    component!("pos", 14, Pos, "clients", 1 / 1, "Store POS", "门店 POS", [required("pos-proxy"), optional("push-centre")]),
    component!("pos-proxy", 13, PosProxy, "clients", 1 / 1, "POS front proxy", "POS 前置代理", [required("pos-line")]),
    component!("pos-line", 12, Line, "clients", 2 / 2, "POS lines", "POS 线路", [required("oms")]),
    component!("cdn", 17, Cdn, "access", 2 / 2, "CDN", "CDN 边缘缓存", [optional("gateway")]),
    component!("gateway", 1, Nginx, "access", 2 / 4, "Nginx gateway", "Nginx 网关", [required("miniapp-server")]),
    component!("miniapp-server", 2, MiniApp, "app", 4 / 100, "Mini-program server", "小程序服务端", [
        required("store-service"), required("member-service"), required("product-service"),
        required("order-service"), required("payment-service"),
        optional("coupon-service"), optional("notification-service")
    ]),
    component!("store-service", 3, Service, "services", 2 / 3, "Store service", "门店服务",
        [required("store-db"), optional("store-redis")]),
    component!("member-service", 4, Service, "services", 2 / 3, "Member service", "会员服务",
        [required("member-db"), optional("member-redis")]),
    component!("product-service", 5, Service, "services", 2 / 3, "Product service", "商品服务",
        [required("product-db"), optional("product-redis")]),
    component!("order-service", 6, Service, "services", 2 / 3, "Order service", "订单服务",
        [required("order-db"), optional("order-redis"), later("order-mq")]),
    component!("payment-service", 7, Service, "services", 2 / 3, "Payment service", "支付服务",
        [required("payment-db"), optional("payment-redis"), required("payment-channel")]),
    component!("coupon-service", 8, Service, "services", 2 / 3, "Coupon service", "优惠券服务",
        [required("coupon-db"), optional("coupon-redis")]),
    component!("notification-service", 9, Service, "services", 2 / 3, "Notification service", "通知服务",
        [required("notification-db"), optional("notification-redis"), later("wechat")]),
    component!("store-service-vm", 41, Service, "services", 0 / 2, "Store service on VMs", "门店服务（VM 组）",
        [required("store-db"), optional("store-redis")]),
    component!("member-service-vm", 42, Service, "services", 0 / 2, "Member service on VMs", "会员服务（VM 组）",
        [required("member-db"), optional("member-redis")]),
    component!("product-service-vm", 43, Service, "services", 0 / 2, "Product service on VMs", "商品服务（VM 组）",
        [required("product-db"), optional("product-redis")]),
    component!("order-service-vm", 44, Service, "services", 0 / 2, "Order service on VMs", "订单服务（VM 组）",
        [required("order-db"), optional("order-redis"), later("order-mq")]),
    component!("payment-service-vm", 45, Service, "services", 0 / 2, "Payment service on VMs", "支付服务（VM 组）",
        [required("payment-db"), optional("payment-redis"), required("payment-channel")]),
    component!("coupon-service-vm", 46, Service, "services", 0 / 2, "Coupon service on VMs", "优惠券服务（VM 组）",
        [required("coupon-db"), optional("coupon-redis")]),
    component!("notification-service-vm", 47, Service, "services", 0 / 2, "Notification service on VMs", "通知服务（VM 组）",
        [required("notification-db"), optional("notification-redis"), later("wechat")]),
    component!("store-redis", 21, Redis, "cache", 1 / 1, "Store Redis", "门店 Redis", []),
    component!("member-redis", 22, Redis, "cache", 1 / 1, "Member Redis", "会员 Redis", []),
    component!("product-redis", 23, Redis, "cache", 1 / 1, "Product Redis", "商品 Redis", []),
    component!("order-redis", 24, Redis, "cache", 1 / 1, "Order Redis", "订单 Redis", []),
    component!("payment-redis", 25, Redis, "cache", 1 / 1, "Payment Redis", "支付 Redis", []),
    component!("coupon-redis", 26, Redis, "cache", 1 / 1, "Coupon Redis", "优惠券 Redis", []),
    component!("notification-redis", 27, Redis, "cache", 1 / 1, "Notification Redis", "通知 Redis", []),
    component!("oms-redis", 28, Redis, "cache", 1 / 1, "OMS Redis", "OMS Redis", []),
    component!("store-db", 31, MariaDb, "data", 1 / 1, "Store DB", "门店数据库", []),
    component!("member-db", 32, MariaDb, "data", 1 / 1, "Member DB", "会员数据库", []),
    component!("product-db", 33, MariaDb, "data", 1 / 1, "Product DB", "商品数据库", []),
    component!("order-db", 34, Postgres, "data", 8 / 8, "Order DB", "订单数据库", []),
    component!("payment-db", 35, Postgres, "data", 1 / 1, "Payment DB", "支付数据库", []),
    component!("coupon-db", 36, MariaDb, "data", 1 / 1, "Coupon DB", "优惠券数据库", []),
    component!("notification-db", 37, MariaDb, "data", 1 / 1, "Notification DB", "通知数据库", []),
    component!("oms-db", 38, MariaDb, "data", 1 / 1, "OMS DB", "OMS 数据库", []),
    component!("order-mq", 10, RabbitMq, "messaging", 1 / 1, "Order queue", "订单消息队列", [later("oms")]),
    component!("oms", 11, Oms, "messaging", 2 / 3, "OMS", "订单履约 OMS",
        [required("order-mq"), required("oms-db"), required("oms-redis"), later("order-service"),
         optional("push-centre")]),
    component!("push-centre", 18, Push, "messaging", 2 / 2, "Push centre", "推送中心", [required("oms-redis")]),
    component!("wechat", 15, Outside, "external", 1 / 1, "WeChat", "微信（模拟）", []),
    component!("payment-channel", 16, Outside, "external", 1 / 1, "Payment channel", "支付渠道（模拟）", []),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn indexes_are_unique_and_leave_room_for_the_brokers_own_ports() {
        let indexes: HashSet<u8> = COMPONENTS.iter().map(|c| c.index).collect();
        assert_eq!(indexes.len(), COMPONENTS.len());
        assert!(indexes.iter().all(|index| (1..90).contains(index)));
    }

    #[test]
    fn every_dependency_and_tier_exists() {
        for c in COMPONENTS {
            assert!(TIERS.iter().any(|(tier, ..)| *tier == c.tier), "{}", c.name);
            for dependency in c.depends_on {
                assert!(
                    COMPONENTS.iter().any(|other| other.name == dependency.on),
                    "{} -> {}",
                    c.name,
                    dependency.on
                );
            }
        }
    }
}
