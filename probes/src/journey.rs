//! `journey`: several requests one after the other, as a customer makes them, each timed and asserted.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use topology::fault::{Fault, FaultKind, Reason, clean_words};
use topology::kind::{Check, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::model::{OptionValue, Options};

use crate::clock::now;
use crate::expectation::{self, EXPECT, JSON_PATH, PATTERN};
use crate::http;
use crate::journey_values::{Encode, Values};
use crate::look::{Look, Stop};
use crate::sentinel::SENTINEL_ON_WISH;
use crate::spec::{CONNECT, EXPIRES_IN, HOST, SECONDS, TLS_HANDSHAKE, TOTAL};
use crate::tls_session::{Settings, TLS};
use crate::web::{self, Exchange, HEADERS, MAX_BODY_OPTION, Page, Request};

/// The methods, each the key of its path.
const METHODS: [(&str, Method); 5] = [
    ("get", Method::GET),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
];

static PATH: Check = Check {
    what: "a path that begins with `/`, in which {{name}} stands for a value",
    wrong: |text| (!text.starts_with('/')).then(|| format!("`{text}` does not")),
};

const fn path(name: &'static str) -> OptionSpec {
    OptionSpec {
        name,
        form: OptionForm::Checked(&PATH),
        default: None,
        help: "The path to ask with this method.",
    }
}

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "journey",
    summary: "Makes several HTTP requests in the order of the file, as a customer would: browse, order, pay. \
              Values are taken from answers and used in later steps as {{name}}; {{nonce}} is new each time. \
              Cookies are kept within one journey. All steps share one timeout.",
    options: &[
        HOST,
        TLS,
        HEADERS,
        MAX_BODY_OPTION,
        OptionSpec {
            name: "values",
            form: OptionForm::Map(None, &OptionForm::Text),
            default: None,
            help: "Values to begin with.",
        },
        OptionSpec {
            name: "secrets",
            form: OptionForm::Map(None, &OptionForm::Secret),
            default: None,
            help: "Values that are never shown, such as the password of a test customer.",
        },
        SENTINEL_ON_WISH,
    ],
    signals: &[
        SignalSpec {
            name: "journey.total_seconds",
            key: "slow",
            help: "All steps, without the connection. No default: it depends on their number.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    labelled: Some(&LabelledSpec {
        key: "steps",
        options: &[
            path("get"),
            path("post"),
            path("put"),
            path("patch"),
            path("delete"),
            HEADERS,
            OptionSpec {
                name: "json",
                form: OptionForm::Text,
                default: None,
                help: "A body in JSON; values are put in with their quotes escaped.",
            },
            OptionSpec {
                name: "form",
                form: OptionForm::Map(None, &OptionForm::Text),
                default: None,
                help: "A body as a form.",
            },
            EXPECT,
            OptionSpec {
                name: "save",
                form: OptionForm::Map(
                    None,
                    &OptionForm::Either(
                        &OptionForm::Checked(&JSON_PATH),
                        &[
                            OptionSpec {
                                name: "regex",
                                form: OptionForm::Checked(&PATTERN),
                                default: None,
                                help: "Its first group, else all of it, as found in the body.",
                            },
                            OptionSpec {
                                name: "header",
                                form: OptionForm::Text,
                                default: None,
                                help: "A header's value.",
                            },
                        ],
                    ),
                ),
                default: None,
                help: "Values to take from the answer: by JSON path, or by regex or header.",
            },
        ],
        signals: &[SignalSpec {
            name: "journey.step_seconds",
            key: "slow",
            yellow: Some(0.5),
            red: Some(2.0),
            help: "From the step's request to the last byte of its answer. Our choice.",
            ..SECONDS
        }],
    }),
    exercises_dependencies: true,
    wrong: Some(|probe| {
        if probe.labels.is_empty() {
            return Some("`steps` is missing: name at least one".to_owned());
        }
        let methods = |step: &Options| METHODS.iter().filter(|(name, _)| step.contains_key(name)).count();
        let steps = || probe.labels.iter().zip(&probe.entries);
        if let Some((name, _)) = steps().find(|(_, step)| methods(step) != 1) {
            return Some(format!("the step `{name}` takes one of get, post, put, patch and delete"));
        }
        let (name, _) = steps().find(|(_, step)| step.contains_key("json") && step.contains_key("form"))?;
        Some(format!("the step `{name}` takes one of `json` and `form`"))
    }),
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let mut values = Values::new(look.probe, look.shared.nonce());
    let walked = walk(look, &mut values).await;
    // An answer may say back what it was told.
    walked.map_err(|stop| match stop {
        Stop::Fault(mut fault) => {
            fault.words = values.redact(&fault.words);
            fault.into()
        }
        local @ Stop::Local(_) => local,
    })
}

