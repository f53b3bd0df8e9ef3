//! The live board on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use serde_json::Value;

use super::view::{Outage, Row, age, outages, rows};

/// What is shown, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) board: Value,
    /// The time that ages count to, RFC 3339; the board's own unless set.
    pub(super) now: String,
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) typing: bool,
    pub(super) only_bad: bool,
    pub(super) help: bool,
    /// The first row that is shown.
    pub(super) top: usize,
    /// How many rows fit, from the last drawing.
    pub(super) height: usize,
    /// What is wrong with the connection.
    pub(super) trouble: Option<String>,
    pub(super) colour: bool,
}

impl State {
    fn now(&self) -> &str {
        if self.now.is_empty() { self.board["at"].as_str().unwrap_or_default() } else { &self.now }
    }
}

const HELP: &str = "q Ctrl-C  end\n/         filter by name; Enter keeps it, Esc clears it\na         only what is not green\n\
↑ ↓ j k   one line\nPgUp PgDn one page\nHome End  first, last\n?         this help\n\nThe first lines are the open incidents: what is broken, how sure that is, and why.\n\
topowatch why   says more of them";

/// Lines of one incident at most, so that the list below keeps its room.
const MOST_EVIDENCE: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let all = outages(&state.board);
    let mut lines: Vec<Line<'_>> = Vec::new();
    let most = usize::from(frame.area().height / 2).max(1);
    for outage in &all {
        lines.extend(incident(outage, state));
        if lines.len() >= most {
            lines.truncate(most);
            break;
        }
    }
    let incidents = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let parts =
        [Constraint::Length(1), Constraint::Length(incidents), Constraint::Min(1), Constraint::Length(1)];
    let [head, middle, body, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(header(state)), head);
    frame.render_widget(Paragraph::new(lines), middle);
    if state.help {
        frame.render_widget(Paragraph::new(HELP).wrap(Wrap { trim: false }), body);
    } else {
        table(frame, body, state);
    }
    frame.render_widget(Paragraph::new(footer(state)), foot);
}

/// A level's look: never colour alone.
fn style(level: &str, colour: bool) -> Style {
    let plain = Style::default();
    let strong = if matches!(level, "red" | "yellow") { plain.add_modifier(Modifier::BOLD) } else { plain };
    if !colour {
        return strong;
    }
    strong.fg(match level {
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "red" => Color::Red,
        "paused" => Color::Blue,
        _ => Color::Magenta,
    })
}

fn mark(level: &str) -> &'static str {
    match level {
        "green" => "●",
        "yellow" => "▲",
        "red" => "■",
        "paused" => "‖",
        _ => "?",
    }
}

fn header(state: &State) -> Line<'static> {
    let text = |key: &str| crate::output::plain(state.board[key].as_str().unwrap_or_default());
    let level = text("level");
    let mut spans = vec![
        Span::styled(format!("{} {level}  ", mark(&level)), style(&level, state.colour)),
        Span::styled(text("sentence"), Style::default().add_modifier(Modifier::BOLD)),
    ];
    if let Some(trouble) = &state.trouble {
        spans.push(Span::styled(format!("   {trouble}"), style("red", state.colour)));
    }
    Line::from(spans)
}

fn incident<'a>(outage: &Outage, state: &State) -> Vec<Line<'a>> {
    let now = state.now();
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} {}", mark(&outage.level), outage.title), style(&outage.level, state.colour)),
        Span::raw(format!("  {}", age(&outage.since, now))),
    ])];
    if !outage.roots.is_empty() {
        lines.push(Line::from(format!("  cause: {}", outage.roots.join(", "))));
    }
    lines.extend(outage.evidence.iter().take(MOST_EVIDENCE).map(|why| Line::from(format!("  - {why}"))));
    if !outage.affected.is_empty() {
        lines.push(Line::from(format!("  affected, not broken: {}", outage.affected.join(", "))));
    }
    lines.push(Line::default());
    lines
}

