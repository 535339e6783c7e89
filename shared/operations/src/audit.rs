//! The audit trail: reading and verifying it.

use lead::LeadId;
use serde::Serialize;
use store::{Act, AuditBreak, AuditEvent, ChainPosition, HeadTable};

use crate::operations::{MAX_PAGE, OperationError, Operations};

/// The number of rows that one reading of a verification takes.
const PAGE: u32 = 1_000;

/// The number of breaks after which a verification ends.
const MAX_BREAKS: usize = 100;

/// The result of verifying the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditVerification {
    /// Leads whose chain was read.
    pub leads: u64,
    /// Events of leads that were read.
    pub events: u64,
    /// Acts that were read.
    pub acts: u64,
    /// The hash of the newest act. Kept elsewhere, it shows later whether the acts up to it were rewritten.
    pub acts_hash: String,
    /// The first break of each chain that has one, at most a hundred; empty if the trail is intact.
    pub breaks: Vec<AuditBreak>,
}

impl Operations {
    /// The audit events of a lead, oldest first, after event `after`.
    pub async fn audit(
        &self,
        id: &LeadId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, OperationError> {
        self.store.lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        Ok(self.store.audit(id, after, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// Up to `limit` acts that concern no lead, or more than one, newest first, before act `before`.
    pub async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>, OperationError> {
        Ok(self.store.acts(before, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// Verifies the chains of all leads and the chain of acts, in pages. Calls `progress` with the number of
    /// events and acts so far. Ends early after a hundred breaks.
    pub async fn verify_audit(
        &self,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<AuditVerification, OperationError> {
        let mut result = AuditVerification::default();
        let (acts, hash, found) = self.store.check_acts(PAGE, &mut progress).await?;
        (result.acts, result.acts_hash) = (acts, hash);
        result.breaks.extend(found);
        let mut next = Some(ChainPosition::default());
        while let Some(from) = next.filter(|_| result.breaks.len() < MAX_BREAKS) {
            let checked = self.store.check_chains(from, PAGE).await?;
            result.leads += checked.chains;
            result.events += checked.events;
            result.breaks.extend(checked.breaks);
            progress(result.acts + result.events);
            next = checked.next;
        }
        for table in [HeadTable::Leads, HeadTable::Erased] {
            let mut after = Some(String::new());
            while let Some(lead) = after.filter(|_| result.breaks.len() < MAX_BREAKS) {
                let (last, breaks) = self.store.check_heads(table, &lead, PAGE).await?;
                let known = |found: &AuditBreak| result.breaks.iter().any(|b| b.lead_id == found.lead_id);
                let breaks: Vec<_> = breaks.into_iter().filter(|found| !known(found)).collect();
                result.breaks.extend(breaks);
                after = last;
            }
        }
        result.breaks.truncate(MAX_BREAKS);
        Ok(result)
    }

    /// Verifies the chain of one lead, also of an erased one.
    pub async fn verify_audit_of(&self, id: &LeadId) -> Result<AuditVerification, OperationError> {
        let (events, found) = self.store.check_lead_chain(id).await?;
        if events == 0 && found.is_none() {
            return Err(OperationError::NotFound("lead"));
        }
        Ok(AuditVerification { leads: 1, events, breaks: found.into_iter().collect(), ..Default::default() })
    }
}
