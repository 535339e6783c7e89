//! The summary of a campaign: counts, latencies, and their output.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::campaign::Kind;
use super::sender::Outcome;
use crate::command::table;
use crate::output;

/// Counts and latencies of the finished posts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) posts: u64,
    pub(super) leads_acknowledged: u64,
    pub(super) not_acknowledged: u64,
    pub(super) retries: u64,
    answers: BTreeMap<Cow<'static, str>, u64>,
    /// Latencies of the acknowledged posts in microseconds, at most 71 minutes each. All are kept, so that
    /// percentiles are exact.
    latencies: Vec<u32>,
}

/// The summary of a campaign, as JSON for programs.
#[derive(Serialize)]
pub(super) struct Summary {
    leads: u32,
    leads_acknowledged: u64,
    posts: u64,
    posts_not_acknowledged: u64,
    /// Posts that were not made, because the campaign ended early.
    posts_not_made: u64,
    retries: u64,
    answers: BTreeMap<Cow<'static, str>, u64>,
    seconds: f64,
    posts_per_second: f64,
    latency: Option<Latency>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    /// The start of a latency: the time at which a post was `due` or, without a rate, was `sent`.
    since: &'static str,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Tally {
    pub(super) fn add(&mut self, kind: Kind, outcome: Outcome, latency: Duration) {
        self.posts += 1;
        self.retries += u64::from(outcome.retries);
        *self.answers.entry(outcome.answer).or_default() += 1;
        if outcome.is_acknowledged {
            self.leads_acknowledged += u64::from(kind == Kind::First);
            self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        } else {
            self.not_acknowledged += 1;
        }
    }

    pub(super) fn summary(mut self, leads: u32, planned: u64, took: Duration, has_rate: bool) -> Summary {
        self.latencies.sort_unstable();
        let seconds = took.as_secs_f64();
        Summary {
            leads,
            leads_acknowledged: self.leads_acknowledged,
            posts: self.posts,
            posts_not_acknowledged: self.not_acknowledged,
            posts_not_made: planned.saturating_sub(self.posts),
            retries: self.retries,
            answers: self.answers,
            seconds: rounded(seconds, 3),
            posts_per_second: rounded(f64_of(self.posts) / seconds.max(0.001), 1),
            latency: latency(&self.latencies, has_rate),
        }
    }
}

/// The percentiles of sorted latencies in microseconds, or `None` without any.
fn latency(sorted: &[u32], has_rate: bool) -> Option<Latency> {
    let last = sorted.len().checked_sub(1)?;
    // Nearest-rank method: the smallest value with at least this share of all values at or below it.
    let at = |per_cent: usize| {
        let rank = (sorted.len() * per_cent).div_ceil(100).max(1) - 1;
        rounded(f64::from(sorted[rank]) / 1_000.0, 2)
    };
    let max_ms = rounded(f64::from(sorted[last]) / 1_000.0, 2);
    let since = if has_rate { "due" } else { "sent" };
    Some(Latency { since, p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms })
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn f64_of(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Summary {
    /// Whether every post was made and every one acknowledged.
    pub(super) fn is_complete(&self) -> bool {
        self.posts_not_acknowledged == 0 && self.posts_not_made == 0
    }

    pub(super) fn print(&self) {
        let acknowledged = format!("{} of {} leads acknowledged", self.leads_acknowledged, self.leads);
        output::line(&format!(
            "{acknowledged}, {} posts in {} s ({} a second)",
            self.posts, self.seconds, self.posts_per_second
        ));
        if self.retries > 0 {
            output::line(&format!("posted again {} times", self.retries));
        }
        if self.posts_not_made > 0 {
            output::line(&format!("{} posts were not made", self.posts_not_made));
        }
        output::line("");
        let rows = self.answers.iter().map(|(answer, posts)| [answer.to_string(), posts.to_string()]);
        table::print(["ANSWER", "POSTS"], &[], rows.collect());
        let Some(latency) = self.latency else { return };
        output::line("");
        let row =
            [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms].map(|ms| format!("{ms:.1} ms"));
        table::print(["P50", "P90", "P99", "MAX"], &[], vec![row]);
        output::note(match latency.since {
            "due" => "latencies count from the time a post was due, including the wait for a free connection",
            _ => "latencies count from the time a post was sent",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<u32> = (1..=100).map(|n| n * 1_000).collect();
        let expected = Latency { since: "due", p50_ms: 50.0, p90_ms: 90.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(latency(&hundred, true), Some(expected));
        let one = Latency { since: "sent", p50_ms: 7.0, p90_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 };
        assert_eq!(latency(&[7_000], false), Some(one));
        assert_eq!(latency(&[], true), None);
    }
}
