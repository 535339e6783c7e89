use async_trait::async_trait;
use lead::{Failure, LeadId};
use serde::{Deserialize, Serialize};

use crate::PlannedAction;

/// What an action left behind in the CRM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The CRM's own id of the record written.
    pub record_id: String,
    /// Whether the record is new, as far as can be told: an effect found after its reply was lost may not know.
    pub created: bool,
}

/// A CRM. Only the [`Guard`](crate::Guard) talks to it.
///
/// Every write goes by external id ([`PlannedAction::external_id`]), so that doing an action twice leaves what doing it
/// once leaves. The class of a failure is a promise:
/// - **permanent** and **deferral**: the action has had no effect;
/// - **transient**: nobody knows. The next try first asks [`find`](Executor::find).
///
/// An executor bounds its own waiting: a call that takes too long is a transient failure.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Which CRM, as in `CRM_PROVIDER`.
    fn provider(&self) -> &'static str;

    /// Does the actions in order, in as few calls as the CRM allows, and says of each what came of it.
    ///
    /// The answer holds one result for each action from the first on; it ends early where later ones were not sent, which
    /// is what happens after a failure that later ones depend on. It is not a transaction: results stand for themselves.
    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>>;

    /// Looks whether an action whose outcome is unknown has had its effect: a record by its external id, holding what
    /// the action writes where it changes an existing one. None where it has not, or where that cannot be told: the action
    /// is then done again, which is safe.
    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure>;

    /// The cheapest question that shows whether the CRM can be used with our credentials.
    async fn probe(&self) -> Result<(), Failure>;
}
