//! Retention: removes data whose time is over, in small steps that let arriving leads go first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use database::LeadRows;
use jiff::Timestamp;
use lead::{Actor, Clock, Failure};
use queue::LeadQueue;
use store::{Cursor, Expired, ExpiredKind, Retention, RetentionPass, Store};

use crate::{Janitor, Round};

/// The time from the beginning of one pass over the leads to the beginning of the next.
const PASS_EVERY: Duration = Duration::from_hours(12);

/// The shortest time between two looks whether a pass is due, however often the janitor runs.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// The most batches of a pass in one round, of 500 leads each.
const BATCHES: u32 = 10;

/// The most leads that one round removes before it leaves the rest to the next.
const LEADS_PER_ROUND: u64 = 2_000;

/// The time after which one round begins no further batch, well within the limit of a chore.
const ROUND_TIME: Duration = Duration::from_secs(4);

/// Dead letters and tombstones that one statement removes.
const ROWS: u32 = 200;

/// The rows of a lead in the tables of every crate. The store's come last: they map the other ids to the
/// lead.
pub fn rows_of_leads() -> Vec<LeadRows> {
    [queue::LEAD_ROWS.as_slice(), &crm::LEAD_ROWS, &store::LEAD_ROWS].concat()
}

/// Removes expired data.
#[derive(Clone)]
pub struct Retainer {
    store: Store,
    queue: Arc<dyn LeadQueue>,
    clock: Arc<dyn Clock>,
    retention: Retention,
    rows: Vec<LeadRows>,
    actor: Actor,
}

impl Retainer {
    /// A retainer with these limits.
    pub fn new(store: Store, queue: Arc<dyn LeadQueue>, clock: Arc<dyn Clock>, retention: Retention) -> Self {
        Self { store, queue, clock, retention, rows: rows_of_leads(), actor: Actor::janitor() }
    }

