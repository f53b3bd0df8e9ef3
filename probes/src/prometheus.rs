//! `prometheus`: queries of a Prometheus, or single metrics of a scraped page.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use serde_json::Value;
use topology::fault::{Fault, FaultKind, Reason, clean_words};
use topology::kind::{Bad, Check, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Health;
use topology::model::{OptionValue, Options};

use crate::expectation;
use crate::exposition::{Scan, Selector};
use crate::http;
use crate::look::{Look, Stop};
use crate::sentinel::SENTINEL_ON_WISH;
use crate::spec::{CONNECT, COUNT, EXPIRES_IN, HOST, PASSWORD, SECONDS, TLS_HANDSHAKE, TOTAL, USER};
use crate::tls_session::{Settings, TLS};
use crate::web::{self, Exchange, HEADERS, Page, Request};

/// A page of metrics at most.
const MAX_PAGE: usize = 2 * 1024 * 1024;
/// A query's answer at most.
const MAX_RESULT: usize = 256 * 1024;
/// Series of one query at most.
const MAX_SERIES: usize = 50;

static METRIC: Check = Check {
    what: "a metric such as http_requests_total{code=\"500\"}",
    wrong: |text| Selector::parse(text).err(),
};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "prometheus",
    summary: "Takes numbers from a Prometheus by PromQL, or from a page of metrics of any service. When a \
              queried Prometheus fails, the node is unknown, not red: it is not the Prometheus that is watched.",
    options: &[
        OptionSpec {
            name: "path",
            form: OptionForm::Path,
            default: Some("/metrics"),
            help: "The page for `metric`; queries go to /api/v1/query.",
        },
        HOST,
        TLS,
        USER,
        PASSWORD,
        OptionSpec {
            name: "token",
            form: OptionForm::Secret,
            default: None,
            help: "A bearer token, best written ${env:NAME}.",
        },
        HEADERS,
        SENTINEL_ON_WISH,
    ],
    signals: &[
        SignalSpec {
            name: "prometheus.query_seconds",
            key: "query",
            yellow: Some(0.5),
            red: Some(1.5),
            effect: topology::level::Kind::AtRisk,
            help: "The slowest of the questions. Our choice.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    labelled: Some(&LabelledSpec {
        key: "values",
        options: &[
            OptionSpec {
                name: "query",
                form: OptionForm::Text,
                default: None,
                help: "PromQL; where it finds several series, the worst of them counts.",
            },
            OptionSpec {
                name: "metric",
                form: OptionForm::Checked(&METRIC),
                default: None,
                help: "A metric of the page; where several series match, their sum.",
            },
            OptionSpec {
                name: "rate",
                form: OptionForm::Truth,
                default: Some("false"),
                help: "Whether the metric counts, and its rise a second is wanted.",
            },
            OptionSpec {
                name: "when_empty",
                form: OptionForm::Word(&["unknown", "green", "red"]),
                default: Some("unknown"),
                help: "What it means when nothing is found.",
            },
        ],
        signals: &[
            SignalSpec {
                name: "prometheus.value",
                key: "above",
                help: "The value, bad when it is high. No default.",
                ..COUNT
            },
            SignalSpec {
                name: "prometheus.value",
                key: "below",
                bad: Bad::Below,
                help: "The value, bad when it is low. No default.",
                ..COUNT
            },
        ],
    }),
    exercises_dependencies: false,
    wrong: Some(|probe| {
        if probe.labels.is_empty() {
            return Some("`values` is missing: name at least one".to_owned());
        }
        let both = |entry: &Options| entry.contains_key("query") == entry.contains_key("metric");
        let label = probe.labels.iter().zip(&probe.entries).find(|(_, entry)| both(entry))?.0;
        Some(format!("`{label}` takes one of `query` and `metric`"))
    }),
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let tls = Settings::of(look.probe);
    let queries = look.probe.entries.iter().any(|entry| entry.contains_key("query"));
    let until = look.deadline();
    let opened = Exchange::open(look, tls.as_ref(), look.probe.text("host"), until).await;
    let mut exchange = match opened {
        Ok(exchange) => exchange,
        Err(stop) if queries => return blind(look, stop),
        Err(stop) => return Err(stop),
    };
    if look.probe.entries.iter().any(|entry| entry.contains_key("metric")) {
        scrape(look, &mut exchange).await?;
    }
    let entries = look.probe.labels.iter().zip(&look.probe.entries);
    for (label, entry) in entries {
        if let Some(query) = entry.get("query").and_then(OptionValue::text)
            && let Err(stop) = ask(look, &mut exchange, label, entry, query).await
        {
            return blind(look, stop);
        }
    }
    Ok(())
}

/// The Prometheus failed: nothing is known of what it watches.
fn blind(look: &mut Look<'_>, stop: Stop) -> Result<(), Stop> {
    let words = match stop {
        Stop::Fault(fault) => format!("the Prometheus {}: {}", fault.kind.verb(), fault.words),
        local @ Stop::Local(_) => return Err(local),
    };
    look.answer.reported = Some((Health::Unknown, clean_words(&words)));
    Ok(())
}

fn request<'r>(look: &Look<'r>, path: &'r str, most: usize) -> Request<'r> {
    let mut headers = look.probe.options.get("headers").map(web::headers).unwrap_or_default();
    if let Some(value) = web::authorization(look.probe) {
        headers.push((header::AUTHORIZATION, value));
    }
    let accept =
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,application/json;q=0.4";
    Request {
        host: look.probe.text("host"),
        tls: Settings::of(look.probe),
        headers,
        max_body: most,
        ..Request::get(path, accept, look.deadline())
    }
}

