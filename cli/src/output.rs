//! What goes to the terminal: data to standard output, everything else to standard error, colour only on a
//! terminal, and a closed pipe is not an error.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// Lets a closed pipe pass (`topowatch health | head -1`).
pub(crate) fn ignore_closed_pipe(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::debug!(%error, "the terminal took no output");
    }
}

/// A line to standard output.
pub(crate) fn line(text: &str) {
    let mut out = anstream::stdout().lock();
    ignore_closed_pipe(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// A line to standard error.
pub(crate) fn note(text: &str) {
    ignore_closed_pipe(writeln!(anstream::stderr().lock(), "{text}"));
}

/// An error to standard error.
pub(crate) fn error(text: &str) {
    let style = AnsiColor::Red.on_default().bold();
    note(&format!("{style}error{style:#}: {text}"));
}

/// A level's mark and word: never colour alone.
pub(crate) fn level(word: &str) -> String {
    let (style, mark) = match word {
        "green" => (AnsiColor::Green.on_default(), "●"),
        "yellow" => (AnsiColor::Yellow.on_default().bold(), "▲"),
        "red" => (AnsiColor::Red.on_default().bold(), "■"),
        "paused" => (AnsiColor::Blue.on_default(), "‖"),
        _ => (AnsiColor::Magenta.on_default(), "?"),
    };
    format!("{style}{mark} {word}{style:#}")
}

/// A heading.
pub(crate) fn bold(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// Text from elsewhere, without control characters: an escape sequence must not reach the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1 instance`, `2 instances`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// How long ago, in the two largest units: `3 min 22 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let total = seconds.max(0.0) as u64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    let mut out = String::new();
    let written = match (days, hours, minutes) {
        (0, 0, 0) => write!(out, "{seconds} s"),
        (0, 0, _) => write!(out, "{minutes} min {seconds} s"),
        (0, ..) => write!(out, "{hours} h {minutes} min"),
        _ => write!(out, "{days} d {hours} h"),
    };
    debug_assert!(written.is_ok());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let shown: Vec<String> = [0.4, 59.9, 202.0, 3720.0, 200_000.0].into_iter().map(duration).collect();
        assert_eq!(shown, ["0 s", "59 s", "3 min 22 s", "1 h 2 min", "2 d 7 h"]);
    }

    #[test]
    fn an_escape_sequence_of_a_target_is_text() {
        assert_eq!(plain("\u{1b}[2Jgone\n"), " [2Jgone ");
    }
}
