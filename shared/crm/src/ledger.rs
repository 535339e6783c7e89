use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, LeadId};

use crate::{ActionId, Effect, FieldChange, Plan};

/// The record of effects: a row for each action, written before and after the effect.
///
/// The state of a row is one of `pending` (it may have had its effect), `done`, `failed` (no effect),
/// `skipped` (not sent), `refused` (by the guard), `restored` (a rollback reverted its effect, and it may be
/// executed again).
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Opens a row for every action of the plan, durably and in one transaction, and returns their previous
    /// states in the plan's order.
    ///
    /// A row that is `done` does not change. Any other becomes `pending`, with the plan's parameters and one
    /// more attempt.
    async fn begin(&self, provider: &str, plan: &Plan) -> Result<Vec<LedgerState>, Failure>;

    /// Stores the changes that begun actions are about to make, with the values before.
    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure>;

    /// Stores the outcomes of begun actions, in one transaction. A row that is `done` does not change.
    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure>;

    /// The CRM's id of the record that [`UpsertLead`](crate::Action::UpsertLead) or
    /// [`CreateLead`](crate::Action::CreateLead) last wrote for a lead, if any.
    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure>;

    /// When this CRM last failed for a lead, since the lead was last revised, reopened, synced or
    /// dead-lettered. None if it has not.
    async fn last_outage(&self, crm: &Dependency, lead: &LeadId) -> Result<Option<Timestamp>, Failure>;
}

/// The state of an action before it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// No effect: never begun, certainly failed, or reverted.
    New,
    /// Begun, with an unknown outcome: the process died, or the reply was lost.
    Unsettled,
    /// Completed.
    Done(Effect),
}

impl LedgerState {
    /// Parses the state column of a row, with its effect if the row has a record id. None for a state that we
    /// do not write.
    pub fn of_row(state: &str, effect: Option<Effect>) -> Option<Self> {
        match (state, effect) {
            ("done", Some(effect)) => Some(Self::Done(effect)),
            ("pending", _) => Some(Self::Unsettled),
            ("failed" | "skipped" | "refused" | "restored", _) => Some(Self::New),
            _ => None,
        }
    }
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The action has had its effect.
    Done(Effect),
    /// The action has had no effect.
    Failed(Failure),
    /// The action may have had its effect.
    Unknown(Failure),
    /// The action was not sent, because an earlier one failed.
    Skipped,
    /// The guard refused the action.
    Refused(Failure),
}

impl Outcome {
    /// The new state of the action's row.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "pending",
            Self::Skipped => "skipped",
            Self::Refused(_) => "refused",
        }
    }

    /// The effect of the action, if it is done.
    pub fn effect(&self) -> Option<&Effect> {
        match self {
            Self::Done(effect) => Some(effect),
            _ => None,
        }
    }

    /// The failure, if the outcome is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Unknown(failure) | Self::Refused(failure) => Some(failure),
            Self::Done(_) | Self::Skipped => None,
        }
    }
}
