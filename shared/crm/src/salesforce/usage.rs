use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::Failure;
use tokio::time::Instant;

use super::DEPENDENCY;
use super::errors::LIMIT_WAIT;

/// For how long a reading that says "too much" is believed before it is taken again. The limit is one of a rolling day.
const BELIEVED_FOR: Duration = Duration::from_mins(5);

/// The longest pause before one call.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How much of the org's calls in 24 hours is used, as far as we were told.
pub(super) struct Usage {
    percent: u8,
    last: Mutex<Option<Reading>>,
    /// Held by the one call that may go next while calls are spread.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Reading {
    used: u64,
    most: u64,
    at: Instant,
}

impl Usage {
    /// Leads wait from `percent` percent on, and calls are spread from five sixths of that on.
    pub(super) fn new(percent: u8) -> Self {
        Self { percent, last: Mutex::new(None), gate: tokio::sync::Mutex::new(()) }
    }

    /// Waits for the turn to call: not at all while there is room, then the longer the less is left, one call after the other.
    pub(super) async fn turn(&self) {
        let pause = self.pause();
        if !pause.is_zero() {
            let _turn = self.gate.lock().await;
            tokio::time::sleep(pause).await;
        }
    }

    fn pause(&self) -> Duration {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Reading { used, most, .. }) = last else { return Duration::ZERO };
        // In parts of the stretch from where calls are spread to where leads wait, which is a sixth of the percentage.
        let used = f64::from(u32::try_from(used).unwrap_or(u32::MAX));
        let until = f64::from(u32::try_from(most).unwrap_or(u32::MAX)) * f64::from(self.percent) / 100.0;
        let beyond = (6.0 * used / until.max(1.0) - 5.0).clamp(0.0, 1.0);
        MAX_PAUSE.mul_f64(beyond)
    }

    /// Takes note of `Sforce-Limit-Info: api-usage=25/5000; per-app-api-usage=17/250(appName=..)`, the only signal there is.
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

    /// What was last heard of it, in words; none where nothing was.
    pub(super) fn in_words(&self) -> Option<String> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|Reading { used, most, .. }| format!("{used} of {most} API calls in 24 hours used"))
    }

    /// Whether it was too much when last heard of, and whether that was so long ago that it should be asked again.
    pub(super) fn is_due(&self) -> bool {
        self.excess().is_some_and(|reading| reading.at.elapsed() >= BELIEVED_FOR)
    }

    /// Refuses to go on where it is too much.
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
    async fn calls_are_spread_the_more_the_nearer_the_limit_is() {
        let usage = Usage::new(90);
        let mut waited = Vec::new();
        for (used, most) in [(0, 0), (3_750, 5_000), (4_125, 5_000), (4_500, 5_000), (5_000, 5_000)] {
            usage.note(used, most);
            let start = Instant::now();
            tokio::join!(usage.turn(), usage.turn());
            waited.push(start.elapsed().as_millis());
        }
        // Of two calls at the same time the second waits for the first.
        assert_eq!(waited, [0, 0, 1_000, 2_000, 2_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn leads_wait_from_the_configured_share_on_and_it_is_asked_again_after_a_while() {
        let usage = Usage::new(90);
        assert_eq!(usage.in_words(), None);
        usage.note_header("api-usage=4499/5000; per-app-api-usage=17/250(appName=x)");
        usage.check().unwrap();
        assert_eq!(usage.in_words().as_deref(), Some("4499 of 5000 API calls in 24 hours used"));
        usage.note_header("api-usage=4500/5000");
        assert_eq!(usage.check().unwrap_err().code, "crm_api_limit_near");
        assert!(!usage.is_due());
        tokio::time::advance(BELIEVED_FOR).await;
        assert!(usage.is_due());
        usage.note_header("nonsense");
        assert!(usage.check().is_err(), "what cannot be read says nothing");
        usage.note_header("per-app-api-usage=1/2(appName=x); api-usage=10/5000");
        usage.check().unwrap();
    }
}
