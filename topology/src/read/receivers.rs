//! One receiver: how it is told, in which words, how often at most.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use super::common::read_labels;
use crate::alerting::{Channel, Email, Limit, MailTls, PLACES, Receiver, Template};
use crate::decode::{Context, Fields};
use crate::text::Lang;
use crate::yaml::{Node, Value};

/// The ways there are.
pub(super) const WAYS: [&str; 10] = [
    "webhook",
    "wecom",
    "dingtalk",
    "feishu",
    "slack",
    "teams",
    "pagerduty",
    "alertmanager",
    "email",
    "exec",
];

/// The shortest span of a limit, and the longest.
const LIMIT_SPANS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
/// Names of one list (people mentioned, addresses) at most.
const MAX_LISTED: usize = 50;
/// A program that is told may take so long at most: the next message waits for it.
const MAX_EXEC: Duration = Duration::from_mins(1);
const DEFAULT_EXEC: Duration = Duration::from_secs(10);
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

pub(super) fn read_receiver(name: &str, node: &Node, cx: &mut Context<'_>) -> Option<Receiver> {
    let what = format!("receiver `{name}`");
    let mut fields = Fields::of(node, &what, cx)?;
    let lang = fields.take("lang").and_then(|node| read_lang(node, cx));
    let fallback = fields.take("fallback").and_then(|node| cx.text(node, "`fallback`"));
    let limit = fields.take("limit").and_then(|node| read_limit(node, cx));
    let template = fields.take("template").map(|node| read_template(node, cx)).unwrap_or_default();
    let ways: Vec<(&'static str, &Node)> =
        WAYS.into_iter().filter_map(|way| Some((way, fields.take(way)?))).collect();
    let place = fields.place;
    fields.finish(&what, cx);
    let [(way, inside)] = ways.as_slice() else {
        if let [_, (_, second), ..] = ways.as_slice() {
            cx.diagnostics
                .error(second.place, format!("{what} is told in several ways"))
                .help("write a receiver for each, and a route to both");
        } else {
            cx.diagnostics.error(place, format!("{what} says not how it is told")).help(format!(
                "write `{{ webhook: {{ url: \"${{env:OPS_WEBHOOK}}\" }} }}`; the ways are {}",
                WAYS.join(", ")
            ));
        }
        return None;
    };
    let channel = read_channel(way, inside, cx)?;
    let limits = limit.map_or_else(|| channel.default_limits(), |limit| vec![limit]);
    Some(Receiver {
        name: name.to_owned(),
        channel,
        lang: lang.unwrap_or_default(),
        fallback,
        limits,
        template,
    })
}

fn read_channel(way: &str, node: &Node, cx: &mut Context<'_>) -> Option<Channel> {
    let mut fields = Fields::of(node, &format!("`{way}`"), cx)?;
    let channel = match way {
        "webhook" => {
            let secret = secret(&mut fields, "secret", cx);
            url(&mut fields, way, cx).map(|url| Channel::Webhook { url, secret })
        }
        "wecom" => {
            let mention = list(&mut fields, "mention", cx);
            url(&mut fields, way, cx).map(|url| Channel::Wecom { url, mention })
        }
        "dingtalk" => {
            let (secret, mention) = (secret(&mut fields, "secret", cx), list(&mut fields, "mention", cx));
            url(&mut fields, way, cx).map(|url| Channel::Dingtalk { url, secret, mention })
        }
        "feishu" => {
            let (secret, mention) = (secret(&mut fields, "secret", cx), list(&mut fields, "mention", cx));
            url(&mut fields, way, cx).map(|url| Channel::Feishu { url, secret, mention })
        }
        "slack" => {
            let mention = list(&mut fields, "mention", cx);
            url(&mut fields, way, cx).map(|url| Channel::Slack { url, mention })
        }
        "teams" => url(&mut fields, way, cx).map(|url| Channel::Teams { url }),
        "pagerduty" => read_pagerduty(&mut fields, cx),
        "alertmanager" => {
            let labels = fields.take("labels").map(|node| read_labels(node, cx)).unwrap_or_default();
            check_labels(&labels, &fields, cx);
            let token = secret(&mut fields, "token", cx);
            url(&mut fields, way, cx).map(|url| Channel::Alertmanager { url, labels, token })
        }
        "email" => read_email(&mut fields, cx).map(|email| Channel::Email(Box::new(email))),
        _ => read_exec(&mut fields, cx),
    };
    fields.finish(&format!("`{way}`"), cx);
    channel
}

fn read_lang(node: &Node, cx: &mut Context<'_>) -> Option<Lang> {
    let word = cx.text(node, "`lang`")?;
    let found = [Lang::En, Lang::Zh].into_iter().find(|lang| lang.as_str() == word);
    if found.is_none() {
        cx.unknown_word(node.place, "unknown language", &word, &["en", "zh"]);
    }
    found
}

fn read_limit(node: &Node, cx: &mut Context<'_>) -> Option<Limit> {
    let mut fields = Fields::of(node, "`limit`", cx)?;
    let messages = fields.take("messages").and_then(|node| cx.count(node, "`messages`", 1));
    let per = fields.take("per").map(|node| (node, cx.duration(node, "`per`")));
    let place = fields.place;
    fields.finish("`limit`", cx);
    let (Some(messages), Some((node, Some(per)))) = (messages, per) else {
        if !cx.diagnostics.are_many() {
            cx.diagnostics
                .error(place, "`limit` says how many messages in how long")
                .help("write `{ messages: 18, per: 1m }`");
        }
        return None;
    };
    if per < LIMIT_SPANS.0 || per > LIMIT_SPANS.1 {
        cx.diagnostics.error(node.place, "`per` lies between 1s and 1h").help("1m is usual");
        return None;
    }
    Some(Limit { messages: u32::try_from(messages).unwrap_or(u32::MAX), per })
}

fn read_template(node: &Node, cx: &mut Context<'_>) -> Template {
    let Some(mut fields) = Fields::of(node, "`template`", cx) else { return Template::default() };
    let mut part = |name: &'static str, cx: &mut Context<'_>| {
        let node = fields.take(name)?;
        let text = cx.text(node, &format!("`{name}`"))?;
        check_places(node, &text, cx);
        Some(text)
    };
    let template = Template { title: part("title", cx), text: part("text", cx) };
    fields.finish("`template`", cx);
    template
}

/// Every `{word}` of a template is one that can be filled in.
fn check_places(node: &Node, text: &str, cx: &mut Context<'_>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((word, behind)) = after.split_once('}') else {
            cx.diagnostics.error(node.place, "`{` without `}` in a template");
            return;
        };
        if !PLACES.iter().any(|(place, _)| *place == word) {
            let valid: Vec<&str> = PLACES.iter().map(|(place, _)| *place).collect();
            cx.unknown_word(node.place, "nothing to fill into a template", word, &valid);
        }
        rest = behind;
    }
}

