//! Who is told: `alerts`.

use secrecy::SecretString;

use crate::decode::{Context, Fields, note_duplicates};
use crate::model::{Channel, Receiver};
use crate::yaml::{Node, Value};

pub(super) fn read_alerts(node: &Node, cx: &mut Context<'_>) -> Vec<Receiver> {
    let Some(mut fields) = Fields::of(node, "`alerts`", cx) else { return Vec::new() };
    let mut receivers = Vec::new();
    match fields.take("receivers") {
        Some(Node { value: Value::Map(entries), .. }) => {
            note_duplicates(entries, cx);
            for (key, node) in entries {
                receivers.extend(read_receiver(&key.name, node, cx));
            }
        }
        Some(node) => cx.expected(node, "`receivers` is a map of receivers by name"),
        None => {}
    }
    fields.finish("`alerts`", cx);
    receivers
}

pub(super) fn read_receiver(name: &str, node: &Node, cx: &mut Context<'_>) -> Option<Receiver> {
    let what = format!("receiver `{name}`");
    let mut fields = Fields::of(node, &what, cx)?;
    let webhook = fields.take("webhook");
    let place = fields.place;
    fields.finish(&what, cx);
    let Some(webhook) = webhook else {
        cx.diagnostics
            .error(place, format!("{what} says not how it is told"))
            .help("write `{ webhook: { url: \"${env:OPS_WEBHOOK}\" } }`");
        return None;
    };
    let mut inner = Fields::of(webhook, "`webhook`", cx)?;
    let secret = inner.take("secret").and_then(|node| cx.text(node, "`secret`")).map(SecretString::from);
    let url = inner.take("url");
    inner.finish("`webhook`", cx);
    let Some(url) = url else {
        cx.diagnostics.error(webhook.place, "a webhook needs a `url`");
        return None;
    };
    let text = cx.text(url, "`url`")?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        // The address may hold a token: it is not repeated here.
        cx.diagnostics.error(url.place, "`url` begins with `http://` or `https://`");
        return None;
    }
    Some(Receiver {
        name: name.to_owned(),
        channel: Channel::Webhook { url: SecretString::from(text), secret },
    })
}
