//! `topowatch token`: who may read and who may operate.

use anyhow::{Context, Result};
use collector::access::{Role, SECRET, new_token};
use collector::clock;
use collector::store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::args::{TokenArgs, TokenCommand};
use crate::exit::{Exit, fail};
use crate::output;

pub(crate) async fn run(args: &TokenArgs) -> Result<Exit> {
    let store = Store::open(&args.database).await.map_err(|error| fail(Exit::Failed, error.to_string()))?;
    let done = answer(&store, &args.command).await;
    // Left open, SQLite would leave its side files behind, and with them their owner.
    store.close().await;
    done
}

async fn answer(store: &Store, command: &TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Add { name, role, expires } => add(store, name, role, expires.as_deref()).await,
        TokenCommand::List { json } => list(store, *json).await,
        TokenCommand::Remove { name } => {
            if !store.remove_token(name).await? {
                return Err(fail(Exit::Failed, format!("there is no token `{}`", output::plain(name))));
            }
            output::line(&format!("{name} is gone; a running server refuses it within three seconds"));
            Ok(Exit::Good)
        }
    }
}

async fn add(store: &Store, name: &str, role: &str, expires: Option<&str>) -> Result<Exit> {
    let role = Role::from_word(role).context("no such role")?;
    let now = clock::now();
    let expires = expires.map(|text| ends(text, now)).transpose()?;
    let token =
        new_token(name, role, random()?, now, expires).map_err(|bad| fail(Exit::Usage, bad.to_string()))?;
    if !store.add_token(&token.row).await? {
        return Err(fail(Exit::Failed, format!("there is a token `{name}` already: remove it first")));
    }
    // Only the token on standard output, so that a script can take it.
    output::line(&token.text);
    output::note(&format!("{name} may {}; the token is shown this once and kept nowhere", role.as_str()));
    Ok(Exit::Good)
}

/// `90d`, `12h`: when that is over.
fn ends(text: &str, now: Timestamp) -> Result<Timestamp> {
    let bad = || fail(Exit::Usage, format!("`{}` is no duration: write 90d or 12h", output::plain(text)));
    let split = text.len().saturating_sub(1);
    let (number, unit) = (text.get(..split).ok_or_else(bad)?, text.get(split..).ok_or_else(bad)?);
    let number: i64 = number.parse().map_err(|_| bad())?;
    let hours = match unit {
        "d" => number.checked_mul(24),
        "h" => Some(number),
        _ => None,
    };
    let hours = hours.filter(|hours| (1..=24 * 3660).contains(hours)).ok_or_else(bad)?;
    Ok(now + SignedDuration::from_hours(hours))
}

/// Random bytes of the crypto library.
pub(crate) fn random() -> Result<[u8; SECRET]> {
    let mut bytes = [0; SECRET];
    let provider = rustls::crypto::ring::default_provider();
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| fail(Exit::Failed, "this host has no random numbers".to_owned()))?;
    Ok(bytes)
}

async fn list(store: &Store, as_json: bool) -> Result<Exit> {
    let tokens = store.tokens().await?;
    let time = |ms: i64| Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default();
    if as_json {
        let rows: Vec<_> = tokens
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "role": row.role, "id": row.id,
                    "created_at": time(row.created_ms), "expires_at": row.expires_ms.map(time),
                })
            })
            .collect();
        output::line(&serde_json::to_string_pretty(&json!({ "tokens": rows }))?);
        return Ok(Exit::Good);
    }
    if tokens.is_empty() {
        output::line("no tokens: only this very machine may change something");
    }
    for row in tokens {
        let ends = row.expires_ms.map_or_else(|| "never".to_owned(), time);
        output::line(&format!(
            "{:<20} {:<8} made {}, ends {ends}",
            output::plain(&row.name),
            output::plain(&row.role),
            time(row.created_ms)
        ));
    }
    Ok(Exit::Good)
}
