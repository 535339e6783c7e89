//! Scheduled work, once a minute: probe dependencies and resume consumption, requeue deliveries that the
//! queue has lost, rescore leads that were judged without an AI, escalate overdue leads, prune the
//! quarantine, remove data whose retention is over, and recount the open leads of each owner.
//!
//! Every chore is bounded, idempotent and safe to run in several processes at once: a delivery that is sent
//! without need is a duplicate.

mod hot;
mod overdue;
mod owner_counts;
mod quarantine;
mod reconcile;
mod rescore;
mod resume;
mod retention;

pub use hot::IsHot;
pub use reconcile::{Checkpoint, Reconciled, dead_letter};
pub use resume::{Probe, probes};
pub use retention::{Retainer, rows_of_leads};

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use lead::{Clock, Dependency, Failure};
use pipeline::Pipeline;
use queue::LeadQueue;
use store::Store;

/// The bounds of one chore and of one probe. A dependency that hangs must not keep the other chores, or the
/// rest of the function, from running.
const CHORE_TIMEOUT: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// The most leads that a chore touches in one round.
const BATCH: u32 = 200;

/// Runs the scheduled chores.
pub struct Janitor {
    store: Store,
    queue: Arc<dyn LeadQueue>,
    probes: Vec<(Dependency, Arc<dyn Probe>)>,
    clock: Arc<dyn Clock>,
    pipeline: Option<Arc<Pipeline>>,
    hot: Option<hot::HotFirst>,
    quarantine: Option<quarantine::Retention>,
    retaining: Option<retention::Retaining>,
    probe_timeout: Duration,
    /// The checkpoint of the current pass over open deliveries.
    reconciled_to: Checkpoint,
}

/// The counts of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Dependencies that answered, so that consumption resumes.
    pub resumed: usize,
    /// Dependencies that are still down.
    pub still_down: usize,
    /// Open deliveries that were in no queue and were sent again.
    pub requeued: usize,
    /// Open deliveries that another application's workers on the same queue have finished or dead-lettered;
    /// closed here.
    pub elsewhere: usize,
    /// Leads put up for rescoring.
    pub second_looks: usize,
    /// Leads put up for judgement again because enrichment has answered since.
    pub enriched_again: usize,
    /// Leads without a response in time.
    pub overdue: usize,
    /// Overdue leads that were assigned to another owner.
    pub reassigned: usize,
    /// Leads with a response according to the CRM.
    pub responded: usize,
    /// Bodies removed from the quarantine because of their age or number.
    pub forgotten: usize,
    /// Leads removed because their retention is over.
    pub expired_leads: usize,
    /// Contents of deliveries, raw answers and old CRM values removed because their retention is over.
    pub expired_contents: usize,
    /// Dead letters removed because their retention is over.
    pub expired_dead_letters: usize,
    /// Owners with a wrong count of open leads, now corrected.
    pub recounted: usize,
}

