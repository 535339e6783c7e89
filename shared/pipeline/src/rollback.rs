use crm::Restored;
use lead::{Actor, Failure, LeadId};
use store::WrittenAction;

use crate::Pipeline;

impl Pipeline {
    /// Restores the field values that a lead's plans have overwritten in the CRM, newest action first. A
    /// field is restored only if the CRM still holds the value we wrote, so later changes by people are kept.
    /// Records are not deleted. Returns the outcome of each field of each action.
    ///
    /// The lead becomes `planned` again, and promoting it repeats the writes. Progress is stored after each
    /// action, so a rollback that stops half-way can be repeated and resumes there.
    pub async fn restore(
        &self,
        actor: &Actor,
        lead: &LeadId,
    ) -> Result<Vec<(WrittenAction, Vec<Restored>)>, Failure> {
        let written = self.store.written(self.guard.provider(), lead).await?;
        let mut restored = Vec::with_capacity(written.len());
        for action in written {
            // One at a time: an action restores the values that the previous action wrote.
            let results = if action.changes.is_empty() {
                Vec::new()
            } else {
                self.guard.restore(&action.changes).await?
            };
            self.store.record_restored(actor, lead, &action, &results).await?;
            restored.push((action, results));
        }
        Ok(restored)
    }
}
