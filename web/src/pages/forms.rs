//! The forms of the pages: taking an incident on, writing a note, keeping something quiet. They work without script: a
//! form is sent, and the page it came from is shown again.

use std::net::{IpAddr, SocketAddr};

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use collector::board::Board;
use collector::incident::Incident;
use collector::silence::{QuietKind, Silence};
use jiff::Timestamp;
use serde::Deserialize;
use topology::text::Lang;

use super::signals::Of;
use crate::WebState;
use crate::api::acknowledge::{let_go, say, take_on};
use crate::api::silences::{New, lift, take_one};
use crate::ask::Path;
use crate::guard::{Barred, operator};
use crate::respond::Problem;
use crate::view::Format;

/// What the guard calls whoever sits at this machine.
const HERE: &str = "this machine";

/// Who asks, by the address of the connection.
pub(crate) type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// What a form of a page says; a field that it does not have is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sent {
    /// Which of the page's forms.
    r#do: String,
    by: String,
    note: String,
    r#for: String,
    why: String,
    /// The page that it came from.
    back: String,
}

type SentForm = Result<Form<Sent>, FormRejection>;

/// What a page says of its forms.
pub(super) struct Forms {
    /// Why there are none.
    pub(super) barred: &'static str,
    /// Logging in may help.
    pub(super) login: bool,
    /// Who it is, as far as known.
    pub(super) by: String,
    /// What is kept quiet now, and can be ended.
    pub(super) quiet: Vec<Quiet>,
}

/// A silence or a maintenance that holds.
pub(super) struct Quiet {
    pub(super) id: String,
    pub(super) words: String,
}

impl Forms {
    /// For whoever asks; `named` tells which silences concern the page.
    pub(super) fn of(
        state: &WebState,
        (headers, peer): (&HeaderMap, &Peer),
        board: &Board,
        named: impl Fn(&Silence) -> bool,
        format: &Format,
    ) -> Self {
        let now = (state.clock)();
        let holds = board.silences.iter().filter(|silence| silence.until > now && named(silence));
        let quiet = holds.map(|silence| quiet(silence, now, format)).collect();
        let mut forms = Self { barred: "", login: false, by: String::new(), quiet };
        if state.control.is_none() {
            forms.barred = format.pick_static("This server only shows a board.", "此服务器只读。");
            return forms;
        }
        match operator(state, headers, ip(peer)) {
            // Whoever sits at this machine has no name yet.
            Ok(person) => {
                forms.by = if person.name == HERE { String::new() } else { person.name };
            }
            Err(why) => {
                forms.login = why == Barred::Nobody;
                forms.barred = match why {
                    Barred::Reader => format.pick_static("Your token may only read.", "您的令牌只有读取权限。"),
                    Barred::Nobody => format.pick_static(
                        "Whoever may operate can acknowledge and silence here.",
                        "有操作权限者可在此认领与静默。",
                    ),
                    Barred::Elsewhere => format.pick_static(
                        "Only from the monitor’s own machine, until somebody makes a token with `topowatch token add`.",
                        "在用 topowatch token add 创建令牌之前，只能在监控所在的机器上操作。",
                    ),
                };
            }
        }
        forms
    }

    /// Silences that name `incident`.
    pub(super) fn of_incident<'a>(
        board: &'a Board,
        incident: &'a Incident,
    ) -> impl Fn(&Silence) -> bool + use<'a> {
        |silence| silence.names(&board.model, incident)
    }

    /// Silences that name a node, or one of its instances.
    pub(super) fn of_node(board: &Board, of: Of) -> impl Fn(&Silence) -> bool + use<'_> {
        move |silence| {
            let named = silence.instances(&board.model);
            match of.instance {
                Some(id) => named.contains(&id),
                None => board.model.component(of.component).instance_ids().any(|id| named.contains(&id)),
            }
        }
    }
}

fn ip(peer: &Peer) -> Option<IpAddr> {
    peer.as_ref().map(|Extension(ConnectInfo(peer))| peer.ip())
}

