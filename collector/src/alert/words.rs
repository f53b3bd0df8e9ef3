//! What people read: the title and the lines of a message, in both languages, short and plain. Each receiver puts
//! them into its own format; [`neutral`] keeps a target's words from being taken for markup there.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use topology::alerting::Template;
use topology::text::Lang;

use super::message::Letter;
use crate::clock::between;

/// Names of one list that are told; the others are counted.
const NAMES: usize = 8;
/// Sentences of evidence that are told.
const EVIDENCE: usize = 3;
/// One name or sentence of a message, in bytes.
const LONGEST: usize = 300;
/// One line of a digest, in bytes: twenty of them fit into the smallest message there is.
const DIGEST_LINE: usize = 170;
/// From here on it is told that a message is late.
const LATE: Duration = Duration::from_secs(30);

/// A message as people read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
    /// Where to read on, with what the link is called.
    pub(crate) links: Vec<(String, String)>,
    /// The key of the message, which holds the incident's id.
    pub(crate) reference: String,
    pub(crate) tone: Tone,
}

/// The colour of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Red,
    Yellow,
    Green,
    Grey,
}

/// How a receiver wants it.
#[derive(Clone, Copy)]
pub(crate) struct Style<'a> {
    pub(crate) lang: Lang,
    pub(crate) template: &'a Template,
    pub(crate) zone: &'a TimeZone,
    pub(crate) now: Timestamp,
}

