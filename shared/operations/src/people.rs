//! Decisions by people: reviews of held leads, responses and suppressions.

use lead::{Actor, LeadId, LeadStatus};
use serde::Serialize;
use store::{Cursor, LeadFilter, ReviewDecision, Reviewed, Suppressed, Suppression, Verdict};

use crate::operations::{MAX_PAGE, OperationError, Operations, Page};
use crate::view::{LeadView, ReasonView};

/// The longest name or reason, in characters.
const MAX_CHARS: usize = 200;

/// A held lead with the reasons for which it is held.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct HeldLead {
    /// The lead, without its evidence.
    pub lead: LeadView,
    /// The rules that its analysis broke.
    pub reasons: Vec<ReasonView>,
}

/// The result of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAnswer {
    /// The lead is queued again.
    Queued,
    /// The lead is dismissed.
    Dismissed,
}

impl Operations {
    /// A page of the held leads, newest first, each with the rules that its analysis broke.
    pub async fn held(&self, before: Option<&Cursor>, limit: u32) -> Result<Page<HeldLead>, OperationError> {
        let filter = LeadFilter { status: Some(LeadStatus::Held), ..LeadFilter::default() };
        let limit = limit.clamp(1, MAX_PAGE);
        let records = self.store().leads(&filter, before, limit + 1).await?;
        let page = Page::of(records, limit, |lead| Cursor::at(lead.created_at, lead.lead_id.as_str()));
        let mut items = Vec::with_capacity(page.items.len());
        for record in page.items {
            let analysis = self.store().analysis_in_force(&record.lead_id).await?;
            let breaches = analysis.iter().flat_map(|analysis| &analysis.verdict.reasons);
            let reasons = breaches
                .map(|breach| ReasonView { code: breach.code, message: breach.message.clone() })
                .collect();
            items.push(HeldLead { lead: LeadView::new(record, None), reasons });
        }
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// Decides about a held lead: approves it for the CRM without anything from its analysis, has it judged
    /// again, or dismisses it. Repeating a decision changes nothing.
    ///
    /// Errors: [`OperationError::NotHeld`] if the lead is not held; [`OperationError::Conflict`] for an
    /// approval of a person on the suppression list.
    pub async fn review(
        &self,
        actor: &Actor,
        id: &LeadId,
        verdict: Verdict,
        reason: Option<&str>,
    ) -> Result<ReviewAnswer, OperationError> {
        let reason = reason.map(|reason| single_line("the reason", reason)).transpose()?;
        if verdict == Verdict::Dismiss && reason.is_none() {
            return Err(OperationError::Invalid("dismissing a lead requires a reason".to_owned()));
        }
        if verdict == Verdict::Approve {
            let lead = self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
            if lead.status == LeadStatus::Held
                && self.store().suppressed(&lead.content.email).await?.is_some()
            {
                return Err(OperationError::Conflict(
                    "the person is on the suppression list: nothing may be written",
                ));
            }
        }
        let event = match self.store().review(actor, id, verdict, reason.as_deref()).await? {
            Reviewed::Done(event) | Reviewed::Before(event) => event,
            Reviewed::Missing => return Err(OperationError::NotFound("lead")),
            Reviewed::NotHeld(status) => return Err(OperationError::NotHeld(status)),
        };
        // After a crash before this the delivery is open, and the janitor sends open deliveries that are in
        // no queue.
        if let Some(event) = event {
            self.queue().send(&event).await?;
        }
        Ok(if verdict == Verdict::Dismiss { ReviewAnswer::Dismissed } else { ReviewAnswer::Queued })
    }

    /// The decisions about a lead, oldest first.
    pub async fn reviews(&self, id: &LeadId) -> Result<Vec<ReviewDecision>, OperationError> {
        Ok(self.store().review_decisions(id).await?)
    }

    /// Records a response to a lead; false if it already has one. `by` is the name of the person who
    /// responded, if it is known.
    pub async fn responded(
        &self,
        actor: &Actor,
        id: &LeadId,
        by: Option<&str>,
    ) -> Result<bool, OperationError> {
        let by = by.map(|by| single_line("the responder's name", by)).transpose()?;
        self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let responded = self.store().record_response(actor, id, by.as_deref()).await?;
        responded.ok_or(OperationError::Conflict("the lead has not been assigned yet"))
    }

    /// Adds an address or a domain to the suppression list; false if it is already there.
    pub async fn suppress(&self, actor: &Actor, target: &str, reason: &str) -> Result<bool, OperationError> {
        let target = suppressed(target)?;
        let reason = single_line("the reason", reason)?;
        Ok(self.store().suppress(actor, &target, &reason).await?)
    }

    /// Removes an entry from the suppression list, given as an address, a domain, or the entry's hash. The
    /// actor and the reason are recorded.
    pub async fn unsuppress(&self, actor: &Actor, target: &str, reason: &str) -> Result<(), OperationError> {
        let is_hash = target.len() == 64 && target.bytes().all(|b| b.is_ascii_hexdigit());
        let entry = if is_hash { target.to_ascii_lowercase() } else { suppressed(target)?.entry() };
        let reason = single_line("the reason", reason)?;
        let removed = self.store().unsuppress(actor, &entry, &reason).await?;
        if removed { Ok(()) } else { Err(OperationError::NotFound("suppression entry")) }
    }

    /// A page of the entries that were removed from the suppression list, the latest removal first.
    pub async fn removed_suppressions(
        &self,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Suppression>, OperationError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let entries = self.store().removed_suppressions(before, limit + 1).await?;
        Ok(Page::of(entries, limit, |entry| {
            let at = entry.removal.as_ref().map_or(entry.added_at, |removal| removal.removed_at);
            Cursor::at(at, entry.entry.clone())
        }))
    }

    /// A page of the suppression list, newest first.
    pub async fn suppressions(
        &self,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Suppression>, OperationError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let entries = self.store().suppressions(before, limit + 1).await?;
        Ok(Page::of(entries, limit, |entry| Cursor::at(entry.added_at, entry.entry.clone())))
    }
}

fn suppressed(target: &str) -> Result<Suppressed, OperationError> {
    Suppressed::parse(target).ok_or_else(|| {
        OperationError::Invalid("must be an e-mail address or a domain such as example.com".to_owned())
    })
}

/// Checks a name or a reason that a person gave: 1 to [`MAX_CHARS`] characters on one line, without the
/// surrounding white space.
pub(crate) fn single_line(name: &str, text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    let fits = (1..=MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(OperationError::Invalid(format!("{name} must have 1 to {MAX_CHARS} characters on one line")))
    }
}
