//! What the account said a moment ago, so that the steps of a lead share their reads.
//!
//! Nothing here is needed for correctness. A contact that is remembered as absent is created with two unique
//! properties, its key and its address, so that the account refuses a second one. Values that a write depends
//! on are at most [`PREPARED_TTL`] old for the lead's own records and [`COMPANY_TTL`] old for its company.

use std::time::Duration;

use jiff::Timestamp;
use lead::LeadId;

use super::resolve::Resolution;
use crate::recent::Recent;
use crate::{ActionId, PlannedAction, PresentRecord};

/// How long an address without a contact is remembered. The judgement takes place in that time.
const ABSENT_TTL: Duration = Duration::from_mins(5);
/// How long the companies of a domain are remembered. Longer than the lag of the search index, so that a
/// company that this process has created is not missed.
const COMPANY_TTL: Duration = Duration::from_secs(60);
/// How long the existence of a company is remembered, and that a lead was written. Longer than the cached
/// list of deleted companies.
const SEEN_TTL: Duration = Duration::from_hours(1);
/// How long the records of a preview or of a followed contact are used for the write that follows.
const PREPARED_TTL: Duration = Duration::from_secs(10);
/// The maximum number of small entries.
const MAX_ENTRIES: usize = 10_000;
/// The maximum number of entries that hold records.
const MAX_RECORDS: usize = 1_000;

/// The memory of an executor.
pub(super) struct Memory {
    absent: Recent<String, (), Timestamp>,
    companies: Recent<String, Companies, Timestamp>,
    seen_companies: Recent<String, (), Timestamp>,
    written: Recent<LeadId, (), Timestamp>,
    followed: Recent<LeadId, PresentRecord, Timestamp>,
    prepared: Recent<LeadId, (Vec<ActionId>, Resolution), Timestamp>,
}

/// The companies of a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Companies {
    /// The most recently modified first.
    pub(super) found: Vec<PresentRecord>,
    pub(super) deletion: Deletion,
}

/// Whether people have deleted the company with a domain's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Deletion {
    #[default]
    NotLookedUp,
    No,
    /// With the id of the deleted company.
    Yes(String),
}

impl Deletion {
    /// The id of the deleted company.
    pub(super) fn record(self) -> Option<String> {
        if let Self::Yes(id) = self { Some(id) } else { None }
    }
}

impl From<Option<String>> for Deletion {
    fn from(deleted: Option<String>) -> Self {
        deleted.map_or(Self::No, Self::Yes)
    }
}

impl Companies {
    fn has_deleted(&self) -> bool {
        matches!(self.deletion, Deletion::Yes(_))
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            absent: Recent::new(ABSENT_TTL, MAX_ENTRIES),
            companies: Recent::new(COMPANY_TTL, MAX_RECORDS),
            seen_companies: Recent::new(SEEN_TTL, MAX_ENTRIES),
            written: Recent::new(SEEN_TTL, MAX_ENTRIES),
            followed: Recent::new(PREPARED_TTL, MAX_RECORDS),
            prepared: Recent::new(PREPARED_TTL, MAX_RECORDS),
        }
    }
}

impl Memory {
    /// Remembers that no contact has an address.
    pub(super) fn note_absent(&self, email: &str, now: Timestamp) {
        self.absent.insert(email.to_lowercase(), (), now);
    }

    pub(super) fn is_absent(&self, email: &str, now: Timestamp) -> bool {
        self.absent.get(&email.to_lowercase(), now).is_some()
    }

    pub(super) fn forget_absent(&self, email: &str) {
        self.absent.remove(&email.to_lowercase());
    }

    pub(super) fn note_companies(&self, domain: &str, companies: Companies, now: Timestamp) {
        let domain = domain.to_lowercase();
        if !companies.found.is_empty() || companies.has_deleted() {
            self.seen_companies.insert(domain.clone(), (), now);
        }
        self.companies.insert(domain, companies, now);
    }

    /// The companies of a domain, if they were read a moment ago. A deleted one is looked up each time, so
    /// that a new or a restored company is used at once.
    pub(super) fn companies(&self, domain: &str, now: Timestamp) -> Option<Companies> {
        self.companies.get(&domain.to_lowercase(), now).filter(|known| !known.has_deleted())
    }

    /// Whether this process has found or created a company of a domain, deleted since or not.
    pub(super) fn has_seen_company(&self, domain: &str, now: Timestamp) -> bool {
        self.seen_companies.get(&domain.to_lowercase(), now).is_some()
    }

    /// Makes the next use read the companies of a domain again.
    pub(super) fn forget_companies(&self, domain: &str) {
        self.companies.remove(&domain.to_lowercase());
    }

    /// Makes the next use of any company read it again.
    pub(super) fn forget_all_companies(&self) {
        self.companies.clear();
    }

    /// Remembers that a lead may have been written before.
    pub(super) fn note_written(&self, lead: &LeadId, now: Timestamp) {
        self.written.insert(lead.clone(), (), now);
    }

    pub(super) fn is_written(&self, lead: &LeadId, now: Timestamp) -> bool {
        self.written.get(lead, now).is_some()
    }

    /// Keeps the contact of a lead, which was just read, for the write that follows.
    pub(super) fn note_followed(&self, lead: &LeadId, contact: PresentRecord, now: Timestamp) {
        self.followed.insert(lead.clone(), contact, now);
    }

    pub(super) fn followed_contact(&self, lead: &LeadId, now: Timestamp) -> Option<PresentRecord> {
        self.followed.get(lead, now)
    }

    /// Makes the next use read the contact of a lead again.
    pub(super) fn forget_contact(&self, lead: &LeadId) {
        self.followed.remove(lead);
    }

    /// Keeps the resolution of a preview for the write that follows it.
    pub(super) fn prepare(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: Resolution,
        now: Timestamp,
    ) {
        self.prepared.insert(lead.clone(), (ids_of(actions), resolution), now);
    }

    /// The resolution of the same actions, if it was made a moment ago. It can be taken once.
    pub(super) fn take_prepared(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        now: Timestamp,
    ) -> Option<Resolution> {
        let (ids, resolution) = self.prepared.take(lead, now)?;
        (ids == ids_of(actions)).then_some(resolution)
    }
}

fn ids_of(actions: &[PlannedAction]) -> Vec<ActionId> {
    actions.iter().map(|planned| planned.action_id.clone()).collect()
}
