//! Up to two figures for a healthy card: what a person would ask about that kind of thing.

use collector::board::Board;
use topology::kind::{Unit, show_value};
use topology::model::ComponentId;
use topology::text::Lang;

/// How the instances' values make one.
#[derive(Clone, Copy)]
enum Over {
    Sum,
    Max,
}

/// A figure: the signal's ending, the words around it, how it is added up.
struct Figure {
    ending: &'static str,
    en: (&'static str, &'static str),
    zh: (&'static str, &'static str),
    unit: Unit,
    over: Over,
}

const BEFORE_LATENCY: [Figure; 4] = [
    Figure {
        ending: ".requests_per_second",
        en: ("", " /s"),
        zh: ("", " /s"),
        unit: Unit::Count,
        over: Over::Sum,
    },
    Figure {
        ending: ".queue_messages",
        en: ("queue ", ""),
        zh: ("队列 ", ""),
        unit: Unit::Count,
        over: Over::Max,
    },
    Figure {
        ending: ".online", en: ("", " online"), zh: ("在线 ", ""), unit: Unit::Count, over: Over::Sum
    },
    Figure {
        ending: ".memory_used_ratio",
        en: ("mem ", ""),
        zh: ("内存 ", ""),
        unit: Unit::Ratio,
        over: Over::Max,
    },
];

const AFTER_LATENCY: [Figure; 4] = [
    Figure {
        ending: ".replica_lag_seconds",
        en: ("lag ", ""),
        zh: ("滞后 ", ""),
        unit: Unit::Seconds,
        over: Over::Max,
    },
    Figure {
        ending: ".replay_lag_seconds",
        en: ("lag ", ""),
        zh: ("滞后 ", ""),
        unit: Unit::Seconds,
        over: Over::Max,
    },
    Figure {
        ending: ".connections_used_ratio",
        en: ("conns ", ""),
        zh: ("连接 ", ""),
        unit: Unit::Ratio,
        over: Over::Max,
    },
    Figure {
        ending: ".active_connections",
        en: ("", " conns"),
        zh: ("", " 连接"),
        unit: Unit::Count,
        over: Over::Sum,
    },
];

/// The figures of a component, the more telling first.
pub(crate) fn figures(board: &Board, id: ComponentId, lang: Lang) -> Vec<String> {
    let pick = |figure: &Figure| value(board, id, figure).map(|value| words(figure, value, lang));
    let latency = median_latency(board, id).map(|seconds| show_value(seconds, Unit::Seconds));
    let all =
        BEFORE_LATENCY.iter().filter_map(pick).chain(latency).chain(AFTER_LATENCY.iter().filter_map(pick));
    all.take(2)
        .map(|text| {
            text.replace(' ', "\u{2009}").replacen(
                '\u{2009}',
                " ",
                usize::from(text.matches(' ').count() > 1),
            )
        })
        .collect()
}

fn words(figure: &Figure, value: f64, lang: Lang) -> String {
    let (before, after) = match lang {
        Lang::En => figure.en,
        Lang::Zh => figure.zh,
    };
    let value = if figure.unit == Unit::Ratio { (value * 100.0).round() / 100.0 } else { value };
    format!("{before}{}{after}", show_value(value, figure.unit))
}

fn value(board: &Board, id: ComponentId, figure: &Figure) -> Option<f64> {
    let ids = board.model.component(id).instance_ids();
    let values = ids.flat_map(|instance| {
        board.instance(instance).signals.iter().filter_map(|(name, value)| {
            let plain = name.split('[').next().unwrap_or(name);
            plain.ends_with(figure.ending).then_some(*value)
        })
    });
    values.filter(|value| value.is_finite()).reduce(|a, b| match figure.over {
        Over::Sum => a + b,
        Over::Max => a.max(b),
    })
}

fn median_latency(board: &Board, id: ComponentId) -> Option<f64> {
    let ids = board.model.component(id).instance_ids();
    let mut all: Vec<f64> =
        ids.filter_map(|instance| board.instance(instance).latency).map(|l| l.as_secs_f64()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}
