use crm::Restored;
use lead::{Failure, LeadId};
use store::WrittenAction;

use crate::Pipeline;

impl Pipeline {
    /// Puts back what a lead's plans have overwritten in the CRM, newest first, wherever the CRM still holds what we wrote.
    /// Records are not deleted, and what people changed since stays. Says of each action what became of each of its fields.
    ///
    /// A lead whose values were put back is planned again: promoting it writes them once more. What was put back is kept
    /// action by action: stopped half-way, it goes on where it stopped when it is done again.
    pub async fn restore(&self, lead: &LeadId) -> Result<Vec<(WrittenAction, Vec<Restored>)>, Failure> {
        let written = self.store.written(self.guard.provider(), lead).await?;
        let mut restored = Vec::with_capacity(written.len());
        for action in written {
            // One by one: what one puts back is what the one before it wrote.
            let results = if action.changes.is_empty() {
                Vec::new()
            } else {
                self.guard.restore(&action.changes).await?
            };
            self.store.record_restored(lead, &action, &results).await?;
            restored.push((action, results));
        }
        Ok(restored)
    }
}
