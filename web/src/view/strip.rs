//! The strip under the topology: why, since when, what it breaks; or the past, when nothing is wrong.

use collector::board::Board;
use collector::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use topology::level::Level;
use topology::text::Lang;
use topology::verdict::{Affected, Culprit, Suspect};

use super::cards::culprit_name;
use super::{Format, Tree, past};
use crate::stage::Stage;

/// Panels side by side, at most.
const PANELS: usize = 2;

/// How long the page says that the topology has changed.
const TOLD: SignedDuration = SignedDuration::from_secs(60);

struct Strip<'a> {
    board: &'a Board,
    stage: &'a Stage,
    known_since: Timestamp,
    format: &'a Format,
}

/// One cause and what it does.
struct Cause<'a> {
    incident: &'a Incident,
    root: Option<&'a Suspect>,
    number: u32,
    affected: Vec<&'a Affected>,
}

/// The strip of `board`.
pub(crate) fn strip(board: &Board, stage: &Stage, known_since: Timestamp, format: &Format) -> Tree {
    let strip = Strip { board, stage, known_since, format };
    let causes = strip.causes();
    let mut parts: Vec<Tree> = match causes.as_slice() {
        [] => vec![strip.quiet()],
        [one] => vec![strip.alone(one)],
        several => several.iter().take(PANELS).map(|cause| strip.half(cause)).collect(),
    };
    if causes.len() > PANELS {
        parts.push(strip.more(&causes[PANELS..]));
    }
    parts.extend(strip.affected(&causes));
    if !causes.is_empty() {
        parts.extend(strip.file_trouble().map(|lines| Tree::text("p", "file", lines.join(": "))));
    }
    parts.extend(strip.changed().map(|words| Tree::text("p", "file", words)));
    let class = match causes.len() {
        0 | 1 => "strip",
        2 => "strip two",
        _ => "strip three",
    };
    Tree::of("div", class, parts).with("id", "strip")
}

