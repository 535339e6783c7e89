//! The ledger of CRM plans.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use crm::{
    ActionId, Authority, BegunPlan, FieldChange, Ledger, LedgerState, LimitError, Limits, Outcome, Plan,
    Reservation,
};
use jiff::Timestamp;
use lead::{Cause, Failure, LeadId};

use super::plan::Submitted;
use super::save::{Call, Reply, Then};
use super::{NotSaved, Steps};
use crate::{Result, Work};

#[async_trait]
impl Ledger for Steps {
    async fn states(&self, plan: &Plan) -> Result<Vec<LedgerState>, Failure> {
        Ok(self.store.action_states(plan).await?)
    }

    async fn begin(
        &self,
        provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
    ) -> Result<BegunPlan, Failure> {
        let call = Call::of_plan(Submitted::new(provider, plan, changes, authority, false));
        match self.saves.call(plan.lead_id.as_str(), call).await? {
            Reply::Begun(begun) => Ok(begun),
            _ => Ok(BegunPlan::Erased),
        }
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        Ok(self.store.finish_actions(outcomes).await?)
    }

    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        Ok(self.store.written_record(provider, lead).await?)
    }

    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure> {
        Ok(self.store.note_crm_failure(lead).await?)
    }

    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        Ok(self.store.last_crm_failure(lead).await?)
    }
}

/// The ledger of one lead's plan. It saves the unsaved results of the lead together with the plan, and leaves
/// the outcomes of a plan that was carried out to [`Steps::end`]. If the process dies before that, their
/// effects are looked up in the CRM, as after a lost answer.
pub struct WorkLedger<'a> {
    steps: &'a Steps,
    /// Whether the lead may have actions in the ledger from before.
    may_have_actions: bool,
    work: Mutex<&'a mut Work>,
    /// The second in which the plan was counted, once that has happened.
    counted_at: Mutex<Counted>,
}

/// Whether the plan counts towards the limits when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    No,
    WhenBegun,
    At(Reservation),
}

impl<'a> WorkLedger<'a> {
    pub(super) fn new(steps: &'a Steps, work: &'a mut Work) -> Self {
        Self {
            steps,
            may_have_actions: work.known.actions,
            work: Mutex::new(work),
            counted_at: Mutex::new(Counted::No),
        }
    }

    fn with_work<T>(&self, act: impl FnOnce(&mut Work) -> T) -> T {
        act(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits of this ledger, if it counts the plan itself.
    pub fn limits(&self) -> Option<&dyn Limits> {
        self.steps.limits.as_ref().map(|_| self as &dyn Limits)
    }
}

#[async_trait]
impl Ledger for WorkLedger<'_> {
    async fn states(&self, plan: &Plan) -> Result<Vec<LedgerState>, Failure> {
        if !self.may_have_actions {
            return Ok(vec![LedgerState::New; plan.actions.len()]);
        }
        self.steps.states(plan).await
    }

    async fn begin(
        &self,
        provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
    ) -> Result<BegunPlan, Failure> {
        let is_counted = *self.counted() == Counted::WhenBegun;
        let second = self.steps.store.clock.now().as_second().unsigned_abs();
        let submitted = Submitted::new(provider, plan, changes, authority, is_counted);
        let then = Then::Begin(Box::new(submitted));
        let call = self.with_work(|work| Call::new(work, then));
        let reply = self.steps.saves.call(plan.lead_id.as_str(), call).await?;
        match reply {
            Reply::Begun(begun) => {
                self.with_work(|work| work.saved(true));
                if is_counted && matches!(begun, BegunPlan::States(_)) {
                    *self.counted() = Counted::At(Reservation(second));
                }
                Ok(begun)
            }
            Reply::Raced => Ok(BegunPlan::Raced),
            _ => Ok(BegunPlan::Erased),
        }
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        if outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done(_))) {
            self.with_work(|work| work.done(outcomes));
            return Ok(());
        }
        Ledger::finish(self.steps, outcomes).await
    }

    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        if !self.may_have_actions {
            return Ok(None);
        }
        self.steps.written_record(provider, lead).await
    }

    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure> {
        self.steps.record_outage(lead).await
    }

    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        self.steps.last_outage(lead).await
    }
}

/// The plan is counted when it begins, in the same transaction, so that [`reserve`](Limits::reserve) only
/// says that it is to be.
#[async_trait]
impl Limits for WorkLedger<'_> {
    fn largest_plan(&self) -> u32 {
        self.steps.limits.as_ref().map_or(u32::MAX, |limits| limits.largest_plan())
    }

    async fn reserve(&self, _: &LeadId, _: Option<&str>, _: u32) -> Result<Reservation, LimitError> {
        *self.counted() = Counted::WhenBegun;
        Ok(Reservation(0))
    }

    async fn release(&self, lead: &LeadId, account: Option<&str>, _: Reservation, actions: u32) {
        let counted = *self.counted();
        if let (Some(limits), Counted::At(reservation)) = (&self.steps.limits, counted) {
            limits.release(lead, account, reservation, actions).await;
        }
    }
}

impl From<NotSaved> for Failure {
    fn from(reason: NotSaved) -> Self {
        match reason {
            NotSaved::Failed(error) => error.into(),
            NotSaved::Erased => {
                Self::permanent("lead_erased", "the person was erased while the lead was being worked on")
            }
            NotSaved::Raced => {
                Self::transient("raced", "another worker has saved this step first").because(Cause::Raced)
            }
        }
    }
}
