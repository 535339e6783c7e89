use crm::Restored;
use lead::{Failure, LeadId};
use store::WrittenAction;

use crate::Pipeline;

impl Pipeline {
    /// Puts back what a lead's plans have overwritten in the CRM, newest first, wherever the CRM still holds what we wrote.
    /// Records are not deleted, and what people changed since stays. Says of each action what became of each of its fields.
    ///
    /// A lead whose values were put back is planned again: promoting it writes them once more. Stopped half-way, it is
    /// simply done again: what was put back is then as it was.
    pub async fn restore(&self, lead: &LeadId) -> Result<Vec<(WrittenAction, Vec<Restored>)>, Failure> {
        let written = self.store.written(self.guard.provider(), lead).await?;
        let mut restored = Vec::with_capacity(written.len());
        for action in &written {
            // One by one: what one puts back is what the one before it wrote.
            let results = if action.changes.is_empty() {
                Vec::new()
            } else {
                self.guard.restore(&action.changes).await?
            };
            restored.push((action, results));
        }
        if restored.iter().any(|(_, results)| results.contains(&Restored::PutBack)) {
            self.store.record_restored(lead, &restored).await?;
        }
        Ok(restored.into_iter().map(|(action, results)| (action.clone(), results)).collect())
    }
}
