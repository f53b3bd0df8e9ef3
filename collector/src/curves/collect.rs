//! Asks for the values of the curves: each at its interval, none waiting for another.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use probes::Prober;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use topology::fault::clean_words;
use topology::model::{CurveSource, InstanceId, JsonPath, JsonStep, Model, Policy};

use crate::board::Board;
use crate::clock::Clock;
use crate::control::Control;
use crate::watch::BoardWatch;

/// What is due is looked for this often.
const TICK: Duration = Duration::from_millis(500);
/// One question, with everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MAX_BODY: usize = 1 << 20;
/// Questions at once.
const AT_ONCE: usize = 8;

/// Why there is no HTTP client.
pub type ClientError = reqwest::Error;

/// Whoever asks.
#[derive(Clone)]
pub struct Collector {
    prober: Prober,
    client: reqwest::Client,
}

impl Collector {
    /// Asks databases through `prober`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(prober: Prober) -> Result<Self, ClientError> {
        let client = crate::http_client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { prober, client })
    }

    /// Asks until `shutdown`, or until the collector that is told has ended. The curves are those of the board in
    /// force: a reload needs no restart.
    pub async fn run(self, boards: BoardWatch, control: Control, clock: Clock, shutdown: CancellationToken) {
        let mut due: BTreeMap<String, i64> = BTreeMap::new();
        let mut asking: JoinSet<(String, Timestamp, Result<f64, String>)> = JoinSet::new();
        let mut under_way: Vec<String> = Vec::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = asking.join_next() => {
                    // A task that panicked is not under way any more either; all are asked anew then.
                    let Ok((name, at, value)) = done else { under_way.clear(); continue };
                    under_way.retain(|other| *other != name);
                    if control.curve(name, at, value).await.is_err() {
                        break;
                    }
                }
                _ = tick.tick() => {
                    let (board, now) = (boards.current(), clock.now());
                    for (i, curve) in board.model.curves.iter().enumerate() {
                        if matches!(curve.source, CurveSource::Push) {
                            continue;
                        }
                        let step = i64::try_from(curve.interval.as_millis()).unwrap_or(i64::MAX).max(1);
                        let slot = now.as_millisecond().div_euclid(step);
                        let name = &curve.name;
                        let busy = under_way.contains(name) || asking.len() >= AT_ONCE;
                        if due.get(name) == Some(&slot) || busy {
                            continue;
                        }
                        due.insert(name.clone(), slot);
                        under_way.push(name.clone());
                        let (this, name, board) = (self.clone(), name.clone(), std::sync::Arc::clone(&board));
                        asking.spawn(async move {
                            let asked = timeout(PATIENCE, this.ask(&board, i)).await;
                            let value = asked.unwrap_or_else(|_| Err("no answer in 10 s".to_owned()));
                            (name, now, value.and_then(finite).map_err(|why| clean_words(&why)))
                        });
                    }
                    due.retain(|name, _| board.model.curves.iter().any(|curve| curve.name == *name));
                }
            }
        }
        asking.shutdown().await;
    }

    async fn ask(&self, board: &Board, curve: usize) -> Result<f64, String> {
        let model = &board.model;
        let Some(curve) = model.curves.get(curve) else { return Err("no such curve".to_owned()) };
        match &curve.source {
            CurveSource::Sql { component, probe, database, query } => {
                let mut sum = 0.0;
                for part in parts(model, board, *component) {
                    sum += self.ask_part(model, &part, probe, database.as_deref(), query).await?;
                }
                Ok(sum)
            }
            CurveSource::Prometheus { url, query } => self.prometheus(url, query).await,
            CurveSource::Http { url, value } => {
                let page = self.page(url, &[]).await?;
                number_at(&page, value).ok_or_else(|| "there is no number where `value` points".to_owned())
            }
            CurveSource::Push => Err("its values are pushed".to_owned()),
        }
    }

    /// The first of `members` that answers.
    async fn ask_part(
        &self,
        model: &Model,
        members: &[InstanceId],
        probe: &topology::model::Probe,
        database: Option<&str>,
        query: &str,
    ) -> Result<f64, String> {
        let mut why = "no instance".to_owned();
        for id in members {
            let instance = model.instance(*id);
            match self.prober.number(probe, &instance.address, &instance.name, database, query).await {
                Ok(number) => return Ok(number),
                Err(words) => why = format!("{}: {words}", instance.name),
            }
        }
        Err(why)
    }

    async fn prometheus(&self, url: &SecretString, query: &str) -> Result<f64, String> {
        let base = url.expose_secret().trim_end_matches('/');
        let url = SecretString::from(format!("{base}/api/v1/query"));
        let page = self.page(&url, &[("query", query)]).await?;
        let result = &page["data"]["result"];
        let sample = match page["data"]["resultType"].as_str() {
            Some("scalar") => &result[1],
            _ => match result.as_array().map(Vec::as_slice) {
                Some([one]) => &one["value"][1],
                Some([]) => return Err("the query yields nothing".to_owned()),
                Some(_) => return Err("the query yields several numbers: sum() them".to_owned()),
                None => return Err(page["error"].as_str().unwrap_or("no answer of Prometheus").to_owned()),
            },
        };
        let number = sample.as_str().and_then(|text| text.parse().ok());
        number.ok_or_else(|| "the query yields no number".to_owned())
    }

    /// A JSON page. Its address may carry a token and is in no error.
    async fn page(&self, url: &SecretString, query: &[(&str, &str)]) -> Result<Value, String> {
        let said = |error: reqwest::Error| error.without_url().to_string();
        let mut address = reqwest::Url::parse(url.expose_secret()).map_err(|error| error.to_string())?;
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        let response = self.client.get(address).send().await.map_err(said)?;
        let status = response.status();
        let mut body = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            body.extend_from_slice(&part.map_err(said)?);
            if body.len() > MAX_BODY {
                return Err("an answer of more than 1 MiB".to_owned());
            }
        }
        let page: Result<Value, _> = serde_json::from_slice(&body);
        if !status.is_success() {
            let said = page.ok().and_then(|page| page["error"].as_str().map(str::to_owned));
            return Err(format!(
                "status {}{}",
                status.as_u16(),
                said.map(|s| format!(": {s}")).unwrap_or_default()
            ));
        }
        page.map_err(|error| format!("no JSON: {error}"))
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