impl<'a> Strip<'a> {
    fn causes(&self) -> Vec<Cause<'a>> {
        let mut number = 0;
        let mut causes = Vec::new();
        for incident in &self.board.open {
            let verdict = &incident.verdict;
            if verdict.roots.is_empty() {
                causes.push(Cause {
                    incident,
                    root: None,
                    number: 0,
                    affected: verdict.affected.iter().collect(),
                });
            }
            for (i, root) in verdict.roots.iter().enumerate() {
                number += 1;
                let affected = verdict.affected.iter().filter(|a| a.root == i).collect();
                let shown = if root.culprit == Culprit::Monitor { 0 } else { number };
                causes.push(Cause { incident, root: Some(root), number: shown, affected });
            }
        }
        causes
    }

    fn lang(&self) -> Lang {
        self.format.lang
    }

    fn mood(&self, cause: &Cause<'_>) -> &'static str {
        match cause.root {
            Some(root) if root.culprit == Culprit::Monitor => "unknown",
            Some(root) => match root.culprit.component(&self.board.model) {
                Some(id) if self.board.component(id).health.level() == Level::Red => "red",
                _ if cause.incident.level == Level::Red
                    && cause.affected.iter().any(|a| a.health.level() == Level::Red) =>
                {
                    "red"
                }
                _ => "yellow",
            },
            None => cause.incident.level.as_str(),
        }
    }

    fn name(&self, cause: &Cause<'_>) -> String {
        match cause.root {
            Some(root) => culprit_name(self.board, root.culprit, self.lang()),
            None => cause.incident.title.get(self.lang()).to_owned(),
        }
    }

    fn number(cause: &Cause<'_>) -> Option<Tree> {
        (cause.number > 0).then(|| Tree::text("b", "n", cause.number.to_string()))
    }

    /// `3 min 22 s`, kept current by the script.
    fn lasting(&self, cause: &Cause<'_>) -> Tree {
        let since = cause.incident.opened_at;
        Tree::text("span", "", self.format.ago(since, self.board.at))
            .with("data-since", since.as_millisecond().to_string())
    }

    fn link(cause: &Cause<'_>, text: impl Into<String>) -> Tree {
        Tree::text("a", "", text).with("href", format!("/incidents/{}", cause.incident.id))
    }

    fn reasons(&self, cause: &Cause<'_>, most: usize) -> Vec<Tree> {
        let suspect = cause.root.or(cause.incident.verdict.suspects.first());
        let evidence = suspect.map(|suspect| suspect.evidence.as_slice()).unwrap_or_default();
        evidence.iter().take(most).map(|e| Tree::text("li", "", e.text.get(self.lang()))).collect()
    }

    fn title(&self, id: topology::model::ComponentId) -> &'a str {
        self.board.model.component(id).title.get(self.lang())
    }

    /// The panel of the only cause, over the whole width.
    fn alone(&self, cause: &Cause<'_>) -> Tree {
        let format = self.format;
        let time = format.time(cause.incident.opened_at);
        let since = format!("{} {time}", format.pick("Since", "始于"));
        let mut heading: Vec<Tree> = Self::number(cause).into_iter().collect();
        heading.push(Tree::text("span", "", since));
        let mut when = vec![
            Tree::of(
                "h2",
                "name",
                Self::number(cause).into_iter().chain([Tree::Text(self.name(cause))]).collect(),
            ),
            Tree::of("h2", "since", heading),
            Tree::of("p", "big", vec![self.lasting(cause)]),
        ];
        if let Some(root) = cause.root {
            let words =
                format!("{}{}", format.pick("confidence: ", "置信度："), format.confidence(root.confidence));
            when.push(Tree::text("p", "note", words));
        }
        let label = format.pick("all about it \u{2192}", "详情 \u{2192}");
        when.push(Tree::of("p", "note", vec![Self::link(cause, label.to_owned())]));
        let why = vec![
            Tree::text("h3", "", format.pick("Why we say so", "依据")),
            Tree::of("ul", "", self.reasons(cause, 3)),
        ];
        let blind = self.board.monitor.blind;
        let title = if blind {
            format.pick("What to do", "怎么办")
        } else {
            format.pick("What it breaks", "影响")
        };
        let list = if blind { self.to_do() } else { self.breaks(cause) };
        let breaks = vec![Tree::text("h3", "", title), Tree::of("ul", "", list)];
        let columns = vec![
            Tree::of("div", "when", when),
            Tree::of("div", "why", why),
            Tree::of("div", "breaks", breaks),
        ];
        Tree::of("section", &format!("panel one {}", self.mood(cause)), columns)
            .with("aria-label", self.name(cause))
    }

    fn to_do(&self) -> Vec<Tree> {
        let words = [
            ("This host: is its network up?", "检查本机网络是否正常"),
            ("Order desk: are orders coming in?", "向业务方确认订单是否正常"),
            ("Use the second monitor, if there is one", "如有备用监控，请切换查看"),
        ];
        words.into_iter().map(|(en, zh)| Tree::text("li", "", self.format.pick(en, zh))).collect()
    }

    fn breaks(&self, cause: &Cause<'_>) -> Vec<Tree> {
        const MOST: usize = 3;
        let affected = &cause.affected;
        if affected.is_empty() {
            let words = self.format.pick("No other component is affected", "未波及其他组件");
            return vec![Tree::text("li", "", words)];
        }
        let row = |a: &&Affected| {
            let word = Tree::text("span", &format!("w {}", a.health.level().as_str()), self.word(a));
            Tree::of("li", "", vec![Tree::text("span", "", self.title(a.component)), word])
        };
        if affected.len() <= MOST {
            return affected.iter().map(row).collect();
        }
        let mut list: Vec<Tree> = affected[..MOST - 1].iter().map(row).collect();
        let rest: Vec<&str> = affected[MOST - 1..].iter().map(|a| self.title(a.component)).collect();
        let words = match self.lang() {
            Lang::En => format!("and {} more: {}", rest.len(), rest.join(", ")),
            Lang::Zh => format!("另有 {} 个：{}", rest.len(), rest.join("、")),
        };
        list.push(Tree::text("li", "", words.clone()).with("title", words));
        list
    }

    /// A component's fault as its card says it.
    fn word(&self, affected: &Affected) -> String {
        let state = self.board.component(affected.component);
        match state.short.get(self.lang()) {
            "" => self.format.level(state.health.level()).to_owned(),
            short => short.to_owned(),
        }
    }

    /// One of two panels.
    fn half(&self, cause: &Cause<'_>) -> Tree {
        let format = self.format;
        let mut heading: Vec<Tree> = Self::number(cause).into_iter().collect();
        heading.push(Self::link(cause, self.name(cause)));
        let since = format!("{} {} · ", format.pick("since", "始于"), format.time(cause.incident.opened_at));
        heading.push(Tree::of("span", "since", vec![Tree::Text(since), self.lasting(cause)]));
        let mut list = self.reasons(cause, 2);
        if list.is_empty() {
            list.push(Tree::text("li", "", format.pick("Cause not clear yet", "根因未明")));
        }
        let names: Vec<&str> = cause.affected.iter().map(|a| self.title(a.component)).collect();
        let words = match (names.is_empty(), self.lang()) {
            (true, Lang::En) => "Breaks: nothing else".to_owned(),
            (true, Lang::Zh) => "未波及其他组件".to_owned(),
            (false, Lang::En) => format!("Breaks: {}", names.join(", ")),
            (false, Lang::Zh) => format!("影响：{}", names.join("、")),
        };
        list.push(Tree::text("li", "", words));
        let children = vec![Tree::of("h2", "", heading), Tree::of("ul", "", list)];
        Tree::of("section", &format!("panel half {}", self.mood(cause)), children)
            .with("aria-label", self.name(cause))
    }

    /// The causes that have no panel, by name.
    fn more(&self, rest: &[Cause<'_>]) -> Tree {
        let names: Vec<String> = rest.iter().map(|cause| self.name(cause)).collect();
        let words = match self.lang() {
            Lang::En => format!("and {} more: {}", rest.len(), names.join(", ")),
            Lang::Zh => format!("另有 {} 处：{}", rest.len(), names.join("、")),
        };
        Tree::text("p", "more", words)
    }

    /// The list of the affected, for the narrow page.
    fn affected(&self, causes: &[Cause<'_>]) -> Option<Tree> {
        let rows: Vec<Tree> = causes
            .iter()
            .flat_map(|cause| cause.affected.iter().map(move |a| (cause.number, *a)))
            .map(|(number, a)| {
                let component = self.board.model.component(a.component);
                let level = a.health.level().as_str();
                let row = vec![
                    Tree::of("i", &format!("b affected {level}"), Vec::new()),
                    Tree::text("span", "t", component.title.get(self.lang())),
                    Tree::text("span", &format!("w {level}"), self.word(a)),
                    Tree::text("b", "n", number.to_string()),
                ];
                let link = Tree::of("a", "", row).with("href", format!("/nodes/{}", component.name));
                Tree::of("li", "", vec![link])
            })
            .collect();
        let count = rows.len();
        let title = format!("{} · {count}", self.format.pick("Affected, not broken", "受影响（自身无故障）"));
        let list = vec![Tree::text("h2", "", title), Tree::of("ul", "", rows)];
        (count > 0).then(|| Tree::of("section", "affected", list))
    }

    /// Nothing is wrong: what was, and how the monitor is.
    fn quiet(&self) -> Tree {
        let (board, format) = (self.board, self.format);
        let rows: Vec<Tree> = board
            .resolved
            .iter()
            .take(2)
            .map(|incident| {
                let end = incident.resolved_at.unwrap_or(board.at);
                let link = Tree::text("a", "", incident.title.get(self.lang()))
                    .with("href", format!("/incidents/{}", incident.id));
                let row = vec![
                    Tree::text("span", "at", format.day(incident.opened_at, board.at)),
                    Tree::of(
                        "span",
                        "what",
                        vec![Tree::of("i", &format!("b {}", incident.level.as_str()), vec![]), link],
                    ),
                    Tree::text("span", "long", format.ago(incident.opened_at, end)),
                ];
                Tree::of("li", "", row)
            })
            .collect();
        let none = format.pick("None since this monitor started", "本监控启动以来没有事件");
        let past = if rows.is_empty() { Tree::text("p", "note", none) } else { Tree::of("ul", "", rows) };
        let title = format.pick("Past incidents", "近期事件");
        let own: Vec<Tree> = self.own_state().into_iter().map(|line| Tree::text("li", "", line)).collect();
        let monitor = Tree::text("h3", "", format.pick("This monitor", "监控自身"));
        let words = vec![
            Tree::text("h2", "h", title),
            past,
            Tree::of("div", "own", vec![monitor, Tree::of("ul", "", own)]),
        ];
        let mut columns: Vec<Tree> =
            past::bars(board, self.stage, self.known_since, format).into_iter().collect();
        columns.push(Tree::of("div", "past", words));
        Tree::of("section", "panel quiet", columns).with("aria-label", title)
    }

    /// For a minute after the file was read anew: cards may have moved.
    fn changed(&self) -> Option<String> {
        let (grown, at) = (self.stage.grown?, self.board.monitor.file_read_at?);
        if self.board.at.duration_since(at) > TOLD {
            return None;
        }
        let time = self.format.time(at);
        let count = match (grown, self.lang()) {
            (0, _) => String::new(),
            (n, Lang::En) => format!(": {n:+} components"),
            (n, Lang::Zh) => format!("：{n:+} 个组件"),
        };
        Some(format!("{} {time}{count}", self.format.pick("topology changed", "拓扑已变更")))
    }

    /// The topology file was changed and cannot be used: that, and its first mistake.
    fn file_trouble(&self) -> Option<[String; 2]> {
        let trouble = self.board.monitor.file_trouble.as_ref()?;
        let (file, at) = (&trouble.file, self.format.time(trouble.at));
        let count = trouble.lines.len() + trouble.more;
        let first = trouble.lines.first().cloned().unwrap_or_default();
        let (what, more) = match self.lang() {
            Lang::En => (
                format!("{file} is broken ({at}); the one before stays in force"),
                format!("{first} (and {} more)", count.saturating_sub(1)),
            ),
            Lang::Zh => (
                format!("{file} 有误（{at}），沿用之前的版本"),
                format!("{first}（另有 {} 处）", count.saturating_sub(1)),
            ),
        };
        Some([what, if count > 1 { more } else { first }])
    }

    fn own_state(&self) -> Vec<String> {
        let monitor = &self.board.monitor;
        let (seen, total) = (self.format.count(monitor.seen), self.format.count(self.board.instances.len()));
        // Rounded to a tenth of itself: a figure that flickers says nothing more.
        let rate = self.format.count(steady(monitor.probes_per_second));
        let late = monitor.late.as_secs_f64();
        let mut lines = match self.lang() {
            Lang::En => vec![format!("{seen} of {total} instances seen, {rate} probes a second")],
            Lang::Zh => vec![format!("已见 {seen} / {total} 个实例，每秒 {rate} 次探测")],
        };
        lines.push(match (late < 0.1, self.lang()) {
            (true, Lang::En) => "Probes start on time".to_owned(),
            (true, Lang::Zh) => "探测按时启动".to_owned(),
            (false, Lang::En) => format!("Probes start {late:.1}\u{2009}s late"),
            (false, Lang::Zh) => format!("探测启动延迟 {late:.1} 秒"),
        });
        // Above the rest: there is room for few lines.
        lines.splice(0..0, self.file_trouble().into_iter().flatten());
        if let Some(trouble) = &monitor.storage {
            lines.push(format!("{}{trouble}", self.format.pick("Storage: ", "存储：")));
        }
        lines
    }
}

/// `rate` to two digits.
fn steady(rate: f64) -> usize {
    let step = 10_f64.powi((rate.max(1.0).log10().floor() as i32 - 1).max(0));
    ((rate / step).round() * step) as usize
}
