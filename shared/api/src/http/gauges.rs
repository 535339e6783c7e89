//! Gauges of backlogs, read at a scrape.
//!
//! Each reading has its own time limit and keeps its last good value, so that the age of the oldest message
//! stays visible while another reading is slow. The age of each value is a metric of its own.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::LeadStatus;
use metrics::gauge;
use tokio::time::{Instant, timeout};

use operations::Operations;

/// The time limit of one reading. Prometheus waits ten seconds for a scrape, and the readings run
/// concurrently.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// A reading that took longer than this pauses for `REST` times its duration.
const QUICK: Duration = Duration::from_millis(250);
const REST: u32 = 20;

/// The readings of a process.
pub(super) struct Gauges {
    queue: Reading,
    pauses: Reading,
    dead_letters: Reading,
    leads: Reading,
}

impl Gauges {
    pub(super) fn new() -> Self {
        Self {
            queue: Reading::new("queue"),
            pauses: Reading::new("pauses"),
            dead_letters: Reading::new("dead_letters"),
            leads: Reading::new("leads"),
        }
    }

    /// Reads the due values and sets their gauges.
    pub(super) async fn read(&self, operations: &Operations) {
        let (queue, store) = (operations.queue(), operations.store());
        let depth = self.queue.read(async || {
            let depth = queue.depth().await?;
            gauge!("revenueflow_queue_oldest_seconds").set(depth.oldest_age.as_secs_f64());
            gauge!("revenueflow_queue_messages").set(to_f64(depth.messages.cast_signed()));
            gauge!("revenueflow_queue_in_flight").set(to_f64(depth.in_flight.cast_signed()));
            Ok::<_, queue::QueueError>(())
        });
        let pauses = self.pauses.read(async || {
            let pauses = queue.pauses().await?;
            gauge!("revenueflow_queue_paused").set(to_f64(i64::try_from(pauses.len()).unwrap_or(i64::MAX)));
            Ok::<_, queue::QueueError>(())
        });
        let dead_letters = self.dead_letters.read(async || {
            // Read before the gauge is registered, because a registered gauge without a value reports 0.
            let letters = store.count_dead_letters().await?;
            gauge!("revenueflow_dead_letters").set(to_f64(letters));
            Ok::<_, database::DatabaseError>(())
        });
        let leads = self.leads.read(async || {
            let counts = store.count_leads().await?;
            for status in LeadStatus::ALL.iter().copied() {
                let leads = counts.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, n)| *n);
                gauge!("revenueflow_leads", "status" => status.as_str()).set(to_f64(leads));
            }
            Ok::<_, database::DatabaseError>(())
        });
        tokio::join!(depth, pauses, dead_letters, leads);
    }
}

/// One reading with the time of its last success.
struct Reading {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// The time of the last good values; initially the start of the process.
    good_at: Instant,
    /// The earliest time of the next reading.
    due: Instant,
}

impl Reading {
    fn new(name: &'static str) -> Self {
        let now = Instant::now();
        Self { name, state: Mutex::new(State { good_at: now, due: now }) }
    }

    async fn read<F, E>(&self, read: impl FnOnce() -> F)
    where
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let mut state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        if started >= state.due {
            let answer = timeout(READ_TIMEOUT, read()).await;
            let now = Instant::now();
            let took = now - started;
            state.due = if took > QUICK { now + took * REST } else { now };
            match answer {
                Ok(Ok(())) => state.good_at = now,
                Ok(Err(error)) => tracing::warn!(gauge = self.name, %error, "a gauge could not be read"),
                Err(_) => tracing::warn!(gauge = self.name, "a gauge could not be read in time"),
            }
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        }
        let age = state.good_at.elapsed().as_secs_f64();
        gauge!("revenueflow_gauge_age_seconds", "gauge" => self.name).set(age);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn to_f64(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(reading: &Reading) -> Duration {
        reading.state.lock().unwrap().good_at.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn failed_reading_keeps_its_value_and_ages() {
        let reading = Reading::new("test");
        tokio::time::advance(Duration::from_secs(5)).await;
        reading.read(async || Ok::<_, &str>(())).await;
        assert_eq!(age(&reading), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(7)).await;
        reading.read(async || Err("no answer")).await;
        assert_eq!(age(&reading), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_reading_times_out_and_pauses() {
        let reading = Reading::new("test");
        let asked = Mutex::new(0);
        for _ in 0..10 {
            let hangs = async || {
                *asked.lock().unwrap() += 1;
                std::future::pending::<Result<(), &str>>().await
            };
            reading.read(hangs).await;
            tokio::time::advance(Duration::from_secs(15)).await;
        }
        assert_eq!(*asked.lock().unwrap(), 4, "after 0, 47, 94 and 141 seconds");
    }
}