fn table(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let all = rows(&state.board, &state.filter, state.only_bad);
    state.height = usize::from(area.height);
    state.top = state.top.min(all.len().saturating_sub(state.height));
    if all.is_empty() {
        let words =
            if state.filter.is_empty() { "Nothing to show." } else { "Nothing has this in its name." };
        frame.render_widget(Paragraph::new(words), area);
        return;
    }
    let now = state.now();
    let name_width =
        all.iter().map(|row| width(&row.name) + 2 * usize::from(row.instance)).max().unwrap_or(0).min(40);
    let lines: Vec<Line<'_>> = all
        .iter()
        .skip(state.top)
        .take(state.height)
        .map(|row| line(row, name_width, now, state.colour))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn line(row: &Row, name_width: usize, now: &str, colour: bool) -> Line<'static> {
    let indent = if row.instance { "  " } else { "" };
    let name = format!("{indent}{}", row.name);
    let pad = " ".repeat(name_width.saturating_sub(width(&name)));
    Line::from(vec![
        Span::styled(format!("{} {:<7}", mark(&row.level), row.level), style(&row.level, colour)),
        Span::styled(
            format!(" {name}{pad} "),
            if row.instance { Style::default() } else { Style::default().add_modifier(Modifier::BOLD) },
        ),
        Span::raw(format!("{:>7}  {}", age(&row.since, now), row.words)),
    ])
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn footer(state: &State) -> Line<'static> {
    if state.typing {
        return Line::from(format!("/{}▏", state.filter));
    }
    let filter = if state.filter.is_empty() { String::new() } else { format!("   filter: {}", state.filter) };
    let bad = if state.only_bad { "   only what is not green" } else { "" };
    let keys = Style::default().add_modifier(Modifier::DIM);
    Line::from(vec![
        Span::styled("q end  / filter  a not green  ? help", keys),
        Span::raw(format!("{filter}{bad}")),
    ])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    pub(crate) fn board() -> Value {
        json!({
            "at": "2026-11-28T12:00:00Z", "level": "red", "sentence": "Member DB is down\u{1b}[2J: 2 others affected",
            "components": [
                { "name": "gateway", "level": "green", "words": "", "since": "2026-11-20T12:00:00Z" },
                { "name": "member-db", "level": "red", "words": "refuses connections", "since": "2026-11-28T11:57:00Z" },
                { "name": "member-service", "level": "red", "explained_by": "member-db-1", "since": "2026-11-28T11:58:00Z" },
                { "name": "门店", "level": "yellow", "words": "1 of 2 is slow", "since": "2026-11-28T10:00:00Z" },
            ],
            "instances": [
                { "name": "gateway-1", "component": "gateway", "level": "green" },
                { "name": "member-db-1", "component": "member-db", "level": "red", "words": "refuses connections" },
                { "name": "门店-1", "component": "门店", "level": "green" },
                { "name": "门店-2", "component": "门店", "level": "yellow", "words": "slow: 700 ms", "since": "2026-11-28T10:00:00Z" },
            ],
            "incidents": [{
                "state": "open", "level": "red", "title": "Member DB is down: 2 others affected", "opened_at": "2026-11-28T11:57:00Z",
                "verdict": { "roots": [{ "node": "member-db-1", "confidence": 0.97, "evidence": [{ "text": "it refuses connections" }] }] },
                "affected": [{ "node": "member-service" }, { "node": "gateway" }],
            }],
        })
    }

    fn shown(state: &mut State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_incident_and_its_cause_come_first_then_the_worst() {
        let mut state = State { board: board(), ..State::default() };
        insta::assert_snapshot!(shown(&mut state, 90, 16));
        state.filter = "MEMBER".to_owned();
        state.top = 999;
        insta::assert_snapshot!("filtered", shown(&mut state, 60, 12));
        state.filter.clear();
        state.only_bad = true;
        state.trouble = Some("no answer for 12 s".to_owned());
        insta::assert_snapshot!("only_bad", shown(&mut state, 90, 14));
    }

    #[test]
    fn no_size_of_the_terminal_breaks_it() {
        for (width, height) in [(1, 1), (3, 2), (20, 3), (200, 4), (10, 60)] {
            for help in [false, true] {
                let mut state =
                    State { board: board(), help, typing: help, colour: true, ..State::default() };
                shown(&mut state, width, height);
                shown(&mut State::default(), width, height);
            }
        }
    }
}
