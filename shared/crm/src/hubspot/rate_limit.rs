//! Client-side rate limiting, driven by the limits that `HubSpot`'s replies report.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_client::Reply;
use jiff::{SignedDuration, Timestamp};
use lead::{Failure, FailureClass};
use tokio::time::Instant;

use super::DEPENDENCY;
use super::errors::{Refusal, RefusalKind};

/// The share of the reported limit that this process uses, in percent. The rest is for other applications of
/// the customer, and for calls that arrive later than they were sent.
const SHARE: u64 = 90;
/// The limit until a reply reports one: that of the smallest edition.
const DEFAULT_WINDOW: (u64, u64) = (10_000, 100);
/// The longest wait of a call for its turn. A call that would wait longer is deferred, with its leads.
const MAX_TURN_WAIT: Duration = Duration::from_secs(8);
/// The longest wait for the daily quota: a probe is cheap, and the known UTC offset of the account may be
/// wrong.
const MAX_DAILY_WAIT: Duration = Duration::from_hours(1);
/// The longest wait after any other refusal, whatever the reply says: limits counted in seconds are over by
/// then.
const MAX_WAIT: Duration = Duration::from_mins(10);
/// The shortest wait. With none, deferred leads would be retried in a busy loop.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// How long the account's UTC offset is cached. Daylight saving changes it.
const OFFSET_TTL: SignedDuration = SignedDuration::from_hours(1);
/// The minimum time between two attempts to read the UTC offset.
const OFFSET_RETRY: SignedDuration = SignedDuration::from_mins(1);
/// The interval between two searches. `HubSpot` allows four to five a second per token and reports no usage
/// for them.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);

/// The state of the account's rate limits, and the pace of this process's calls.
///
/// Other apps and processes share some of the limits, so their usage is derived from `HubSpot`'s replies.
#[derive(Default)]
pub(super) struct RateLimit {
    state: Mutex<State>,
    /// The earliest time of the next search. Locked while a search waits for it.
    next_search: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    /// The times of this process's calls in the current window, in order. They may be in the future.
    calls: VecDeque<Timestamp>,
    /// The number of turns that have come and whose call was not made yet.
    reserved: u32,
    window: Option<Window>,
    /// The end of the current pause, and the failure of calls until then.
    pause: Option<(Timestamp, Failure)>,
    /// The account's UTC offset in milliseconds, once it has been read.
    utc_offset: Option<i64>,
    /// The time of the last attempt to read the offset.
    offset_read_at: Option<Timestamp>,
}

/// The burst limit as of one reply.
#[derive(Clone, Copy, Debug)]
struct Window {
    at: Timestamp,
    millis: u64,
    max: u64,
    /// The calls of others in the window.
    others: u64,
}

impl Window {
    /// `own` is the number of this process's calls in the window.
    fn from_headers(reply: &Reply, at: Timestamp, own: u64) -> Option<Self> {
        let header = |name: &str| reply.header(name)?.trim().parse::<u64>().ok();
        let max = header("x-hubspot-ratelimit-max")?.max(1);
        let remaining = header("x-hubspot-ratelimit-remaining")?;
        Some(Self {
            at,
            millis: header("x-hubspot-ratelimit-interval-milliseconds")?.clamp(1, 60_000),
            max,
            others: max.saturating_sub(remaining).saturating_sub(own),
        })
    }
}

impl State {
    /// The length of the window in milliseconds, its limit, and the calls of others in it.
    fn limit(&self, now: Timestamp) -> (u64, u64, u64) {
        let Some(window) = self.window else { return (DEFAULT_WINDOW.0, DEFAULT_WINDOW.1, 0) };
        let age = u64::try_from(now.duration_since(window.at).as_millis()).unwrap_or_default();
        (window.millis, window.max, if age < window.millis { window.others } else { 0 })
    }

    /// Reserves the next turn for a call. A fifth of the share leaves at once, and the other calls are spread
    /// evenly. The more leave at once, the longer the last ones wait until these have left the window.
    fn next_turn(&mut self, now: Timestamp) -> Result<Duration, Failure> {
        let (millis, max, others) = self.limit(now);
        let ago = |millis| SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        while self.calls.front().is_some_and(|call| now.duration_since(*call) >= ago(millis)) {
            self.calls.pop_front();
        }
        let share = (max * SHARE / 100).saturating_sub(others).max(1);
        let own = u64::try_from(self.calls.len()).unwrap_or(u64::MAX);
        let mut turn = now;
        if own >= share.div_ceil(5) {
            let spacing = ago(millis / share);
            let last = self.calls.back().copied().unwrap_or(now);
            turn = turn.max(last.saturating_add(spacing).unwrap_or(Timestamp::MAX));
        }
        if own >= share {
            // The call that leaves the window before this one enters it.
            let index = self.calls.len().saturating_sub(usize::try_from(share).unwrap_or(usize::MAX));
            let leaving = self.calls.get(index).copied().unwrap_or(now);
            turn = turn.max(leaving.saturating_add(ago(millis)).unwrap_or(Timestamp::MAX));
        }
        let wait = Duration::try_from(turn.duration_since(now)).unwrap_or_default();
        if wait > MAX_TURN_WAIT {
            let message = "too many calls in ten seconds: the next one has to wait";
            return Err(Failure::deferral(DEPENDENCY, "crm_rate_limited", message, Some(wait)));
        }
        self.calls.push_back(turn);
        Ok(wait)
    }
}

