use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Dependency, Failure, LeadId};

use crate::{ActionId, Effect, FieldChange, Plan};

/// The book of effects: a row for each action, written before it and after it.
///
/// A row says in what state its action is:
/// `pending` (it may have had its effect), `done`, `failed` (no effect), `skipped` (not sent), `refused` (by the guard),
/// `restored` (its effect was taken back by a rollback, and it may be done again).
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Opens a row for every action of the plan, durably and all in one transaction, and says where each stood before,
    /// in the plan's order.
    ///
    /// A row that is `done` stays as it is. Any other becomes `pending`, with the plan's parameters and one more attempt.
    async fn begin(&self, provider: &str, plan: &Plan) -> Result<Vec<LedgerState>, Failure>;

    /// Keeps what actions that were begun are about to change, with the values that stand there before.
    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure>;

    /// Writes what came of actions that were begun, in one transaction. A row that is `done` stays as it is.
    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure>;

    /// The record that was last written for a lead by [`UpsertLead`](crate::Action::UpsertLead) or
    /// [`CreateLead`](crate::Action::CreateLead); none where there is none.
    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure>;

    /// When a lead last met a failure of this CRM, since there is something to be done for it. None where it has not.
    async fn last_outage(&self, crm: &Dependency, lead: &LeadId) -> Result<Option<Timestamp>, Failure>;
}

/// Where an action stood when it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// It has no effect: never begun, certainly failed, or taken back.
    New,
    /// It was begun and may have had its effect: the process died, or the reply was lost.
    Unsettled,
    /// It has had its effect.
    Done(Effect),
}

impl LedgerState {
    /// Reads a row back: the state column, and the effect where the row has a record id. None for a state that we
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

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has had its effect.
    Done(Effect),
    /// It has had no effect.
    Failed(Failure),
    /// It may have had its effect.
    Unknown(Failure),
    /// It was not sent, because one before it failed.
    Skipped,
    /// The guard does not let it pass.
    Refused(Failure),
}

impl Outcome {
    /// The state of the action's row from now on.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "pending",
            Self::Skipped => "skipped",
            Self::Refused(_) => "refused",
        }
    }

    /// What the action left behind.
    pub fn effect(&self) -> Option<&Effect> {
        match self {
            Self::Done(effect) => Some(effect),
            _ => None,
        }
    }

    /// Why it left nothing, where there is a reason of its own.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Unknown(failure) | Self::Refused(failure) => Some(failure),
            Self::Done(_) | Self::Skipped => None,
        }
    }
}
