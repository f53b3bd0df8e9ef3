//! `topowatch init`: a first file by hand.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use url::Url;

use crate::args::InitArgs;
use crate::draft::{Component, Draft, Probe, Setting, Strength, finish, known, report, secret, slug};
use crate::exit::{Exit, fail};

pub(crate) fn run(args: &InitArgs) -> Result<Exit> {
    // Before anybody has answered a question.
    if args.file.exists() && !args.force {
        let help = "give another name, or `--force` to write over it";
        return Err(fail(
            Exit::Failed,
            format!("{} is there already, and was left as it is: {help}", args.file.display()),
        ));
    }
    let mut draft = Draft { name: args.name.clone().unwrap_or_default(), ..Draft::default() };
    for node in &args.nodes {
        let (name, url) = node.split_once('=').ok_or_else(|| {
            fail(Exit::Usage, format!("`{node}` is no NAME=URL: write web=http://10.0.0.1:8080/health"))
        })?;
        draft.components.push(component(name, url).map_err(|why| fail(Exit::Usage, why))?);
    }
    for edge in &args.edges {
        let (from, on) = edge
            .split_once(':')
            .ok_or_else(|| fail(Exit::Usage, format!("`{edge}` is no FROM:ON: write web:db")))?;
        let (on, strength) = match on.split_once(':') {
            None | Some((_, "required")) => (on.split(':').next().unwrap_or(on), Strength::Required),
            Some((on, "optional")) => (on, Strength::Optional),
            Some((on, "async")) => (on, Strength::Async),
            Some((_, other)) => {
                let message = format!("`{other}` is no strength: required, optional or async");
                return Err(fail(Exit::Usage, message));
            }
        };
        depend(&mut draft, from, on, strength).map_err(|why| fail(Exit::Usage, why))?;
    }
    if args.nodes.is_empty() && std::io::stdin().is_terminal() {
        ask(&mut draft, &mut std::io::stdin().lock(), &mut std::io::stderr().lock())?;
    }
    if draft.components.is_empty() {
        example(&mut draft);
    }
    if draft.name.is_empty() {
        "platform".clone_into(&mut draft.name);
    }
    draft.heading = vec![
        "What there is, how it is asked, and what depends on what. `topowatch check` says whether it is good,".to_owned(),
        "`topowatch serve` watches it: http://127.0.0.1:8440. docs/topology.md has every key.".to_owned(),
        "For completion in editors: topowatch schema > topology.schema.json, and as the first line".to_owned(),
        "yaml-language-server: $schema=./topology.schema.json".to_owned(),
    ];
    report::hand_out(&finish::finish(draft), Some(&args.file), args.force, args.json)
}

/// What stands in the file when nothing was said: the monitor itself, which is there once `serve` runs.
fn example(draft: &mut Draft) {
    let probe = Probe::of("http").with("path", Setting::Text("/healthz".to_owned()));
    let mut component = Component::at("topowatch", "127.0.0.1:8440", probe);
    component.comments = vec![
        "An example: the monitor itself. Yours look alike:".to_owned(),
        "  orders-db:".to_owned(),
        "    instances: [\"10.0.3.[1-4]:5432\"]".to_owned(),
        "    probe: { postgres: { user: monitor, password: \"${env:ORDERS_DB_PASSWORD}\" } }".to_owned(),
        "    depends_on: [another]".to_owned(),
    ];
    draft.components.push(component);
}