impl RateLimit {
    /// Waits for the turn of a call that is about to be made, as [`wait`](Self::wait) does. The next call has
    /// the turn. Without a turn, that call fails.
    pub(super) async fn reserve(&self, now: Timestamp) {
        if self.wait(now).await.is_ok() {
            self.lock().reserved += 1;
        }
    }

    /// Waits for the turn of a call, at most [`MAX_TURN_WAIT`]. Fails immediately if that is not enough, and
    /// during a pause that [`Self::apply`] started.
    pub(super) async fn wait(&self, now: Timestamp) -> Result<(), Failure> {
        let wait = {
            let mut state = self.lock();
            if let Some((until, failure)) = &state.pause {
                if now < *until {
                    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    return Err(failure.clone().probed_after(left));
                }
                state.pause = None;
            }
            state.next_turn(now)?
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// As [`wait`](Self::wait), but uses a reserved turn if there is one.
    pub(super) async fn wait_or_use_reserved(&self, now: Timestamp) -> Result<(), Failure> {
        let is_reserved = {
            let mut state = self.lock();
            let is_paused = state.pause.as_ref().is_some_and(|(until, _)| now < *until);
            let is_reserved = state.reserved > 0 && !is_paused;
            state.reserved -= u32::from(is_reserved);
            is_reserved
        };
        if is_reserved { Ok(()) } else { self.wait(now).await }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the search limit allows another search.
    pub(super) async fn wait_to_search(&self) {
        let mut next = self.next_search.lock().await;
        if let Some(next) = *next {
            tokio::time::sleep_until(next).await;
        }
        *next = Some(Instant::now() + SEARCH_INTERVAL);
    }

    /// Records the limits that a reply reports.
    pub(super) fn observe(&self, reply: &Reply, now: Timestamp) {
        let mut state = self.lock();
        let own = state.calls.iter().filter(|call| **call <= now).count();
        if let Some(window) = Window::from_headers(reply, now, u64::try_from(own).unwrap_or(u64::MAX)) {
            state.window = Some(window);
        }
    }

    /// Bounds the wait of a deferral, and pauses all calls for that long if a rate limit was reached.
    ///
    /// The daily quota pauses calls until the account's midnight, at most for [`MAX_DAILY_WAIT`].
    pub(super) fn apply(&self, refused: Refusal, now: Timestamp) -> Refusal {
        if refused.failure.class() != FailureClass::Deferral {
            return refused;
        }
        let mut state = self.lock();
        let requested = refused.failure.retry_after();
        let wait = match refused.kind {
            RefusalKind::DailyQuota => {
                let midnight = || until_midnight(now, state.utc_offset.unwrap_or_default());
                requested.unwrap_or_else(midnight).clamp(MIN_WAIT, MAX_DAILY_WAIT)
            }
            _ => requested.unwrap_or_default().clamp(MIN_WAIT, MAX_WAIT),
        };
        let failure = refused.failure.probed_after(wait).on(DEPENDENCY);
        if matches!(refused.kind, RefusalKind::DailyQuota | RefusalKind::RateLimit) {
            let wait = SignedDuration::try_from(wait).unwrap_or_default();
            let until = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
            state.pause = Some((until, failure.clone()));
        }
        Refusal { failure, ..refused }
    }

    /// Whether the account's UTC offset should be read now; true at most once per [`OFFSET_RETRY`].
    ///
    /// `at_limit` says that the daily quota was just reached, so a known offset may be outdated.
    pub(super) fn is_offset_due(&self, now: Timestamp, at_limit: bool) -> bool {
        let mut state = self.lock();
        let ttl = if state.utc_offset.is_some() && !at_limit { OFFSET_TTL } else { OFFSET_RETRY };
        let due = state.offset_read_at.is_none_or(|read_at| now.duration_since(read_at) >= ttl);
        if due {
            state.offset_read_at = Some(now);
        }
        due
    }

    /// Stores the account's UTC offset in milliseconds. An offset of a day or more is invalid and ignored.
    pub(super) fn set_utc_offset(&self, millis: i64) {
        if millis.unsigned_abs() < DAY.unsigned_abs() {
            self.lock().utc_offset = Some(millis);
        }
    }
}

const DAY: i64 = 86_400_000;

/// The time until a minute after the account's midnight. `utc_offset` is in milliseconds.
fn until_midnight(now: Timestamp, utc_offset: i64) -> Duration {
    let left = DAY - (now.as_millisecond() + utc_offset).rem_euclid(DAY);
    Duration::from_millis(left.unsigned_abs()) + Duration::from_mins(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(max: u64, others: u64) -> Window {
        Window { at: Timestamp::UNIX_EPOCH, millis: 10_000, max, others }
    }

    /// The times of the calls of a process that always has another call to make, in milliseconds.
    fn turns(state: &mut State, calls: usize) -> Vec<i64> {
        let mut now = Timestamp::UNIX_EPOCH;
        let turn = |_| loop {
            match state.next_turn(now) {
                Ok(wait) => return (now + wait).as_millisecond(),
                Err(deferred) => now += deferred.retry_after().unwrap(),
            }
        };
        (0..calls).map(turn).collect()
    }

    #[test]
    fn calls_leave_at_once_and_are_spread_before_the_limit() {
        let mut state = State { window: Some(window(100, 0)), ..State::default() };
        let turns = turns(&mut state, 1_000);
        assert_eq!(turns[..19], [[0; 18].as_slice(), &[111]].concat()[..]);
        let busiest =
            turns.iter().map(|from| turns.iter().filter(|at| (*from..from + 10_000).contains(at)).count());
        assert_eq!(busiest.max(), Some(90), "a tenth is left to other applications");
        assert!(turns[999] < 115_000, "{} ms for a thousand calls", turns[999]);
    }

    #[test]
    fn calls_of_other_applications_leave_less() {
        let mut state = State { window: Some(window(100, 70)), ..State::default() };
        assert_eq!(turns(&mut state, 11)[10], 3_500);
        let mut state = State { window: Some(window(1, 1)), ..State::default() };
        assert_eq!(state.next_turn(Timestamp::UNIX_EPOCH).unwrap(), Duration::ZERO);
        let deferred = state.next_turn(Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(
            (deferred.code.as_ref(), deferred.retry_after()),
            ("crm_rate_limited", Some(Duration::from_secs(10)))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn searches_are_limited_to_four_a_second() {
        let limit = RateLimit::default();
        let start = Instant::now();
        let mut released = Vec::new();
        for _ in 0..6 {
            limit.wait_to_search().await;
            released.push(start.elapsed().as_millis());
        }
        assert_eq!(released, [0, 250, 500, 750, 1_000, 1_250]);
    }

    #[test]
    fn day_ends_at_midnight_in_the_accounts_time_zone() {
        let noon = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(until_midnight(noon, 0), Duration::from_secs(12 * 3600 + 60));
        assert_eq!(until_midnight(noon, -5 * 3_600_000), Duration::from_secs(17 * 3600 + 60));
        assert_eq!(until_midnight(noon, 12 * 3_600_000), Duration::from_secs(24 * 3600 + 60));
    }

    #[tokio::test]
    async fn calls_are_refused_until_a_reached_limit_is_over() {
        let (limit, now) = (RateLimit::default(), Timestamp::UNIX_EPOCH);
        let wait = Some(Duration::from_secs(10));
        let failure = Failure::deferral(DEPENDENCY, "crm_rate_limited", "too many", wait);
        limit.apply(Refusal { kind: RefusalKind::RateLimit, ..failure.into() }, now);
        let early = limit.wait(now + SignedDuration::from_secs(4)).await.unwrap_err();
        assert_eq!(early.retry_after(), Some(Duration::from_secs(6)));
        assert!(limit.wait(now + SignedDuration::from_secs(10)).await.is_ok());
    }

    #[test]
    fn wait_for_the_daily_quota_is_at_most_an_hour() {
        let daily = |wait| Refusal {
            kind: RefusalKind::DailyQuota,
            ..Failure::deferral(DEPENDENCY, "crm_daily_quota", "used up", wait).into()
        };
        let at = |time: &str| -> Timestamp { time.parse().unwrap() };
        let wait = |limit: &RateLimit, time, requested| {
            limit.apply(daily(requested), at(time)).failure.retry_after().unwrap()
        };
        let limit = RateLimit::default();
        assert_eq!(wait(&limit, "2026-01-01T12:00:00Z", None), MAX_DAILY_WAIT, "the offset is unknown");
        limit.set_utc_offset(-5 * 3_600_000);
        assert_eq!(wait(&limit, "2026-01-01T04:50:00Z", None), Duration::from_mins(11));
        assert_eq!(wait(&limit, "2026-01-01T05:01:00Z", None), MAX_DAILY_WAIT, "not a whole day");
        assert_eq!(wait(&limit, "2026-01-01T05:01:00Z", Some(Duration::from_hours(20))), MAX_DAILY_WAIT);
    }

    #[test]
    fn offset_is_read_again_hourly_at_limits_and_after_failures() {
        let (limit, start) = (RateLimit::default(), Timestamp::UNIX_EPOCH);
        let after = |minutes| start + SignedDuration::from_mins(minutes);
        assert!(limit.is_offset_due(start, false));
        assert!(!limit.is_offset_due(start, false), "a read is in progress");
        assert!(limit.is_offset_due(after(1), false), "the first read failed");
        limit.set_utc_offset(0);
        assert!(!limit.is_offset_due(after(30), false));
        assert!(limit.is_offset_due(after(31), true), "the daily quota was reached");
        assert!(limit.is_offset_due(after(91), false), "daylight saving may have changed");
    }
}
