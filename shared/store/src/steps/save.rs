//! Saving what leads have reached: one transaction for all that are at such a point at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use crm::{ActionId, BegunPlan, Outcome};
use database::{Backend, Connection, GroupWrite, Rows};
use lead::{DeliveryId, LeadId};
use routing::{LeadFacts, Routing};
use serde_json::Value;
use sqlx::any::AnyRow;

use super::plan::Submitted;
use super::rows::ChangeRows;
use super::{Acknowledge, Acknowledgement, Change, end, plan};
use crate::analysis::analysis_id;
use crate::assignment::{Routed, assign};
use crate::audit::{AuditEntries, Head};
use crate::codec::Columns as _;
use crate::delivery::state_of;
use crate::state::EnrichmentRetry;
use crate::{
    AnalysisRecord, Assignment, CrmFacts, DeliveryState, Finish, Result, SharedLimits, Store, Work, ledger,
};

/// The writes of one lead at one point of its work.
pub(super) struct Call {
    pub(super) lead: LeadId,
    pub(super) delivery: DeliveryId,
    pub(super) round: i64,
    pub(super) changes: Vec<Arc<Change>>,
    /// The judgement of the round, saved or not.
    pub(super) analysis: Option<Arc<AnalysisRecord>>,
    /// Whether the lead's row lacks saved results.
    is_behind: bool,
    outcomes: Vec<(ActionId, Outcome)>,
    /// Whether a repeated request of enrichment may be due after the end.
    pub(super) may_lack_enrichment: bool,
    /// Whether the lead may have an assignment.
    pub(super) may_have_assignment: bool,
    then: Then,
}

/// The step that follows the saved results.
pub(super) enum Then {
    Nothing,
    Assign { routed: Routed, routing: Arc<Routing>, facts: Box<LeadFacts> },
    Begin(Box<Submitted>),
    Finish { finish: Box<Finish>, effects: Value, message: Option<Acknowledgement> },
}

/// The result for one lead.
pub(super) enum Reply {
    /// Another worker has saved a result of the same step; nothing was written.
    Raced,
    /// The delivery does not exist any more; nothing was written.
    Erased,
    Saved,
    Assigned(Box<Assignment>),
    Begun(BegunPlan),
    Finished {
        acknowledged: bool,
    },
}

impl Call {
    pub(super) fn new(work: &Work, then: Then) -> Self {
        Self {
            lead: work.lead_id.clone(),
            delivery: work.delivery_id.clone(),
            round: work.round,
            changes: work.unsaved.clone(),
            analysis: work.analysis.clone(),
            is_behind: work.is_behind,
            outcomes: work.outcomes.clone(),
            may_lack_enrichment: work.may_lack_enrichment(),
            may_have_assignment: work.known.assignment,
            then,
        }
    }

    /// The writes before a plan of a delivery that nothing else is done on.
    pub(super) fn of_plan(submitted: Submitted) -> Self {
        let plan = &submitted.plan;
        Self {
            lead: plan.lead_id.clone(),
            delivery: plan.delivery_id.clone(),
            round: 0,
            changes: Vec::new(),
            analysis: None,
            is_behind: false,
            outcomes: Vec::new(),
            may_lack_enrichment: false,
            may_have_assignment: false,
            then: Then::Begin(Box::new(submitted)),
        }
    }
}

impl Call {
    /// Whether the lead's row is to show how far the work is. A plan and the end of the work follow soon
    /// after the other steps, and the row with all its indexes is then written once.
    pub(super) fn shows_progress(&self) -> bool {
        let is_due =
            |change: &Arc<Change>| matches!(**change, Change::Started { .. } | Change::Judged { .. });
        matches!(self.then, Then::Nothing) && (self.is_behind || self.changes.iter().any(is_due))
    }
}

/// The saving of leads in groups.
pub(super) struct Saves {
    pub(super) store: Store,
    pub(super) queue: Option<Arc<dyn Acknowledge>>,
    pub(super) limits: Option<Arc<SharedLimits>>,
}

/// A delivery as it stands, under the lock of its lead.
pub(super) struct Present {
    state: DeliveryState,
    pub(super) is_newest: bool,
    pub(super) revision: i64,
    enrichment: Option<EnrichmentRetry>,
    crm_facts: Option<Value>,
    is_judged: bool,
    /// Whether the lead has actions in the ledger.
    pub(super) has_actions: bool,
    /// The newest audit event of the lead.
    audit: Head,
}

#[async_trait]
impl GroupWrite for Saves {
    type Call = Call;
    type Reply = Reply;