impl Style<'_> {
    fn pick<'t>(&self, en: &'t str, zh: &'t str) -> &'t str {
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    fn level(&self, level: &str) -> &'static str {
        match (level, self.lang) {
            ("red", Lang::En) => "red",
            ("red", Lang::Zh) => "红",
            (_, Lang::En) => "yellow",
            (_, Lang::Zh) => "黄",
        }
    }

    fn event(&self, letter: &Letter) -> &'static str {
        let (en, zh) = match letter.event.as_str() {
            "open" => ("Open", "故障"),
            "update" => ("Update", "更新"),
            "subsume" => ("Merged", "合并"),
            "resolve" => ("Resolved", "恢复"),
            "test" => ("Test", "测试"),
            "blind" => ("Blind", "失明"),
            _ => ("Message", "消息"),
        };
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    /// `3m 20s`.
    fn span(&self, span: Duration) -> String {
        let seconds = span.as_secs();
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (h, m, self.lang) {
            (0, 0, Lang::En) => format!("{s}s"),
            (0, 0, Lang::Zh) => format!("{s} 秒"),
            (0, m, Lang::En) => format!("{m}m {s}s"),
            (0, m, Lang::Zh) => format!("{m} 分 {s} 秒"),
            (h, m, Lang::En) => format!("{h}h {m}m"),
            (h, m, Lang::Zh) => format!("{h} 小时 {m} 分"),
        }
    }

    fn title_of(&self, letter: &Letter) -> String {
        let incident = &letter.incident;
        let title = cut(self.pick(&incident.title, &incident.title_zh), LONGEST);
        let event = self.event(letter);
        match (letter.is_end(), self.lang) {
            (true, Lang::En) => format!("{event}: {title}"),
            (true, Lang::Zh) => format!("【{event}】{title}"),
            (false, Lang::En) => format!("{event}, {}: {title}", self.level(&incident.level)),
            (false, Lang::Zh) => format!("【{event}·{}】{title}", self.level(&incident.level)),
        }
    }

    /// One message in words.
    pub(crate) fn one(&self, letter: &Letter) -> Words {
        let incident = &letter.incident;
        let lines = self.template.text.as_ref().map_or_else(
            || self.lines(letter),
            |text| self.filled(text, letter).lines().map(str::to_owned).collect(),
        );
        let title = self
            .template
            .title
            .as_ref()
            .map_or_else(|| self.title_of(letter), |title| self.filled(title, letter).replace('\n', " "));
        let mut links = Vec::new();
        links.extend(
            letter.links.incident.clone().map(|link| (self.pick("Details", "详情").to_owned(), link)),
        );
        links.extend(
            letter.links.runbook.clone().map(|link| (self.pick("Runbook", "处置手册").to_owned(), link)),
        );
        let tone = match (letter.is_end(), incident.level.as_str()) {
            _ if letter.event == "test" => Tone::Grey,
            (true, _) => Tone::Green,
            (_, "red") => Tone::Red,
            _ => Tone::Yellow,
        };
        Words { title, lines, links, reference: letter.key.clone(), tone }
    }

    fn lines(&self, letter: &Letter) -> Vec<String> {
        let incident = &letter.incident;
        let mut lines = Vec::new();
        let advice = self.pick(&incident.advice, &incident.advice_zh);
        if !advice.is_empty() && !letter.is_end() {
            lines.push(cut(advice, LONGEST));
        }
        if let Some(into) = &incident.subsumed_by {
            lines.push(format!("{} {into}", self.pick("It is part of incident", "已并入事件")));
        }
        for root in incident.verdict.roots.iter().take(NAMES) {
            let label = self.pick("Root cause", "根因");
            let sure = (root.confidence * 100.0).round();
            let node = cut(&root.node, LONGEST);
            lines.push(match self.lang {
                Lang::En => format!("{label}: {node} ({sure} %)"),
                Lang::Zh => format!("{label}：{node}（{sure}%）"),
            });
        }
        if !letter.is_end()
            && let Some(root) = incident.verdict.roots.first()
        {
            for evidence in root.evidence.iter().take(EVIDENCE) {
                lines.push(format!("- {}", cut(self.pick(&evidence.text, &evidence.text_zh), LONGEST)));
            }
        }
        if !incident.affected.is_empty() {
            let (n, names) = (incident.affected.len(), self.affected(letter));
            lines.push(match self.lang {
                Lang::En => format!("Affected ({n}): {names}"),
                Lang::Zh => format!("波及（{n}）：{names}"),
            });
        }
        lines.push(match self.lang {
            Lang::En => format!("Since {}", self.time(incident.opened_at)),
            Lang::Zh => format!("开始于 {}", self.time(incident.opened_at)),
        });
        if let (true, Some(until)) = (letter.is_end(), incident.resolved_at) {
            let lasted = self.span(between(incident.opened_at, until));
            lines.push(match self.lang {
                Lang::En => format!("Until {}, for {lasted}", self.time(until)),
                Lang::Zh => format!("结束于 {}，历时 {lasted}", self.time(until)),
            });
        }
        lines.extend(self.late(letter.created));
        lines
    }

    /// Says how late a message is that should have come long ago.
    fn late(&self, created: Timestamp) -> Option<String> {
        let late = between(created, self.now);
        (late >= LATE).then(|| {
            let (at, late) = (self.time(created), self.span(late));
            match self.lang {
                Lang::En => format!("Delivered late by {late}: it was written at {at}"),
                Lang::Zh => format!("延迟 {late} 送达：原定 {at}"),
            }
        })
    }

    fn affected(&self, letter: &Letter) -> String {
        let nodes = letter.incident.affected.iter().map(|affected| affected.node.as_str());
        listed(nodes, letter.incident.affected.len(), self.pick(", ", "、"))
    }

    fn filled(&self, template: &str, letter: &Letter) -> String {
        let incident = &letter.incident;
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (word, behind) = after.split_once('}').unwrap_or((after, ""));
            let value = match word {
                "event" => self.event(letter).to_owned(),
                "level" => self.level(&incident.level).to_owned(),
                "title" => self.pick(&incident.title, &incident.title_zh).to_owned(),
                "advice" => self.pick(&incident.advice, &incident.advice_zh).to_owned(),
                "roots" => {
                    let roots = incident.verdict.roots.iter().map(|root| root.node.as_str());
                    listed(roots, incident.verdict.roots.len(), self.pick(", ", "、"))
                }
                "affected" => self.affected(letter),
                "evidence" => {
                    let evidence =
                        incident.verdict.roots.iter().flat_map(|root| &root.evidence).take(EVIDENCE);
                    evidence.map(|e| self.pick(&e.text, &e.text_zh)).collect::<Vec<_>>().join("\n")
                }
                "since" => self.time(incident.opened_at),
                "link" => letter.links.incident.clone().unwrap_or_default(),
                "id" => incident.id.clone(),
                // The reader of the file lets no other word pass.
                _ => String::new(),
            };
            out.push_str(&cut(&value, 4 * LONGEST));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// Several messages in one: a line each, in their order; of an incident's updates only the last.
    pub(crate) fn digest(&self, letters: &[Letter], key: &str) -> Words {
        let n = letters.len();
        let title = match self.lang {
            Lang::En => format!("{n} messages at once"),
            Lang::Zh => format!("合并 {n} 条消息"),
        };
        let superseded = |i: usize| {
            let letter = &letters[i];
            letter.event == "update" && letters[i + 1..].iter().any(|l| l.incident.id == letter.incident.id)
        };
        let line = |letter: &Letter| {
            let reference = format!(" #{}", letter.key);
            format!("{}{reference}", cut(&self.title_of(letter), DIGEST_LINE.saturating_sub(reference.len())))
        };
        let mut lines: Vec<String> = (0..n).filter(|i| !superseded(*i)).map(|i| line(&letters[i])).collect();
        lines.extend(letters.first().and_then(|letter| self.late(letter.created)));
        let worst =
            letters.iter().filter(|letter| !letter.is_end()).map(|letter| letter.incident.level.as_str());
        let tone = match worst.max_by_key(|level| *level == "red") {
            Some("red") => Tone::Red,
            Some(_) => Tone::Yellow,
            None => Tone::Green,
        };
        let page = letters.iter().find_map(|letter| letter.links.incident.as_deref());
        let page = page.and_then(|link| link.rsplit_once("/incidents/")).map(|(page, _)| page.to_owned());
        let links = page.map(|page| (self.pick("All incidents", "全部事件").to_owned(), page + "/"));
        Words { title, lines, links: links.into_iter().collect(), reference: key.to_owned(), tone }
    }
}

