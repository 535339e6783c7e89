//! What the account said a moment ago, so that the steps of a lead share their reads.
//!
//! Nothing here is needed for correctness. A contact that is remembered as absent is created with two unique
//! properties, its key and its address, so that the account refuses a second one. Values that a write depends
//! on are at most [`PREPARED_TTL`] old for the lead's own records and [`COMPANY_TTL`] old for its company.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lead::LeadId;

use super::resolve::Resolution;
use crate::{ActionId, PlannedAction, PresentRecord};

/// How long an address without a contact is remembered. The judgement takes place in that time.
const ABSENT_TTL: SignedDuration = SignedDuration::from_mins(5);
/// How long the companies of a domain are remembered. Longer than the lag of the search index, so that a
/// company that this process has created is not missed.
const COMPANY_TTL: SignedDuration = SignedDuration::from_secs(60);
/// How long the records of a preview or of a followed contact are used for the write that follows.
const PREPARED_TTL: SignedDuration = SignedDuration::from_secs(10);
/// The maximum number of entries of each kind. A full map is cleared.
const MAX_ENTRIES: usize = 10_000;

/// The memory of an executor.
#[derive(Default)]
pub(super) struct Memory {
    absent: Mutex<HashMap<String, Timestamp>>,
    companies: Mutex<HashMap<String, (Timestamp, Companies)>>,
    /// The leads that were written before, each with its contact as it was read.
    written: Mutex<HashMap<LeadId, (Timestamp, Option<PresentRecord>)>>,
    prepared: Mutex<HashMap<LeadId, (Timestamp, Vec<ActionId>, Resolution)>>,
}

/// The companies of a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Companies {
    /// The most recently modified first.
    pub(super) found: Vec<PresentRecord>,
    /// The id of the deleted company with the domain's key. The outer level is none if it is unknown.
    pub(super) deleted: Option<Option<String>>,
}

impl Companies {
    fn has_deleted(&self) -> bool {
        matches!(self.deleted, Some(Some(_)))
    }
}

impl Memory {
    /// Remembers that no contact has an address.
    pub(super) fn note_absent(&self, email: &str, now: Timestamp) {
        insert(&self.absent, email.to_lowercase(), now);
    }

    pub(super) fn is_absent(&self, email: &str, now: Timestamp) -> bool {
        let absent = lock(&self.absent);
        absent.get(&email.to_lowercase()).is_some_and(|at| now.duration_since(*at) < ABSENT_TTL)
    }

    pub(super) fn forget_absent(&self, email: &str) {
        lock(&self.absent).remove(&email.to_lowercase());
    }

    pub(super) fn note_companies(&self, domain: &str, companies: Companies, now: Timestamp) {
        insert(&self.companies, domain.to_lowercase(), (now, companies));
    }

    /// The companies of a domain, if they were read a moment ago. A deleted one is looked up each time, so
    /// that a new or a restored company is used at once.
    pub(super) fn companies(&self, domain: &str, now: Timestamp) -> Option<Companies> {
        let companies = lock(&self.companies);
        let (at, known) = companies.get(&domain.to_lowercase())?;
        (now.duration_since(*at) < COMPANY_TTL && !known.has_deleted()).then(|| known.clone())
    }

    /// Whether this process has found or created a company of a domain, deleted since or not.
    pub(super) fn has_seen_company(&self, domain: &str) -> bool {
        let companies = lock(&self.companies);
        let known = companies.get(&domain.to_lowercase());
        known.is_some_and(|(_, known)| !known.found.is_empty() || known.has_deleted())
    }

    /// Makes the next use read the companies of a domain again.
    pub(super) fn expire_companies(&self, domain: &str) {
        if let Some((at, _)) = lock(&self.companies).get_mut(&domain.to_lowercase()) {
            *at = Timestamp::MIN;
        }
    }

    /// Makes the next use of any company read it again.
    pub(super) fn expire_all_companies(&self) {
        for (at, _) in lock(&self.companies).values_mut() {
            *at = Timestamp::MIN;
        }
    }

    /// Remembers that a lead was written before, and its contact if it was read now.
    pub(super) fn note_written(&self, lead: &LeadId, contact: Option<PresentRecord>, now: Timestamp) {
        insert(&self.written, lead.clone(), (now, contact));
    }

    pub(super) fn is_written(&self, lead: &LeadId) -> bool {
        lock(&self.written).contains_key(lead)
    }

    /// The contact of a lead that was written before, if it was read a moment ago.
    pub(super) fn followed_contact(&self, lead: &LeadId, now: Timestamp) -> Option<PresentRecord> {
        let written = lock(&self.written);
        let (at, contact) = written.get(lead)?;
        contact.clone().filter(|_| now.duration_since(*at) < PREPARED_TTL)
    }

    /// Makes the next use read the contact of a lead again.
    pub(super) fn expire_contact(&self, lead: &LeadId) {
        if let Some((_, contact)) = lock(&self.written).get_mut(lead) {
            *contact = None;
        }
    }

    /// Keeps the resolution of a preview for the write that follows it.
    pub(super) fn prepare(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        resolution: Resolution,
        now: Timestamp,
    ) {
        insert(&self.prepared, lead.clone(), (now, ids_of(actions), resolution));
    }

    /// The resolution of the same actions, if it was made a moment ago. It can be taken once.
    pub(super) fn take_prepared(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        now: Timestamp,
    ) -> Option<Resolution> {
        let (at, ids, resolution) = lock(&self.prepared).remove(lead)?;
        let is_recent = now.duration_since(at) < PREPARED_TTL;
        (is_recent && ids == ids_of(actions)).then_some(resolution)
    }
}

fn ids_of(actions: &[PlannedAction]) -> Vec<ActionId> {
    actions.iter().map(|planned| planned.action_id.clone()).collect()
}

fn insert<K: Eq + Hash, V>(map: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut map = lock(map);
    if map.len() >= MAX_ENTRIES {
        map.clear();
    }
    map.insert(key, value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
