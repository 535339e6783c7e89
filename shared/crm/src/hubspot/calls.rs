//! The calls that leads share: reads, searches, writes and associations, each in the lane of its object.

mod batches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use batcher::Interrupted;
use futures::FutureExt as _;
use lead::{Failure, FailureClass};
use serde_json::Value;

use self::batches::{associate_all, associated_all, read_all, search_all};
use super::DEPENDENCY;
use super::api::Api;
use super::errors::Refusal;
use super::records::{By, Row, Written};
use crate::PresentRecord;
use crate::lanes::{Lanes, Pacer};

/// The maximum number of records in a call.
const MAX_ROWS: usize = 100;

/// The property with a contact's primary address.
pub(super) const EMAIL: &str = "email";

/// The ids of two associated records.
type Pair = (String, String);
/// The result of reading associations.
type Pairs = Result<Vec<Pair>, Failure>;

/// The shared calls of an account.
pub(super) struct Calls {
    api: Arc<Api>,
    reads: Lanes<ReadLane, u64, Read, Result<Vec<PresentRecord>, Failure>>,
    searches: Lanes<SearchLane, u64, CompanySearch, Result<Vec<PresentRecord>, Failure>>,
    associated: Lanes<Between, u64, Vec<String>, Pairs>,
    writes: Lanes<WriteLane, String, Row, Result<Written, Refusal>>,
    associations: Lanes<Between, Pair, Pair, Result<(), Refusal>>,
    /// Reads have keys of their own: two reads of one record share a call.
    last_read: AtomicU64,
}

/// Reads of the records of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadLane {
    pub(super) object: String,
    /// The unique property to read by; none for `HubSpot`'s id.
    pub(super) unique: Option<String>,
    /// Whether deleted records are read, and only these.
    pub(super) archived: bool,
}

/// A read of some records.
#[derive(Clone, Debug)]
pub(super) struct Read {
    ids: Vec<String>,
    properties: Vec<String>,
}

/// Searches for the records of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SearchLane {
    object: String,
    names: Vec<String>,
}

/// A search for the companies of a domain.
struct CompanySearch {
    domain: String,
    properties: Vec<String>,
}

/// Two objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Between {
    from: String,
    to: String,
}

/// Writes of the records of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WriteLane {
    object: String,
    by: By,
}

