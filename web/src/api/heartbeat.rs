//! `POST /api/v1/heartbeat/{node}`: an instance reports by itself (probe kind `heartbeat`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use collector::reports::{Report, Status, Told, Unheard};
use serde::Deserialize;
use topology::diagnostic::did_you_mean;
use topology::fault::clean_words;
use topology::model::{Instance, Model, Probe};

use crate::WebState;
use crate::ask::Path;
use crate::guard;
use crate::respond::Problem;

/// Numbers in one report, and bytes of a name.
const MAX_SIGNALS: usize = 64;
const MAX_NAME: usize = 80;

/// A report as it is sent; an empty body says "alive".
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    status: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    signals: BTreeMap<String, f64>,
    seq: Option<u64>,
    boot: Option<String>,
}

/// 202 when it was heard. Its time is when it came in, whatever the sender's clock says.
pub(crate) async fn report(
    State(state): State<WebState>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    let model = state.boards.current().model.clone();
    let (instance, probe) = match reporter(&model, &name) {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    // Its own token, or one that may operate; whoever has one of its own is not taken for itself only because it is
    // on this machine.
    let (given, own) = (guard::bearer(&headers), probe.secret("token"));
    if !own.zip(given).is_some_and(|(own, given)| guard::is_secret(given, own)) {
        if own.is_some() && given.and_then(|given| guard::by_token(&state, given)).is_none() {
            let detail =
                format!("`{}` reports with its own token: `Authorization: Bearer …`", clean_words(&name));
            return guard::unwelcome(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        if let Some(refusal) = guard::refusal(&state, &Method::POST, &headers, peer) {
            return refusal;
        }
    }
    match take(&state, instance, body) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The instance that reports: by its name, or by its component's where it is the only one.
fn reporter<'m>(model: &'m Model, name: &str) -> Result<(&'m Instance, &'m Probe), Problem> {
    let alone = || model.components.iter().find(|c| c.name == name && c.instance_ids().count() == 1);
    let instance = model
        .instances
        .iter()
        .find(|instance| instance.name == name)
        .or_else(|| alone().and_then(|c| c.instance_ids().next()).map(|id| model.instance(id)));
    let Some(instance) = instance else {
        let names = model.instances.iter().map(|instance| &*instance.name);
        let name = clean_words(name);
        let near = did_you_mean(&name, names).map(|near| format!(": did you mean `{near}`?"));
        return Err(Problem::not_found(format!("there is no instance `{name}`{}", near.unwrap_or_default())));
    };
    let probes = &model.component(instance.component).probes;
    let probe = probes.iter().find(|probe| probe.kind.name == "heartbeat").ok_or_else(|| {
        let (name, component) = (&instance.name, &model.component(instance.component).name);
        let detail = format!("nobody waits for a report of `{name}`: give {component} `probe: heartbeat`");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })?;
    Ok((instance, probe))
}

fn take(state: &WebState, instance: &Instance, body: Result<Bytes, BytesRejection>) -> Result<(), Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), "a report has at most 16 KiB"))?;
    let told = read(&body).map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))?;
    let reports = state.reports.as_ref().ok_or_else(Problem::read_only)?;
    reports.take(&instance.name, told).map_err(|why| {
        let status = match why {
            Unheard::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Unheard::Older => StatusCode::CONFLICT,
        };
        Problem::new(status, why.to_string())
    })
}

fn read(body: &[u8]) -> Result<Told, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Told::default());
    }
    let new: New = serde_json::from_slice(body).map_err(|error| {
        format!("{error}; send nothing, or {{\"status\": \"ok\", \"message\": \"3 jobs done\"}}")
    })?;
    let status = match &new.status {
        None => None,
        Some(word) => Some(
            Status::from_word(word)
                .ok_or_else(|| format!("`status` is one of ok, warn, fail, not `{}`", clean_words(word)))?,
        ),
    };
    if new.signals.len() > MAX_SIGNALS {
        return Err(format!("a report has at most {MAX_SIGNALS} signals"));
    }
    if let Some(long) = new.signals.keys().find(|name| name.len() > MAX_NAME || name.is_empty()) {
        return Err(format!("the name of a signal has 1 to {MAX_NAME} bytes: `{}`", clean_words(long)));
    }
    if new.boot.as_ref().is_some_and(|boot| boot.len() > MAX_NAME) {
        return Err(format!("`boot` has at most {MAX_NAME} bytes"));
    }
    let report = Report { status, message: clean_words(&new.message), signals: new.signals };
    Ok(Told { report, boot: new.boot, seq: new.seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_report_says_alive_and_a_full_one_more() {
        assert_eq!(read(b" \n"), Ok(Told::default()));
        let told = read(br#"{"status":"warn","message":"disk","signals":{"queue":7},"seq":3,"boot":"a"}"#);
        let report = Report {
            status: Some(Status::Warn),
            message: "disk".to_owned(),
            signals: BTreeMap::from([("queue".to_owned(), 7.0)]),
        };
        assert_eq!(told, Ok(Told { report, boot: Some("a".to_owned()), seq: Some(3) }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            read(br#"{"status":"fine"}"#),
            Err("`status` is one of ok, warn, fail, not `fine`".to_owned())
        );
        assert!(read(br#"{"state":"ok"}"#).unwrap_err().contains("unknown field `state`"));
        let many: BTreeMap<String, f64> = (0..65).map(|i| (format!("s{i}"), 1.0)).collect();
        let body = serde_json::json!({ "signals": many }).to_string();
        assert_eq!(read(body.as_bytes()), Err("a report has at most 64 signals".to_owned()));
    }
}
