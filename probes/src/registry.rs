//! The kinds there are: one line each.

use std::future::Future;
use std::pin::Pin;

use topology::kind::KindSpec;

use crate::look::{Look, Stop};
use crate::sentinel::Idle;
use crate::{
    access_log, amqp, dns, exec, heartbeat, http, icmp, journey, memcached, mysql, nginx, postgres,
    prometheus, rabbitmq, redis, tcp, tls, websocket,
};

pub(crate) type Looking<'l> = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'l>>;

/// A kind: what it declares, how it looks, and what its sentinel is.
pub(crate) struct Kind {
    pub(crate) spec: &'static KindSpec,
    pub(crate) probe: for<'l, 'a> fn(&'l mut Look<'a>) -> Looking<'l>,
    pub(crate) idle: Idle,
}

/// One line a kind: its module, and its sentinel.
macro_rules! kinds {
    ($($module:ident: $idle:expr,)*) => {
        pub(crate) static KINDS: &[Kind] = &[
            $(Kind { spec: &$module::SPEC, probe: |look| Box::pin($module::probe(look)), idle: $idle },)*
        ];
    };
}

kinds! {
    http: Idle::Own(|look| Box::pin(http::hold(look))),
    journey: Idle::Own(|look| Box::pin(http::hold(look))),
    websocket: Idle::Own(|look| Box::pin(http::hold(look))),
    tcp: Idle::Own(|look| Box::pin(tcp::hold(look))),
    tls: Idle::Nothing,
    dns: Idle::Nothing,
    icmp: Idle::Nothing,
    redis: Idle::Own(|look| Box::pin(redis::hold(look))),
    memcached: Idle::Own(|look| Box::pin(tcp::hold(look))),
    postgres: Idle::Kept,
    mysql: Idle::Kept,
    amqp: Idle::Kept,
    rabbitmq: Idle::Own(|look| Box::pin(http::hold(look))),
    nginx: Idle::Own(|look| Box::pin(http::hold(look))),
    prometheus: Idle::Own(|look| Box::pin(http::hold(look))),
    exec: Idle::Nothing,
    heartbeat: Idle::Nothing,
    access_log: Idle::Nothing,
}

/// The kind called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.spec.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_and_signals_are_unique_within_a_kind_and_thresholds_in_order() {
        for Kind { spec, .. } in KINDS {
            let mut keys: BTreeSet<&str> = spec.options.iter().map(|option| option.name).collect();
            assert_eq!(keys.len(), spec.options.len(), "{}", spec.name);
            let mut names = BTreeSet::new();
            if let Some(labelled) = spec.labelled {
                assert!(keys.insert(labelled.key), "{} {}", spec.name, labelled.key);
            }
            for signal in spec.signals {
                assert!(keys.insert(signal.key), "{} {}", spec.name, signal.key);
                assert!(names.insert(signal.name), "{} {}", spec.name, signal.name);
            }
            for signal in spec.signals.iter().chain(spec.labelled.iter().flat_map(|group| group.signals)) {
                assert!(!signal.help.is_empty(), "{}", signal.name);
                if let (Some(yellow), Some(red)) = (signal.yellow, signal.red) {
                    assert!(signal.bad.in_order(yellow, red), "{}", signal.name);
                }
            }
        }
    }
}
