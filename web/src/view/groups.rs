//! The card of a group: its members by level, and the root cause by its own name if it stands among them.

use collector::board::{Board, Counts};
use topology::level::{Health, Level};
use topology::model::ComponentId;
use topology::text::Lang;

use super::cards::CardView;
use super::{Format, circled, header};
use crate::layout::Card;
use crate::scene::{Cell, Group};

/// What the card of `group` shows, but for its cells.
pub(super) fn view(board: &Board, group: &Group, names: &[String], format: &Format) -> CardView {
    let lang = format.lang;
    let levels = || group.members.iter().map(|id| board.component(*id).health.level());
    let level = levels().max_by_key(|level| level.rank()).unwrap_or(Level::Unknown);
    let counts = header::counts_in_words(&Counts::of(levels()), lang).join("  ");
    // Every member that is a root has its name on the card, whatever else is wrong in the group.
    let roots: Vec<ComponentId> = group.members.iter().copied().filter(|id| board.is_root(*id)).collect();
    let unhealthy = |id: &&ComponentId| board.component(**id).health.is_unhealthy();
    let number = match roots.first() {
        Some(root) => board.number_of(*root),
        None => group.members.iter().filter(unhealthy).find_map(|id| board.number_of(*id)),
    };
    let number = number.unwrap_or(0);
    let sick = matches!(level, Level::Red | Level::Yellow);
    let state = match (roots.is_empty(), sick, number) {
        (false, ..) => "root",
        (true, true, 1..) => "affected",
        (true, true, 0) => "own",
        _ => "",
    };
    let title = |id: &ComponentId| board.model.component(*id).title.get(lang);
    let fault = match (roots.as_slice(), level) {
        ([], Level::Green | Level::Paused) => String::new(),
        ([], Level::Unknown) => format.pick("unseen {}", "{}未见").to_owned(),
        ([], _) => counts.clone(),
        (roots, _) => {
            let name = |id: &ComponentId| match board.component(*id).short.get(lang) {
                "" => title(id).to_owned(),
                short => format!("{} {short}", title(id)),
            };
            roots.iter().map(name).collect::<Vec<_>>().join(format.pick(", ", "、"))
        }
    };
    let since = match level {
        Level::Unknown => group.members.iter().map(|id| board.component(*id).since).min(),
        _ => None,
    };
    let figures = if state == "root" || level == Level::Green { vec![counts] } else { Vec::new() };
    let n = group.members.len();
    let mut label = match lang {
        Lang::En => format!("{}, {n} components, {}", group.title.en, format.level(level)),
        Lang::Zh => format!("{}，{n} 个组件，{}", group.title.zh, format.level(level)),
    };
    for root in &roots {
        let number = board.number_of(*root).unwrap_or(0);
        label.push_str(&format!(
            ", {} {} {}",
            format.pick("root cause", "根因"),
            circled(number),
            title(root)
        ));
    }
    if let (true, Some(name)) = (state == "affected", names.get((number as usize).wrapping_sub(1))) {
        label.push_str(&match lang {
            Lang::En => format!(", because of {name}"),
            Lang::Zh => format!("，由 {name} 引起"),
        });
    }
    CardView {
        level: level.as_str(),
        state,
        number: if state == "root" || state == "affected" { number } else { 0 },
        fault,
        since: since.map_or(0, jiff::Timestamp::as_millisecond),
        figures,
        label,
        ..CardView::default()
    }
}

/// In a card that lists its members: the fault of each.
pub(super) fn rows(board: &Board, card: &Card, cells: &[Cell], format: &Format) -> Vec<String> {
    let row = |id: &topology::model::InstanceId| match cells[id.index()] {
        Cell::Component(member) => {
            let state = board.component(member);
            match (state.short.get(format.lang), state.health.level()) {
                ("", Level::Green) => String::new(),
                ("", level) => format.level(level).to_owned(),
                (short, _) => short.to_owned(),
            }
        }
        Cell::Instance(_) => String::new(),
    };
    card.cells.order.iter().map(row).collect()
}

/// The cell of a member: hollow when another's doing.
pub(super) fn letter(board: &Board, id: ComponentId) -> char {
    match board.component(id).health {
        Health::Unknown => 'u',
        Health::Paused => 'z',
        Health::Red if board.is_root(id) || board.number_of(id).is_none() => 'r',
        Health::Red => 'x',
        Health::AtRisk | Health::Impaired => 'y',
        Health::Green => 'g',
    }
}
