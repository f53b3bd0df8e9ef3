//! Times of day and of the week in a zone: working hours and windows that come again. Pure; now is an argument.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::time::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday as CronDay};
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};

/// The days of a week as the file writes them, Monday first.
pub const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The hours of a week in which something holds.
#[derive(Clone, Debug)]
pub struct Hours {
    /// Of which zone.
    pub zone: TimeZone,
    /// By [`DAYS`].
    pub days: [bool; 7],
    /// From here on, within the day.
    pub from: Time,
    /// Until here; when that is not later than `from`, on the next day.
    pub until: Time,
}

impl Hours {
    /// True when `now` lies in them.
    pub fn covers(&self, now: Timestamp) -> bool {
        let here = now.to_zoned_datetime(self.zone.clone());
        let on = |day: Weekday| self.days[usize::from(day.to_monday_zero_offset().unsigned_abs())];
        let time = here.time();
        if self.from < self.until {
            return on(here.weekday()) && self.from <= time && time < self.until;
        }
        // Over midnight: what began yesterday belongs to yesterday.
        (on(here.weekday()) && time >= self.from) || (on(here.weekday().previous()) && time < self.until)
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From here on.
    pub from: Timestamp,
    /// Until here.
    pub until: Timestamp,
}

impl Span {
    /// True when `at` lies in it.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// When a window begins.
#[derive(Clone)]
pub enum Begins {
    /// Again and again, by a cron pattern of five fields.
    Cron(Box<Cron>),
    /// Once.
    Once(DateTime),
}

/// A window of time that comes once or again and again.
#[derive(Clone)]
pub struct Window {
    /// When it begins, by the clocks of `zone`.
    pub begins: Begins,
    /// The zone.
    pub zone: TimeZone,
    /// How long it lasts.
    pub lasts: Duration,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begins = match &self.begins {
            Begins::Cron(cron) => cron.as_str().to_owned(),
            Begins::Once(at) => at.to_string(),
        };
        let zone = self.zone.iana_name().unwrap_or("?");
        f.debug_struct("Window")
            .field("begins", &begins)
            .field("zone", &zone)
            .field("lasts", &self.lasts)
            .finish()
    }
}

impl Window {
    /// The occurrence that `now` lies in, if it lies in one; the one that ends last where they overlap.
    pub fn current(&self, now: Timestamp) -> Option<Span> {
        let span = self.span(self.last_begin(now)?);
        span.covers(now).then_some(span)
    }

    /// The next occurrences that begin after `now`, at most `count`.
    pub fn next(&self, now: Timestamp, count: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = now;
        while spans.len() < count {
            let Some(begin) = self.next_begin(at) else { break };
            spans.push(self.span(begin));
            at = begin;
        }
        spans
    }

    fn span(&self, from: Timestamp) -> Span {
        let lasts = SignedDuration::try_from(self.lasts).unwrap_or(SignedDuration::MAX);
        Span { from, until: from.checked_add(lasts).unwrap_or(Timestamp::MAX) }
    }

    fn once(&self, at: DateTime) -> Option<Timestamp> {
        // In the hour that spring leaves out it begins when that hour would have ended, in the one that autumn
        // has twice at the first.
        self.zone.to_ambiguous_zoned_datetime(at).compatible().ok().map(|zoned| zoned.timestamp())
    }

    fn next_begin(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.begins {
            Begins::Once(at) => self.once(*at).filter(|at| *at > after),
            Begins::Cron(cron) => {
                let after = Clocks(after.to_zoned_datetime(self.zone.clone()));
                cron.find_next_occurrence(&after, false).ok().map(|found| found.0.timestamp())
            }
        }
    }

    fn last_begin(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.begins {
            Begins::Once(at) => self.once(*at).filter(|at| *at <= now),
            Begins::Cron(cron) => {
                let now = Clocks(now.to_zoned_datetime(self.zone.clone()));
                cron.find_previous_occurrence(&now, true).ok().map(|found| found.0.timestamp())
            }
        }
    }
}

/// A zone by its IANA name.
///
/// # Errors
/// A sentence: it is not a name, or there is no such zone.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    // `TimeZone::get` would take a path-like or POSIX word, too: only names of the database are a zone here.
    TimeZone::get(name)
        .ok()
        .filter(|zone| zone.iana_name().is_some())
        .ok_or_else(|| format!("there is no time zone `{}`", crate::decode::shortened(name)))
}

/// A cron pattern of five fields.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn cron(pattern: &str) -> Result<Cron, String> {
    use croner::parser::{CronParser, Seconds};
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .build()
        .parse(pattern)
        .map_err(|error| format!("`{}` is no cron pattern: {error}", crate::decode::shortened(pattern)))
}

/// Wall clocks of a zone, as the cron library asks for them.
#[derive(Clone, Debug)]
struct Clocks(ZonedDateTime);

fn civil(at: DateTime) -> CivilDateTime {
    let part = |part: i8| u32::from(part.unsigned_abs());
    CivilDateTime::new(
        CivilDate::from_parts_unchecked(i32::from(at.year()), part(at.month()), part(at.day())),
        CivilTime::from_parts_unchecked(part(at.hour()), part(at.minute()), part(at.second())),
    )
}

