use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Failure, LeadId, vocabulary};

use crate::{ActionId, Effect, Exceeded, FieldChange, Plan};

/// The authority under which a plan is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// That of the delivery itself: not executed in shadow mode or while an operator holds the CRM.
    Normal,
    /// An operator promoted the delivery at this time. Overrides shadow mode, and a hold that began before.
    Promoted {
        /// When the delivery was promoted.
        at: Timestamp,
    },
}

impl Authority {
    /// Whether a plan may be executed in shadow mode.
    pub fn overrides_shadow_mode(self) -> bool {
        matches!(self, Self::Promoted { .. })
    }

    /// Whether a plan may be executed under a hold that began at this time.
    pub fn overrides_hold(self, since: Timestamp) -> bool {
        matches!(self, Self::Promoted { at } if since < at)
    }
}

/// The result of beginning a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BegunPlan {
    /// The actions were begun. Their states before, in the plan's order.
    States(Vec<LedgerState>),
    /// A newer delivery arrived during the work. This one is closed, and its plan is out of date.
    Superseded,
    /// The person was erased during the work: no personal data may be written again.
    Erased,
    /// The plan exceeds a limit of a ledger that counts plans itself; nothing was recorded.
    Exceeded(Exceeded),
    /// Another worker has saved a result of the same lead first; nothing was recorded.
    Raced,
    /// An operator holds the CRM.
    Held,
}

/// The record of effects: a row for each action, written before and after the effect.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The present states of the plan's actions, in its order. Records nothing.
    async fn states(&self, plan: &Plan) -> Result<Vec<LedgerState>, Failure>;

    /// Opens a row for every action of the plan, durably and in one transaction that also checks the hold.
    ///
    /// A row that is [`ActionState::Done`] does not change. Any other becomes [`ActionState::Pending`], with
    /// the plan's parameters and one more attempt, and, unless it was pending before, with its part of
    /// `changes`: what the actions are about to change, with the values before.
    async fn begin(
        &self,
        provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
    ) -> Result<BegunPlan, Failure>;

    /// Stores the outcomes of begun actions, in one transaction. A row that is done does not change.
    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure>;

    /// The CRM's id of the record that [`UpsertLead`](crate::Action::UpsertLead) or
    /// [`CreateLead`](crate::Action::CreateLead) last wrote for a lead, if any.
    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure>;

    /// Records that the CRM failed for a lead now, if the lead's newest delivery is open.
    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure>;

    /// When the CRM last failed for a lead, since its newest delivery was opened. None if it has not.
    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure>;
}

vocabulary! {
    /// The state of an action on the CRM.
    ActionState {
        /// Begun, with an unknown outcome: it may have had its effect.
        Pending = "pending",
        /// It has had its effect.
        Done = "done",
        /// It has had no effect.
        Failed = "failed",
        /// It was not sent, because an earlier action failed.
        Skipped = "skipped",
        /// The guard refused it.
        Refused = "refused",
        /// A rollback reverted its effect, and it may be executed again.
        Restored = "restored",
        /// The person was erased; only the ids remain.
        Erased = "erased",
    }
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
    /// The state of a stored row, with its effect if the row has a record id. None for a row that is done and
    /// has no effect.
    pub fn of_row(state: ActionState, effect: Option<Effect>) -> Option<Self> {
        match state {
            ActionState::Done => effect.map(Self::Done),
            ActionState::Pending => Some(Self::Unsettled),
            ActionState::Failed
            | ActionState::Skipped
            | ActionState::Refused
            | ActionState::Restored
            | ActionState::Erased => Some(Self::New),
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
    pub fn state(&self) -> ActionState {
        match self {
            Self::Done(_) => ActionState::Done,
            Self::Failed(_) => ActionState::Failed,
            Self::Unknown(_) => ActionState::Pending,
            Self::Skipped => ActionState::Skipped,
            Self::Refused(_) => ActionState::Refused,
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
