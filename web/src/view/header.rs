//! The sentence, the second line and the tally.

use collector::board::{Board, Counts};
use serde::Serialize;
use topology::level::Level;
use topology::model::ComponentId;
use topology::text::Lang;

use super::{Format, LaneView, Tree, root_names};
use crate::layout::text_width;
use crate::scene::Place;
use crate::stage::Stage;

/// The head of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Header {
    /// What colours it: a level's word, `blind` or `starting`.
    pub(crate) mood: &'static str,
    /// The sentence.
    pub(crate) title: String,
    /// `long` or `longer` when it needs smaller letters.
    pub(crate) size: &'static str,
    /// The second line.
    pub(crate) line: String,
    /// Components by level.
    pub(crate) tally: Tree,
    /// Something is red: the healthy step back.
    pub(crate) calm: bool,
    /// New roots, for those who listen.
    pub(crate) alert: String,
}

/// The header of `board`.
pub(crate) fn header(board: &Board, format: &Format) -> Header {
    let total = board.instances.len();
    // A board of the past has no sequence: what was not seen then is not being looked for now.
    let starting = board.sequence > 0
        && !board.monitor.blind
        && board.level == Level::Unknown
        && board.monitor.seen < total;
    let (mood, title, line) = if starting {
        let seen = board.monitor.seen;
        let title = match format.lang {
            Lang::En => {
                format!("Looking for the first time: {} of {} seen", format.count(seen), format.count(total))
            }
            Lang::Zh => format!("首次探测：已见 {} / {}", format.count(seen), format.count(total)),
        };
        let line = format.pick("Levels follow within seconds.", "数秒内给出各组件状态");
        ("starting", title, line.to_owned())
    } else {
        let mood = if board.monitor.blind { "blind" } else { board.level.as_str() };
        (mood, board.sentence.get(format.lang).to_owned(), board.advice.get(format.lang).to_owned())
    };
    let width = text_width(&title, 46);
    let size = if width <= 1400 {
        ""
    } else if width <= 1700 {
        "long"
    } else {
        "longer"
    };
    // Told once, when it is found: the sentence itself may change its numbers many times.
    let alert = match root_names(board, format.lang).as_slice() {
        [] => String::new(),
        names => format!("{}{}", format.pick("Root cause: ", "根因："), names.join(format.pick(", ", "、"))),
    };
    Header { mood, size, line, tally: tally(board.counts()), calm: board.level == Level::Red, alert, title }
}

/// Levels in the order they are told, worst first.
pub(crate) const fn in_order(counts: &Counts) -> [(Level, usize); 5] {
    [
        (Level::Red, counts.red),
        (Level::Yellow, counts.yellow),
        (Level::Unknown, counts.unknown),
        (Level::Paused, counts.paused),
        (Level::Green, counts.green),
    ]
}

fn tally(counts: Counts) -> Tree {
    let one = |(level, count): (Level, usize)| {
        let badge = Tree::of("i", &format!("b {}", level.as_str()), Vec::new());
        Tree::of("span", "", vec![badge, Tree::Text(count.to_string())]).with("title", level.as_str())
    };
    Tree::of("div", "tally", in_order(&counts).into_iter().filter(|(_, n)| *n > 0).map(one).collect())
}

/// The counts in words, worst first: `1 red`, `3 ok`.
pub(crate) fn counts_in_words(counts: &Counts, lang: Lang) -> Vec<String> {
    in_order(counts)
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(level, count)| match (level, lang) {
            (Level::Green, Lang::En) => format!("{count} ok"),
            (Level::Unknown, Lang::En) => format!("{count} unseen"),
            (level, Lang::En) => format!("{count} {}", level.as_str()),
            (Level::Green, Lang::Zh) => format!("{count} 正常"),
            (Level::Red, Lang::Zh) => format!("{count} 红"),
            (Level::Yellow, Lang::Zh) => format!("{count} 黄"),
            (Level::Unknown, Lang::Zh) => format!("{count} 未见"),
            (Level::Paused, Lang::Zh) => format!("{count} 维护"),
        })
        .collect()
}

/// Each lane's worst level and its counts in words, for the list: `1 red  3 ok`.
pub(crate) fn lanes(board: &Board, stage: &Stage, format: &Format) -> Vec<LaneView> {
    let lane = |lane: &crate::layout::Lane| {
        let components: Vec<ComponentId> = lane
            .components
            .iter()
            .flat_map(|id| match &stage.scene.places[id.index()] {
                Place::Component(id) => std::slice::from_ref(id),
                Place::Group(group) => &group.members,
            })
            .copied()
            .collect();
        let levels = components.iter().map(|id| board.component(*id).health.level());
        let worst = levels.clone().max_by_key(|level| level.rank()).unwrap_or(Level::Unknown);
        let root = components.iter().any(|id| board.is_root(*id));
        let hollow = matches!(worst, Level::Red | Level::Yellow) && !root;
        LaneView {
            level: worst.as_str(),
            badge: format!("b {}{}", worst.as_str(), if hollow { " affected" } else { "" }),
            counts: counts_in_words(&Counts::of(levels), format.lang).join("  "),
        }
    };
    stage.layout.lanes.iter().map(lane).collect()
}
