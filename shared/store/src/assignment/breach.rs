use std::collections::BTreeMap;

use database::{from_millis, to_millis};
use lead::{Actor, LeadId};
use routing::{OnBreach, OwnerId, Routing};
use serde_json::json;

use super::counters::{lock_counters, save_credits};
use super::owner_load::change_load;
use super::record::{deadline, load, read, save};
use super::{Assignment, CrmSync};
use crate::audit::{self, AuditKind};
use crate::{Result, Store};

/// The outcome of a missed response deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Nothing to do: a response was recorded, or another process handled the deadline first.
    Nothing,
    /// The rule does not reassign, or no other owner is eligible.
    Alert {
        /// The current owner.
        owner: Option<OwnerId>,
    },
    /// The lead was reassigned, and the CRM does not know the new owner yet.
    Reassigned {
        /// The previous owner.
        from: Option<OwnerId>,
        /// The new owner.
        to: OwnerId,
    },
}

impl Store {
    /// Leads in the CRM with a missed response deadline, the longest overdue first.
    pub async fn overdue(&self, limit: u32) -> Result<Vec<Assignment>> {
        // A subquery: with a join, SQLite starts from the synced leads, which are nearly all leads.
        let query = sqlx::query(
            "SELECT a.* FROM lead_assignment a WHERE a.due_at IS NOT NULL AND a.due_at <= $1 \
             AND (SELECT l.status FROM lead l WHERE l.lead_id = a.lead_id) = 'synced' ORDER BY a.due_at LIMIT $2",
        );
        let rows = self.rows(query.bind(self.now_millis()).bind(i64::from(limit))).await?;
        rows.iter().map(read).collect()
    }

    /// Records a missed response deadline, and reassigns the lead if its rule says so and another owner is
    /// eligible. Skips the owners in `unavailable`, to whom the CRM assigns no leads. If several processes
    /// call this, only one has an effect.
    pub async fn record_breach(
        &self,
        lead: &LeadId,
        routing: &Routing,
        unavailable: &BTreeMap<OwnerId, String>,
    ) -> Result<Breach> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some(mut kept) = load(&mut transaction, lead).await? else { return Ok(Breach::Nothing) };
        if kept.responded_at.is_some() || kept.due_at.is_none_or(|due| to_millis(due) > now) {
            return Ok(Breach::Nothing);
        }
        let (from, delivery) = (kept.owner.clone(), kept.delivery_id.clone());
        let detail = json!({ "owner": from, "due_at": kept.due_at, "rule": kept.routed.rule });
        let (janitor, delivery) = (Actor::janitor(), Some(&delivery));
        let kind = AuditKind::Overdue;
        audit::append_by(&mut transaction, Some(&janitor), lead, delivery, now, kind, &detail).await?;
        (kept.due_at, kept.breached_at) = (None, Some(from_millis(now)));
        let next = match (kept.routed.timer, &kept.routed.pool) {
            (Some(timer), Some(pool))
                if timer.on_breach == OnBreach::Reassign
                    && kept.reassignments < i64::from(timer.max_reassignments) =>
            {
                let counters = lock_counters(&mut transaction, now).await?;
                routing.reassign(pool, kept.routed.rule.as_deref(), &kept.had_it, unavailable, &counters)
            }
            _ => None,
        };
        let breach = match next.as_ref().and_then(|next| next.owner.clone()) {
            None => Breach::Alert { owner: from },
            Some(to) => {
                let next = next.unwrap_or_else(|| kept.routed.clone());
                save_credits(&mut transaction, &next.credits).await?;
                change_load(&mut transaction, from.as_ref(), now, 0, -1).await?;
                change_load(&mut transaction, Some(&to), now, 1, 1).await?;
                kept.due_at = deadline(next.timer, now);
                kept.reassignments += 1;
                kept.assigned_at = from_millis(now);
                kept.had_it.push(to.clone());
                kept.owner = Some(to.clone());
                kept.routed = next;
                kept.crm_sync = CrmSync::NotYet;
                let detail = json!({
                    "from": from, "owner": to, "because": kept.routed.because, "respond_by": kept.due_at,
                });
                let kind = AuditKind::Reassigned;
                audit::append_by(&mut transaction, Some(&janitor), lead, delivery, now, kind, &detail)
                    .await?;
                Breach::Reassigned { from, to }
            }
        };
        save(&mut transaction, &kept).await?;
        transaction.commit().await?;
        Ok(breach)
    }
}