fn date_time(at: CivilDateTime) -> Result<DateTime, CronError> {
    let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
    let year = i16::try_from(at.year()).map_err(|_| CronError::InvalidDate)?;
    DateTime::new(
        year,
        part(at.month())?,
        part(at.day())?,
        part(at.hour())?,
        part(at.minute())?,
        part(at.second())?,
        0,
    )
    .map_err(|_| CronError::InvalidDate)
}

impl CronDateTime for Clocks {
    fn to_civil(&self) -> CivilDateTime {
        civil(self.0.datetime())
    }

    fn civil_weekday(&self) -> CronDay {
        CronDay::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, at: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(date_time(at)?);
        let bad = |_| CronError::InvalidTime;
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(Self(ambiguous.unambiguous().map_err(bad)?))
            }
            AmbiguousOffset::Fold { .. } => {
                let earlier = ambiguous.clone().earlier().map_err(bad)?;
                Resolution::Ambiguous(Self(earlier), Self(ambiguous.later().map_err(bad)?))
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(pattern: &str, name: &str, hours: u64) -> Window {
        Window {
            begins: Begins::Cron(Box::new(cron(pattern).unwrap())),
            zone: zone(name).unwrap(),
            lasts: Duration::from_hours(hours),
        }
    }

    /// The rows: pattern, zone, asked at, the next three begins.
    #[test]
    fn lesson_23_windows_keep_to_the_clocks_of_their_zone_over_every_change_of_time() {
        for (pattern, name, now, begins) in [
            // China has had no summer time since 1991.
            (
                "0 2 * * *",
                "Asia/Shanghai",
                "2026-03-28T00:00:00Z",
                ["2026-03-28T18:00:00Z", "2026-03-29T18:00:00Z", "2026-03-30T18:00:00Z"],
            ),
            // Berlin leaves out 02:00 to 03:00 on 29 March: what begins at 02:30 begins at 03:00 by its clocks.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"],
            ),
            // And has it twice on 25 October: it begins once, at the first.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-10-24T12:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"],
            ),
            // New York changes on other days.
            (
                "0 3 * * sun",
                "America/New_York",
                "2026-03-01T12:00:00Z",
                ["2026-03-08T07:00:00Z", "2026-03-15T07:00:00Z", "2026-03-22T07:00:00Z"],
            ),
            // Lord Howe moves by half an hour.
            (
                "0 4 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T00:00:00Z",
                ["2026-10-03T17:00:00Z", "2026-10-04T17:00:00Z", "2026-10-05T17:00:00Z"],
            ),
            // The last day of each month, over a leap day.
            (
                "0 0 L * *",
                "UTC",
                "2028-01-31T12:00:00Z",
                ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z", "2028-04-30T00:00:00Z"],
            ),
        ] {
            let found: Vec<Timestamp> =
                window(pattern, name, 2).next(at(now), 3).iter().map(|span| span.from).collect();
            assert_eq!(found, begins.map(at), "{pattern} {name}");
        }
    }

    #[test]
    fn a_window_lasts_as_long_as_it_says_whatever_the_clocks_do() {
        // Four hours from midnight on the night of the change: 00:00 to 05:00 by the clocks.
        let night = window("0 0 * * *", "Europe/Berlin", 4);
        let span = night.current(at("2026-03-29T02:59:00Z")).unwrap();
        assert_eq!((span.from, span.until), (at("2026-03-28T23:00:00Z"), at("2026-03-29T03:00:00Z")));
        assert_eq!(night.current(span.until), None, "its end is not in it");
        assert!(night.current(span.from).is_some());
    }

    #[test]
    fn once_is_once() {
        let once = Window {
            begins: Begins::Once("2026-12-01T22:00".parse().unwrap()),
            zone: zone("Asia/Shanghai").unwrap(),
            lasts: Duration::from_hours(1),
        };
        assert_eq!(once.next(at("2026-11-01T00:00:00Z"), 3).len(), 1);
        assert!(once.current(at("2026-12-01T14:30:00Z")).is_some());
        assert!(once.current(at("2026-12-02T14:30:00Z")).is_none());
        assert!(once.next(at("2026-12-01T14:00:00Z"), 3).is_empty());
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_they_begin_on() {
        let mut days = [false; 7];
        days[4] = true;
        let friday_night = Hours {
            zone: zone("Asia/Shanghai").unwrap(),
            days,
            from: Time::constant(22, 0, 0, 0),
            until: Time::constant(6, 0, 0, 0),
        };
        // 2026-11-27 is a Friday.
        for (now, covered) in [
            ("2026-11-27T21:59:59+08:00", false),
            ("2026-11-27T22:00:00+08:00", true),
            ("2026-11-28T05:59:59+08:00", true),
            ("2026-11-28T06:00:00+08:00", false),
            ("2026-11-27T05:00:00+08:00", false),
            ("2026-11-28T23:00:00+08:00", false),
        ] {
            assert_eq!(friday_night.covers(at(now)), covered, "{now}");
        }
    }

    #[test]
    fn what_is_no_zone_and_no_pattern_is_said() {
        assert!(zone("Asia/Shangai").is_err());
        assert!(zone("EST5EDT,M3.2.0,M11.1.0").is_err());
        assert!(cron("0 2 * *").is_err());
        assert!(cron("0 0 2 * * *").is_err(), "seconds are none of its fields");
        assert!(cron("61 2 * * *").is_err());
    }
}
