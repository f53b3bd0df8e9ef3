//! Stand-ins for the chat robots, whose real services cannot be had in a test: they keep the limits that those
//! publish (in another unit of time, so that a test takes seconds), say errors as those do, and remember what they
//! were told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Wecom,
    Dingtalk,
    Feishu,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Wecom, Self::Dingtalk, Self::Feishu];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Wecom => "wecom",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
        }
    }
}

/// One of their minutes takes this long here.
pub(crate) const MINUTE: Duration = Duration::from_secs(3);

/// What was taken: the event's word and the key, in their order.
pub(crate) type Told = (String, String);

#[derive(Default)]
struct State {
    told: Vec<Told>,
    sent: VecDeque<Instant>,
    penalty: Option<Instant>,
    /// How often a limit was passed.
    passed: usize,
    /// Every so many requests the answer is an error inside HTTP 200; 0 is never.
    fails_every: usize,
    requests: usize,
}

pub(crate) struct Robot {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Robot {
    pub(crate) fn start(kind: Kind, fails_every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=k", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { fails_every, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that was killed in the middle is no news.
                let _ = serve(kind, &shared, &stream);
            }
        });
        Self { kind, url, state }
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap().told.clone()
    }

    /// How often its limit was passed.
    pub(crate) fn passed(&self) -> usize {
        self.state.lock().unwrap().passed
    }
}

fn serve(kind: Kind, state: &Mutex<State>, stream: &TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let (status, answer) = judge(kind, &mut state.lock().unwrap(), &body);
    let text = answer.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .ok()
}

/// Takes a message, or says why not: with the codes of lessons, and HTTP 200 where they use it.
#[expect(clippy::disallowed_methods, reason = "a limit needs the clock")]
fn judge(kind: Kind, state: &mut State, body: &Value) -> (u16, Value) {
    let now = Instant::now();
    state.requests += 1;
    while state.sent.front().is_some_and(|at| now.duration_since(*at) > MINUTE) {
        state.sent.pop_front();
    }
    state.sent.push_back(now);
    let in_a_second = state.sent.iter().filter(|at| now.duration_since(**at) < MINUTE / 60).count();
    let n = state.sent.len();
    let over = match kind {
        Kind::Wecom | Kind::Dingtalk => n > 20,
        Kind::Feishu => n > 100 || in_a_second > 5,
    };
    if over || state.penalty.is_some_and(|until| now < until) {
        state.passed += 1;
        if kind == Kind::Dingtalk {
            state.penalty = Some(now + MINUTE * 10);
        }
        return match kind {
            Kind::Wecom => (200, json!({ "errcode": 45009, "errmsg": "api freq out of limit" })),
            Kind::Dingtalk => {
                (200, json!({ "errcode": 130_101, "errmsg": "send too fast, exceed 20 times per minute" }))
            }
            Kind::Feishu => (400, json!({ "code": 9499, "msg": "too many request" })),
        };
    }
    if state.fails_every > 0 && state.requests.is_multiple_of(state.fails_every) {
        return match kind {
            Kind::Wecom | Kind::Dingtalk => (200, json!({ "errcode": -1, "errmsg": "system busy" })),
            Kind::Feishu => (200, json!({ "code": 11_246, "msg": "internal" })),
        };
    }
    let text = match kind {
        Kind::Wecom => {
            let text = body["markdown"]["content"].as_str().unwrap_or_default();
            if text.len() > 4096 {
                return (200, json!({ "errcode": 40058, "errmsg": "exceed max length 4096" }));
            }
            text.to_owned()
        }
        Kind::Dingtalk => body["markdown"]["text"].as_str().unwrap_or_default().to_owned(),
        Kind::Feishu => {
            let post = &body["content"]["post"]["zh_cn"];
            let lines = post["content"].as_array().into_iter().flatten();
            let pieces = lines.flat_map(|line| line.as_array().into_iter().flatten());
            let texts: Vec<&str> = pieces.filter_map(|piece| piece["text"].as_str()).collect();
            format!("{}\n{}", post["title"].as_str().unwrap_or_default(), texts.join("\n"))
        }
    };
    state.told.extend(messages(&text));
    match kind {
        Kind::Wecom | Kind::Dingtalk => (200, json!({ "errcode": 0, "errmsg": "ok" })),
        Kind::Feishu => (200, json!({ "code": 0, "msg": "success" })),
    }
}

/// The messages of a text: one, or a line each of a digest.
fn messages(text: &str) -> Vec<Told> {
    let bare = |line: &str| -> String {
        let line = line.trim_start_matches("**").trim_start_matches("#### ");
        line.split_once('>')
            .filter(|(tag, _)| tag.starts_with("<font"))
            .map_or(line, |(_, rest)| rest)
            .to_owned()
    };
    let lines: Vec<String> = text.lines().map(bare).filter(|line| !line.trim().is_empty()).collect();
    let word = |line: &str| line.split([',', ':']).next().unwrap_or_default().to_owned();
    if lines[0].contains("messages at once") {
        let parts =
            lines[1..].iter().filter_map(|line| line.rsplit_once(" #").map(|(what, key)| (word(what), key)));
        return parts.map(|(word, key)| (word, key.to_owned())).collect();
    }
    let key = lines.iter().rev().find_map(|line| line.strip_prefix('#')).unwrap_or_default();
    vec![(word(&lines[0]), key.to_owned())]
}
