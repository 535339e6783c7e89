use std::time::Duration;

use lead::Failure;

use crate::{BATCH, Janitor, Round};

/// How long a neutral verdict stands before the AI is asked again.
const AFTER: Duration = Duration::from_mins(5);

impl Janitor {
    /// Puts leads that were judged without an AI up for judgement again, oldest first, unless the AI is known to be away.
    pub(crate) async fn second_look(&self, round: &mut Round) -> Result<(), Failure> {
        let is_away =
            self.queue.pauses().await?.iter().any(|pause| pause.dependency.as_str().starts_with("ai."));
        if is_away {
            return Ok(());
        }
        for lead in self.store.fallback_leads(self.ago(AFTER), BATCH).await? {
            if let Some(event) = self.store.reopen(&lead, true, "judged without an AI").await? {
                self.queue.send(&event).await?;
                round.second_looks += 1;
            }
        }
        Ok(())
    }
}