impl Calls {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let pacer: Arc<dyn Pacer> = Arc::clone(&api) as _;
        let pacer = || Arc::clone(&pacer);
        Self {
            reads: Lanes::new(MAX_ROWS, pacer()),
            searches: Lanes::new(MAX_ROWS, pacer()),
            associated: Lanes::new(MAX_ROWS, pacer()),
            writes: Lanes::new(MAX_ROWS, pacer()),
            associations: Lanes::new(MAX_ROWS, pacer()),
            api,
            last_read: AtomicU64::new(0),
        }
    }

    /// Reads records by their ids or their values of a unique property. Records that do not exist are missing
    /// from the result.
    pub(super) async fn read(
        &self,
        lane: ReadLane,
        ids: Vec<String>,
        properties: &[String],
    ) -> Result<Vec<PresentRecord>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let api = Arc::clone(&self.api);
        let run = move |lane: ReadLane, reads: Vec<Read>| {
            let api = Arc::clone(&api);
            async move { read_all(&api, &lane, &reads).await }.boxed()
        };
        let read = Read { ids, properties: properties.to_vec() };
        self.reads.call(lane, self.next_key(), read, run).await.unwrap_or_else(|lost| Err(interrupted(lost)))
    }

    /// Reads a record by its id.
    pub(super) async fn read_by_id(
        &self,
        object: &str,
        id: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        let lane = ReadLane { object: object.to_owned(), unique: None, archived: false };
        Ok(self.read(lane, vec![id.to_owned()], properties).await?.pop())
    }

    /// Reads the record with this value of a unique property.
    pub(super) async fn read_by(
        &self,
        object: &str,
        unique: &str,
        value: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        let lane = ReadLane { object: object.to_owned(), unique: Some(unique.to_owned()), archived: false };
        Ok(self.read(lane, vec![value.to_owned()], properties).await?.pop())
    }

    /// The id of the deleted record with this value of a unique property; none if there is no such record or
    /// the account refuses the query. `HubSpot` keeps deleted records for 90 days.
    pub(super) async fn read_deleted(
        &self,
        object: &str,
        unique: &str,
        value: &str,
    ) -> Result<Option<String>, Failure> {
        let lane = ReadLane { object: object.to_owned(), unique: Some(unique.to_owned()), archived: true };
        match self.read(lane, vec![value.to_owned()], &[unique.to_owned()]).await {
            // The result may be a merged record, which is not deleted: its property holds another value.
            Ok(found) => {
                let found = found.into_iter().find(|record| holds(record, unique, value));
                Ok(found.map(|record| record.record_id))
            }
            Err(failure) if failure.class() == FailureClass::Permanent => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Searches the companies that have a domain in one of the properties `names`, the most recently modified
    /// first.
    pub(super) async fn search_domain(
        &self,
        object: &str,
        names: &[&str],
        domain: &str,
        properties: &[String],
    ) -> Result<Vec<PresentRecord>, Failure> {
        let api = Arc::clone(&self.api);
        let run = move |lane: SearchLane, searches: Vec<CompanySearch>| {
            let api = Arc::clone(&api);
            async move { search_all(&api, &lane, &searches).await }.boxed()
        };
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let lane = SearchLane { object: object.to_owned(), names };
        let search = CompanySearch { domain: domain.to_lowercase(), properties: properties.to_vec() };
        let found = self.searches.call(lane, self.next_key(), search, run).await;
        found.unwrap_or_else(|lost| Err(interrupted(lost)))
    }

    /// Reads the associations of records, as pairs of the id in `ids` and the id of the associated record.
    pub(super) async fn associated(
        &self,
        from: &str,
        to: &str,
        ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let api = Arc::clone(&self.api);
        let run = move |lane: Between, reads: Vec<Vec<String>>| {
            let api = Arc::clone(&api);
            async move { associated_all(&api, &lane, &reads).await }.boxed()
        };
        let lane = Between { from: from.to_owned(), to: to.to_owned() };
        let pairs = self.associated.call(lane, self.next_key(), ids, run).await;
        pairs.unwrap_or_else(|lost| Err(interrupted(lost)))
    }

    /// Writes a record. Writes of one record follow each other.
    pub(super) async fn write(&self, object: &str, by: By, row: Row) -> Result<Written, Refusal> {
        let api = Arc::clone(&self.api);
        let run = move |lane: WriteLane, rows: Vec<Row>| {
            let api = Arc::clone(&api);
            async move { api.write_records(&lane.object, &lane.by, rows).await }.boxed()
        };
        let lane = WriteLane { object: object.to_owned(), by };
        let written = self.writes.call(lane, row.id.to_lowercase(), row, run).await;
        written.unwrap_or_else(|lost| Err(interrupted(lost).into()))
    }

    /// Associates two records with the default association type. An existing association stays.
    pub(super) async fn associate(&self, from: (&str, &str), to: (&str, &str)) -> Result<(), Refusal> {
        let api = Arc::clone(&self.api);
        let run = move |lane: Between, pairs: Vec<(String, String)>| {
            let api = Arc::clone(&api);
            async move { associate_all(&api, &lane, &pairs).await }.boxed()
        };
        let lane = Between { from: from.0.to_owned(), to: to.0.to_owned() };
        let pair = (from.1.to_owned(), to.1.to_owned());
        let associated = self.associations.call(lane, pair.clone(), pair, run).await;
        associated.unwrap_or_else(|lost| Err(interrupted(lost).into()))
    }

    fn next_key(&self) -> u64 {
        self.last_read.fetch_add(1, Ordering::Relaxed)
    }
}

/// The failure of an operation whose call ended without a result: its outcome is unknown.
fn interrupted(lost: Interrupted) -> Failure {
    Failure::transient("crm_unavailable", lost.to_string()).on(DEPENDENCY)
}

/// Whether a property has a value, or has it in its `;`-separated list.
pub(super) fn holds(record: &PresentRecord, property: &str, value: &str) -> bool {
    let held = record.value(property).and_then(Value::as_str).unwrap_or_default();
    held.eq_ignore_ascii_case(value) || held.split(';').any(|one| one.trim().eq_ignore_ascii_case(value))
}
