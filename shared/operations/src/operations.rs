use std::str::FromStr;
use std::sync::Arc;

use database::DatabaseError;
use lead::{Actor, Dependency, Failure, LeadEvent, LeadId, LeadStatus};
use pipeline::{Pipeline, Replay};
use queue::{LeadQueue, QueueError};
use serde::Serialize;
use serde_json::json;
use store::{ActKind, Cursor, DeadLetter, LeadFilter, Quarantined, Retention, Store};

use crate::{Explanation, LeadView, OtherLead, RoutingView};

/// The largest page, in items.
pub(crate) const MAX_PAGE: u32 = 500;

/// The acts of an operator, over HTTP or from the command line.
#[derive(Clone)]
pub struct Operations {
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn LeadQueue>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) retention: Retention,
}

/// The reason that an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// No such item exists.
    #[error("there is no {0} with this id")]
    NotFound(&'static str),
    /// The prefix matches several leads.
    #[error("{0} leads have ids with this prefix; give a longer one")]
    Ambiguous(usize),
    /// The present state does not allow the operation.
    #[error("{0}")]
    Conflict(&'static str),
    /// The lead is not held, so no decision is pending.
    #[error("the lead is not held for review: it is {0}")]
    NotHeld(LeadStatus),
    /// The lead has no judgement yet.
    #[error("the lead has not been judged yet: it is {status}")]
    NotJudged {
        /// The lead.
        id: LeadId,
        /// Its status.
        status: LeadStatus,
    },
    /// The lead's record in the CRM may be missing or out of date.
    #[error("the lead is not synced to the CRM: it is {0}")]
    NotSynced(LeadStatus),
    /// Nothing may be written to the CRM now.
    #[error("the CRM is in shadow mode or held: nothing is written")]
    CrmHeld,
    /// Consumption is not paused for this name, and no lead depends on it.
    #[error("{asked} is not paused; paused: {}", names(.paused))]
    NotPaused {
        /// The given name.
        asked: String,
        /// The paused dependencies.
        paused: Vec<Dependency>,
    },
    /// The arguments are invalid.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A step of the pipeline failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The names of the paused dependencies, for a person.
fn names(paused: &[Dependency]) -> String {
    let names: Vec<_> = paused.iter().map(Dependency::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// One page of a list, with the cursor of the next one.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    #[schema(schema_with = items::<T>)]
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent on the last. A page may hold fewer items than the limit, even
    /// none, although more follow: a list of leads with several filters ends a read early if few leads match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[0-9]{1,14}\.([A-Za-z0-9_-]{4}){0,85}([A-Za-z0-9_-]{2,3})?$", max_length = 358)]
    pub next_cursor: Option<String>,
}

/// The items by reference; derived, the schema of an item would be repeated in that of its page.
fn items<T: utoipa::ToSchema>() -> utoipa::openapi::schema::Array {
    let item = utoipa::openapi::Ref::from_schema_name(T::name());
    utoipa::openapi::schema::ArrayBuilder::new().items(item).description(Some("Newest first")).build()
}

impl<T> Page<T> {
    /// Makes a page of at most `limit` items from up to one more.
    pub(crate) fn of(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> Cursor) -> Self {
        let limit = limit as usize;
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| !is_last).map(|item| place(item).to_string());
        Self { items, next_cursor }
    }
}

impl Operations {
    /// Operations over a queue, and over the pipeline that processes it with its store.
    pub fn new(queue: Arc<dyn LeadQueue>, pipeline: Arc<Pipeline>) -> Self {
        Self { store: pipeline.store.clone(), queue, pipeline, retention: Retention::default() }
    }

    /// Sets how long data is kept, for [`retention`](Self::retention). By default it is kept until it is
    /// erased.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// The underlying store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The underlying queue.
    pub fn queue(&self) -> &dyn LeadQueue {
        self.queue.as_ref()
    }

    /// Finds a lead's id from the whole id or an unambiguous prefix.
    pub async fn resolve(&self, text: &str) -> Result<LeadId, OperationError> {
        if let Ok(id) = LeadId::from_str(text) {
            return Ok(id);
        }
        match self.store.lead_ids_like(text, 10).await?.as_slice() {
            [] => Err(OperationError::NotFound("lead")),
            [id] => Ok(id.clone()),
            several => Err(OperationError::Ambiguous(several.len())),
        }
    }

    /// One lead.
    pub async fn lead(&self, id: &LeadId) -> Result<LeadView, OperationError> {
        let record = self.store.lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let analysis = self.store.analysis_in_force(id).await?;
        let (assignment, reviews) =
            (self.store.assignment(id).await?, self.store.review_decisions(id).await?);
        Ok(LeadView::new(record, analysis.as_ref()).with(assignment.as_ref(), reviews))
    }

    /// A page of leads, newest first, without evidence and reasons; [`lead`](Self::lead) includes them.
    ///
    /// A page may hold fewer leads than the limit, even none, although more follow: with several conditions a
    /// read ends after 2,000 leads that meet the first of them.
    pub async fn leads(
        &self,
        filter: &LeadFilter,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<LeadView>, OperationError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let records = self.store.leads(filter, before, limit + 1).await?;
        let page = Page::of(records, limit, |lead| Cursor::at(lead.created_at, lead.lead_id.as_str()));
        let next_cursor = match page.next_cursor {
            None => self.store.scanned_to(filter, before).await?.map(|cursor| cursor.to_string()),
            more => more,
        };
        let items = page.items.into_iter().map(|record| LeadView::new(record, None)).collect();
        Ok(Page { items, next_cursor })
    }

    /// Explains the treatment of a lead.
    pub async fn explain(&self, id: &LeadId) -> Result<Explanation, OperationError> {
        let record = self.store.lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        let analysis = self.store.analysis_in_force(id).await?;
        let deliveries = self.store.deliveries(id, 20).await?;
        let actions = self.store.actions(id, 100).await?;
        let routing = self.store.assignment(id).await?.as_ref().map(RoutingView::new);
        let same_address = LeadFilter { email: Some(record.content.email.clone()), ..LeadFilter::default() };
        let leads = self.store.leads(&same_address, None, 20).await?;
        let same_person = leads.into_iter().filter_map(|other| OtherLead::of(&record, other)).collect();
        let explanation = Explanation::new(&record, analysis.as_ref(), deliveries, actions);
        Ok(explanation.with_routing(routing).with_same_person(same_person))
    }

    /// Compares a new judgement of a lead with the stored one. Writes nothing.
    pub async fn replay(&self, id: &LeadId) -> Result<Replay, OperationError> {
        if let Some(replay) = self.pipeline.replay(id).await? {
            return Ok(replay);
        }
        let record = self.store.lead(id).await?.ok_or(OperationError::NotFound("lead"))?;
        Err(OperationError::NotJudged { id: record.lead_id, status: record.status })
    }

    /// Puts a lead up for judgement again, after which its CRM record is updated.
    pub async fn rejudge(&self, actor: &Actor, id: &LeadId, reason: &str) -> Result<(), OperationError> {
        let event = self.store.reopen(actor, id, true, reason).await?;
        let event = event.ok_or(OperationError::NotFound("lead"))?;
        self.queue.send(&event).await?;
        Ok(())
    }

    /// A page of dead letters, newest first.
    pub async fn dead_letters(
        &self,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<DeadLetter>, OperationError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let letters = self.store.dead_letters(before, limit + 1).await?;
        Ok(Page::of(letters, limit, |letter| Cursor::at(letter.failed_at, letter.id.clone())))
    }

    /// The ids of all dead letters. Read before the first redrive, they name a lead that fails again only
    /// once.
    pub async fn dead_letter_ids(&self) -> Result<Vec<String>, OperationError> {
        let (mut ids, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.dead_letters(before.as_ref(), MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(ids) };
            before = Some(Cursor::at(last.failed_at, last.id.clone()));
            ids.extend(page.into_iter().map(|letter| letter.id));
        }
    }

    /// Redrives a dead letter with all its attempts. `id` is the dead letter's id, or its lead's id or a
    /// prefix of that.
    ///
    /// After a crash in the middle the delivery is open, and the janitor sends open deliveries that are in no
    /// queue.
    pub async fn redrive(&self, actor: &Actor, id: &str) -> Result<LeadId, OperationError> {
        const NONE: OperationError = OperationError::NotFound("dead letter");
        let letter = match self.store.dead_letter(id).await? {
            Some(letter) => letter,
            // People often paste a prefix of the lead's id.
            None => match self.resolve(id).await {
                Ok(lead) => self.store.dead_letter(lead.as_str()).await?.ok_or(NONE)?,
                Err(OperationError::NotFound(_)) => return Err(NONE),
                Err(error) => return Err(error),
            },
        };
        let event: LeadEvent = serde_json::from_str(&letter.body).map_err(|_| {
            OperationError::Conflict("the message is not a lead event, so it cannot be redriven")
        })?;
        let lead = self.store.lead(&event.lead_id).await?;
        if let Some(lead) = lead {
            if lead.delivery_id != event.delivery_id() {
                return Err(OperationError::Conflict("a newer delivery of this lead supersedes this one"));
            }
            self.store.reopen(actor, &event.lead_id, false, "redrive").await?;
        } else {
            let detail = json!({ "message": letter.id });
            self.store.record_act(actor, ActKind::DeadLetterRedriven, &detail).await?;
        }
        self.queue.send(&event).await?;
        self.store.remove_dead_letter(&letter.id).await?;
        Ok(event.lead_id)
    }

    /// A page of the quarantined bodies, newest first.
    pub async fn quarantine(
        &self,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Quarantined>, OperationError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let items = self.store.quarantined(before, limit + 1).await?;
        Ok(Page::of(items, limit, |item| Cursor::at(item.last_at, item.id.clone())))
    }

    /// One quarantined body, by its id or a prefix of it.
    pub async fn quarantined(&self, id: &str) -> Result<Quarantined, OperationError> {
        self.store.quarantined_body(id).await?.ok_or(OperationError::NotFound("quarantined body"))
    }

    /// Removes a quarantined body, by its id or a prefix of it. Returns the removed item.
    pub async fn remove_quarantined(&self, actor: &Actor, id: &str) -> Result<Quarantined, OperationError> {
        let item = self.quarantined(id).await?;
        self.store.remove_quarantined(actor, &item.id).await?;
        Ok(item)
    }
}
