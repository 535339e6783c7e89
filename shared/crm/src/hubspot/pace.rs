//! Staying within `HubSpot`'s limits by what its answers tell of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lead::{Failure, FailureClass};
use outbound::Reply;
use tokio::time::Instant;

use super::DEPENDENCY;
use super::errors::{Meaning, Refused};

/// Below this part of the window's calls, calls are spread over the window.
const LOW: u64 = 10;
/// The longest pause before one call.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// The longest wait for the limit of the day: a probe is cheap, and the account's clock may differ from what is known of it.
const MAX_DAILY_WAIT: Duration = Duration::from_hours(1);
/// The longest wait for any other refusal, whatever the answer says: limits of seconds are over by then.
const MAX_WAIT: Duration = Duration::from_mins(10);
/// The shortest wait: leads that wait for nothing would come at once, again and again.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// How long the account's distance from UTC is used before it is read again: it changes with daylight saving.
const OFFSET_TTL: SignedDuration = SignedDuration::from_hours(1);
/// The least time from one question for it to the next.
const OFFSET_RETRY: SignedDuration = SignedDuration::from_mins(1);
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
    /// The account's distance from UTC, in milliseconds; none until it was read.
    utc_offset: Option<i64>,
    /// When it was last asked for.
    offset_asked_at: Option<Timestamp>,
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

    /// Notes a limit that was reached: no call is made before it is over. For the day's limit that is midnight where the
    /// account is, or an hour, whichever is sooner.
    pub(super) fn close(&self, refused: Refused, now: Timestamp) -> Refused {
        if refused.failure.class != FailureClass::Deferral {
            return refused;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = refused.failure.retry_after;
        let wait = match refused.meaning {
            Meaning::DailyQuota => {
                let midnight = || until_midnight(now, state.utc_offset.unwrap_or_default());
                asked.unwrap_or_else(midnight).clamp(MIN_WAIT, MAX_DAILY_WAIT)
            }
            _ => asked.unwrap_or_default().clamp(MIN_WAIT, MAX_WAIT),
        };
        let failure = Failure { retry_after: Some(wait), ..refused.failure }.on(DEPENDENCY);
        if matches!(refused.meaning, Meaning::DailyQuota | Meaning::RateLimit) {
            let wait = SignedDuration::try_from(wait).unwrap_or_default();
            let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
            state.closed = Some((until, failure.clone()));
        }
        Refused { failure, ..refused }
    }

    /// Whether the account's distance from UTC is to be read now. True at most once a minute; `at_limit` where the day's
    /// limit was just met, and what is known counts as old.
    pub(super) fn is_offset_due(&self, now: Timestamp, at_limit: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ttl = if state.utc_offset.is_some() && !at_limit { OFFSET_TTL } else { OFFSET_RETRY };
        let due = state.offset_asked_at.is_none_or(|asked_at| now.duration_since(asked_at) >= ttl);
        if due {
            state.offset_asked_at = Some(now);
        }
        due
    }

    /// Notes the account's distance from UTC, in milliseconds. One of more than a day is none.
    pub(super) fn set_utc_offset(&self, millis: i64) {
        if millis.unsigned_abs() < DAY.unsigned_abs() {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).utc_offset = Some(millis);
        }
    }
}

const DAY: i64 = 86_400_000;

/// Until the account's day ends, and a minute more.
fn until_midnight(now: Timestamp, utc_offset: i64) -> Duration {
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
        let failure = Failure::deferral(DEPENDENCY, "crm_rate_limited", "too many", wait);
        pace.close(Refused { meaning: Meaning::RateLimit, ..failure.into() }, now);
        let early = pace.turn(now + SignedDuration::from_secs(4)).await.unwrap_err();
        assert_eq!(early.retry_after, Some(Duration::from_secs(6)));
        assert!(pace.turn(now + SignedDuration::from_secs(10)).await.is_ok());
    }

    #[test]
    fn daily_limit_is_waited_for_no_longer_than_an_hour() {
        let daily = |wait| Refused {
            meaning: Meaning::DailyQuota,
            ..Failure::deferral(DEPENDENCY, "crm_daily_quota", "used up", wait).into()
        };
        let at = |time: &str| -> Timestamp { time.parse().unwrap() };
        let wait = |pace: &Pace, time, asked| pace.close(daily(asked), at(time)).failure.retry_after.unwrap();
        let pace = Pace::default();
        assert_eq!(wait(&pace, "2026-01-01T12:00:00Z", None), MAX_DAILY_WAIT, "nothing is known");
        pace.set_utc_offset(-5 * 3_600_000);
        assert_eq!(wait(&pace, "2026-01-01T04:50:00Z", None), Duration::from_mins(11));
        assert_eq!(wait(&pace, "2026-01-01T05:01:00Z", None), MAX_DAILY_WAIT, "never a day more");
        assert_eq!(wait(&pace, "2026-01-01T05:01:00Z", Some(Duration::from_hours(20))), MAX_DAILY_WAIT);
    }

    #[test]
    fn offset_is_read_again_hourly_at_limits_and_after_failures() {
        let (pace, start) = (Pace::default(), Timestamp::UNIX_EPOCH);
        let after = |minutes| start + SignedDuration::from_mins(minutes);
        assert!(pace.is_offset_due(start, false));
        assert!(!pace.is_offset_due(start, false), "it is being asked for");
        assert!(pace.is_offset_due(after(1), false), "the first question failed");
        pace.set_utc_offset(0);
        assert!(!pace.is_offset_due(after(30), false));
        assert!(pace.is_offset_due(after(31), true), "the limit of the day was met");
        assert!(pace.is_offset_due(after(91), false), "the clocks may have changed");
    }
}
