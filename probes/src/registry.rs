//! The kinds there are: one line each.

use std::future::Future;
use std::pin::Pin;

use topology::kind::KindSpec;

use crate::look::{Look, Stop};
use crate::{amqp, http, mysql, nginx, postgres, redis, tcp};

type Looking<'l> = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'l>>;

/// A kind: what it declares, and how it looks.
pub(crate) struct Kind {
    pub(crate) spec: &'static KindSpec,
    pub(crate) probe: for<'l, 'a> fn(&'l mut Look<'a>) -> Looking<'l>,
}

pub(crate) static KINDS: &[Kind] = &[
    Kind { spec: &http::SPEC, probe: |look| Box::pin(http::probe(look)) },
    Kind { spec: &tcp::SPEC, probe: |look| Box::pin(tcp::probe(look)) },
    Kind { spec: &redis::SPEC, probe: |look| Box::pin(redis::probe(look)) },
    Kind { spec: &postgres::SPEC, probe: |look| Box::pin(postgres::probe(look)) },
    Kind { spec: &mysql::SPEC, probe: |look| Box::pin(mysql::probe(look)) },
    Kind { spec: &amqp::SPEC, probe: |look| Box::pin(amqp::probe(look)) },
    Kind { spec: &nginx::SPEC, probe: |look| Box::pin(nginx::probe(look)) },
];

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