/// Asks for nodes until an empty answer, then for what each depends on.
fn ask(draft: &mut Draft, input: &mut impl BufRead, out: &mut impl Write) -> Result<()> {
    let mut question = |out: &mut dyn Write, text: &str| -> Result<String> {
        write!(out, "{text} ")?;
        out.flush()?;
        let mut line = String::new();
        input.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    if draft.name.is_empty() {
        draft.name = question(out, "What is the platform called?")?;
    }
    writeln!(
        out,
        "Now its nodes, as NAME=URL: web=http://10.0.0.1:8080/health, db=postgres://10.0.0.5:5432/shop. An empty line ends."
    )?;
    loop {
        let line = question(out, "Node:")?;
        let Some((name, url)) = line.split_once('=') else {
            if line.is_empty() {
                break;
            }
            writeln!(out, "  write it as NAME=URL")?;
            continue;
        };
        match component(name, url) {
            Ok(component) if draft.get(&component.name).is_none() => draft.components.push(component),
            Ok(_) => writeln!(out, "  there is a node of this name already")?,
            Err(why) => writeln!(out, "  {why}")?,
        }
    }
    let names: Vec<String> = draft.components.iter().map(|component| component.name.clone()).collect();
    if names.len() < 2 {
        return Ok(());
    }
    for name in names {
        let line = question(out, &format!("What does {name} need? (names with commas, or nothing)"))?;
        for on in line.split([',', ' ']).filter(|on| !on.is_empty()) {
            if let Err(why) = depend(draft, &name, on, Strength::Required) {
                writeln!(out, "  {why}")?;
            }
        }
    }
    Ok(())
}

fn depend(draft: &mut Draft, from: &str, on: &str, strength: Strength) -> Result<(), String> {
    let known = |draft: &mut Draft, name: &str| {
        draft.get(&slug(name)).map(|_| ()).ok_or_else(|| format!("there is no node `{name}`"))
    };
    known(draft, on)?;
    known(draft, from)?;
    if let Some(component) = draft.get(&slug(from)) {
        component.needs(&slug(on), strength, "");
    }
    Ok(())
}

/// A component that a URL asks, as `topowatch probe` takes it. A password in it becomes a variable.
fn component(name: &str, text: &str) -> Result<Component, String> {
    let name = slug(name);
    let url = Url::parse(text.trim()).map_err(|error| format!("`{text}` is no URL: {error}"))?;
    let host =
        url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("`{text}` names no host"))?;
    let (kind, usual, tls) = match url.scheme() {
        "http" => ("http", Some(80), false),
        "https" => ("http", Some(443), true),
        "nginx" => ("nginx", Some(80), false),
        "ws" => ("websocket", Some(80), false),
        "wss" => ("websocket", Some(443), true),
        "redis" => ("redis", Some(6379), false),
        "rediss" => ("redis", Some(6379), true),
        "memcached" => ("memcached", Some(11211), false),
        "postgres" | "postgresql" => ("postgres", Some(5432), false),
        "mysql" | "mariadb" => ("mysql", Some(3306), false),
        "amqp" => ("amqp", Some(5672), false),
        "amqps" => ("amqp", Some(5671), true),
        "rabbitmq" => ("rabbitmq", Some(15672), false),
        "tcp" => ("tcp", None, false),
        "tls" => ("tls", Some(443), false),
        "icmp" => ("icmp", Some(1), false),
        other => {
            return Err(format!("no probe asks `{other}://`; `topowatch probe --help` lists those that do"));
        }
    };
    let port = url.port().or(usual).ok_or_else(|| format!("`{text}` names no port"))?;
    let path = url.path().trim_start_matches('/');
    let mut probe = Probe::of(kind);
    match kind {
        "http" | "nginx" | "websocket" => probe = probe.with_text("path", Some(url.path())),
        "postgres" | "mysql" if !path.is_empty() => probe = probe.with_text("database", Some(path)),
        "amqp" | "rabbitmq" if !path.is_empty() => probe = probe.with_text("vhost", Some(path)),
        _ => {}
    }
    let logs_in = matches!(kind, "postgres" | "mysql" | "amqp" | "rabbitmq");
    if logs_in || !url.username().is_empty() {
        let user = Some(url.username()).filter(|user| !user.is_empty()).unwrap_or("topowatch");
        if kind != "http" && kind != "websocket" && kind != "nginx" {
            probe = probe.with_text("user", Some(user)).with("password", secret(&name, "password"));
        }
    } else if url.password().is_some() && kind == "redis" {
        probe = probe.with("password", secret(&name, "password"));
    }
    if tls {
        probe = probe.with("tls", Setting::Truth(true));
    }
    let mut component = Component::at(name, format!("{host}:{port}"), probe);
    if logs_in {
        component.comments.push(format!("Its account: topowatch probe --grants {kind}"));
    }
    if kind == "http" {
        component.comments.push("Several copies: [\"10.0.0.[1-3]:8080\"]".to_owned());
    }
    component.tier = Some(known::tier_of(kind).to_owned());
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_on_a_terminal_become_a_good_file() {
        let mut draft = Draft::default();
        let answers = "shop\nweb=http://10.0.0.1:8080/health\nweb\nweb=http://x\ndb=postgres://a:hunter2@10.0.0.5/shop\nbad=gopher://x\n\ndb, gone\n\n";
        let mut said = Vec::new();
        ask(&mut draft, &mut answers.as_bytes(), &mut said).unwrap();
        let finished = finish::finish(draft);
        assert!(!finished.text.contains("hunter2"));
        insta::assert_snapshot!(format!("{}\n---\n{}", finished.text, String::from_utf8(said).unwrap()));
    }
}
