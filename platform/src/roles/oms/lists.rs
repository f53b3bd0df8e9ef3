//! What the stores are asked about, in Redis alone: new orders, orders a store has taken, pickup codes on
//! their way to the order service. Each step is one script, so that an order is in one place at a time and
//! no repetition moves it twice.

use std::sync::Arc;

use redis::Cmd;
use serde_json::{Value, json};

use super::super::cache::Redis;
use super::super::failure::Failure;
use super::super::push::CHANNEL;
use crate::clock;

/// Orders shown to a store at once; the next show when these are taken.
const SHOWN: i64 = 200;
/// How long an order that is done is remembered, for messages and calls that come twice.
const REMEMBERED_S: u64 = 600;

const ARRIVE: &str = "
    if redis.call('EXISTS', KEYS[4]) == 1 or redis.call('ZSCORE', KEYS[2], ARGV[1])
        or redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 0 end
    return redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])";
const TAKE: &str = "
    if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) return 1 end
    if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 1 end
    return 0";
const READY: &str = "
    local was = redis.call('ZREM', KEYS[1], ARGV[1]) + redis.call('ZREM', KEYS[2], ARGV[1])
    if redis.call('EXISTS', KEYS[4]) == 1 or redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 1 end
    if was == 0 then return 0 end
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
    redis.call('ZADD', KEYS[5], ARGV[2], ARGV[1])
    return 1";
const DUE: &str = "
    local due = {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
        redis.call('ZADD', KEYS[2], 'XX', ARGV[2], id)
        due[#due + 1] = id
        due[#due + 1] = redis.call('HGET', KEYS[1], id)
    end
    return due";
const FINISH: &str = "
    redis.call('SET', KEYS[3], '1', 'EX', ARGV[2])
    redis.call('HDEL', KEYS[1], ARGV[1])
    return redis.call('ZREM', KEYS[2], ARGV[1])";

const PICKUPS: &str = "pickups";
const PICKUPS_DUE: &str = "pickups:due";

#[derive(Clone)]
pub(super) struct Lists {
    redis: Arc<Redis>,
}

/// The new orders of a store, by the time they came.
fn new_key(store: i64) -> String {
    format!("store:{store}:new")
}

/// Those its kitchen works on.
fn taken_key(store: i64) -> String {
    format!("store:{store}:taken")
}

fn done_key(order: i64) -> String {
    format!("done:{order}")
}

impl Lists {
    pub(super) fn new(redis: Arc<Redis>) -> Self {
        Self { redis }
    }

    /// Onto the list of its store, unless it was there before. The store is told, if it listens.
    pub(super) async fn arrive(&self, store: i64, order: i64) -> Result<(), Failure> {
        let mut script = script(ARRIVE, &[new_key(store), taken_key(store), PICKUPS.into(), done_key(order)]);
        let is_new: i64 = self.redis.ask(script.arg(order).arg(clock::unix_ms())).await?;
        if is_new == 1 {
            self.push(&json!({ "store": store, "order": order })).await;
        }
        Ok(())
    }

    /// To whoever listens. It may get lost: the store also asks, the phone can refresh.
    pub(super) async fn push(&self, word: &Value) {
        self.redis.ask::<i64>(redis::cmd("PUBLISH").arg(CHANNEL).arg(word.to_string())).await.ok();
    }

    /// New orders, and those taken whose pickup code has not come.
    pub(super) async fn of(&self, store: i64) -> Result<(Vec<i64>, Vec<i64>), Failure> {
        let range = |key: String| {
            let mut command = redis::cmd("ZRANGE");
            command.arg(key).arg(0).arg(SHOWN - 1);
            command
        };
        let (new, taken) = (range(new_key(store)), range(taken_key(store)));
        tokio::try_join!(self.redis.ask(&new), self.redis.ask(&taken))
    }

    /// Whether the store has it now. Asking again after a lost answer is no error.
    pub(super) async fn take(&self, store: i64, order: i64) -> Result<bool, Failure> {
        let mut script = script(TAKE, &[new_key(store), taken_key(store)]);
        self.redis.ask(script.arg(order).arg(clock::unix_ms())).await
    }

    /// Keeps the pickup code until the order service has it. False for an order that store never had.
    pub(super) async fn ready(&self, store: i64, order: i64, code: &str) -> Result<bool, Failure> {
        let keys = [new_key(store), taken_key(store), PICKUPS.into(), done_key(order), PICKUPS_DUE.into()];
        let mut script = script(READY, &keys);
        self.redis.ask(script.arg(order).arg(clock::unix_ms()).arg(code)).await
    }

    /// Some pickup codes that are due. They are due again after `pause_ms`, unless finished by then.
    pub(super) async fn due(&self, pause_ms: u64, most: usize) -> Result<Vec<(i64, String)>, Failure> {
        let now = clock::unix_ms();
        let mut script = script(DUE, &[PICKUPS.into(), PICKUPS_DUE.into()]);
        self.redis.ask(script.arg(now).arg(now + pause_ms).arg(most)).await
    }

    /// The order service has the code.
    pub(super) async fn finish(&self, order: i64) -> Result<(), Failure> {
        let mut script = script(FINISH, &[PICKUPS.into(), PICKUPS_DUE.into(), done_key(order)]);
        self.redis.ask(script.arg(order).arg(REMEMBERED_S)).await
    }
}

fn script(text: &str, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len()).arg(keys);
    command
}
