//! The time that is left for a request, handed down from the gateway to the last database: nobody works for
//! a customer who has given up. What runs beside a request (a consumer, a publisher) has no deadline here.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::failure::Failure;
use crate::clock;

/// How long the caller still waits, in milliseconds.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-deadline-ms");
/// Less is not worth beginning anything.
const LEAST: Duration = Duration::from_millis(5);
/// A caller that says more is not believed.
const MOST_MS: u64 = 60_000;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The deadline that a request brings along.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    text.parse().ok().map(|ms: u64| Duration::from_millis(ms.min(MOST_MS)))
}

pub(super) fn write(left: Duration) -> HeaderValue {
    HeaderValue::from(left.as_millis() as u64)
}

/// Does the work of a request that has this long.
pub(super) async fn within<T>(left: Option<Duration>, work: impl Future<Output = T>) -> T {
    match left {
        Some(left) => DEADLINE.scope(clock::now() + left, work).await,
        None => work.await,
    }
}

/// That limit, or what is left when that is less.
pub(super) fn cap(limit: Duration) -> Result<Duration, Failure> {
    let left = DEADLINE.try_with(|at| at.saturating_duration_since(clock::now())).unwrap_or(limit);
    if left < LEAST { Err(Failure::Late) } else { Ok(left.min(limit)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_is_cut_to_what_is_left_and_work_without_time_is_not_begun() {
        let second = Duration::from_secs(1);
        assert_eq!(cap(second), Ok(second), "no deadline");
        within(Some(Duration::from_millis(300)), async {
            assert!(cap(second).unwrap() <= Duration::from_millis(300));
            assert_eq!(cap(Duration::from_millis(10)).unwrap(), Duration::from_millis(10));
        })
        .await;
        within(Some(Duration::from_millis(1)), async { assert_eq!(cap(second), Err(Failure::Late)) }).await;
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), None);
        headers.insert(HEADER, write(Duration::from_millis(650)));
        assert_eq!(read(&headers), Some(Duration::from_millis(650)));
    }
}