impl Words {
    /// All of it as one text of at most `most` bytes, each piece through `safe`; what does not fit is left out
    /// from the middle: the title, the links (by `link`) and the reference stay.
    pub(crate) fn text(
        &self,
        most: usize,
        safe: impl Fn(&str) -> String,
        link: impl Fn(&str, &str) -> String,
        newline: &str,
    ) -> String {
        let mut tail: String =
            self.links.iter().map(|(name, url)| newline.to_owned() + &link(name, url)).collect();
        tail += newline;
        tail += &safe(&format!("#{}", self.reference));
        let mut out = String::new();
        for (i, line) in self.lines.iter().enumerate() {
            let line = safe(line);
            let left = self.lines.len() - i;
            let more = format!("{newline}+{left} …");
            if out.len() + newline.len() + line.len() + more.len() + tail.len() > most {
                out += &more;
                break;
            }
            if i > 0 {
                out += newline;
            }
            out += &line;
        }
        out + &tail
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>, all: usize, join: &str) -> String {
    let some: Vec<String> = names.take(NAMES).map(|name| cut(name, 100)).collect();
    let more = all.saturating_sub(some.len());
    let list = some.join(join);
    if more > 0 { format!("{list} +{more}") } else { list }
}

/// At most so many bytes, cut at a character's border.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// A text in which nothing is markup of a chat's Markdown: what would be stands there by a sign that looks
/// alike. Escapes are no help, for the chats do not agree on them.
pub(crate) fn neutral(text: &str) -> String {
    let like = |c: char| match c {
        '<' => '‹',
        '>' => '›',
        '[' => '［',
        ']' => '］',
        '*' => '∗',
        '`' => 'ˋ',
        '~' => '∼',
        '|' => '¦',
        '\\' => '＼',
        '!' => '！',
        c if c.is_control() => ' ',
        c => c,
    };
    let text: String = text.chars().map(like).collect();
    // At the beginning of a line these make headings, lists and rules.
    let trimmed = text.trim_start();
    match trimmed.chars().next() {
        Some('#') if trimmed.starts_with("# ") || trimmed.starts_with("##") => format!("＃{}", &trimmed[1..]),
        Some('=' | '_') => format!("·{trimmed}"),
        _ => text,
    }
}
