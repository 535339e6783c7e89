//! The interface of a CRM, and the rules that every implementation keeps.
//!
//! # Writing an executor
//!
//! An executor holds its [`Mapping`](crate::Mapping) and turns [`PlannedAction`]s into calls.
//! [`RecordWrite::resolve`](crate::RecordWrite::resolve) decides for all CRMs which fields of a record are
//! written. Its inputs are the mapping, the action, the record's present values, and the schema of its
//! object. [`preview`](Executor::preview) reports its result, [`execute`](Executor::execute) sends it, and
//! [`find`](Executor::find) checks whether any part of it remains to be sent. The three therefore cannot
//! disagree.
//!
//! A typical `execute` makes one round trip to read and one to write:
//! 1. read the present values of the records that the actions write (mapped fields only), and the schema,
//!    which is cached;
//! 2. call `RecordWrite::resolve` for each action and each object that it writes
//!    ([`Mapping::targets`](crate::Mapping::targets)). Every decision is made against the state before the
//!    plan, so that the writes to one record can be merged into one request;
//! 3. send the requests and report the result of each action.
//!
//! `crm::testing::executor_suite` checks the rules below for any executor. The mock, Salesforce and `HubSpot`
//! all pass it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lead::{Failure, LeadId};
use serde::{Deserialize, Serialize};

use crate::{About, FieldChange, Known, Omission, OwnerStatus, PlannedAction, Restored, SchemaProblem};

/// The result of an action in the CRM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The CRM's own id of the record written.
    pub record_id: String,
    /// Whether the action created the record. Best effort for an effect found after its reply was lost.
    pub created: bool,
    /// The fields that were not written to the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Omission>,
}

impl Effect {
    /// An effect with every field written.
    pub fn new(record_id: impl Into<String>, created: bool) -> Self {
        Self { record_id: record_id.into(), created, left_out: Vec::new() }
    }

    /// Adds fields that were left out of the action's records. Duplicates are dropped.
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

/// A merge in the CRM: one record was merged into another, which represents the lead from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Followed {
    /// The CRM's id of the record that earlier plans wrote.
    pub from: String,
    /// The CRM's id of the surviving record.
    pub to: String,
}

/// A preview for a lead whose record earlier plans wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPreview {
    /// The merge that would be followed, if any.
    pub followed: Option<Followed>,
    /// Every field, as returned by [`Executor::preview`].
    pub changes: Vec<FieldChange>,
}

/// A CRM. Only the [`Guard`](crate::Guard) writes through it.
///
/// Every write goes by external id ([`PlannedAction::external_id`]), so that executing an action twice has
/// the same result as executing it once. The class of a failure is a promise:
/// - **permanent** and **deferral**: the action has had no effect;
/// - **transient**: the outcome is unknown. The next attempt calls [`find`](Executor::find) first.
///
/// An executor bounds its own waits: a call that takes too long is a transient failure.
#[async_trait]
pub trait Executor: Send + Sync {
    /// The CRM's name, as in `CRM_PROVIDER`.
    fn provider(&self) -> &'static str;

    /// Executes the actions in order, in as few calls as the CRM allows, and reports the result of each.
    ///
    /// The answer holds one result for each action, starting with the first. It ends early if later actions
    /// were not sent because they depend on one that failed. This is not a transaction: each result stands on
    /// its own.
    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>>;

    /// Checks whether an action with an unknown outcome has had its effect: the record exists under its
    /// external id, and for an action that changes an existing record, no field remains to be written
    /// ([`RecordWrite::is_up_to_date`](crate::RecordWrite::is_up_to_date)). None if it has not, or if the CRM
    /// cannot tell. The action is then executed again, which is safe.
    async fn find(&self, lead: &LeadId, action: &PlannedAction) -> Result<Option<Effect>, Failure>;

    /// The cheapest call that shows whether the CRM accepts our credentials.
    async fn probe(&self) -> Result<(), Failure>;

    /// A description of the account that the credentials open, for `revenueflow doctor`: its id, and how much
    /// of its allowance is used. Called after [`probe`](Executor::probe). None if the CRM reports nothing.
    async fn account(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Looks up a person by e-mail address and their company by domain.
    ///
    /// The lookup does not go by external id, because it is meant to find records older than ours. Our own
    /// record of the lead counts too. The result holds nothing personal except owner ids. Of several matching
    /// records, the most recently changed one is used. Facts that the CRM cannot determine are absent. An
    /// unknown person is not a failure.
    async fn facts(&self, about: &About) -> Result<Known, Failure>;

    /// As [`facts`](Executor::facts), for a lead that earlier plans wrote as `record_id`.
    async fn facts_of_written(&self, about: &About, _record_id: &str) -> Result<Known, Failure> {
        self.facts(about).await
    }

    /// Whether [`facts`](Executor::facts) can return more than our own writes. If it cannot, it is never
    /// called, and the CRM facts that the sender of a lead supplied are used.
    fn has_external_facts(&self) -> bool {
        true
    }

    /// The URL of a record, for texts that people read. None if the CRM's record URLs are not known.
    fn record_url(&self, _record_id: &str) -> Option<String> {
        None
    }

    /// The CRM's information on possible owners, by the given ids. Unknown owners are missing from the
    /// result.
    async fn owners(&self, _ids: &[String]) -> BTreeMap<String, OwnerStatus> {
        BTreeMap::new()
    }

    /// Checks whether the record that earlier plans wrote for a lead is still found by its external id, and
    /// follows a merge: the surviving record gets the external id, unless it holds the id of another lead.
    /// Returns the merge if there was one.
    ///
    /// Failures: permanent if the record is deleted or the merge cannot be followed, since a new record would
    /// be a duplicate of the person. Otherwise as for [`execute`](Executor::execute).
    async fn follow(&self, _lead: &LeadId, _record_id: &str) -> Result<Option<Followed>, Failure> {
        Ok(None)
    }

    /// Every field that [`execute`](Executor::execute) would write now, with its present value, and every
    /// field that it would leave out, with the reason. Only reads from the CRM.
    ///
    /// In the plan's order. Refusals of a whole record by the CRM (duplicate rules, validation rules) cannot
    /// be predicted.
    async fn preview(&self, lead: &LeadId, actions: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure>;

    /// As [`preview`](Executor::preview), for a lead that earlier plans wrote as `record_id`. If that record
    /// was merged into another, the preview is for the surviving record. Only reads from the CRM.
    ///
    /// Failures: as for [`follow`](Executor::follow).
    async fn preview_written(
        &self,
        lead: &LeadId,
        _record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<RecordPreview, Failure> {
        Ok(RecordPreview { followed: None, changes: self.preview(lead, actions).await? })
    }

    /// Mismatches between the CRM's schema and the mapping, for `revenueflow doctor`: see
    /// [`ObjectSchema::problems`](crate::ObjectSchema::problems). Empty if there are none.
    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure>;

    /// Restores old values field by field, in fields that still hold the value we wrote. Never creates or
    /// deletes records.
    ///
    /// The changes are those of stored previews, all of one lead and newest first.
    /// [`FieldChange::restorable`] decides each of them. The result holds one entry for each change, in
    /// order. After a failure the call can safely be repeated: a value that was already restored is reported
    /// as [`Restored::BackAlready`].
    async fn restore(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure>;
}
