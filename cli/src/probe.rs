//! `topowatch probe TARGET`: one look, now, from here; each step with its time.

use std::time::Duration;

use anyhow::Result;
use collector::judge::judge;
use probes::Prober;
use probes::observation::{Observation, Outcome};
use serde_json::{Value, json};
use topology::fault::Reason;
use topology::kind::{Bad, Unit, show_value};
use topology::level::{Health, Level};
use topology::model::{Address, Model, NodeId, Probe};

use url::{Position, Url};

use crate::args::ProbeArgs;
use crate::exit::{Exit, fail};
use crate::meaning::usually;
use crate::{load, output};

/// Instances of one component that are looked at, at most.
const MAX_LOOKS: usize = 100;

pub(crate) async fn run(args: &ProbeArgs) -> Result<Exit> {
    if let Some(kind) = &args.grants {
        return grants(kind);
    }
    let target = args.target.as_deref().unwrap_or_default();
    let (model, of) = if target.contains("://") {
        let model = by_url(target, args.timeout)?;
        (model, NodeId::Component(topology::model::ComponentId(0)))
    } else {
        by_name(args, target)?
    };
    let prober = Prober::new()?;
    let instances: Vec<_> = match of {
        NodeId::Instance(id) => vec![id],
        NodeId::Component(id) => model.component(id).instance_ids().take(MAX_LOOKS).collect(),
    };
    let mut worst = Level::Green;
    let mut all = Vec::new();
    for id in instances {
        let instance = model.instance(id);
        for probe in &model.component(instance.component).probes {
            let observation = prober.look(probe, &instance.address, &instance.name).await;
            let health = judge(probe, &observation).map_or(Health::Unknown, |judged| judged.health);
            if health.level().rank() > worst.rank() {
                worst = health.level();
            }
            if args.json {
                all.push(value(&instance.name, probe, &instance.address, &observation, health));
            } else {
                for line in lines(&instance.name, probe, &instance.address, &observation, health) {
                    output::line(&line);
                }
            }
        }
    }
    if args.json {
        output::line(&serde_json::to_string_pretty(&all)?);
    }
    Ok(worst.into())
}

/// Prints what an account of the kind needs, ready to be pasted.
fn grants(kind: &str) -> Result<Exit> {
    let kind = if kind == "mariadb" { "mysql" } else { kind };
    let known = probes::specs();
    let with: Vec<&str> = known.iter().filter(|spec| spec.grants.is_some()).map(|spec| spec.name).collect();
    let found = known.iter().find(|spec| spec.name == kind).and_then(|spec| spec.grants);
    let grants = found.ok_or_else(|| {
        fail(Exit::Usage, format!("`{kind}` has no account; there are {}", with.join(", ")))
    })?;
    output::line(grants.trim_end());
    Ok(Exit::Good)
}

fn by_name(args: &ProbeArgs, target: &str) -> Result<(Model, NodeId)> {
    let (model, _) = load::load(&args.config, &args.overlays).map_err(|report| {
        report.print();
        fail(Exit::Red, format!("{} is broken; nothing was probed", args.config.display()))
    })?;
    let node = model.find(target).map_err(|candidates| {
        if candidates.is_empty() {
            fail(Exit::Usage, format!("there is no node `{target}` in {}", args.config.display()))
        } else {
            let some: Vec<String> = candidates.into_iter().take(8).collect();
            fail(Exit::Usage, format!("`{target}` may be any of {}", some.join(", ")))
        }
    })?;
    Ok((model, node))
}

