//! Every minute: probe what is down, resume what it held up, send again what fell out of the queue, put up for
//! judgement again what was judged without an AI, look after the leads that nobody responded to, keep the quarantine
//! within its bounds, and count the open leads of each owner.
//!
//! Each chore is bounded and can be run at any time, by several processes at once: what it sends is a duplicate where
//! it was not needed.

mod hot;
mod overdue;
mod owner_counts;
mod quarantine;
mod reconcile;
mod resume;
mod second_look;

pub use hot::IsHot;
pub use overdue::{Chase, Overdue};
pub use reconcile::{Place, Reconciled, give_up};
pub use resume::Probe;
pub use second_look::{EnrichAgain, ai_probes};

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use lead::{Clock, Dependency, Failure};
use queue::LeadQueue;
use store::Store;

/// How long a chore may take, and how long an outside system may take to answer a probe: one that hangs must keep neither
/// the other chores nor the rest of the function from being done.
const CHORE_TIMEOUT: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// The most leads that one round of a chore touches.
const BATCH: u32 = 200;

/// Keeps the house.
pub struct Janitor {
    store: Store,
    queue: Arc<dyn LeadQueue>,
    probes: Vec<(Dependency, Arc<dyn Probe>)>,
    clock: Arc<dyn Clock>,
    chaser: Option<Arc<dyn Chase>>,
    enricher: Option<Arc<dyn EnrichAgain>>,
    hot: Option<hot::HotFirst>,
    quarantine: Option<quarantine::Keep>,
    probe_timeout: Duration,
    /// Open deliveries up to here have been looked at in this pass.
    reconciled_to: Place,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Dependencies that answered, so that consumption goes on.
    pub resumed: usize,
    /// Dependencies that are still down.
    pub still_down: usize,
    /// Open deliveries that were in no queue and are again.
    pub requeued: usize,
    /// Open deliveries that workers of another application on the same queue have finished or given up, and that are closed.
    pub elsewhere: usize,
    /// Leads put up for judgement again.
    pub second_looks: usize,
    /// Leads put up for judgement again since enrichment could answer about them after all.
    pub enriched_again: usize,
    /// Leads that nobody responded to in time.
    pub overdue: usize,
    /// Of those, given to somebody else.
    pub reassigned: usize,
    /// Leads that the CRM shows to have been responded to.
    pub responded: usize,
    /// Bodies removed from the quarantine, too old or too many.
    pub forgotten: usize,
    /// Owners whose count of open leads was wrong and was corrected.
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
            chaser: None,
            enricher: None,
            hot: None,
            quarantine: None,
            probe_timeout: PROBE_TIMEOUT,
            reconciled_to: Place::default(),
        }
    }

    /// The same, going on in the pass over open deliveries where another one has left it.
    #[must_use]
    pub fn going_on_from(mut self, place: &Place) -> Self {
        self.reconciled_to = place.clone();
        self
    }

    /// The same janitor, who also has leads looked after that nobody responded to in time.
    #[must_use]
    pub fn chasing(self, chaser: Arc<dyn Chase>) -> Self {
        Self { chaser: Some(chaser), ..self }
    }

    /// The same janitor, who also has enrichment asked again about leads that were judged while it could not answer.
    #[must_use]
    pub fn enriching(self, enricher: Arc<dyn EnrichAgain>) -> Self {
        Self { enricher: Some(enricher), ..self }
    }

    /// The same janitor, who also puts hot leads first while they wait for an outside system.
    #[must_use]
    pub fn hot_first(self, is_hot: Arc<IsHot>) -> Self {
        Self { hot: Some(hot::HotFirst::new(is_hot)), ..self }
    }

    /// The same janitor, who also removes from the quarantine what came last longer ago than `for_`, and all but the
    /// newest `rows` bodies.
    #[must_use]
    pub fn keeping_quarantine(self, for_: Duration, rows: u32) -> Self {
        let keep = quarantine::Keep { for_, rows, pruned_at: Mutex::default() };
        Self { quarantine: Some(keep), ..self }
    }

    /// The same janitor, with so much patience for each probe instead of eight seconds.
    #[must_use]
    pub fn waiting_for_probes(self, timeout: Duration) -> Self {
        Self { probe_timeout: timeout, ..self }
    }

    /// Does every chore once. One that fails does not keep the others from being done; the first failure is returned.
    pub async fn round(&self) -> Result<Round, Failure> {
        let mut round = Round::default();
        let hastened = in_time("hot leads first", self.hot_first_in_line()).await;
        let resumed = in_time("probes", self.resume(&mut round)).await;
        let reconciled = in_time("open deliveries", self.reconcile(&mut round)).await;
        let chased = in_time("overdue leads", self.overdue(&mut round)).await;
        let pruned = in_time("quarantine", self.prune_quarantine(&mut round)).await;
        let recounted = in_time("owner counts", self.recount_owners(&mut round)).await;
        let enriched = in_time("second enrichments", self.enrich_again(&mut round)).await;
        // The last one: an AI that is slow to answer keeps nothing else waiting.
        let looked = in_time("second looks", self.second_look(&mut round)).await;
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
                recounted = round.recounted,
                "janitor's round"
            );
        }
        hastened
            .and(resumed)
            .and(reconciled)
            .and(chased)
            .and(pruned)
            .and(recounted)
            .and(enriched)
            .and(looked)
            .map(|()| round)
    }

    /// What an outside system answers; that it does not answer is a failure like any other.
    async fn ask(&self, probe: &dyn Probe) -> Result<(), Failure> {
        let late = |_| Err(Failure::transient("probe_timeout", "no answer to a probe in time"));
        tokio::time::timeout(self.probe_timeout, probe.probe()).await.unwrap_or_else(late)
    }

    /// Now, less a while.
    fn ago(&self, while_: Duration) -> Timestamp {
        self.clock.now().saturating_sub(while_).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

async fn in_time(chore: &str, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let late = |_| {
        let problem = format!("{chore}: took longer than {} s", CHORE_TIMEOUT.as_secs());
        tracing::error!(chore, "a chore of the janitor takes too long: the next round goes on with it");
        Err(Failure::transient("janitor_timeout", problem))
    };
    tokio::time::timeout(CHORE_TIMEOUT, work).await.unwrap_or_else(late)
}
