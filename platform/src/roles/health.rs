//! `/health/deep`: one cheap real call to each dependency, all at once, and an answer in time whatever
//! hangs. The shape is that of the IETF draft for health+json.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::context::Context;
use super::defect::Defect;
use super::failure::Failure;
use super::peers::Peers;
use crate::catalog::Strength;
use crate::clock;

/// For the slowest dependency. The whole answer must come within 800 ms.
const LIMIT: Duration = Duration::from_millis(650);
/// Many askers cost no more than one.
const FRESH: Duration = Duration::from_secs(1);

type Call = Box<dyn Fn() -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// One dependency, asked as real traffic asks it.
pub(crate) struct Check {
    name: String,
    strength: Strength,
    kind: &'static str,
    /// By instance where they are asked one by one, else one without a name.
    parts: Vec<(Option<String>, Call)>,
    /// Who stands in for it at present.
    active: Option<Box<dyn Fn() -> String + Send + Sync>>,
}

/// One cheap real call.
pub(crate) trait Ping: Send + Sync + 'static {
    fn ping(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Check {
    pub(crate) fn datastore<P: Ping>(role: &Context, name: &str, target: &Arc<P>) -> Self {
        Self::new(role, name, "datastore", vec![(None, call(target))])
    }

    pub(crate) fn component<P: Ping>(role: &Context, name: &str, target: &Arc<P>) -> Self {
        Self::new(role, name, "component", vec![(None, call(target))])
    }

    /// A service, by the name of the group that carries its traffic.
    pub(crate) fn service(role: &Context, name: &str, peers: &Arc<Peers>) -> Self {
        let asked = Arc::clone(peers);
        Self { active: Some(Box::new(move || asked.active())), ..Self::component(role, name, peers) }
    }

    /// Equals of which one is enough, by their names.
    pub(crate) fn instances<P: Ping>(role: &Context, name: &str, equals: &[(String, Arc<P>)]) -> Self {
        let parts = equals.iter().map(|(instance, equal)| (Some(instance.clone()), call(equal))).collect();
        Self::new(role, name, "component", parts)
    }

    /// Servers that each hold their own part of the data, by their names.
    pub(crate) fn shards<P: Ping>(role: &Context, name: &str, shards: &[(String, Arc<P>)]) -> Self {
        let parts = shards.iter().map(|(instance, shard)| (Some(instance.clone()), call(shard))).collect();
        Self::new(role, name, "datastore", parts)
    }

    fn new(role: &Context, name: &str, kind: &'static str, parts: Vec<(Option<String>, Call)>) -> Self {
        Self { name: name.to_owned(), strength: role.strength(name), kind, parts, active: None }
    }
}

fn call<P: Ping>(target: &Arc<P>) -> Call {
    let target = Arc::clone(target);
    Box::new(move || {
        let target = Arc::clone(&target);
        Box::pin(async move { target.ping().await })
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Pass,
    Warn,
    Fail,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

struct Outcome {
    id: Option<String>,
    took: Duration,
    failure: Option<String>,
}

/// What losing some or all parts of a dependency means for this service.
fn judge(strength: Strength, parts: usize, lost: usize) -> Status {
    match (lost, strength) {
        (0, _) => Status::Pass,
        (lost, Strength::Required) if lost == parts => Status::Fail,
        _ => Status::Warn,
    }
}

pub(crate) struct Health {
    service: String,
    instance: String,
    checks: Vec<Check>,
    /// An error of our own, whatever the dependencies say.
    own_error: Option<&'static str>,
    last: Mutex<Option<(Instant, Status, Arc<str>)>>,
}

impl Health {
    pub(crate) fn new(role: &Context, checks: Vec<Check>) -> Self {
        let own_error = role.defect.and_then(Defect::own_error);
        let (service, instance) = (role.component.name.to_owned(), role.instance.clone());
        Self { service, instance, checks, own_error, last: Mutex::new(None) }
    }

    pub(crate) async fn deep(&self) -> Response {
        let mut last = self.last.lock().await;
        let (status, body) = match &*last {
            Some((at, status, body)) if clock::now().duration_since(*at) < FRESH => {
                (*status, Arc::clone(body))
            }
            _ => {
                let (status, value) = self.ask_all().await;
                let body: Arc<str> = value.to_string().into();
                *last = Some((clock::now(), status, Arc::clone(&body)));
                (status, body)
            }
        };
        drop(last);
        let code = if status == Status::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (code, [(header::CONTENT_TYPE, "application/health+json")], body.to_string()).into_response()
    }

    async fn ask_all(&self) -> (Status, Value) {
        let answers = join_all(self.checks.iter().map(|check| join_all(check.parts.iter().map(ask)))).await;
        let mut worst = Status::Pass;
        let mut checks = Map::new();
        let mut words = Vec::new();
        if let Some(error) = self.own_error {
            worst = Status::Fail;
            words.push(error.to_owned());
        }
        for (check, outcomes) in self.checks.iter().zip(answers) {
            let lost = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
            worst = worst.max(judge(check.strength, outcomes.len(), lost));
            words.extend(outcomes.iter().filter_map(|outcome| outcome.failure.clone()));
            checks.insert(
                check.active.as_ref().map_or_else(|| check.name.clone(), |active| active()),
                outcomes.iter().map(|outcome| element(check.kind, outcome)).collect(),
            );
        }
        let mut answer = json!({
            "status": worst.word(),
            "service": self.service,
            "serviceId": self.instance,
            "checks": checks,
        });
        if let (Some(object), false) = (answer.as_object_mut(), words.is_empty()) {
            object.insert("output".to_owned(), words.join("; ").into());
        }
        (worst, answer)
    }
}

async fn ask((id, call): &(Option<String>, Call)) -> Outcome {
    let began = clock::now();
    let failure = match tokio::time::timeout(LIMIT, call()).await {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(_) => Some(format!("no answer within {} ms", LIMIT.as_millis())),
    };
    Outcome { id: id.clone(), took: clock::now() - began, failure }
}

fn element(kind: &str, outcome: &Outcome) -> Value {
    let status = if outcome.failure.is_some() { Status::Fail } else { Status::Pass };
    let mut value = json!({
        "status": status.word(),
        "componentType": kind,
        "observedValue": (outcome.took.as_secs_f64() * 10_000.0).round() / 10.0,
        "observedUnit": "ms",
    });
    if let Some(object) = value.as_object_mut() {
        if let Some(id) = &outcome.id {
            object.insert("componentId".to_owned(), id.clone().into());
        }
        if let Some(failure) = &outcome.failure {
            object.insert("output".to_owned(), failure.clone().into());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losing_one_shard_is_a_warning_and_losing_all_a_failure() {
        assert_eq!(judge(Strength::Required, 4, 0), Status::Pass);
        assert_eq!(judge(Strength::Required, 4, 1), Status::Warn);
        assert_eq!(judge(Strength::Required, 4, 4), Status::Fail);
        assert_eq!(judge(Strength::Optional, 1, 1), Status::Warn);
        assert_eq!(judge(Strength::Async, 1, 1), Status::Warn);
    }
}
