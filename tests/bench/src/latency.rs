use std::time::Duration;

/// Durations of requests.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// Milliseconds within which this share of the requests was answered, such as 0.99. NaN without requests.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a list")]
    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let index = ((self.0.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
        self.0.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_latency_of_that_share() {
        let mut latencies = Latencies::default();
        assert!(latencies.percentile(0.99).is_nan());
        (1..=100).rev().for_each(|millis| latencies.add(Duration::from_millis(millis)));
        let percentiles = [0.5, 0.99, 1.0].map(|share| format!("{:.0}", latencies.percentile(share)));
        assert_eq!(percentiles, ["50", "99", "100"]);
    }
}
