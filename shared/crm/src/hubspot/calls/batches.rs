//! The calls that serve a batch of operations, and the result of each operation.

use lead::{Cause, Failure, FailureClass};

use super::{Between, CompanySearch, EMAIL, MAX_ROWS, Read, ReadLane, SearchLane, holds};
use crate::PresentRecord;
use crate::hubspot::adoption::MERGED;
use crate::hubspot::api::Api;
use crate::hubspot::contact::MORE_ADDRESSES;
use crate::hubspot::errors::Refusal;
use crate::hubspot::records::{MAX_FOUND, Search};

/// Reads the records of all reads. Returns the records of each.
pub(super) async fn read_all(
    api: &Api,
    lane: &ReadLane,
    reads: &[Read],
) -> Vec<Result<Vec<PresentRecord>, Failure>> {
    let mut ids: Vec<String> = reads.iter().flat_map(|read| read.ids.iter().cloned()).collect();
    ids.sort_unstable();
    ids.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    let mut properties: Vec<String> = reads.iter().flat_map(|read| read.properties.iter().cloned()).collect();
    // The properties by which a record is assigned to its read.
    properties.extend(match lane.unique.as_deref() {
        None => vec![MERGED.to_owned()],
        Some(EMAIL) => vec![EMAIL.to_owned(), MORE_ADDRESSES.to_owned()],
        Some(unique) => vec![unique.to_owned()],
    });
    properties.sort_unstable();
    properties.dedup();
    let mut found: Vec<(String, Result<Option<PresentRecord>, Failure>)> = Vec::new();
    for chunk in ids.chunks(MAX_ROWS) {
        found.extend(read_chunk(api, lane, chunk, &properties).await);
    }
    let of = |id: &String| found.iter().find(|(read, _)| read.eq_ignore_ascii_case(id)).map(|(_, one)| one);
    let of_read = |read: &Read| {
        let records = read.ids.iter().filter_map(of).filter_map(|one| one.clone().transpose());
        records.collect()
    };
    reads.iter().map(of_read).collect()
}

/// Reads the record of each id. If the account refuses the whole call, or a record cannot be assigned to its
/// id, the ids are read one by one.
async fn read_chunk(
    api: &Api,
    lane: &ReadLane,
    ids: &[String],
    properties: &[String],
) -> Vec<(String, Result<Option<PresentRecord>, Failure>)> {
    let unique = lane.unique.as_deref();
    let mut results = Vec::with_capacity(ids.len());
    match api.read_records(&lane.object, unique, ids, properties, lane.archived).await {
        Ok(mut found) if ids.len() == 1 => results.push((ids[0].clone(), Ok(found.pop()))),
        Ok(found) => {
            let is_assigned = |record: &PresentRecord| ids.iter().any(|id| is_of(record, unique, id));
            let is_complete = found.iter().all(is_assigned);
            for id in ids {
                match found.iter().find(|record| is_of(record, unique, id)) {
                    None if !is_complete => results.push((id.clone(), one(api, lane, id, properties).await)),
                    record => results.push((id.clone(), Ok(record.cloned()))),
                }
            }
        }
        Err(failure) if failure.class() == FailureClass::Permanent && ids.len() > 1 => {
            for id in ids {
                results.push((id.clone(), one(api, lane, id, properties).await));
            }
        }
        Err(failure) => results.extend(ids.iter().map(|id| (id.clone(), Err(failure.clone())))),
    }
    results
}

async fn one(
    api: &Api,
    lane: &ReadLane,
    id: &String,
    properties: &[String],
) -> Result<Option<PresentRecord>, Failure> {
    let id = std::slice::from_ref(id);
    Ok(api.read_records(&lane.object, lane.unique.as_deref(), id, properties, lane.archived).await?.pop())
}

