//! The ledger of CRM plans.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use crm::{ActionId, Authority, BegunPlan, FieldChange, Ledger, Outcome, Plan};
use jiff::Timestamp;
use lead::{Cause, Failure, LeadId};

use super::save::{Call, Reply, Then};
use super::{NotSaved, Steps};
use crate::{Result, Work};

#[async_trait]
impl Ledger for Steps {
    async fn begin(&self, provider: &str, plan: &Plan, authority: Authority) -> Result<BegunPlan, Failure> {
        let call = Call::of_plan(provider, plan, authority);
        match self.saves.call(plan.lead_id.as_str(), call).await? {
            Reply::Begun(begun) => Ok(begun),
            _ => Ok(BegunPlan::Erased),
        }
    }

    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure> {
        Ok(self.store.note_changes(changes).await?)
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
}

impl<'a> WorkLedger<'a> {
    pub(super) fn new(steps: &'a Steps, work: &'a mut Work) -> Self {
        Self { steps, may_have_actions: work.known.actions, work: Mutex::new(work) }
    }

    fn with_work<T>(&self, act: impl FnOnce(&mut Work) -> T) -> T {
        act(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Ledger for WorkLedger<'_> {
    async fn begin(&self, provider: &str, plan: &Plan, authority: Authority) -> Result<BegunPlan, Failure> {
        let then = Then::Begin { provider: provider.to_owned(), plan: Box::new(plan.clone()), authority };
        let call = self.with_work(|work| Call::new(work, then));
        let reply = self.steps.saves.call(plan.lead_id.as_str(), call).await?;
        match reply {
            Reply::Begun(begun) => {
                self.with_work(Work::saved);
                Ok(begun)
            }
            Reply::Raced => Ok(BegunPlan::Raced),
            _ => Ok(BegunPlan::Erased),
        }
    }

    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure> {
        self.steps.note(changes).await
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
