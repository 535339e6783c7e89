//! Special treatment of the synthetic lead ([`LeadId::is_synthetic`]). The guard, not this module, keeps it
//! out of the CRM.

use std::sync::Arc;

use analysis::Analyst;
use jiff::Timestamp;
use lead::{Failure, LeadId};
use queue::Message;
use serde_json::json;
use store::{Finish, Work};

use crate::Pipeline;

impl Pipeline {
    /// The analyst for a lead. The synthetic lead is judged by the rules, which cost nothing and need no AI.
    pub(crate) fn analyst_of(&self, lead: &LeadId) -> Arc<dyn Analyst> {
        if lead.is_synthetic() {
            return self.rules();
        }
        Arc::clone(&self.analyst)
    }

    /// Finishes the synthetic lead, whatever its verdict is, and records the seconds since it was accepted.
    /// Only the first round is measured: an operator may have the lead judged again long after that.
    pub(crate) async fn end_synthetic(
        &self,
        message: &Message,
        work: &mut Work,
        accepted_at: Timestamp,
    ) -> Result<(), Failure> {
        self.end(message, work, Finish::Synthetic, json!([])).await?;
        let seconds = self.clock.now().duration_since(accepted_at).as_secs_f64().max(0.0);
        if work.round == 1 {
            metrics::histogram!("revenueflow_synthetic_lead_seconds").record(seconds);
        }
        tracing::info!(outcome = "synthetic", seconds, "lead settled");
        Ok(())
    }
}
