//! How much a receiver is sent: never more than its limits in any span, wherever that begins. Pure.

use std::time::Duration;

use topology::alerting::Limit;

/// How long to wait before the next message, given when the latest ones were sent (Unix milliseconds,
/// ascending).
pub(crate) fn wait(sent: &[i64], limits: &[Limit], now: i64) -> Duration {
    let of = |limit: &Limit| {
        let most = limit.messages as usize;
        // The one that must have left the span before another may enter.
        let Some(blocking) = sent.len().checked_sub(most).map(|i| sent[i]) else { return 0 };
        (blocking + millis(limit.per) - now).max(0)
    };
    let longest = limits.iter().map(of).max().unwrap_or(0);
    Duration::from_millis(u64::try_from(longest).unwrap_or(0))
}

/// How many messages may be sent at once now; `None` when nothing limits them.
pub(crate) fn room(sent: &[i64], limits: &[Limit], now: i64) -> Option<usize> {
    let of = |limit: &Limit| {
        let inside = sent.iter().filter(|at| **at > now - millis(limit.per)).count();
        (limit.messages as usize).saturating_sub(inside)
    };
    limits.iter().map(of).min()
}

/// How many of the `waiting` messages go out together now. While there is ample room each goes alone; half
/// of it is kept for what comes next.
pub(crate) fn together(waiting: usize, room: Option<usize>, most: usize) -> usize {
    match room {
        Some(room) if waiting > room.div_ceil(2) => waiting.min(most),
        _ => 1,
    }
}

/// The longest span of `limits`, in milliseconds: what was sent before it does not matter.
pub(crate) fn reach(limits: &[Limit]) -> i64 {
    limits.iter().map(|limit| millis(limit.per)).max().unwrap_or(0)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(messages: u32, seconds: u64) -> Limit {
        Limit { messages, per: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_nineteenth_message_of_a_minute_waits_until_the_first_is_a_minute_old() {
        let sent: Vec<i64> = (0..18).map(|n| n * 100).collect();
        assert_eq!(wait(&sent[..17], &[limit(18, 60)], 1700), Duration::ZERO);
        assert_eq!(wait(&sent, &[limit(18, 60)], 1700), Duration::from_millis(58_300));
        assert_eq!(wait(&sent, &[limit(18, 60)], 60_000), Duration::ZERO);
        assert_eq!(wait(&sent, &[], 1700), Duration::ZERO);
    }

    #[test]
    fn a_storm_goes_out_in_few_and_a_single_message_alone() {
        assert_eq!(together(1, Some(1), 20), 1);
        assert_eq!(together(3, Some(18), 20), 1);
        assert_eq!(together(10, Some(18), 20), 10);
        assert_eq!(together(200, Some(18), 20), 20);
        assert_eq!(together(200, None, 20), 1);
    }

    proptest! {
        /// Whoever waits as told is never over a limit, in any span.
        #[test]
        fn no_span_ever_holds_more(pauses in prop::collection::vec(0..4000_i64, 1..200)) {
            let limits = [limit(4, 1), limit(18, 60)];
            let (mut now, mut sent) = (0_i64, Vec::<i64>::new());
            for pause in pauses {
                now += pause;
                now += i64::try_from(wait(&sent, &limits, now).as_millis()).unwrap();
                prop_assert!(room(&sent, &limits, now).unwrap() >= 1);
                sent.push(now);
            }
            for limit in limits {
                let per = i64::try_from(limit.per.as_millis()).unwrap();
                for (i, at) in sent.iter().enumerate() {
                    let inside = sent[i..].iter().filter(|later| **later < at + per).count();
                    prop_assert!(inside <= limit.messages as usize);
                }
            }
        }
    }
}
