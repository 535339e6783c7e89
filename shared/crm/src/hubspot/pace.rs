//! Staying within `HubSpot`'s limits by what its answers tell of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lead::{Failure, FailureClass};
use outbound::Reply;
use tokio::time::Instant;

use super::DEPENDENCY;
use super::errors::DAILY_QUOTA;

/// Below this part of the window's calls, calls are spread over the window.
const LOW: u64 = 10;
/// The longest pause before one call.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// From one search to the next: four in a second. An account takes four to five of one token, and its answers do not tell.
const SEARCH_EVERY: Duration = Duration::from_millis(250);

/// How close we are to the limits. Other apps and processes share some of them, so what counts is what `HubSpot` says.
#[derive(Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    /// Held by the one call that may go next while calls are spread.
    gate: tokio::sync::Mutex<()>,
    /// When the next search may go. Held by the one that waits for it.
    next_search: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    window: Option<Window>,
    /// Until when everything is refused anyway, and with what.
    closed: Option<(Timestamp, Failure)>,
    /// The account's distance from UTC, in milliseconds.
    utc_offset: i64,
}

/// What the last answer told.
#[derive(Clone, Copy, Debug)]
struct Window {
    at: Timestamp,
    millis: u64,
    max: u64,
    remaining: u64,
}

impl Window {
    fn told_by(reply: &Reply, at: Timestamp) -> Option<Self> {
        let header = |name: &str| reply.header(name)?.trim().parse::<u64>().ok();
        Some(Self {
            at,
            millis: header("x-hubspot-ratelimit-interval-milliseconds")?.clamp(1, 60_000),
            max: header("x-hubspot-ratelimit-max")?.max(1),
            remaining: header("x-hubspot-ratelimit-remaining")?,
        })
    }

    /// What every call waits for its turn: nothing while there is room, then as long that the window's calls would last
    /// twice the window, since others make calls too.
    fn pause(&self, now: Timestamp) -> Duration {
        let age = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or_default();
        if age >= self.millis || self.remaining * LOW > self.max {
            return Duration::ZERO;
        }
        Duration::from_millis(2 * self.millis / self.max).min(MAX_PAUSE)
    }
}

impl Pace {
    /// Waits for our turn, a little; refuses at once what `HubSpot` would refuse.
    pub(super) async fn turn(&self, now: Timestamp) -> Result<(), Failure> {
        let pause = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((until, failure)) = &state.closed {
                if now < *until {
                    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    return Err(Failure { retry_after: Some(left), ..failure.clone() });
                }
                state.closed = None;
            }
            state.window.map(|window| window.pause(now)).unwrap_or_default()
        };
        if !pause.is_zero() {
            let _turn = self.gate.lock().await;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Waits until one more search fits into the second.
    pub(super) async fn turn_to_search(&self) {
        let mut next = self.next_search.lock().await;
        if let Some(next) = *next {
            tokio::time::sleep_until(next).await;
        }
        *next = Some(Instant::now() + SEARCH_EVERY);
    }

    /// Takes note of what an answer tells.
    pub(super) fn note(&self, reply: &Reply, now: Timestamp) {
        if let Some(window) = Window::told_by(reply, now) {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).window = Some(window);
        }
    }

    /// Takes note of a limit that was reached: nobody asks again before it is over. For the day's limit that is midnight
    /// where the account is.
    pub(super) fn close(&self, failure: Failure, now: Timestamp) -> Failure {
        if failure.class != FailureClass::Deferral {
            return failure;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = if failure.code == DAILY_QUOTA && failure.retry_after.is_none() {
            until_midnight(now, state.utc_offset)
        } else {
            failure.retry_after.unwrap_or_default()
        };
        let failure = Failure { retry_after: Some(wait), ..failure }.on(DEPENDENCY);
        let is_limit = matches!(failure.code.as_ref(), DAILY_QUOTA | "crm_rate_limited");
        if is_limit {
            let wait = SignedDuration::try_from(wait).unwrap_or_default();
            let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
            state.closed = Some((until, failure.clone()));
        }
        failure
    }

    pub(super) fn set_utc_offset(&self, millis: i64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).utc_offset = millis;
    }
}

/// Until the account's day ends, and a minute more.
fn until_midnight(now: Timestamp, utc_offset: i64) -> Duration {
    const DAY: i64 = 86_400_000;
    let left = DAY - (now.as_millisecond() + utc_offset).rem_euclid(DAY);
    Duration::from_millis(left.unsigned_abs()) + Duration::from_mins(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(remaining: u64) -> Window {
        Window { at: Timestamp::UNIX_EPOCH, millis: 10_000, max: 190, remaining }
    }

    #[test]
    fn calls_are_spread_before_the_limit_is_reached_and_no_longer_than_the_window() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(window(20).pause(at(1)), Duration::ZERO);
        assert_eq!(window(19).pause(at(1)), Duration::from_millis(105));
        assert_eq!(window(0).pause(at(9_999)), Duration::from_millis(105));
        assert_eq!(window(0).pause(at(10_000)), Duration::ZERO);
        let tiny = Window { max: 1, ..window(0) };
        assert_eq!(tiny.pause(at(1)), MAX_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_four_searches() {
        let pace = Pace::default();
        let start = Instant::now();
        let mut let_go = Vec::new();
        for _ in 0..6 {
            pace.turn_to_search().await;
            let_go.push(start.elapsed().as_millis());
        }
        assert_eq!(let_go, [0, 250, 500, 750, 1_000, 1_250]);
    }

    #[test]
    fn the_day_ends_where_the_account_is() {
        let noon = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(until_midnight(noon, 0), Duration::from_secs(12 * 3600 + 60));
        assert_eq!(until_midnight(noon, -5 * 3_600_000), Duration::from_secs(17 * 3600 + 60));
        assert_eq!(until_midnight(noon, 12 * 3_600_000), Duration::from_secs(24 * 3600 + 60));
    }

    #[tokio::test]
    async fn after_a_limit_was_reached_nobody_asks_until_it_is_over() {
        let (pace, now) = (Pace::default(), Timestamp::UNIX_EPOCH);
        let wait = Some(Duration::from_secs(10));
        pace.close(Failure::deferral(DEPENDENCY, "crm_rate_limited", "too many", wait), now);
        let early = pace.turn(now + SignedDuration::from_secs(4)).await.unwrap_err();
        assert_eq!(early.retry_after, Some(Duration::from_secs(6)));
        assert!(pace.turn(now + SignedDuration::from_secs(10)).await.is_ok());
    }
}