fn secret(fields: &mut Fields<'_>, name: &'static str, cx: &mut Context<'_>) -> Option<SecretString> {
    fields.take(name).and_then(|node| cx.text(node, &format!("`{name}`"))).map(SecretString::from)
}

/// The address; it may hold a token and is repeated in no message.
fn url(fields: &mut Fields<'_>, way: &str, cx: &mut Context<'_>) -> Option<SecretString> {
    let Some(node) = fields.take("url") else {
        cx.diagnostics
            .error(fields.place, format!("a {way} needs a `url`"))
            .help(format!("write `{way}: {{ url: \"${{env:OPS_{}}}\" }}`", way.to_uppercase()));
        return None;
    };
    let text = cx.text(node, "`url`")?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        cx.diagnostics.error(node.place, "`url` begins with `http://` or `https://`");
        return None;
    }
    Some(SecretString::from(text))
}

/// A list of texts, or one.
pub(super) fn list(fields: &mut Fields<'_>, name: &'static str, cx: &mut Context<'_>) -> Vec<String> {
    let Some(node) = fields.take(name) else { return Vec::new() };
    let what = format!("`{name}`");
    let items: Vec<String> = match &node.value {
        Value::List(items) => items.iter().filter_map(|item| cx.text(item, &what)).collect(),
        _ => cx.text(node, &what).into_iter().collect(),
    };
    if items.len() > MAX_LISTED {
        cx.diagnostics.error(node.place, format!("more than {MAX_LISTED} in {what}"));
        return Vec::new();
    }
    if let Some(bad) = items.iter().find(|item| item.is_empty() || item.chars().any(char::is_control)) {
        let message = if bad.is_empty() { "an empty text" } else { "a control character" };
        cx.diagnostics.error(node.place, format!("{message} in {what}"));
        return Vec::new();
    }
    items
}

