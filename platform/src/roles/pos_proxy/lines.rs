//! Which line the POS traffic takes. Decided from what was heard on each line, without a clock of its own:
//! a few bad answers are enough to leave a line, a good while is needed to come back to it.

use std::time::{Duration, Instant};

/// Bad answers in a row after which a line is left. One may be bad luck.
const BAD: u32 = 2;
/// How long a line that failed must be good before it is trusted again: so nothing goes to and fro.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Judge {
    bad_in_a_row: u32,
    trusted: bool,
    good_since: Option<Instant>,
}

impl Judge {
    fn new() -> Self {
        Self { bad_in_a_row: 0, trusted: true, good_since: None }
    }

    fn heard(&mut self, good: bool, now: Instant) {
        if !good {
            self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
            self.good_since = None;
            self.trusted &= self.bad_in_a_row < BAD;
            return;
        }
        self.bad_in_a_row = 0;
        let since = *self.good_since.get_or_insert(now);
        self.trusted |= now.duration_since(since) >= GOOD_FOR;
    }

    fn answers(&self) -> bool {
        self.bad_in_a_row == 0
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }
}

/// The lines in the order they are preferred.
#[derive(Debug)]
pub(super) struct Lines {
    judges: Vec<Judge>,
    in_use: usize,
}

impl Lines {
    pub(super) fn new(count: usize) -> Self {
        Self { judges: vec![Judge::new(); count], in_use: 0 }
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    pub(super) fn judges(&self) -> &[Judge] {
        &self.judges
    }

    /// The line to take from now on, when that changes by what was heard.
    pub(super) fn heard(&mut self, line: usize, good: bool, now: Instant) -> Option<usize> {
        self.judges.get_mut(line)?.heard(good, now);
        let wanted = self.wanted();
        (wanted != self.in_use).then(|| {
            self.in_use = wanted;
            wanted
        })
    }

    /// The best that is trusted. When none is: one that answers, and the one in use rather than another.
    fn wanted(&self) -> usize {
        let answers = |line: usize| self.judges.get(line).is_some_and(Judge::answers);
        if let Some(trusted) = self.judges.iter().position(Judge::is_trusted) {
            return trusted;
        }
        if answers(self.in_use) {
            return self.in_use;
        }
        (0..self.judges.len()).find(|line| answers(*line)).unwrap_or(self.in_use)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_bad_answer_is_bad_luck_and_two_move_the_traffic() {
        let (mut lines, now) = (Lines::new(2), clock::now());
        assert_eq!(lines.heard(0, false, now), None);
        assert_eq!(lines.heard(0, true, now), None);
        assert_eq!(lines.heard(0, false, now), None);
        assert_eq!(lines.heard(0, false, now), Some(1));
    }

    #[test]
    fn a_line_is_trusted_again_after_ten_good_seconds_in_a_row() {
        let (mut lines, begin) = (Lines::new(2), clock::now());
        lines.heard(0, false, begin);
        lines.heard(0, false, begin);
        let mut moves = Vec::new();
        for second in 1..45 {
            // Good for nine seconds and bad again, three times over: no reason to go back.
            let good = second >= 30 || second % 10 != 9;
            if let Some(line) = lines.heard(0, good, begin + SECOND * second) {
                moves.push((second, line));
            }
            assert_eq!(lines.heard(1, true, begin + SECOND * second), None);
        }
        assert_eq!(moves, [(40, 0)], "good since 30");
    }

    #[test]
    fn with_no_trusted_line_any_answering_one_is_taken() {
        let (mut lines, now) = (Lines::new(2), clock::now());
        for line in [0, 0, 1, 1] {
            lines.heard(line, false, now);
        }
        assert_eq!(lines.in_use(), 1);
        assert_eq!(lines.heard(0, true, now), Some(0));
        assert_eq!(lines.heard(1, true, now), None, "the one in use answers");
    }
}
