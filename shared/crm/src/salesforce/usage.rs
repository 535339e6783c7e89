use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::Failure;
use tokio::time::Instant;

use super::DEPENDENCY;
use super::errors::LIMIT_WAIT;

/// How long a reading at or above the threshold counts before it is refreshed. The limit covers a rolling 24
/// hours.
const EXCESS_TTL: Duration = Duration::from_mins(5);

/// The longest pause before one call.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The usage of the org's API calls in 24 hours, as last reported by Salesforce.
pub(super) struct Usage {
    percent: u8,
    last: Mutex<Option<Reading>>,
    /// Serialises the pauses between calls, so that the calls are spread.
    pause_lock: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Reading {
    used: u64,
    most: u64,
    at: Instant,
}

impl Usage {
    /// Leads wait at a usage of `percent` percent or more. Calls are spread from five sixths of that
    /// percentage.
    pub(super) fn new(percent: u8) -> Self {
        Self { percent, last: Mutex::new(None), pause_lock: tokio::sync::Mutex::new(()) }
    }

    /// Delays a call near the limit. Delays grow with the usage, and concurrent calls are delayed one after
    /// another.
    pub(super) async fn throttle(&self) {
        let pause = self.pause();
        if !pause.is_zero() {
            let _guard = self.pause_lock.lock().await;
            tokio::time::sleep(pause).await;
        }
    }

    fn pause(&self) -> Duration {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Reading { used, most, .. }) = last else { return Duration::ZERO };
        // The pause grows linearly from zero at five sixths of the threshold to its maximum at the threshold.
        let used = f64::from(u32::try_from(used).unwrap_or(u32::MAX));
        let threshold = f64::from(u32::try_from(most).unwrap_or(u32::MAX)) * f64::from(self.percent) / 100.0;
        let fraction = (6.0 * used / threshold.max(1.0) - 5.0).clamp(0.0, 1.0);
        MAX_PAUSE.mul_f64(fraction)
    }

    /// Records the usage in the header `Sforce-Limit-Info: api-usage=25/5000;
    /// per-app-api-usage=17/250(appName=..)`, which responses carry. A malformed header is ignored.
    pub(super) fn note_header(&self, header: &str) {
        let usage = header.split(';').find_map(|part| part.trim().strip_prefix("api-usage="));
        let numbers = usage.and_then(|usage| usage.trim().split_once('/'));
        if let Some((used, most)) = numbers
            && let (Ok(used), Ok(most)) = (used.parse(), most.parse())
        {
            self.note(used, most);
        }
    }

    pub(super) fn note(&self, used: u64, most: u64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Reading { used, most, at: Instant::now() });
    }

    /// The last reported usage as a text, if there is one.
    pub(super) fn summary(&self) -> Option<String> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|Reading { used, most, .. }| format!("{used} of {most} API calls in 24 hours used"))
    }

    /// Whether the last reading was at or above the threshold and is old enough to be refreshed.
    pub(super) fn is_due(&self) -> bool {
        self.excess().is_some_and(|reading| reading.at.elapsed() >= EXCESS_TTL)
    }

    /// Fails with a deferral if the last reading was at or above the threshold.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(Reading { used, most, .. }) = self.excess() else { return Ok(()) };
        let message = format!("{used} of the {most} API calls that the org has in 24 hours are used");
        Err(Failure::deferral(DEPENDENCY, "crm_api_limit_near", message, Some(LIMIT_WAIT)))
    }

    fn excess(&self) -> Option<Reading> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|reading| {
            u128::from(reading.used) * 100 >= u128::from(reading.most) * u128::from(self.percent)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spread_more_the_closer_the_limit_is() {
        let usage = Usage::new(90);
        let mut waited = Vec::new();
        for (used, most) in [(0, 0), (3_750, 5_000), (4_125, 5_000), (4_500, 5_000), (5_000, 5_000)] {
            usage.note(used, most);
            let start = Instant::now();
            tokio::join!(usage.throttle(), usage.throttle());
            waited.push(start.elapsed().as_millis());
        }
        // The second of two concurrent calls waits for the first.
        assert_eq!(waited, [0, 0, 1_000, 2_000, 2_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn leads_wait_at_the_threshold_until_usage_is_read_again() {
        let usage = Usage::new(90);
        assert_eq!(usage.summary(), None);
        usage.note_header("api-usage=4499/5000; per-app-api-usage=17/250(appName=x)");
        usage.check().unwrap();
        assert_eq!(usage.summary().as_deref(), Some("4499 of 5000 API calls in 24 hours used"));
        usage.note_header("api-usage=4500/5000");
        assert_eq!(usage.check().unwrap_err().code, "crm_api_limit_near");
        assert!(!usage.is_due());
        tokio::time::advance(EXCESS_TTL).await;
        assert!(usage.is_due());
        usage.note_header("nonsense");
        assert!(usage.check().is_err(), "a malformed header is ignored");
        usage.note_header("per-app-api-usage=1/2(appName=x); api-usage=10/5000");
        usage.check().unwrap();
    }
}