/// A model of one instance for a URL. Its parts are handed over as variables, so that nothing in them can be
/// taken for YAML.
fn by_url(target: &str, timeout: Duration) -> Result<Model> {
    let wrong =
        |why: &str| fail(Exit::Usage, format!("`{}` cannot be probed: {why}", without_password(target)));
    let url = Url::parse(target).map_err(|error| wrong(&error.to_string()))?;
    let (kind, port, tls) = match url.scheme() {
        "http" => ("http", 80, false),
        "https" => ("http", 443, true),
        "ws" => ("websocket", 80, false),
        "wss" => ("websocket", 443, true),
        "tcp" => ("tcp", 0, false),
        "tls" => ("tls", 443, false),
        "icmp" | "ping" => ("icmp", 1, false),
        "dns" => ("dns", 53, false),
        "redis" => ("redis", 6379, false),
        "rediss" => ("redis", 6379, true),
        "memcached" => ("memcached", 11_211, false),
        "postgres" | "postgresql" => ("postgres", 5432, false),
        "mysql" | "mariadb" => ("mysql", 3306, false),
        "amqp" => ("amqp", 5672, false),
        "amqps" => ("amqp", 5671, true),
        "rabbitmq" => ("rabbitmq", 15_672, false),
        "nginx" => ("nginx", 80, false),
        other => return Err(wrong(&format!("there is no probe for {other}://"))),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
    let port = url.port().unwrap_or(port);
    if port == 0 {
        return Err(wrong("it names no port"));
    }
    let decoded = |text: &str| percent_decoded(text).ok_or_else(|| wrong("its %-escapes are broken"));
    let mut parts = vec![("ADDRESS", format!("{host}:{port}"))];
    let mut options = vec![format!("timeout: {}ms", timeout.as_millis().max(1))];
    let path = url.path().trim_start_matches('/');
    match kind {
        "http" | "nginx" | "websocket" => {
            let default = if kind == "nginx" { "/stub_status" } else { "/" };
            let asked = if path.is_empty() {
                default.to_owned()
            } else {
                url[Position::BeforePath..Position::AfterQuery].to_owned()
            };
            parts.push(("PATH", asked));
            options.push("path: \"${env:PATH}\"".to_owned());
        }
        "postgres" | "mysql" if !path.is_empty() => {
            parts.push(("DATABASE", decoded(path)?));
            options.push("database: \"${env:DATABASE}\"".to_owned());
        }
        "dns" => {
            parts.push(("NAME", decoded(path)?));
            options.push("name: \"${env:NAME}\"".to_owned());
        }
        "amqp" | "rabbitmq" if !path.is_empty() => {
            parts.push(("VHOST", decoded(path)?));
            options.push("vhost: \"${env:VHOST}\"".to_owned());
        }
        _ => {}
    }
    if tls {
        options.push("tls: true".to_owned());
    }
    if matches!(kind, "redis" | "postgres" | "mysql" | "amqp" | "rabbitmq") {
        if !url.username().is_empty() {
            parts.push(("USER", decoded(url.username())?));
            options.push("user: \"${env:USER}\"".to_owned());
        }
        let given = url.password().map(decoded).transpose()?;
        if let Some(password) = given.or_else(|| std::env::var("TOPOWATCH_PASSWORD").ok()) {
            parts.push(("PASSWORD", password));
            options.push("password: \"${env:PASSWORD}\"".to_owned());
        }
    }
    let text = format!(
        "components: {{ target: {{ interval: 1d, instances: [\"${{env:ADDRESS}}\"], probe: {{ {kind}: {{ {} }} }} }} }}",
        options.join(", ")
    );
    topology::read(&text, &probes::specs(), &Parts(parts)).map(|(model, _)| model).map_err(|diagnostics| {
        let first = diagnostics.first().map(|d| d.message.clone()).unwrap_or_default();
        wrong(&first)
    })
}

/// The parts of a URL as variables.
struct Parts(Vec<(&'static str, String)>);

impl topology::Environment for Parts {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no files here".to_owned())
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = tail else { return None };
            let digit = |b: &u8| char::from(*b).to_digit(16);
            bytes.push((digit(high)? * 16 + digit(low)?) as u8);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn without_password(target: &str) -> String {
    match (target.find("://"), target.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &target[..scheme], &target[at..]),
        _ => output::plain(target),
    }
}

/// The look as lines for a terminal.
fn lines(
    name: &str,
    probe: &Probe,
    address: &Address,
    observation: &Observation,
    health: Health,
) -> Vec<String> {
    let took = show_value(observation.took.as_secs_f64(), Unit::Seconds);
    let mut lines = vec![format!(
        "{}  {}  {} at {address}, {took}",
        output::level(health.level().as_str()),
        output::bold(name),
        probe.kind.name
    )];
    let steps: Vec<String> = observation
        .stages
        .iter()
        .map(|stage| format!("{} {}", stage.name, show_value(stage.took.as_secs_f64(), Unit::Seconds)))
        .collect();
    if !steps.is_empty() {
        lines.push(format!("  steps    {}", steps.join(" · ")));
    }
    match &observation.outcome {
        Outcome::Fault(fault) => {
            let reason = fault.reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
            lines.push(format!(
                "  fault    {}{reason} in {}: {}",
                fault.kind,
                fault.stage,
                output::plain(&fault.words)
            ));
            lines.push(format!("           it {}", fault.kind.verb()));
            lines.push(format!("  usually  {}", usually(fault)));
            // What came before it.
            lines.extend(observation.measured.iter().map(|(signal, value)| line_of(probe, signal, *value)));
        }
        Outcome::Local(words) => {
            lines.push(format!("  this machine failed, not the target: {}", output::plain(words)));
        }
        Outcome::Answer(answer) => {
            if let Some(role) = answer.role {
                lines.push(format!("  role     {role}"));
            }
            lines.extend(answer.signals.iter().map(|(signal, value)| line_of(probe, signal, *value)));
            if let Some((_, words)) = &answer.reported {
                lines.push(format!("  says     {}", output::plain(words)));
            }
            lines.extend(answer.notes.iter().map(|note| format!("  note     {}", output::plain(note))));
        }
    }
    for witness in &observation.witnesses {
        let words = if witness.words.is_empty() {
            String::new()
        } else {
            format!(": {}", output::plain(&witness.words))
        };
        lines.push(format!(
            "  witness  {} {}{words}",
            output::level(witness.health.level().as_str()),
            output::plain(&witness.on)
        ));
    }
    lines
}

/// A signal with its thresholds.
fn line_of(probe: &Probe, signal: &str, value: f64) -> String {
    let threshold = probe.thresholds.iter().find(|t| t.signal == signal);
    let unit = threshold.map_or_else(|| unit_of(signal), |t| t.unit);
    let limits: Vec<String> = threshold
        .map(|t| {
            let limit =
                |word: &str, limit: Option<f64>| limit.map(|l| format!("{word} {}", show_value(l, t.unit)));
            [limit("yellow", t.yellow), limit("red", t.red)].into_iter().flatten().collect()
        })
        .unwrap_or_default();
    let limits = if limits.is_empty() { String::new() } else { format!("   ({})", limits.join(", ")) };
    format!("  signal   {signal} {}{limits}", show_value(value, unit))
}

/// The unit by the end of the name, for signals without a threshold.
fn unit_of(signal: &str) -> Unit {
    let name = signal.split('[').next().unwrap_or(signal);
    match name.rsplit('_').next() {
        Some("seconds") => Unit::Seconds,
        Some("bytes") => Unit::Bytes,
        Some("ratio") => Unit::Ratio,
        Some("ok") => Unit::Truth,
        _ => Unit::Count,
    }
}

fn value(name: &str, probe: &Probe, address: &Address, observation: &Observation, health: Health) -> Value {
    let fault = observation.fault().map(|fault| {
        json!({
            "kind": fault.kind.as_str(),
            "reason": fault.reason.map(Reason::as_str),
            "stage": fault.stage,
            "words": fault.words,
            "usually": usually(fault),
        })
    });
    let (signals, notes, role) = match &observation.outcome {
        Outcome::Answer(answer) => (json!(answer.signals), answer.notes.clone(), answer.role),
        Outcome::Local(words) => (json!({}), vec![words.clone()], None),
        Outcome::Fault(_) => (json!(observation.measured), Vec::new(), None),
    };
    json!({
        "node": name,
        "probe": probe.kind.name,
        "address": address.to_string(),
        "level": health.level().as_str(),
        "took_s": observation.took.as_secs_f64(),
        "steps": observation.stages.iter().map(|s| json!({ "name": s.name, "took_s": s.took.as_secs_f64() })).collect::<Vec<_>>(),
        "fault": fault,
        "signals": signals,
        "thresholds": probe.thresholds.iter().map(|t| json!({
            "signal": t.signal,
            "bad": match t.bad { Bad::Above => "above", Bad::Below => "below" },
            "yellow": t.yellow,
            "red": t.red,
        })).collect::<Vec<_>>(),
        "role": role,
        "notes": notes,
        "witnesses": observation.witnesses.iter().map(|w| json!({
            "on": w.on, "level": w.health.level().as_str(), "words": w.words,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> String {
        let model = by_url(url, Duration::from_secs(2)).unwrap();
        let probe = &model.components[0].probes[0];
        let text = |name: &str| probe.text(name).unwrap_or("-").to_owned();
        format!(
            "{} {} user={} database={} vhost={} path={} secret={}",
            probe.kind.name,
            model.instances[0].address,
            text("user"),
            text("database"),
            text("vhost"),
            text("path"),
            probe.secret("password").is_some()
        )
    }

    #[test]
    fn a_url_becomes_a_probe() {
        assert_eq!(
            parts("redis://10.0.0.1"),
            "redis 10.0.0.1:6379 user=- database=- vhost=- path=- secret=false"
        );
        assert_eq!(
            parts("postgres://mon%40x:p%22%3A%7D@db:5433/orders"),
            "postgres db:5433 user=mon@x database=orders vhost=- path=- secret=true"
        );
        assert_eq!(parts("amqp://m:x@mq/%2F"), "amqp mq:5672 user=m database=- vhost=/ path=- secret=true");
        assert_eq!(
            parts("http://web/health/deep?x=1"),
            "http web:80 user=- database=- vhost=- path=/health/deep?x=1 secret=false"
        );
        assert_eq!(parts("tcp://[::1]:99"), "tcp [::1]:99 user=- database=- vhost=- path=- secret=false");
    }

    #[test]
    fn every_scheme_becomes_a_kind() {
        let kind = |url: &str| {
            let model = by_url(url, Duration::from_secs(2)).unwrap();
            let probe = &model.components[0].probes[0];
            let tls = probe.options.contains_key("tls") && probe.truth("tls");
            format!("{} {} {tls}", probe.kind.name, model.instances[0].address.port)
        };
        for (url, wanted) in [
            ("https://web/", "http 443 true"),
            ("ws://web/push", "websocket 80 false"),
            ("wss://web/push", "websocket 443 true"),
            ("tls://web", "tls 443 false"),
            ("icmp://10.0.0.1", "icmp 1 false"),
            ("dns://10.0.0.2/shop.example", "dns 53 false"),
            ("rediss://cache", "redis 6379 true"),
            ("memcached://cache", "memcached 11211 false"),
            ("amqps://mq", "amqp 5671 true"),
            ("rabbitmq://m:x@mq/orders", "rabbitmq 15672 false"),
        ] {
            assert_eq!(kind(url), wanted, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_probed_is_said_without_its_password() {
        for (url, says) in [
            ("gopher://x", "no probe for gopher"),
            ("tcp://x", "names no port"),
            ("redis://u:s3cret%zz@x", "escapes are broken"),
            ("http://", "empty host"),
        ] {
            let error = by_url(url, Duration::from_secs(1)).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cret"), "{error}");
        }
    }
}