impl Janitor {
    /// A janitor that can probe the given dependencies.
    pub fn new(
        store: Store,
        queue: Arc<dyn LeadQueue>,
        probes: Vec<(Dependency, Arc<dyn Probe>)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            queue,
            probes,
            clock,
            pipeline: None,
            hot: None,
            quarantine: None,
            retaining: None,
            probe_timeout: PROBE_TIMEOUT,
            reconciled_to: Checkpoint::default(),
        }
    }

    /// Continues the pass over open deliveries from a checkpoint that another janitor has left.
    #[must_use]
    pub fn with_checkpoint(mut self, checkpoint: &Checkpoint) -> Self {
        self.reconciled_to = checkpoint.clone();
        self
    }

    /// Also escalates leads without a response in time, and retries enrichment for leads that were judged
    /// without it.
    #[must_use]
    pub fn with_pipeline(self, pipeline: Arc<Pipeline>) -> Self {
        Self { pipeline: Some(pipeline), ..self }
    }

    /// Also moves hot leads to the front while leads wait for a dependency.
    #[must_use]
    pub fn with_hot_leads_first(self, is_hot: Arc<IsHot>) -> Self {
        Self { hot: Some(hot::HotFirst::new(is_hot)), ..self }
    }

    /// Also removes bodies from the quarantine that were last received longer ago than `max_age`, and all but
    /// the newest `rows` bodies.
    #[must_use]
    pub fn with_quarantine_retention(self, max_age: Duration, rows: u32) -> Self {
        let retention = quarantine::Retention { max_age, rows, pruned_at: Mutex::default() };
        Self { quarantine: Some(retention), ..self }
    }

    /// Also removes data whose retention is over.
    #[must_use]
    pub fn with_retention(self, retention: store::Retention) -> Self {
        let retaining = retention::Retaining { retention, idle_at: Mutex::default() };
        let retaining = Some(retaining).filter(|_| retention != store::Retention::default());
        Self { retaining, ..self }
    }

    /// Sets the timeout of a probe, eight seconds by default.
    #[must_use]
    pub fn with_probe_timeout(self, timeout: Duration) -> Self {
        Self { probe_timeout: timeout, ..self }
    }

    /// Runs every chore once. A failing chore does not stop the others; the first failure is returned.
    pub async fn round(&self) -> Result<Round, Failure> {
        let mut round = Round::default();
        let prioritized = in_time("hot leads first", self.prioritize_hot_leads()).await;
        let resumed = in_time("probes", self.resume(&mut round)).await;
        let reconciled = in_time("open deliveries", self.reconcile(&mut round)).await;
        let escalated = in_time("overdue leads", self.escalate(&mut round)).await;
        let pruned = in_time("quarantine", self.prune_quarantine(&mut round)).await;
        let recounted = in_time("owner counts", self.recount_owners(&mut round)).await;
        let enriched = in_time("enrichment retry", self.retry_enrichment(&mut round)).await;
        let retained = in_time("retention", self.retain(&mut round)).await;
        // Last, so that a slow AI delays no other chore.
        let rescored = in_time("rescoring", self.rescore(&mut round)).await;
        if round != Round::default() {
            tracing::info!(
                resumed = round.resumed,
                still_down = round.still_down,
                requeued = round.requeued,
                elsewhere = round.elsewhere,
                second_looks = round.second_looks,
                enriched_again = round.enriched_again,
                overdue = round.overdue,
                reassigned = round.reassigned,
                responded = round.responded,
                forgotten = round.forgotten,
                expired_leads = round.expired_leads,
                expired_contents = round.expired_contents,
                expired_dead_letters = round.expired_dead_letters,
                recounted = round.recounted,
                "janitor round finished"
            );
        }
        prioritized
            .and(resumed)
            .and(reconciled)
            .and(escalated)
            .and(pruned)
            .and(recounted)
            .and(retained)
            .and(enriched)
            .and(rescored)
            .map(|()| round)
    }

    /// Probes a dependency; no answer within the timeout is a transient failure.
    async fn probe(&self, probe: &dyn Probe) -> Result<(), Failure> {
        let late = |_| Err(Failure::transient("probe_timeout", "no answer to a probe in time"));
        tokio::time::timeout(self.probe_timeout, probe.probe()).await.unwrap_or_else(late)
    }

    /// The time `while_` ago.
    fn ago(&self, while_: Duration) -> Timestamp {
        self.clock.now().saturating_sub(while_).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

async fn in_time(chore: &str, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let late = |_| {
        let problem = format!("{chore}: took longer than {} s", CHORE_TIMEOUT.as_secs());
        tracing::error!(chore, "janitor chore timed out; the next round continues it");
        Err(Failure::transient("janitor_timeout", problem))
    };
    tokio::time::timeout(CHORE_TIMEOUT, work).await.unwrap_or_else(late)
}