async fn walk(look: &mut Look<'_>, values: &mut Values) -> Result<(), Stop> {
    let tls = Settings::of(look.probe);
    let host = look.probe.text("host");
    let (probe, until) = (look.probe, look.deadline());
    let steps = probe.labels.len();
    let mut exchange = Exchange::open(look, tls.as_ref(), host, until).await?;
    let began = now();
    for (number, (name, step)) in probe.labels.iter().zip(&probe.entries).enumerate() {
        let at = |stop| located(stop, number, steps, name);
        if number > 0 && !exchange.is_open(until).await {
            // Servers close where they like: a new connection is what a browser makes.
            exchange = Exchange::open(look, tls.as_ref(), host, until).await.map_err(at)?;
        }
        let page = ask(look, &mut exchange, step, values).await.map_err(at)?;
        look.put(format!("journey.step_seconds[{name}]"), page.latency.as_secs_f64());
        check(step, &page, values).map_err(|fault| at(fault.into()))?;
    }
    look.put("journey.total_seconds", look.since(began).as_secs_f64());
    Ok(())
}

async fn ask(
    look: &mut Look<'_>,
    exchange: &mut Exchange,
    step: &Options,
    values: &mut Values,
) -> Result<Page, Stop> {
    let chosen = METHODS.iter().find_map(|(name, method)| Some((step.get(name)?.text()?, method.clone())));
    let (path, method) = chosen.ok_or_else(|| Stop::Local("a step without a path".to_owned()))?;
    let path = values.fill(path, Encode::Url).map_err(|name| unknown(&name))?;
    let mut headers = Vec::new();
    for option in [look.probe.options.get("headers"), step.get("headers")].into_iter().flatten() {
        for (name, text) in option.map() {
            let value =
                values.fill(text.text().unwrap_or_default(), Encode::Plain).map_err(|name| unknown(&name))?;
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.push((name, value));
            }
        }
    }
    let mut body = String::new();
    if let Some(json) = step.get("json").and_then(OptionValue::text) {
        body = values.fill(json, Encode::Json).map_err(|name| unknown(&name))?;
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    } else if let Some(form) = step.get("form") {
        let mut pairs = url::form_urlencoded::Serializer::new(&mut body);
        for (name, text) in form.map() {
            pairs.append_pair(
                name,
                &values
                    .fill(text.text().unwrap_or_default(), Encode::Plain)
                    .map_err(|name| unknown(&name))?,
            );
        }
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
    }
    if let Some(cookies) = values.cookies() {
        headers.push((header::COOKIE, cookies));
    }
    let request = Request {
        method,
        host: look.probe.text("host"),
        tls: Settings::of(look.probe),
        headers,
        body: Bytes::from(body),
        max_body: look.probe.count("max_body").map_or(web::MAX_BODY, |most| most as usize),
        ..Request::get(&path, "application/json, */*;q=0.8", look.deadline())
    };
    let page = exchange.ask(look, &request, "keep-alive").await?;
    values.keep_cookies(&page.headers);
    Ok(page)
}

fn unknown(name: &str) -> Stop {
    Stop::Local(format!("no earlier step has saved {{{{{name}}}}}"))
}

/// The status, what is expected, and what is to be saved.
fn check(step: &Options, page: &Page, values: &mut Values) -> Result<(), Fault> {
    let expect = step.get("expect").and_then(OptionValue::record);
    if !expectation::names_status(expect)
        && let Some(fault) = http::status_fault(page.status)
    {
        return Err(fault);
    }
    if let Some(expect) = expect {
        expectation::check(expect, page)?;
    }
    for (name, from) in step.get("save").map(OptionValue::map).unwrap_or_default() {
        let found = take(from, page);
        let missing = || {
            let words = format!("the answer has nothing for {{{{{name}}}}}");
            Fault::new(FaultKind::BadAnswer, "body", &words).because(Reason::Assertion)
        };
        values.set(name, found.ok_or_else(missing)?);
    }
    Ok(())
}

fn take(from: &OptionValue, page: &Page) -> Option<String> {
    match from {
        OptionValue::Text(path) => {
            let body = serde_json::from_slice(&page.body).ok()?;
            expectation::at(&body, path).map(expectation::plain)
        }
        OptionValue::Record(how) => {
            if let Some(name) = how.get("header").and_then(OptionValue::text) {
                let value = page.headers.get(name)?;
                return Some(String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
            let pattern = expectation::pattern(how.get("regex")?.text()?).ok()?;
            let body = String::from_utf8_lossy(&page.body);
            let found = pattern.captures(&body)?;
            Some(found.get(1).or_else(|| found.get(0))?.as_str().to_owned())
        }
        _ => None,
    }
}

/// A fault says in which step it came.
fn located(stop: Stop, number: usize, steps: usize, name: &str) -> Stop {
    match stop {
        Stop::Fault(mut fault) => {
            let status = fault.words.split(':').next().filter(|word| word.len() == 3);
            let words = match status {
                // The status stays in front: pages show it.
                Some(status) => {
                    format!("{status}: step {} of {steps}, {name}:{}", number + 1, &fault.words[3 + 1..])
                }
                None => format!("step {} of {steps}, {name}: {}", number + 1, fault.words),
            };
            fault.words = clean_words(&words);
            fault.into()
        }
        Stop::Local(why) => Stop::Local(format!("step {name}: {why}")),
    }
}
