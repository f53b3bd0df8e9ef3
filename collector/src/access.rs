//! Who may read, and who may operate: tokens of which only hashes are kept, and the sessions of people who logged in
//! with one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError, TokenRow};

/// A removed token is refused after this at the latest.
const FOLLOW_EVERY: Duration = Duration::from_secs(3);
/// A session ends by itself after this.
pub const SESSION: Duration = Duration::from_hours(12);
/// Sessions that were ended before their time, at most.
const MAX_ENDED: usize = 10_000;
/// The beginning of every token, so that it is known when it is found somewhere.
const PREFIX: &str = "tw";
/// Bytes of a token's secret, and of the key that sessions are signed with.
pub const SECRET: usize = 32;
/// Characters of a token's name.
const LONGEST_NAME: usize = 60;

/// What a token may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything.
    Read,
    /// See everything, and change what can be changed.
    Operate,
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }

    /// The role of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Read, Self::Operate].into_iter().find(|role| role.as_str() == word)
    }
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The token's name.
    pub name: String,
    /// What it may.
    pub role: Role,
}

/// A token that was just made: its text is shown once and kept nowhere.
#[derive(Debug)]
pub struct NewToken {
    /// What goes to the database.
    pub row: TokenRow,
    /// What goes to its owner.
    pub text: String,
}

/// Why a token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's name has 1 to {LONGEST_NAME} letters, digits, dots, dashes or underscores")]
pub struct BadName;

/// A token for `name`, of `random` bytes.
///
/// # Errors
/// When the name is none.
pub fn new_token(
    name: &str,
    role: Role,
    random: [u8; SECRET],
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<NewToken, BadName> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(good) {
        return Err(BadName);
    }
    let secret = hex(&random);
    // The public part must tell nothing of the secret one.
    let id = hex(&Sha256::digest(format!("id of {secret}"))[..6]);
    let row = TokenRow {
        hash: hash_of(&secret),
        id: id.clone(),
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        created_ms: now.as_millisecond(),
        expires_ms: expires.map(Timestamp::as_millisecond),
    };
    Ok(NewToken { row, text: format!("{PREFIX}_{id}_{secret}") })
}

/// The secret has 256 random bits: a plain hash of it cannot be guessed.
fn hash_of(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _done = write!(text, "{byte:02x}");
        text
    })
}

/// Everybody who is known; clone it freely.
#[derive(Clone)]
pub struct Access {
    tokens: Arc<ArcSwap<BTreeMap<String, TokenRow>>>,
    /// The tokens were read at least once.
    known: Arc<AtomicBool>,
    key: Arc<[u8]>,
    /// Sessions that were ended before their time, by their signature, and when they would have.
    ended: Arc<Mutex<BTreeMap<String, i64>>>,
}

impl Access {
    /// The tokens of `store`. Sessions are signed with its own key, which is `fresh` when it has none yet. While the
    /// database is away nobody is known, and nobody may operate.
    pub async fn open(store: &Store, fresh: [u8; SECRET]) -> Self {
        let fresh = hex(&fresh);
        let key = match store.own_key("session", &fresh).await {
            // A short one was not made here.
            Ok(key) if key.len() >= fresh.len() => key,
            _ => fresh,
        };
        let access = Self {
            tokens: Arc::default(),
            known: Arc::default(),
            key: key.into_bytes().into(),
            ended: Arc::default(),
        };
        if let Err(error) = access.renew(store).await {
            tracing::error!(%error, "the tokens cannot be read: until they can, nobody may change something");
        }
        access
    }

    async fn renew(&self, store: &Store) -> Result<(), StoreError> {
        let tokens = store.tokens().await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        self.tokens.store(Arc::new(tokens));
        self.known.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Follows what is added and removed, until `shutdown`. While the database is away the known ones stay.
    pub async fn follow(self, store: Store, shutdown: CancellationToken) {
        let mut tick = interval(FOLLOW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.renew(&store).await {
                tracing::debug!(%error, "the tokens cannot be read now; those known stay");
            }
        }
    }

    /// True when somebody may operate, or when nobody knows: then nobody else may.
    pub fn has_operators(&self) -> bool {
        !self.known.load(Ordering::Relaxed)
            || self.tokens.load().values().any(|row| row.role == Role::Operate.as_str())
    }

    /// Whose token this is.
    pub fn person(&self, token: &str, now: Timestamp) -> Option<Person> {
        let (id, secret) = token.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
        let tokens = self.tokens.load();
        let row = tokens.get(id)?;
        let same = hash_of(secret).as_bytes().ct_eq(row.hash.as_bytes());
        if bool::from(same) { valid(row, now) } else { None }
    }

    /// A session for whoever has `token`: what goes into the cookie.
    pub fn session(&self, token: &str, now: Timestamp) -> Option<String> {
        self.person(token, now)?;
        let id = token.split('_').nth(1)?;
        let ends = now + SignedDuration::try_from(SESSION).ok()?;
        let body = format!("{id}.{}", ends.as_millisecond());
        Some(format!("{body}.{}", self.sign(&body)?))
    }

    /// Whose session this is: signed here, not over, not ended, and its token still there.
    pub fn of_session(&self, cookie: &str, now: Timestamp) -> Option<Person> {
        let (body, signature) = cookie.rsplit_once('.')?;
        let right = self.sign(body)?;
        if !bool::from(right.as_bytes().ct_eq(signature.as_bytes())) {
            return None;
        }
        let (id, ends) = body.split_once('.')?;
        let ends: i64 = ends.parse().ok()?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(signature);
        if ended || ends <= now.as_millisecond() {
            return None;
        }
        valid(self.tokens.load().get(id)?, now)
    }

    /// Ends a session for good.
    pub fn end_session(&self, cookie: &str, now: Timestamp) {
        if self.of_session(cookie, now).is_none() {
            return;
        }
        let Some((_, signature)) = cookie.rsplit_once('.') else { return };
        let now = now.as_millisecond();
        let over = now + i64::try_from(SESSION.as_millis()).unwrap_or(i64::MAX);
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, over| *over > now);
        if ended.len() >= MAX_ENDED {
            ended.pop_first();
        }
        ended.insert(signature.to_owned(), over);
    }