    /// The same retainer for an operator, whom the audit trail then names.
    #[must_use]
    pub fn acting_as(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Counts the expired data and changes nothing. Calls `progress` after each batch with the number of
    /// leads so far.
    pub async fn count(&self, mut progress: impl FnMut(u64) + Send) -> Result<Expired, Failure> {
        let mut expired = match self.retention.dead_letters {
            Some(kept) => self.store.count_expired_dead_letters(self.ago(kept)).await?,
            None => Expired::default(),
        };
        let (mut after, mut looked_at): (Option<Cursor>, u64) = (None, 0);
        while self.retention.concerns_leads() {
            let batch = self
                .store
                .retain_leads(&self.actor, &self.retention, &self.rows, after.as_ref(), false)
                .await?;
            expired.merge(&batch.expired);
            looked_at += batch.looked_at;
            progress(looked_at);
            let Some(next) = batch.next else { break };
            after = Some(next);
        }
        Ok(expired)
    }

    /// Removes all expired data. Calls `progress` after each batch with the number of leads so far. If the
    /// future is dropped, what was removed so far stays removed.
    pub async fn apply(&self, mut progress: impl FnMut(u64) + Send) -> Result<Expired, Failure> {
        let mut expired = Expired::default();
        while self.remove_dead_letters(&mut expired).await? {}
        while self.store.remove_expired_tombstones().await? > 0 {}
        if self.retention.concerns_leads() {
            let mut pass = RetentionPass::beginning(self.clock.now());
            let mut looked_at = 0;
            while pass.ended_at.is_none() {
                looked_at += self.step(&mut pass, &mut expired).await?;
                progress(looked_at);
            }
            self.store.save_retention_pass(&pass).await?;
        }
        if !expired.is_empty() {
            self.store.database().remove_traces().await?;
        }
        Ok(expired)
    }

    /// Removes a part of the expired data, and saves how far it got.
    async fn part(&self) -> Result<Expired, Failure> {
        let mut expired = Expired::default();
        let done = self.part_into(&mut expired).await;
        report(&expired);
        done.map(|()| expired)
    }

    async fn part_into(&self, expired: &mut Expired) -> Result<(), Failure> {
        self.remove_dead_letters(expired).await?;
        self.store.remove_expired_tombstones().await?;
        if !self.retention.concerns_leads() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut pass = match self.store.retention_pass().await? {
            Some(pass) if pass.ended_at.is_none() => pass,
            Some(pass) if now.duration_since(pass.started_at).unsigned_abs() < PASS_EVERY => return Ok(()),
            _ => RetentionPass::beginning(now),
        };
        let began = Instant::now();
        for _ in 0..BATCHES {
            self.step(&mut pass, expired).await?;
            // After each batch: a round may be cut short.
            self.store.save_retention_pass(&pass).await?;
            let removed = expired.count(ExpiredKind::Leads) + expired.count(ExpiredKind::HeldLeads);
            if pass.ended_at.is_some() || removed >= LEADS_PER_ROUND || began.elapsed() > ROUND_TIME {
                break;
            }
        }
        Ok(())
    }

    /// One batch of a pass. Rests as long as it has worked if it has removed anything, so that others can use
    /// the database. Returns the number of leads that it looked at.
    async fn step(&self, pass: &mut RetentionPass, expired: &mut Expired) -> Result<u64, Failure> {
        let began = Instant::now();
        let batch = self
            .store
            .retain_leads(&self.actor, &self.retention, &self.rows, pass.after.as_ref(), true)
            .await?;
        expired.merge(&batch.expired);
        match batch.next {
            Some(next) => pass.after = Some(next),
            None => pass.ended_at = Some(self.clock.now()),
        }
        if !batch.expired.is_empty() {
            tokio::time::sleep(began.elapsed()).await;
        }
        Ok(batch.looked_at)
    }

    /// Removes some of the expired dead letters, and reports whether any were left to remove. Those of the
    /// queue go first: the database knows which they are.
    async fn remove_dead_letters(&self, expired: &mut Expired) -> Result<bool, Failure> {
        let Some(kept) = self.retention.dead_letters else { return Ok(false) };
        let before = self.ago(kept);
        let letters = self.store.expired_dead_letters(before, ROWS).await?;
        let ids: Vec<_> = letters.iter().map(|(id, _)| id.as_str()).collect();
        if ids.is_empty() {
            return Ok(false);
        }
        self.queue.remove_dead_letters(&ids).await?;
        let count = self.store.remove_expired_dead_letters(&ids, before).await?;
        expired.merge(&Expired::found(ExpiredKind::DeadLetters, count, letters.first().map(|(_, at)| *at)));
        Ok(true)
    }

    /// The time `kept` ago.
    fn ago(&self, kept: Duration) -> Timestamp {
        self.clock.now().saturating_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Logs and counts what was removed.
fn report(expired: &Expired) {
    if expired.is_empty() {
        return;
    }
    for kind in ExpiredKind::ALL {
        metrics::counter!("revenueflow_expired_total", "kind" => kind.as_str())
            .increment(expired.count(kind));
    }
    tracing::info!(
        leads = expired.count(ExpiredKind::Leads),
        held_leads = expired.count(ExpiredKind::HeldLeads),
        contents = expired.count(ExpiredKind::Contents),
        answers = expired.count(ExpiredKind::Answers),
        crm_values = expired.count(ExpiredKind::CrmValues),
        dead_letters = expired.count(ExpiredKind::DeadLetters),
        "expired data removed"
    );
}

/// The retention of a janitor.
pub(crate) struct Retaining {
    pub(crate) retention: Retention,
    /// When it last looked and found nothing to do.
    pub(crate) idle_at: Mutex<Option<Timestamp>>,
}

impl Janitor {
    /// Removes a part of the data whose time is over.
    pub(crate) async fn retain(&self, round: &mut Round) -> Result<(), Failure> {
        let Some(retaining) = &self.retaining else { return Ok(()) };
        let now = self.clock.now();
        let is_idle = |at: &Timestamp| now.duration_since(*at).unsigned_abs() < LOOK_EVERY;
        if retaining.idle_at.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_idle) {
            return Ok(());
        }
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.clock));
        let retainer = Retainer::new(self.store.clone(), queue, clock, retaining.retention);
        let expired = retainer.part().await?;
        let is_under_way = self.store.retention_pass().await?.is_some_and(|pass| pass.ended_at.is_none());
        let idle_at = Some(now).filter(|_| expired.is_empty() && !is_under_way);
        *retaining.idle_at.lock().unwrap_or_else(PoisonError::into_inner) = idle_at;
        let count = |kind| usize::try_from(expired.count(kind)).unwrap_or(usize::MAX);
        round.expired_leads = count(ExpiredKind::Leads) + count(ExpiredKind::HeldLeads);
        round.expired_contents =
            count(ExpiredKind::Contents) + count(ExpiredKind::Answers) + count(ExpiredKind::CrmValues);
        round.expired_dead_letters = count(ExpiredKind::DeadLetters);
        Ok(())
    }
}
