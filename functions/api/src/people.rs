//! What people decide: about held leads, about who is never written, about who is to be forgotten.

use lead::{EmailAddress, LeadId, LeadStatus};
use serde::Serialize;
use store::{Cursor, Erasure, Found, LeadFilter, ReviewDecision, Reviewed, Suppressed, Suppression, Verdict};

use crate::operations::{MAX_PAGE, OperationError, Operations, Page};
use crate::view::{LeadView, ReasonView};

/// The longest name or reason kept, in characters.
const MAX_WORDS: usize = 200;

/// A held lead, and why it is held.
#[derive(Clone, Debug, Serialize)]
pub struct HeldLead {
    /// The lead, without its evidence.
    pub lead: LeadView,
    /// What its analysis broke.
    pub reasons: Vec<ReasonView>,
}

/// What became of a decision about a held lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAnswer {
    /// It was sent on.
    Queued,
    /// It was put aside.
    Dismissed,
}

/// What an erasure found and did, and what it cannot do.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// What was found, and what became of it.
    #[serde(flatten)]
    pub erasure: Erasure,
    /// What remains elsewhere, and until when.
    pub remains: Vec<&'static str>,
}

impl Operations {
    /// A page of the leads that wait for a person, newest first, each with what its analysis broke.
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

    /// Decides about a held lead: lets it go to the CRM without anything from its analysis, has it judged again, or puts it
    /// aside. The same again changes nothing. Refused where the lead is not held, and for approval where the person is on
    /// the suppression list.
    pub async fn review(
        &self,
        id: &LeadId,
        verdict: Verdict,
        by: &str,
        reason: Option<&str>,
    ) -> Result<ReviewAnswer, OperationError> {
        let by = words("the name of who decides", by)?;
        let reason = reason.map(|reason| words("the reason", reason)).transpose()?;
        if verdict == Verdict::Dismiss && reason.is_none() {
            return Err(OperationError::Invalid("to dismiss a lead takes a reason".to_owned()));
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
        let event = match self.store().review(id, verdict, &by, reason.as_deref()).await? {
            Reviewed::Done(event) | Reviewed::Before(event) => event,
            Reviewed::Missing => return Err(OperationError::NotFound("lead")),
            Reviewed::NotHeld(status) => return Err(OperationError::NotHeld(status)),
        };
        // Dies before: the delivery is open, and the janitor sends what is open and in no queue.
        if let Some(event) = event {
            self.queue().send(&event).await?;
        }
        Ok(if verdict == Verdict::Dismiss { ReviewAnswer::Dismissed } else { ReviewAnswer::Queued })
    }

    /// What people decided about a lead, oldest first.
    pub async fn reviews(&self, id: &LeadId) -> Result<Vec<ReviewDecision>, OperationError> {
        Ok(self.store().review_decisions(id).await?)
    }

    /// Keeps that somebody has responded to a lead; false where somebody had before.
    pub async fn responded(&self, id: &LeadId, by: &str) -> Result<bool, OperationError> {
        let by = words("the name of who responded", by)?;
        self.store().lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let responded = self.store().record_response(id, &by).await?;
        responded.ok_or(OperationError::Conflict("the lead has not been given to anybody yet"))
    }

    /// Puts an address or a domain on the suppression list; false where it was on it.
    pub async fn suppress(&self, who: &str, reason: &str, by: &str) -> Result<bool, OperationError> {
        let who = suppressed(who)?;
        let (reason, by) = (words("the reason", reason)?, words("the name of who adds it", by)?);
        Ok(self.store().suppress(&who, &reason, &by).await?)
    }

    /// Takes an entry off the suppression list: an address, a domain, or an entry as the list shows it.
    pub async fn unsuppress(&self, who: &str) -> Result<(), OperationError> {
        let is_hash = who.len() == 64 && who.bytes().all(|b| b.is_ascii_hexdigit());
        let entry = if is_hash { who.to_ascii_lowercase() } else { suppressed(who)?.entry() };
        let removed = self.store().unsuppress(&entry).await?;
        if removed { Ok(()) } else { Err(OperationError::NotFound("suppression entry")) }
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

    /// Removes a person from the queue and the database, or says what there is to remove.
    ///
    /// The queue first: what it has finished is found by the deliveries that the database knows. Dies between the two: doing
    /// it again does the rest.
    pub async fn erase(&self, email: &EmailAddress, apply: bool) -> Result<Certificate, OperationError> {
        let mut messages = 0;
        for (lead, deliveries) in self.store().deliveries_of(email).await? {
            messages += self.queue().forget(&lead, &deliveries, apply).await?;
        }
        let mut erasure = self.store().erase(email, apply).await?;
        if messages > 0 {
            let place = format!("{} queue", self.queue().backend());
            erasure.found.push(Found { place, count: messages, becomes: Found::REMOVED });
        }
        let mut remains = Vec::new();
        match self.queue().backend() {
            "redis" => remains.push(
                "SPOOL_DIR: what waits there is dropped when it is read; Redis: its log and its snapshots, until it writes them anew",
            ),
            "sqs" => remains.push(
                "SQS and the overflow bucket: what waits there is dropped when it turns up, and is gone after 14 days at most",
            ),
            _ => {}
        }
        remains.push("backups of the database: as long as they are kept");
        remains.push("the sender of the leads, which may post the person again: the suppression list keeps them out of the CRM");
        Ok(Certificate { erasure, remains })
    }
}

fn suppressed(who: &str) -> Result<Suppressed, OperationError> {
    Suppressed::parse(who).ok_or_else(|| {
        OperationError::Invalid("must be an e-mail address or a domain such as example.com".to_owned())
    })
}

/// A name or a reason that a person gave.
pub(crate) fn words(what: &str, text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    let fits = (1..=MAX_WORDS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(OperationError::Invalid(format!("{what} must have 1 to {MAX_WORDS} characters on one line")))
    }
}
