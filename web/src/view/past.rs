//! The last 24 hours, one bar a lane: what was wrong stands as long as it lasted, and a short fault is a small
//! mark.

use collector::board::Board;
use collector::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use topology::level::Level;
use topology::model::ComponentId;

use super::{Format, Tree};
use crate::scene::Place;
use crate::stage::Stage;

/// Minutes in the bar.
const DAY: i64 = 24 * 60;
/// The bar moves by this many minutes, so that it does not change with every board.
const STEP: i64 = 5;
/// Bars at most: more do not fit the strip at a size that can be read.
const MOST: usize = 7;
/// The narrowest mark, in minutes: six of some five hundred pixels.
const NARROW: i64 = 17;

/// A level, from and to in minutes.
type Mark = (Level, i64, i64);

/// The bars, for lanes with a title; those with marks first if not all fit.
pub(super) fn bars(board: &Board, stage: &Stage, known_since: Timestamp, format: &Format) -> Option<Tree> {
    let minute = board.at.as_second() / 60;
    let end = minute - minute % STEP + STEP;
    let place = |at: Timestamp| (at.as_second() / 60 - (end - DAY)).clamp(0, DAY);
    let titled = stage.layout.lanes.iter().filter_map(|lane| Some((lane.tier?, &lane.components)));
    let mut rows: Vec<(usize, Vec<Mark>)> = titled
        .map(|(tier, components)| {
            let members: Vec<ComponentId> = components
                .iter()
                .flat_map(|id| match &stage.scene.places[id.index()] {
                    Place::Component(id) => std::slice::from_ref(id),
                    Place::Group(group) => &group.members,
                })
                .copied()
                .collect();
            let marks = board.resolved.iter().filter_map(|incident| {
                let level = worst(board, incident, &members)?;
                let to = incident.resolved_at?;
                (to > board.at - SignedDuration::from_mins(DAY))
                    .then(|| (level, place(incident.opened_at), place(to)))
            });
            (tier, marks.collect())
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    while rows.len() > MOST {
        let plain = rows.iter().rposition(|(_, marks)| marks.is_empty());
        rows.remove(plain.unwrap_or(rows.len() - 1));
    }
    let first = board.resolved.iter().map(|incident| incident.opened_at).min().unwrap_or(known_since);
    let known = place(first.min(known_since));
    let bars = rows.into_iter().map(|(tier, mut marks)| {
        let title = board.model.tiers[tier].title.get(format.lang);
        let mut parts = vec![rect("g", known, DAY)];
        marks.sort_by_key(|mark| (mark.0.rank(), mark.1));
        parts.extend(marks.into_iter().map(|(level, from, to)| {
            let short = (NARROW - (to - from)).max(0);
            rect(level.as_str(), from - short, to)
        }));
        let svg = Tree::of("svg", "day", parts)
            .with("viewBox", format!("0 0 {DAY} 10"))
            .with("preserveAspectRatio", "none")
            .with("aria-hidden", "true");
        Tree::of("li", "", vec![Tree::text("span", "", title), svg])
    });
    let title = format.pick("Past 24 hours", "过去 24 小时");
    let list = Tree::of("ul", "", bars.collect());
    Some(Tree::of("div", "bars", vec![Tree::text("h2", "vh", title), list]))
}

fn rect(class: &str, from: i64, to: i64) -> Tree {
    Tree::of("rect", class, Vec::new())
        .with("x", from.to_string())
        .with("width", (to - from).max(0).to_string())
        .with("height", "10")
}

/// The worst that the incident did to one of `members`; nothing when it left them alone.
fn worst(board: &Board, incident: &Incident, members: &[ComponentId]) -> Option<Level> {
    let verdict = &incident.verdict;
    let roots = verdict.roots.iter().filter_map(|root| root.culprit.component(&board.model));
    let roots = roots.filter(|id| members.contains(id)).map(|_| incident.level);
    let affected = verdict.affected.iter().filter(|affected| members.contains(&affected.component));
    roots.chain(affected.map(|affected| affected.health.level())).max_by_key(|level| level.rank())
}