    async fn write(&self, connection: &mut Connection, calls: &[Call]) -> Result<Vec<Reply>> {
        let now = self.store.now_millis();
        let present = lock(connection, calls).await?;
        let mut audit = AuditEntries::at(now);
        let mut rows = ChangeRows::at(now);
        let mut replies = Vec::with_capacity(calls.len());
        let (mut assigns, mut plans, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (place, call) in calls.iter().enumerate() {
            let Some(present) = present.get(call.delivery.as_str()) else {
                replies.push(Reply::Erased);
                continue;
            };
            if call.changes.iter().any(|change| present.has(change, call.round)) {
                replies.push(Reply::Raced);
                continue;
            }
            replies.push(Reply::Saved);
            audit.continue_from(&call.lead, present.audit.clone());
            rows.add(call, present, &mut audit);
            match &call.then {
                Then::Nothing => {}
                Then::Assign { routed, routing, facts } => assigns.push((place, routed, routing, facts)),
                Then::Begin(submitted) => plans.push(plan::Begin { place, submitted, present }),
                Then::Finish { finish, effects, message } => {
                    ends.push(end::End { place, call, present, finish, effects, message: message.as_ref() });
                }
            }
        }
        rows.write(connection).await?;
        ledger::finish(connection, calls.iter().flat_map(|call| &call.outcomes), now).await?;
        for (place, routed, routing, facts) in assigns {
            let assignment = assign(connection, routed, routing, facts, now, &mut audit).await?;
            if let Some(reply) = replies.get_mut(place) {
                *reply = Reply::Assigned(Box::new(assignment));
            }
        }
        plan::begin(connection, self.limits.as_deref(), plans, now, &mut audit, &mut replies).await?;
        end::finish(connection, self.queue.as_deref(), ends, now, &mut audit, &mut replies).await?;
        audit.append(connection).await?;
        Ok(replies)
    }
}

impl Present {
    /// Whether a newer delivery has taken the place of one that was not finished. A finished one may still
    /// have actions: a change of its lead's owner.
    pub(super) fn is_superseded(&self) -> bool {
        let is_unfinished = matches!(self.state, DeliveryState::Open | DeliveryState::Superseded);
        is_unfinished && !self.is_newest
    }

    fn read(row: &AnyRow) -> Result<Self> {
        let retry = row.word("enrichment_retry", EnrichmentRetry::parse)?;
        Ok(Self {
            state: state_of(row)?,
            is_newest: row.flag("is_newest")?,
            revision: row.number("revision")?,
            enrichment: row.flag("is_enriched")?.then_some(retry),
            crm_facts: row.optional_json("crm_facts")?,
            is_judged: row.flag("is_judged")?,
            has_actions: row.flag("has_actions")?,
            audit: match (row.optional_number("audit_seq")?, row.optional_text("audit_hash")?) {
                (Some(seq), Some(hash)) => Head { seq, hash },
                _ => Head::default(),
            },
        })
    }

    /// Whether the result of the same step is there already: the first one is final, because the later steps
    /// build on it.
    fn has(&self, change: &Change, round: i64) -> bool {
        // Another worker has ended the work.
        if self.state != DeliveryState::Open {
            return true;
        }
        match change {
            Change::Started { .. } | Change::Assigned(_) => false,
            Change::Enriched { .. } => {
                self.enrichment.is_some_and(|retry| retry != EnrichmentRetry::Requested)
            }
            Change::CrmRead(_) => CrmFacts::of_round(self.crm_facts.clone(), round).is_some(),
            Change::Judged { .. } => self.is_judged,
        }
    }
}

/// Locks the leads, in the order of their ids, and reads their deliveries.
async fn lock(connection: &mut Connection, calls: &[Call]) -> Result<HashMap<String, Present>> {
    if connection.backend() == Backend::Postgres {
        let mut leads = Rows::new(["lead_id"]);
        for call in calls {
            leads.push([call.lead.as_str().into()]);
        }
        let locks =
            "SELECT 1 FROM lead WHERE lead_id IN (SELECT lead_id FROM given) ORDER BY lead_id FOR UPDATE";
        leads.execute(connection, locks).await?;
    }
    let mut deliveries = Rows::new(["delivery_id", "analysis_id"]);
    for call in calls {
        let analysis = analysis_id(&call.delivery, call.round);
        deliveries.push([call.delivery.as_str().into(), analysis.into()]);
    }
    let rows = deliveries
        .fetch_all(
            connection,
            "SELECT d.delivery_id, d.state, d.revision, d.enrichment_retry, d.crm_facts, \
             CAST(CASE WHEN d.enrichment IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_enriched, \
             CAST(CASE WHEN l.delivery_id = d.delivery_id THEN 1 ELSE 0 END AS BIGINT) AS is_newest, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM analysis a WHERE a.analysis_id = given.analysis_id) \
                  THEN 1 ELSE 0 END AS BIGINT) AS is_judged, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM crm_action c WHERE c.lead_id = d.lead_id) \
                  THEN 1 ELSE 0 END AS BIGINT) AS has_actions, e.seq AS audit_seq, e.hash AS audit_hash \
             FROM given JOIN delivery d ON d.delivery_id = given.delivery_id JOIN lead l ON l.lead_id = d.lead_id \
             LEFT JOIN audit_event e ON e.lead_id = d.lead_id \
                  AND e.seq = (SELECT MAX(m.seq) FROM audit_event m WHERE m.lead_id = d.lead_id)",
        )
        .await?;
    rows.iter().map(|row| Ok((row.text("delivery_id")?, Present::read(row)?))).collect()
}
