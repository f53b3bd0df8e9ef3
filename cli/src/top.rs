//! `topowatch top`: the board, live in the terminal.

mod draw;
mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::draw::{State, draw};
use self::view::{outages, rows};
use crate::args::TopArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;

/// How often the server is asked whether anything changed; most answers are an empty 304.
const EVERY: Duration = Duration::from_secs(1);
/// Without an answer for longer the board on the screen is told to be old.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &TopArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?.with_token(crate::token::token(None)?);
    let (tag, board) = client.get_if_changed("/api/v1/board", None, PATIENCE).await?.unwrap_or_default();
    let filter = args.filter.clone().unwrap_or_default();
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&board)?);
        return Ok(exit_of(&board));
    }
    if args.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        once(&board, &filter);
        return Ok(exit_of(&board));
    }
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let state = State { board, filter, colour, ..State::default() };
    // Also takes a panic's message off the alternate screen.
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let result = live(&mut terminal, &client, state, tag).await;
    ratatui::try_restore().context("the terminal cannot be put back")?;
    result.map(|()| Exit::Good)
}

fn exit_of(board: &Value) -> Exit {
    match board["level"].as_str() {
        Some("green" | "paused") => Exit::Good,
        Some("yellow") => Exit::Failed,
        Some("red") => Exit::Red,
        _ => Exit::Unknown,
    }
}

/// Draws when something changed, until a person or a signal ends it.
async fn live(
    terminal: &mut DefaultTerminal,
    client: &Client,
    mut state: State,
    mut tag: Option<String>,
) -> Result<()> {
    let mut events = events();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    // Ctrl-C is a key here; this is somebody else's.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut answered = collector::clock::now();
    loop {
        state.now = collector::clock::now().to_string();
        terminal.draw(|frame| draw(frame, &mut state))?;
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if press(&mut state, key) {
                        return Ok(());
                    }
                }
                Some(_) => {}
                // Nobody can press a key any more.
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = ticks.tick() => {
                if let Ok(changed) = client.get_if_changed("/api/v1/board", tag.as_deref(), PATIENCE).await {
                    answered = collector::clock::now();
                    state.trouble = None;
                    if let Some((new, board)) = changed {
                        (tag, state.board) = (new, board);
                    }
                } else {
                    let silent = collector::clock::between(answered, collector::clock::now());
                    let silent = output::duration(silent.as_secs_f64());
                    state.trouble = Some(format!("no answer for {silent}: this is old"));
                }
            }
        }
    }
}

/// Keys and sizes, read on a thread of their own: reading them waits.
fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What a key does; true when it ends the show.
fn press(state: &mut State, key: KeyEvent) -> bool {
    if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
        return true;
    }
    if state.typing {
        match key.code {
            KeyCode::Enter => state.typing = false,
            KeyCode::Esc => {
                state.typing = false;
                state.filter.clear();
            }
            KeyCode::Backspace => {
                state.filter.pop();
            }
            KeyCode::Char(c) if state.filter.len() < 100 => state.filter.push(c),
            _ => {}
        }
        state.top = 0;
        return false;
    }
    let page = state.height.saturating_sub(1).max(1);
    match key.code {
        KeyCode::Char('q') => return true,
        KeyCode::Esc if state.help => state.help = false,
        KeyCode::Esc => state.filter.clear(),
        KeyCode::Char('/') => (state.typing, state.help) = (true, false),
        KeyCode::Char('a') => state.only_bad = !state.only_bad,
        KeyCode::Char('?' | 'h') => state.help = !state.help,
        KeyCode::Up | KeyCode::Char('k') => state.top = state.top.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => state.top += 1,
        KeyCode::PageUp => state.top = state.top.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => state.top += page,
        KeyCode::Home => state.top = 0,
        KeyCode::End => state.top = usize::MAX / 2,
        _ => {}
    }
    false
}

/// The same once, as plain lines.
fn once(board: &Value, filter: &str) {
    let level = board["level"].as_str().unwrap_or("unknown");
    let sentence = output::plain(board["sentence"].as_str().unwrap_or_default());
    output::line(&format!("{}  {}", output::level(level), output::bold(&sentence)));
    let now = board["at"].as_str().unwrap_or_default();
    for outage in outages(board) {
        output::line(&format!(
            "{}  {}  {}",
            output::level(&outage.level),
            output::bold(&outage.title),
            view::age(&outage.since, now)
        ));
        if !outage.roots.is_empty() {
            output::line(&format!("  cause: {}", outage.roots.join(", ")));
        }
        for why in &outage.evidence {
            output::line(&format!("  - {why}"));
        }
        if !outage.affected.is_empty() {
            output::line(&format!("  affected, not broken: {}", outage.affected.join(", ")));
        }
    }
    for row in rows(board, filter, false) {
        let indent = if row.instance { "  " } else { "" };
        let words = if row.words.is_empty() { String::new() } else { format!("  {}", row.words) };
        output::line(&format!("{indent}{}  {}{words}", output::level(&row.level), row.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_filter_move_and_end() {
        let mut state = State { height: 10, ..State::default() };
        let mut tap = |code: KeyCode| {
            let ended = press(&mut state, KeyEvent::new(code, KeyModifiers::NONE));
            (ended, state.filter.clone(), state.top, state.typing)
        };
        assert_eq!(tap(KeyCode::PageDown), (false, String::new(), 9, false));
        assert_eq!(tap(KeyCode::Char('/')), (false, String::new(), 9, true));
        // While a filter is typed `q` is a letter.
        assert_eq!(tap(KeyCode::Char('q')), (false, "q".to_owned(), 0, true));
        assert_eq!(tap(KeyCode::Enter), (false, "q".to_owned(), 0, false));
        assert_eq!(tap(KeyCode::Esc), (false, String::new(), 0, false));
        assert!(tap(KeyCode::Char('q')).0);
        assert!(press(&mut state, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }
}