    fn sign(&self, body: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(body.as_bytes());
        Some(hex(&mac.finalize().into_bytes()))
    }
}

fn valid(row: &TokenRow, now: Timestamp) -> Option<Person> {
    if row.expires_ms.is_some_and(|ends| ends <= now.as_millisecond()) {
        return None;
    }
    Some(Person { name: row.name.clone(), role: Role::from_word(&row.role)? })
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    async fn store_with(role: Role, expires: Option<Timestamp>) -> (Store, String) {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let token = new_token("ops", role, [7; SECRET], at(0), expires).unwrap();
        assert!(store.add_token(&token.row).await.unwrap());
        (store, token.text)
    }

    #[tokio::test]
    async fn a_token_is_known_by_its_hash_until_it_ends_or_is_removed() {
        let (store, token) = store_with(Role::Operate, Some(at(100))).await;
        let rows = store.tokens().await.unwrap();
        assert!(
            !format!("{rows:?}").contains(token.rsplit('_').next().unwrap()),
            "the secret is kept nowhere"
        );
        let access = Access::open(&store, [1; SECRET]).await;
        let person = Person { name: "ops".to_owned(), role: Role::Operate };
        assert_eq!(access.person(&token, at(1)), Some(person));
        assert_eq!(access.person(&token, at(100)), None);
        let mut wrong = token.clone();
        wrong.pop();
        wrong.push(if token.ends_with('0') { '1' } else { '0' });
        for bad in [&*wrong, "", "tw", "tw__", "tw_x_y", &token[1..], &format!("{token} ")] {
            assert_eq!(access.person(bad, at(1)), None, "{bad}");
        }
        assert!(store.remove_token("ops").await.unwrap() && !store.remove_token("ops").await.unwrap());
        access.renew(&store).await.unwrap();
        assert_eq!(access.person(&token, at(1)), None);
    }

    #[tokio::test]
    async fn lesson_ghsa_g9v2_a_session_does_not_outlive_logout_nor_its_token() {
        let (store, token) = store_with(Role::Read, None).await;
        let access = Access::open(&store, [1; SECRET]).await;
        let session = access.session(&token, at(0)).unwrap();
        assert!(access.of_session(&session, at(1)).is_some());
        let half_a_day = i64::try_from(SESSION.as_secs()).unwrap();
        assert_eq!(access.of_session(&session, at(half_a_day)), None);
        access.end_session(&session, at(2));
        assert_eq!(access.of_session(&session, at(3)), None);
        // Another one of the same token goes on, until the token is gone.
        let other = access.session(&token, at(4)).unwrap();
        assert!(access.of_session(&other, at(5)).is_some());
        // Over a restart, too: the key is the database's.
        let again = Access::open(&store, [2; SECRET]).await;
        assert!(again.of_session(&other, at(5)).is_some());
        store.remove_token("ops").await.unwrap();
        again.renew(&store).await.unwrap();
        assert_eq!(again.of_session(&other, at(6)), None);
    }

    #[tokio::test]
    async fn lesson_cve_2022_23131_a_cookie_is_believed_only_with_its_signature() {
        let (store, token) = store_with(Role::Read, None).await;
        let access = Access::open(&store, [1; SECRET]).await;
        let session = access.session(&token, at(0)).unwrap();
        let (body, signature) = session.rsplit_once('.').unwrap();
        let id = body.split('.').next().unwrap();
        let later = format!("{id}.{}.{signature}", at(1_000_000).as_millisecond());
        for forged in [&*later, body, &format!("{body}."), &format!("{body}.{}", "0".repeat(64)), "", "a.b.c"]
        {
            assert_eq!(access.of_session(forged, at(1)), None, "{forged}");
        }
    }

    #[test]
    fn names_are_plain() {
        for bad in ["", "a b", "a\n", "käse", &"x".repeat(61)] {
            assert_eq!(new_token(bad, Role::Read, [0; SECRET], at(0), None).unwrap_err(), BadName, "{bad}");
        }
    }
}