fn finite(value: f64) -> Result<f64, String> {
    if value.is_finite() { Ok(value) } else { Err("not a finite number".to_owned()) }
}

/// The parts of a component whose numbers add up: its shards, else the one that all instances hold; in each the
/// primary first, then the healthier ones.
fn parts(model: &Model, board: &Board, component: topology::model::ComponentId) -> Vec<Vec<InstanceId>> {
    let of = model.component(component);
    let mut parts: BTreeMap<String, Vec<InstanceId>> = BTreeMap::new();
    for id in of.instance_ids() {
        let instance = model.instance(id);
        let part = match of.policy {
            Policy::Shards => instance.shard().to_owned(),
            _ => String::new(),
        };
        parts.entry(part).or_default().push(id);
    }
    let order = |id: &InstanceId| {
        let state = board.instance(*id);
        (state.role != Some("primary"), state.health.severity())
    };
    parts
        .into_values()
        .map(|mut members| {
            members.sort_by_key(order);
            members
        })
        .collect()
}

/// The number at `path`; a text that is one counts, too.
fn number_at(page: &Value, path: &JsonPath) -> Option<f64> {
    let found = path.steps.iter().try_fold(page, |value, step| match step {
        JsonStep::Member(name) => value.get(name),
        JsonStep::Index(index) => value.get(index),
    })?;
    found.as_f64().or_else(|| found.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_path() {
        let page = serde_json::json!({"shops": [{"count": 7}], "text": " 2.5 ", "list": []});
        let path = |steps: &[JsonStep]| JsonPath { steps: steps.to_vec() };
        let member = |name: &str| JsonStep::Member(name.to_owned());
        let count = path(&[member("shops"), JsonStep::Index(0), member("count")]);
        assert_eq!(number_at(&page, &count), Some(7.0));
        assert_eq!(number_at(&page, &path(&[member("text")])), Some(2.5));
        for missing in [path(&[member("list")]), path(&[member("none")]), path(&[])] {
            assert_eq!(number_at(&page, &missing), None);
        }
    }
}
