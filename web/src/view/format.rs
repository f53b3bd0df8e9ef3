//! Times and durations as people of either language write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use topology::text::Lang;

/// A language and a time zone: all that is needed to write a figure.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) lang: Lang,
    pub(crate) zone: TimeZone,
}

impl Format {
    /// One of two words.
    pub(crate) const fn pick<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    /// One of two words of the program's own.
    pub(crate) const fn pick_static(&self, en: &'static str, zh: &'static str) -> &'static str {
        self.pick(en, zh)
    }

    /// The time of day, `12:07:41`.
    pub(crate) fn time(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }

    /// The time of day to the minute, `12:07`.
    pub(crate) fn hour(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%H:%M").to_string()
    }

    /// The day: `23 Nov`.
    pub(crate) fn day_of_month(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime(self.pick("%-d %b", "%-m月%-d日")).to_string()
    }

    /// Day and time: `23 Nov 18:02`.
    pub(crate) fn date_and_time(&self, at: Timestamp) -> String {
        let pattern = self.pick("%-d %b %H:%M", "%-m月%-d日 %H:%M");
        at.to_zoned_datetime(self.zone.clone()).strftime(pattern).to_string()
    }

    /// Day and time, when the day is not `now`'s: `23 Nov 18:02` or `18:02`.
    pub(crate) fn day(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned_datetime(self.zone.clone()), now.to_zoned_datetime(self.zone.clone()));
        let pattern = match (at.date() == now.date(), self.lang) {
            (true, _) => "%H:%M",
            (false, Lang::En) => "%-d %b %H:%M",
            (false, Lang::Zh) => "%-m月%-d日 %H:%M",
        };
        at.strftime(pattern).to_string()
    }

    /// From `since` to `now` in words: `3 min 22 s`.
    pub(crate) fn ago(&self, since: Timestamp, now: Timestamp) -> String {
        self.seconds(now.duration_since(since).as_secs().max(0).unsigned_abs())
    }

    /// From `since` to `now` in one unit, for a card: `unseen 68 s`.
    pub(crate) fn brief(&self, since: Timestamp, now: Timestamp) -> String {
        let seconds = now.duration_since(since).as_secs().max(0);
        let (value, en, zh) = match seconds {
            0..120 => (seconds, "s", "秒"),
            120..7200 => (seconds / 60, "min", "分"),
            7200..172_800 => (seconds / 3600, "h", "小时"),
            _ => (seconds / 86_400, "d", "天"),
        };
        format!("{value} {}", self.pick(en, zh))
    }

    /// A duration in words, two units at most.
    pub(crate) fn seconds(&self, seconds: u64) -> String {
        let zh = self.lang == Lang::Zh;
        let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        match (d, h, m) {
            (0, 0, 0) if zh => format!("{s} 秒"),
            (0, 0, 0) => format!("{s} s"),
            (0, 0, _) if s == 0 && zh => format!("{m} 分"),
            (0, 0, _) if s == 0 => format!("{m} min"),
            (0, 0, _) if zh => format!("{m} 分 {s} 秒"),
            (0, 0, _) => format!("{m} min {s} s"),
            (0, _, _) if zh => format!("{h} 小时 {m} 分"),
            (0, _, _) => format!("{h} h {m} min"),
            (_, 0, _) if zh => format!("{d} 天"),
            (_, 0, _) => format!("{d} d"),
            _ if zh => format!("{d} 天 {h} 小时"),
            _ => format!("{d} d {h} h"),
        }
    }

    /// A latency: `8.2 ms`.
    pub(crate) fn latency(duration: Duration) -> String {
        topology::kind::show_value(duration.as_secs_f64(), topology::kind::Unit::Seconds)
    }

    /// A count: `18,204`, in Chinese `1.8 万` from ten thousand up.
    pub(crate) fn count(&self, n: usize) -> String {
        if self.lang == Lang::Zh && n >= 10_000 {
            let tenths = (n + 500) / 1000;
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} 万"),
                (whole, part) => format!("{whole}.{part} 万"),
            };
        }
        let digits = n.to_string();
        let mut out = String::new();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    }

    /// The word for a level.
    pub(crate) fn level(&self, level: topology::level::Level) -> &'static str {
        use topology::level::Level;
        let words = match level {
            Level::Green => ("healthy", "正常"),
            Level::Yellow => ("yellow", "黄"),
            Level::Red => ("red", "红"),
            Level::Unknown => ("unseen", "未见"),
            Level::Paused => ("paused", "维护"),
        };
        match self.lang {
            Lang::En => words.0,
            Lang::Zh => words.1,
        }
    }

    /// How sure a verdict is, in a word.
    pub(crate) const fn confidence(&self, confidence: f64) -> &'static str {
        let words = if confidence >= 0.8 {
            ("high", "高")
        } else if confidence >= 0.5 {
            ("fair", "中")
        } else {
            ("low", "低")
        };
        match self.lang {
            Lang::En => words.0,
            Lang::Zh => words.1,
        }
    }
}

/// The number as plain text: `①`.
pub(crate) fn circled(number: u32) -> String {
    match number {
        1..=20 => char::from_u32(0x245f + number).map(String::from).unwrap_or_default(),
        _ => format!("({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let en = Format { lang: Lang::En, zone: TimeZone::UTC };
        let shown: Vec<String> = [8, 202, 3900, 200_000].into_iter().map(|s| en.seconds(s)).collect();
        assert_eq!(shown, ["8 s", "3 min 22 s", "1 h 5 min", "2 d 7 h"]);
        assert_eq!(Format { lang: Lang::Zh, ..en }.seconds(202), "3 分 22 秒");
        assert_eq!(circled(3), "③");
    }

    #[test]
    fn counts_have_commas_and_in_chinese_ten_thousands() {
        let en = Format { lang: Lang::En, zone: TimeZone::UTC };
        let zh = Format { lang: Lang::Zh, ..en.clone() };
        let shown = |format: &Format| [7, 999, 9812, 18_204, 1_210_000].map(|n| format.count(n));
        assert_eq!(shown(&en), ["7", "999", "9,812", "18,204", "1,210,000"]);
        assert_eq!(shown(&zh), ["7", "999", "9,812", "1.8 万", "121 万"]);
    }
}