fn timed(look: &mut Look<'_>, page: &Page) {
    let name = "prometheus.query_seconds";
    let slowest = look.answer.signals.get(name).copied().unwrap_or(0.0);
    look.put(name, slowest.max(page.latency.as_secs_f64()));
}

async fn scrape(look: &mut Look<'_>, exchange: &mut Exchange) -> Result<(), Stop> {
    let path = look.probe.text("path").unwrap_or("/metrics");
    let metric = |entry: &Options| {
        entry.get("metric").and_then(OptionValue::text).and_then(|m| Selector::parse(m).ok())
    };
    let entries = look.probe.labels.iter().zip(&look.probe.entries);
    let (wanted, selectors): (Vec<_>, Vec<_>) =
        entries.filter_map(|(label, entry)| Some(((label, entry), metric(entry)?))).unzip();
    let mut scan = Scan::new(&selectors);
    let request = request(look, path, MAX_PAGE);
    let page = exchange.ask_in_parts(look, &request, "keep-alive", &mut |part| scan.part(part)).await?;
    timed(look, &page);
    if let Some(fault) = http::status_fault(page.status) {
        return Err(fault.into());
    }
    let sums = scan.finish();
    for ((label, entry), value) in wanted.into_iter().zip(sums) {
        let signal = format!("prometheus.value[{label}]");
        match value {
            None => empty(look, label, entry),
            Some(value) if matches!(entry.get("rate"), Some(OptionValue::Truth(true))) => {
                look.rate(&signal, Some(value), "");
            }
            Some(value) => look.put(signal, value),
        }
    }
    Ok(())
}

async fn ask(
    look: &mut Look<'_>,
    exchange: &mut Exchange,
    label: &str,
    entry: &Options,
    query: &str,
) -> Result<(), Stop> {
    let limit = look.probe.timeout.mul_f64(0.75).as_millis();
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("timeout", &format!("{limit}ms"))
        .finish();
    let mut request = request(look, "/api/v1/query", MAX_RESULT);
    request.method = Method::POST;
    request.body = Bytes::from(form);
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers.push((header::CONTENT_TYPE, form_type));
    let page = exchange.ask(look, &request, "keep-alive").await?;
    timed(look, &page);
    let answer: Value = serde_json::from_slice(&page.body).map_err(|_| {
        http::status_fault(page.status)
            .unwrap_or_else(|| Fault::new(FaultKind::Protocol, "body", "the answer is not Prometheus'"))
    })?;
    if answer.get("status").and_then(Value::as_str) != Some("success") {
        let said = answer.get("error").and_then(Value::as_str).unwrap_or("no success");
        let words = format!("{}: {label}: {said}", page.status);
        return Err(Fault::new(FaultKind::BadAnswer, "ask", &words).because(Reason::Assertion).into());
    }
    let series = series(&answer);
    let low = look.probe.thresholds.iter().filter(|t| t.signal == format!("prometheus.value[{label}]"));
    let low = low.fold((false, false), |(above, below), t| {
        (above || t.bad == Bad::Above, below || t.bad == Bad::Below)
    });
    let worse = |a: &f64, b: &f64| if low == (false, true) { b.total_cmp(a) } else { a.total_cmp(b) };
    match series.iter().copied().max_by(worse) {
        Some(worst) => {
            look.put(format!("prometheus.value[{label}]"), worst);
            if series.len() > 1 {
                look.note(&format!("{label}: the worst of {} series", series.len()));
            }
        }
        None => empty(look, label, entry),
    }
    Ok(())
}

/// The numbers of a vector or a scalar; `NaN` and infinities are none.
fn series(answer: &Value) -> Vec<f64> {
    let number = |sample: &Value| {
        let value = sample.get(1)?.as_str()?.parse::<f64>().ok()?;
        value.is_finite().then_some(value)
    };
    let result = expectation::at(answer, "$.data.result");
    match expectation::at(answer, "$.data.resultType").and_then(Value::as_str) {
        Some("scalar") => result.and_then(number).into_iter().collect(),
        Some("vector") => {
            let all = result.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            all.iter().take(MAX_SERIES).filter_map(|series| number(series.get("value")?)).collect()
        }
        _ => Vec::new(),
    }
}

fn empty(look: &mut Look<'_>, label: &str, entry: &Options) {
    let health = match entry.get("when_empty").and_then(OptionValue::text) {
        Some("green") => return,
        Some("red") => Health::Red,
        _ => Health::Unknown,
    };
    let red_already = matches!(look.answer.reported, Some((Health::Red, _)));
    if !red_already {
        look.answer.reported = Some((health, format!("{label}: nothing was found")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vectors_and_scalars_are_numbers() {
        let vector = json!({"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"shop": "a"}, "value": [1.5, "3"]},
            {"metric": {"shop": "b"}, "value": [1.5, "NaN"]},
            {"metric": {"shop": "c"}, "value": [1.5, "-2"]},
        ]}});
        assert_eq!(series(&vector), [3.0, -2.0]);
        assert_eq!(series(&json!({"data": {"resultType": "scalar", "result": [1.5, "7"]}})), [7.0]);
        assert_eq!(series(&json!({"data": {"resultType": "string", "result": [1.5, "7"]}})), [0.0; 0]);
    }
}