/// `Silenced until 14:00 by wang: moving (order-db)`.
fn quiet(silence: &Silence, now: Timestamp, format: &Format) -> Quiet {
    let (from, until) = (format.day(silence.from, now), format.day(silence.until, now));
    let (en, zh) = match silence.kind {
        QuietKind::Silence => ("Silenced", "静默"),
        QuietKind::Maintenance => ("In maintenance", "维护"),
    };
    let mut words = match (silence.from > now, format.lang) {
        (false, Lang::En) => format!("{en} until {until}"),
        (false, Lang::Zh) => format!("{zh}至 {until}"),
        (true, Lang::En) => format!("{en} from {from} until {until}"),
        (true, Lang::Zh) => format!("{from} 起{zh}，至 {until}"),
    };
    if let Some(by) = &silence.by {
        words += format.pick(" by ", "，");
        words += by;
    }
    if let Some(why) = &silence.why {
        words += format.pick(": ", "：");
        words += why;
    }
    words += &format!(" ({})", silence.nodes.join(", "));
    Quiet { id: silence.id.clone(), words }
}

/// `POST /incidents/{id}`: one of the page's forms.
pub(crate) async fn incident_form(
    State(state): State<WebState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    sent: SentForm,
) -> Response {
    let done = async {
        let sent = read(sent)?;
        match sent.r#do.as_str() {
            "acknowledge" => drop(take_on(&state, id, &sent.by, Some(&sent.note)).await?),
            "unacknowledge" => drop(let_go(&state, id).await?),
            "note" => drop(say(&state, id, &sent.by, &sent.note).await?),
            "silence" => {
                let new = New::of(id, sent.r#for, sent.by, sent.why);
                take_one(&state, new, QuietKind::Silence).await?;
            }
            _ => return Err(unknown()),
        }
        Ok(())
    };
    answer(done.await, &headers, &uri, None)
}

/// `POST /nodes/{name}`: keeps it quiet for a while.
pub(crate) async fn node_form(
    State(state): State<WebState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    sent: SentForm,
) -> Response {
    let done = async {
        let sent = read(sent)?;
        let kind = match sent.r#do.as_str() {
            "silence" => QuietKind::Silence,
            "maintenance" => QuietKind::Maintenance,
            _ => return Err(unknown()),
        };
        take_one(&state, New::of(name, sent.r#for, sent.by, sent.why), kind).await?;
        Ok(())
    };
    answer(done.await, &headers, &uri, None)
}

/// `POST /silences/{id}/end`: it is over now.
pub(crate) async fn end_form(
    State(state): State<WebState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    sent: SentForm,
) -> Response {
    let mut back = "/".to_owned();
    let done = async {
        let sent = read(sent)?;
        if is_ours(&sent.back) {
            back = sent.back;
        }
        lift(&state, id).await?;
        Ok(())
    };
    let done = done.await;
    answer(done, &headers, &uri, Some(&back))
}

fn read(sent: SentForm) -> Result<Sent, Problem> {
    sent.map(|Form(sent)| sent).map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "the form says not what is to be done")
}

/// True for the path of one of our pages: a form sends nobody to another site.
fn is_ours(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t'])
}

/// The page again, or what went wrong.
fn answer(done: Result<(), Problem>, headers: &HeaderMap, uri: &Uri, back: Option<&str>) -> Response {
    match done {
        Ok(()) => {
            let here = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
            Redirect::to(back.unwrap_or(here)).into_response()
        }
        Err(problem) => super::problem(&problem, headers, uri),
    }
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn a_form_sends_nobody_away() {
        assert!(is_ours("/nodes/order-db?lang=zh") && is_ours("/incidents/2026#forms"));
        for path in ["", "nodes/x", "//evil.example/", "https://evil.example", "/\\evil.example", "/\nx"] {
            assert!(!is_ours(path), "{path:?}");
        }
    }
}