/// Alertmanager takes ASCII names without a dash; a wrong one would make every alert a 400.
fn check_labels(labels: &BTreeMap<String, String>, fields: &Fields<'_>, cx: &mut Context<'_>) {
    let good = |name: &str| {
        name.bytes()
            .enumerate()
            .all(|(i, b)| b == b'_' || b.is_ascii_alphabetic() || i > 0 && b.is_ascii_digit())
            && !name.is_empty()
    };
    for name in labels.keys().filter(|name| !good(name)) {
        let place = fields.key_place("labels");
        cx.diagnostics
            .error(place, format!("`{name}` is no label name of Alertmanager"))
            .help("letters, digits and `_`, no digit first");
    }
}

fn read_pagerduty(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Channel> {
    let url = match fields.take("url") {
        Some(node) => {
            let text = cx.text(node, "`url`")?;
            if !text.starts_with("http://") && !text.starts_with("https://") {
                cx.diagnostics.error(node.place, "`url` begins with `http://` or `https://`");
                return None;
            }
            text
        }
        None => PAGERDUTY.to_owned(),
    };
    let Some(routing_key) = secret(fields, "routing_key", cx) else {
        cx.diagnostics
            .error(fields.place, "pagerduty needs a `routing_key`")
            .help("write `pagerduty: { routing_key: \"${env:PAGERDUTY_KEY}\" }`");
        return None;
    };
    Some(Channel::PagerDuty { routing_key, url })
}

fn read_email(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Email> {
    let place = fields.place;
    let server = fields.take("server");
    let tls = fields.take("tls").map(|node| (node, cx.text(node, "`tls`")));
    let ca = fields.take("ca").and_then(|node| cx.text(node, "`ca`"));
    let user = fields.take("user").and_then(|node| cx.text(node, "`user`"));
    let password = secret(fields, "password", cx);
    let from = fields.take("from");
    let to_place = fields.key_place("to");
    let to = list(fields, "to", cx);
    let (Some(server), Some(from_node), false) = (server, from, to.is_empty()) else {
        cx.diagnostics.error(place, "email needs `server`, `from` and `to`").help(
            "write `email: { server: \"smtp.example:587\", from: topowatch@example, to: [ops@example] }`",
        );
        return None;
    };
    let text = cx.text(server, "`server`")?;
    let (host, port) = text.rsplit_once(':').unwrap_or((&text, "587"));
    let Ok(port) = port.parse::<u16>() else {
        cx.diagnostics.error(server.place, "`server` is a name and a port, such as `smtp.example:587`");
        return None;
    };
    let tls = match tls {
        Some((node, word)) => {
            let word = word?;
            let found = MailTls::ALL.into_iter().find(|tls| tls.as_str() == word);
            if found.is_none() {
                cx.unknown_word(
                    node.place,
                    "unknown kind of `tls`",
                    &word,
                    &MailTls::ALL.map(MailTls::as_str),
                );
            }
            found?
        }
        None if port == 465 => MailTls::Tls,
        None => MailTls::Starttls,
    };
    if user.is_some() != password.is_some() {
        cx.diagnostics.error(place, "`user` and `password` go together");
        return None;
    }
    if user.is_some() && tls == MailTls::Off {
        cx.diagnostics
            .error(place, "a password without TLS can be read on the way")
            .help("write `tls: starttls`, or leave `user` and `password` out");
        return None;
    }
    let from = cx.text(from_node, "`from`")?;
    for (address, place) in
        to.iter().map(|to| (to, to_place)).chain(std::iter::once((&from, from_node.place)))
    {
        let bare = address.trim_end_matches('>');
        let valid = bare.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !valid {
            cx.diagnostics
                .error(place, format!("`{}` is no mail address", crate::decode::shortened(address)));
            return None;
        }
    }
    let login = user.zip(password);
    Some(Email { host: host.to_owned(), port, tls, ca, login, from, to })
}

fn read_exec(fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Option<Channel> {
    let (place, command_place) = (fields.place, fields.key_place("command"));
    let command = list(fields, "command", cx);
    let mut timeout = DEFAULT_EXEC;
    if let Some(node) = fields.take("timeout") {
        timeout = cx.duration(node, "`timeout`")?;
        if timeout > MAX_EXEC {
            cx.diagnostics.error(node.place, "`timeout` is longer than a minute").help("10s is usual");
        }
    }
    let Some(program) = command.first() else {
        cx.diagnostics
            .error(place, "exec needs a `command`")
            .help("write `exec: { command: [/usr/local/bin/page, --team, ops] }`");
        return None;
    };
    if !program.starts_with('/') {
        cx.diagnostics
            .error(command_place, "the program of `exec` is named by its whole path")
            .help("what a search path finds may be somebody else's: write /usr/local/bin/…");
        return None;
    }
    Some(Channel::Exec { command, timeout })
}
