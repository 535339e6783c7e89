//! What a CRM has to be able to do, and the rules that every one of them keeps.
//!
//! # Writing an executor
//!
//! An executor holds its [`Mapping`](crate::Mapping) and turns [`PlannedAction`]s into calls. What it would write to a
//! record is decided in one place for all CRMs, [`RecordWrite::resolve`](crate::RecordWrite::resolve), from four things: the
//! mapping, the action, the record's present values, and the schema of its object. [`preview`](Executor::preview) shows
//! what came out of it, [`execute`](Executor::execute) sends it, [`find`](Executor::find) asks whether anything of it is
//! still to be sent: the three cannot differ.
//!
//! A typical `execute`, one round trip to read and one to write:
//! 1. read the present values of the records the actions touch (fields of the mapping only), and the schema, cached;
//! 2. `RecordWrite::resolve` for each action and each object it writes ([`Mapping::targets`](crate::Mapping::targets));
//!    all decisions are made against the state before the plan, so that the writes to one record can be merged into one
//!    request;
//! 3. send, and say of each action what came of it.
//!
//! `crm::testing::executor_suite` proves the rules below for any executor; the mock, Salesforce and `HubSpot` all pass it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lead::{Failure, LeadId};
use serde::{Deserialize, Serialize};

use crate::{About, FieldChange, Known, Omission, OwnerStanding, PlannedAction, Restored, SchemaProblem};

/// What an action left behind in the CRM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The CRM's own id of the record written.
    pub record_id: String,
    /// Whether the record is new, as far as can be told: an effect found after its reply was lost may not know.
    pub created: bool,
    /// The fields that did not reach the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Omission>,
}

impl Effect {
    /// An effect with every field written.
    pub fn new(record_id: impl Into<String>, created: bool) -> Self {
        Self { record_id: record_id.into(), created, left_out: Vec::new() }
    }

    /// The same with the fields that were left out of the action's records. The same field is named once.
    #[must_use]
    pub fn without(mut self, left_out: impl IntoIterator<Item = Omission>) -> Self {
        for omission in left_out {
            if !self.left_out.contains(&omission) {
                self.left_out.push(omission);
            }
        }
        self
    }
}

/// A record that was merged into another one, which stands for the lead from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The record that was written before.
    pub from: String,
    /// The record that is left.
    pub to: String,
}

/// What a plan would write to a lead that was written before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreseen {
    /// The merge that would be followed, where there is one.
    pub followed: Option<Followed>,
    /// Every field, as of [`Executor::preview`].
    pub changes: Vec<FieldChange>,
}

/// A CRM. Only the [`Guard`](crate::Guard) writes through it.
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

    /// Looks whether an action whose outcome is unknown has had its effect: a record by its external id, with nothing
    /// left to write of what the action writes where it changes an existing one
    /// ([`RecordWrite::is_in_place`](crate::RecordWrite::is_in_place)). None where it has not, or where that cannot be
    /// told: the action is then done again, which is safe.
    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure>;

    /// The cheapest question that shows whether the CRM can be used with our credentials.
    async fn probe(&self) -> Result<(), Failure>;

    /// What can be said of the account that the credentials open, for `revenueflow doctor`: its id, how much of its
    /// allowance is used. Asked after [`probe`](Executor::probe); none where there is nothing to say.
    async fn account(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// What the CRM knows of a person, by e-mail address, and of their company, by domain.
    ///
    /// Looked up by address and domain rather than by external id: what counts is what was there before us. Our own
    /// record of the lead counts too. Nothing personal beyond owner ids comes back. Of several records the one changed
    /// last stands for all; what cannot be told is absent. A CRM that knows nothing is no failure.
    async fn facts(&self, about: &About) -> Result<Known, Failure>;

    /// Whether [`facts`](Executor::facts) can tell more than what we wrote ourselves. Where it cannot, nobody asks, and what
    /// the sender of a lead says about the CRM stands.
    fn knows_more_than_we_wrote(&self) -> bool {
        true
    }

    /// Where people open a record, for texts that they read. None where the CRM gives records no address that is known.
    fn record_url(&self, _record_id: &str) -> Option<String> {
        None
    }

    /// What the CRM says of those who may own records, by the ids as given. One that is missing is not known.
    async fn owners(&self, _ids: &[String]) -> BTreeMap<String, OwnerStanding> {
        BTreeMap::new()
    }

    /// Looks whether the record that was written for a lead before is still found by its external id, and follows a merge:
    /// the record that is left gets the external id, unless it has another lead's. Some where it was so.
    ///
    /// Failures: permanent where the record is deleted, or cannot be followed: a new one would be a second record of the
    /// person. As of [`execute`](Executor::execute) otherwise.
    async fn follow(&self, _lead: &LeadId, _record_id: &str) -> Result<Option<Followed>, Failure> {
        Ok(None)
    }

    /// Everything that [`execute`](Executor::execute) would write now, field by field, with the value that is there;
    /// and what it would leave out, with the reason. Reads, and writes nothing.
    ///
    /// In the plan's order. Only whole refusals by the CRM (duplicate rules, validation rules) cannot be foreseen.
    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure>;

    /// The same for a lead that was written as `record_id` before: where people have merged that record, the preview is
    /// about the one that is left. Reads, and writes nothing.
    ///
    /// Failures: as of [`follow`](Executor::follow).
    async fn preview_written(
        &self,
        lead: &LeadId,
        _record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<Foreseen, Failure> {
        Ok(Foreseen { followed: None, changes: self.preview(lead, actions).await? })
    }

    /// What about the CRM's schema does not suit the mapping, for `revenueflow doctor`: see
    /// [`ObjectSchema::problems`](crate::ObjectSchema::problems). Empty where all is well.
    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure>;

    /// Puts old values back where the CRM still holds what we wrote, field by field; creates and deletes nothing.
    ///
    /// The changes are those of stored previews, all of one lead and newest first. Each is decided by
    /// [`FieldChange::restorable`]; one result for each change, in order. A failure leaves the rest for another call, which
    /// is safe: what was put back is then [`Restored::BackAlready`].
    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure>;
}
