//! Levels: how well a node is, and the small lattice they form.

use std::fmt;

/// What a page, a script or an alert calls the state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Answers well.
    Green,
    /// Something is wrong, see [`Kind`] for who feels it.
    Yellow,
    /// Does not serve.
    Red,
    /// No fresh observation.
    Unknown,
    /// In maintenance, on purpose.
    Paused,
}

impl Level {
    /// The stable word used in JSON, metrics and class names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
        }
    }

    /// Order for "the worst of these" where every level takes part: red, yellow, unknown, green, paused.
    ///
    /// `unknown` ranks above green because a stale green must never be shown, and below yellow because
    /// something known to be wrong says more.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Paused => 0,
            Self::Green => 1,
            Self::Unknown => 2,
            Self::Yellow => 3,
            Self::Red => 4,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two kinds of yellow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Redundancy is lost or a limit is near: dependants still get good answers, so it stays local.
    AtRisk,
    /// What the dependants get is worse: it spreads.
    Impaired,
}

impl Kind {
    /// The stable word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtRisk => "at_risk",
            Self::Impaired => "impaired",
        }
    }
}

/// A level with its kind of yellow: the value every rule computes with.
///
/// The first four form a chain, `Green < AtRisk < Impaired < Red`; [`Health::Unknown`] and
/// [`Health::Paused`] stand beside it and never spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Good answers.
    Green,
    /// Yellow that stays local.
    AtRisk,
    /// Yellow that spreads.
    Impaired,
    /// Does not serve.
    Red,
    /// No fresh observation.
    Unknown,
    /// In maintenance.
    Paused,
}

impl Health {
    /// The level shown.
    pub const fn level(self) -> Level {
        match self {
            Self::Green => Level::Green,
            Self::AtRisk | Self::Impaired => Level::Yellow,
            Self::Red => Level::Red,
            Self::Unknown => Level::Unknown,
            Self::Paused => Level::Paused,
        }
    }

    /// The kind of yellow, if it is yellow.
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::AtRisk => Some(Kind::AtRisk),
            Self::Impaired => Some(Kind::Impaired),
            _ => None,
        }
    }

    /// Place in the chain; `Unknown` and `Paused` count as green, for they carry no trouble.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Green | Self::Unknown | Self::Paused => 0,
            Self::AtRisk => 1,
            Self::Impaired => 2,
            Self::Red => 3,
        }
    }

    /// Yellow or red.
    pub const fn is_unhealthy(self) -> bool {
        self.severity() > 0
    }

    /// The worse of two in the chain; a tie keeps `self`.
    #[must_use]
    pub const fn worse(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }
}

impl From<Kind> for Health {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::AtRisk => Self::AtRisk,
            Kind::Impaired => Self::Impaired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_paused_carry_no_trouble() {
        for quiet in [Health::Unknown, Health::Paused] {
            assert_eq!(quiet.severity(), 0);
            assert!(!quiet.is_unhealthy());
        }
    }

    #[test]
    fn the_worst_level_is_red_then_yellow_then_unknown_then_green() {
        let mut levels = [Level::Green, Level::Red, Level::Paused, Level::Unknown, Level::Yellow];
        levels.sort_by_key(|level| std::cmp::Reverse(level.rank()));
        assert_eq!(levels, [Level::Red, Level::Yellow, Level::Unknown, Level::Green, Level::Paused]);
    }
}
