//! Logs and metrics of actions.

use lead::Failure;

use super::Guard;
use crate::{Outcome, Plan, PlannedAction};

impl Guard {
    /// Logs and counts each field that was left out. Metric labels stay few, since field names come from the
    /// mapping.
    pub(super) fn report_omissions(&self, plan: &Plan, outcome: &Outcome) {
        let (provider, lead_id) = (self.provider(), &plan.lead_id);
        for omission in outcome.effect().into_iter().flat_map(|effect| &effect.left_out) {
            let (object, reason) = (omission.object.as_str(), omission.reason.code());
            metrics::counter!(
                "revenueflow_crm_fields_left_out_total", "provider" => provider, "object" => object,
                "field" => omission.field.clone(), "reason" => reason
            )
            .increment(1);
            tracing::warn!(%lead_id, provider, object, field = %omission.field, reason, "crm field left out");
        }
    }

    /// Logs and counts each action. Only ids and codes: parameters are personal data.
    pub(super) fn report(
        &self,
        plan: &Plan,
        planned: &PlannedAction,
        outcome: &'static str,
        failure: Option<&Failure>,
    ) {
        let provider = self.provider();
        let kind = planned.action.kind();
        metrics::counter!(
            "revenueflow_crm_actions_total", "provider" => provider, "kind" => kind, "outcome" => outcome
        )
        .increment(1);
        let (lead_id, action_id) = (&plan.lead_id, &planned.action_id);
        if let Some(Failure { code, .. }) = failure {
            tracing::warn!(%lead_id, %action_id, provider, kind, outcome, %code, "crm action");
        } else {
            // Several for each lead: the line of the settled lead tells enough.
            tracing::debug!(%lead_id, %action_id, provider, kind, outcome, "crm action");
        }
    }
}