/// Whether a record was read by this id. The id of a merged record leads to the survivor, and a secondary
/// address to its contact.
fn is_of(record: &PresentRecord, unique: Option<&str>, id: &str) -> bool {
    match unique {
        None => record.record_id == id || holds(record, MERGED, id),
        Some(EMAIL) => holds(record, EMAIL, id) || holds(record, MORE_ADDRESSES, id),
        Some(unique) => holds(record, unique, id),
    }
}

/// Searches the companies of all domains, in as few searches as their size allows.
pub(super) async fn search_all(
    api: &Api,
    lane: &SearchLane,
    searches: &[CompanySearch],
) -> Vec<Result<Vec<PresentRecord>, Failure>> {
    let mut domains: Vec<String> = searches.iter().map(|search| search.domain.clone()).collect();
    domains.sort_unstable();
    domains.dedup();
    let names: Vec<&str> = lane.names.iter().map(String::as_str).collect();
    let mut properties: Vec<String> =
        searches.iter().flat_map(|one| one.properties.iter().cloned()).collect();
    properties.extend(lane.names.iter().cloned());
    properties.sort_unstable();
    properties.dedup();
    let (mut found, mut left) = (Vec::new(), domains.as_slice());
    while !left.is_empty() {
        let search = Search { values: left, names: &names, properties: &properties };
        let (values, rest) = left.split_at(search.capacity());
        match search_companies(api, lane, &Search { values, ..search }).await {
            Ok(records) => found.extend(records),
            Err(failure) => return searches.iter().map(|_| Err(failure.clone())).collect(),
        }
        left = rest;
    }
    let of = |search: &CompanySearch| {
        let is_match = |record: &&PresentRecord| names.iter().any(|name| holds(record, name, &search.domain));
        Ok(found.iter().filter(is_match).cloned().collect())
    };
    searches.iter().map(of).collect()
}

/// Searches companies. If more are found than one search returns, each domain is searched for itself.
async fn search_companies(
    api: &Api,
    lane: &SearchLane,
    search: &Search<'_>,
) -> Result<Vec<PresentRecord>, Failure> {
    let found = api.search(&lane.object, search).await?;
    if found.len() < MAX_FOUND || search.values.len() == 1 {
        return Ok(found);
    }
    let mut found = Vec::new();
    for value in search.values {
        found.extend(
            api.search(&lane.object, &Search { values: std::slice::from_ref(value), ..*search }).await?,
        );
    }
    Ok(found)
}

/// Reads the associations of all records. Returns the pairs of each read.
pub(super) async fn associated_all(
    api: &Api,
    lane: &Between,
    reads: &[Vec<String>],
) -> Vec<Result<Vec<(String, String)>, Failure>> {
    let mut ids: Vec<String> = reads.iter().flatten().cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut pairs = Vec::new();
    for chunk in ids.chunks(MAX_ROWS) {
        match api.associated(&lane.from, &lane.to, chunk).await {
            Ok(found) => pairs.extend(found),
            Err(failure) => return reads.iter().map(|_| Err(failure.clone())).collect(),
        }
    }
    let of = |read: &Vec<String>| Ok(pairs.iter().filter(|(id, _)| read.contains(id)).cloned().collect());
    reads.iter().map(of).collect()
}

/// Whether the refusal of a call may be about one of its pairs.
fn is_of_one_pair(refused: &Refusal) -> bool {
    refused.failure.class() == FailureClass::Permanent || refused.failure.cause == Cause::Record
}

/// Associates all pairs. If the account refuses the whole call because of one pair, they are sent one by one.
pub(super) async fn associate_all(
    api: &Api,
    lane: &Between,
    pairs: &[(String, String)],
) -> Vec<Result<(), Refusal>> {
    match api.associate(&lane.from, &lane.to, pairs).await {
        Err(refused) if pairs.len() > 1 && is_of_one_pair(&refused) => {
            let mut results = Vec::with_capacity(pairs.len());
            for pair in pairs {
                results.push(api.associate(&lane.from, &lane.to, std::slice::from_ref(pair)).await);
            }
            results
        }
        result => pairs.iter().map(|_| result.clone()).collect(),
    }
}
