use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Cause, Dependency, Failure, FailureClass, LeadId};
use tokio::sync::Notify;

use crate::{
    About, ActionId, Authority, BegunPlan, Effect, Executor, FieldChange, Followed, Known, Ledger,
    LedgerState, Outcome, OwnerStatus, Plan, PlannedAction, RecordPreview, Restored, SchemaProblem,
};

/// The fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call works.
    Pass,
    /// The call fails before it has had any effect.
    Fail(FailureClass),
    /// The record is locked by another writer: a record-level error, returned by a CRM that works.
    Locked,
    /// The call has its effect, and the reply is lost.
    LoseReply,
    /// The process dies before the call.
    CrashBefore,
    /// The process dies right after the effect of the call.
    CrashAfter,
}

/// A queue of faults, one for each call of the objects that share the script. After the last fault every call
/// works.
#[derive(Debug, Default)]
pub struct Script {
    faults: Mutex<VecDeque<Fault>>,
    crash: Notify,
}

impl Script {
    /// Creates a script with these faults.
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self { faults: Mutex::new(faults.into_iter().collect()), crash: Notify::new() })
    }

    /// Appends faults.
    pub fn extend(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Removes the faults that have not happened yet.
    pub fn clear(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether all faults have happened.
    pub fn is_over(&self) -> bool {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Runs a simulated process until it ends or dies. A process that dies is dropped at that point, and the
    /// result is none.
    pub async fn run_until_crash<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.crash.notified() => None,
            answer = process => Some(answer),
        }
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let next = self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next.unwrap_or(Fault::Pass) {
            Fault::Pass => work.await,
            Fault::Fail(FailureClass::Transient) => Err(Failure::transient("test_reset", "connection reset")),
            Fault::Fail(FailureClass::Permanent) => Err(Failure::permanent("test_refused", "refused")),
            Fault::Fail(FailureClass::Deferral) => {
                Err(Failure::deferral(Dependency::new("test"), "test_quota", "quota reached", None))
            }
            Fault::Locked => {
                Err(Failure::transient("crm_unable_to_lock_row", "the row is locked").because(Cause::Record))
            }
            Fault::LoseReply => {
                work.await?;
                Err(Failure::transient("test_lost_reply", "the reply was lost"))
            }
            Fault::CrashBefore => self.die().await,
            Fault::CrashAfter => {
                work.await?;
                self.die().await
            }
        }
    }

    async fn die<T>(&self) -> T {
        self.crash.notify_one();
        std::future::pending().await
    }
}

/// An executor that takes one scripted fault for each action of `execute` and for each other call, except
/// `owners` and `follow`.
pub struct FaultyExecutor<E> {
    inner: E,
    script: Arc<Script>,
}

impl<E> FaultyExecutor<E> {
    /// Wraps an executor.
    pub fn new(inner: E, script: Arc<Script>) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl<E: Executor> Executor for FaultyExecutor<E> {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        let mut results = Vec::new();
        for action in actions {
            let one = async {
                let mut results = self.inner.execute(lead, std::slice::from_ref(action)).await;
                results.pop().unwrap_or_else(|| Err(Failure::transient("test_silence", "no result")))
            };
            results.push(self.script.call(one).await);
            if results.last().is_some_and(Result::is_err) {
                break;
            }
        }
        results
    }

    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.script.call(self.inner.find(lead, action)).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.script.call(self.inner.probe()).await
    }

    fn record_url(&self, record_id: &str) -> Option<String> {
        self.inner.record_url(record_id)
    }

    async fn owners(&self, ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        self.inner.owners(ids).await
    }

    async fn follow(&self, lead: &LeadId, record_id: &str) -> Result<Option<Followed>, Failure> {
        self.inner.follow(lead, record_id).await
    }

    async fn facts(&self, about: &About) -> Result<Known, Failure> {
        self.script.call(self.inner.facts(about)).await
    }

    fn has_external_facts(&self) -> bool {
        self.inner.has_external_facts()
    }

    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.script.call(self.inner.preview(lead, actions)).await
    }

    async fn preview_written(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<RecordPreview, Failure> {
        self.script.call(self.inner.preview_written(lead, record_id, actions)).await
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.script.call(self.inner.schema_problems()).await
    }

    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.script.call(self.inner.restore(changes)).await
    }
}

/// A ledger with one scripted fault for each call, except `record_outage` and `last_outage`.
pub struct FaultyLedger {
    inner: Arc<dyn Ledger>,
    script: Arc<Script>,
}

impl FaultyLedger {
    /// Wraps a ledger.
    pub fn new(inner: Arc<dyn Ledger>, script: Arc<Script>) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl Ledger for FaultyLedger {
    async fn states(&self, plan: &Plan) -> Result<Vec<LedgerState>, Failure> {
        self.script.call(self.inner.states(plan)).await
    }

    async fn begin(
        &self,
        provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
    ) -> Result<BegunPlan, Failure> {
        self.script.call(self.inner.begin(provider, plan, changes, authority)).await
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        self.script.call(self.inner.finish(outcomes)).await
    }

    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        self.script.call(self.inner.written_record(provider, lead)).await
    }

    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure> {
        self.inner.record_outage(lead).await
    }

    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        self.inner.last_outage(lead).await
    }
}
