//! What is done otherwise for the synthetic lead ([`LeadId::is_synthetic`]). That no CRM is asked about it is the guard's to
//! enforce, not this module's.

use std::sync::Arc;

use analysis::{Analyst, Rules};
use jiff::Timestamp;
use lead::{Failure, LeadId};
use serde_json::json;
use store::{Finish, Work};

use crate::Pipeline;

impl Pipeline {
    /// The analyst for a lead: for the synthetic one the rules, which cost nothing and do not depend on an AI.
    pub(crate) fn analyst_of(&self, lead: &LeadId) -> Arc<dyn Analyst> {
        if lead.is_synthetic() {
            return Arc::new(Rules::new(self.icp.clone()));
        }
        Arc::clone(&self.analyst)
    }

    /// Ends the synthetic lead, whatever its verdict is, and measures the seconds since it was accepted. An operator may have it
    /// judged again long after: that measures nothing.
    pub(crate) async fn end_synthetic(&self, work: &Work, accepted_at: Timestamp) -> Result<(), Failure> {
        self.store.finish(work, &Finish::Synthetic, &json!([])).await?;
        let seconds = self.clock.now().duration_since(accepted_at).as_secs_f64().max(0.0);
        if work.round == 1 {
            metrics::histogram!("revenueflow_synthetic_lead_seconds").record(seconds);
        }
        tracing::info!(outcome = "synthetic", seconds, "lead settled");
        Ok(())
    }
}
