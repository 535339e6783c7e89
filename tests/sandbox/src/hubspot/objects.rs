use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::account::span;

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Contacts.
    Contact,
    /// Companies.
    Company,
    /// Deals.
    Deal,
    /// Notes.
    Note,
    /// Tasks.
    Task,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's id.
    pub id: u64,
    /// The properties that are not empty.
    pub properties: BTreeMap<String, String>,
    /// The number of writes, including the creation.
    pub writes: u32,
    created: Timestamp,
    updated: Timestamp,
    archived: bool,
    /// Earlier states for the index, each with the time of its write, the oldest first.
    versions: Vec<(Timestamp, BTreeMap<String, String>)>,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Contact, Self::Company, Self::Deal, Self::Note, Self::Task];

    /// The kind with this name in the API.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            kind.plural() == name || kind.singular().eq_ignore_ascii_case(name) || kind.type_id() == name
        })
    }

    /// The kind with this name in the paths of the objects API. In 2026-03 each object has one name; that of
    /// deals is their type id.
    pub(super) fn in_path(name: &str, version: &str) -> Option<Self> {
        let kind = Self::named(name)?;
        let only = if kind == Self::Deal { kind.type_id() } else { kind.plural() };
        (version != "2026-03" || name == only).then_some(kind)
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Note => "notes",
            Self::Task => "tasks",
        }
    }

    /// The name in error messages.
    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Contact => "CONTACT",
            Self::Company => "COMPANY",
            Self::Deal => "DEAL",
            Self::Note => "NOTE",
            Self::Task => "TASK",
        }
    }

    pub(super) fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
            Self::Note => "0-46",
            Self::Task => "0-27",
        }
    }

    /// The properties returned if a request names none.
    fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &["createdate", "email", "firstname", "lastmodifieddate", "lastname"],
            Self::Company => &["createdate", "domain", "hs_lastmodifieddate", "name"],
            Self::Deal => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "pipeline",
            ],
            Self::Note | Self::Task => &["hs_createdate", "hs_lastmodifieddate"],
        }
    }
}

impl Record {
    /// A property's value; none if it is empty.
    pub fn get(&self, property: &str) -> Option<&str> {
        self.properties.get(property).map(String::as_str)
    }

    /// Records a write.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.updated = now;
        self.writes += 1;
        self.versions.push((now, self.properties.clone()));
    }

    pub(super) fn archive(&mut self, now: Timestamp) {
        self.archived = true;
        self.touch(now);
    }

    /// The record as search sees it: its state `lag` ago.
    pub(super) fn indexed(&self, now: Timestamp, lag: Duration) -> Option<&BTreeMap<String, String>> {
        let until = now.saturating_sub(span(lag)).unwrap_or(Timestamp::MIN);
        let known = self.versions.iter().rev().find(|(since, _)| *since <= until)?;
        (!self.archived).then_some(&known.1)
    }

    /// The value of any property, including those that `HubSpot` maintains.
    pub(super) fn value(&self, property: &str) -> Option<String> {
        match property {
            "hs_object_id" => Some(self.id.to_string()),
            "createdate" | "hs_createdate" => Some(self.created.to_string()),
            "lastmodifieddate" | "hs_lastmodifieddate" => Some(self.updated.to_string()),
            _ => self.properties.get(property).cloned(),
        }
    }

    /// The record as the API shows it, with these properties.
    pub(super) fn shown(&self, kind: Kind, requested: &[String]) -> Value {
        let defaults = kind.default_properties().iter().copied();
        let names: Vec<&str> = if requested.is_empty() {
            defaults.chain(["hs_object_id"]).collect()
        } else {
            requested.iter().map(String::as_str).chain(["hs_object_id"]).collect()
        };
        let properties: Map<String, Value> =
            names.into_iter().map(|name| (name.to_owned(), json!(self.value(name)))).collect();
        json!({
            "id": self.id.to_string(), "properties": properties, "createdAt": self.created.to_string(),
            "updatedAt": self.updated.to_string(), "archived": self.archived,
        })
    }

    /// The record as the API shows it after a write, with all its properties.
    pub(super) fn shown_whole(&self, kind: Kind) -> Value {
        let names: Vec<String> = self.properties.keys().cloned().collect();
        self.shown(kind, &names)
    }
}

/// All records.
#[derive(Default)]
pub(super) struct Objects {
    records: BTreeMap<(Kind, u64), Record>,
    /// The survivors of merges, by the ids of the records merged into them.
    survivors: BTreeMap<(Kind, u64), u64>,
    last_id: u64,
}

impl Objects {
    /// Adds a record. Ids of different kinds may be equal in `HubSpot`; here they differ, so that a mix-up is
    /// detected.
    pub(super) fn insert(&mut self, kind: Kind, properties: BTreeMap<String, String>, now: Timestamp) -> u64 {
        self.last_id += 1;
        let id = 10_000 + self.last_id;
        let versions = vec![(now, properties.clone())];
        let record =
            Record { id, properties, writes: 1, created: now, updated: now, archived: false, versions };
        self.records.insert((kind, id), record);
        id
    }

    /// Adds a record that search sees at once.
    pub(super) fn insert_indexed(
        &mut self,
        kind: Kind,
        properties: BTreeMap<String, String>,
        now: Timestamp,
    ) -> u64 {
        let id = self.insert(kind, properties, now);
        if let Some(record) = self.records.get_mut(&(kind, id)) {
            record.versions[0].0 = Timestamp::MIN;
        }
        id
    }

    pub(super) fn live(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        let of_kind = self.records.iter().filter(move |((of, _), record)| *of == kind && !record.archived);
        of_kind.map(|(_, record)| record)
    }

    /// The records that the listing of a kind shows: the live ones, or the deleted ones. A merged record is
    /// neither.
    pub(super) fn listed(&self, kind: Kind, archived: bool) -> impl Iterator<Item = &Record> {
        let of_kind =
            self.records.iter().filter(move |((of, _), record)| *of == kind && record.archived == archived);
        of_kind
            .map(|(_, record)| record)
            .filter(move |record| !self.survivors.contains_key(&(kind, record.id)))
    }

    /// The record with an id, or the record that it was merged into.
    pub(super) fn get(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.records.get(&(kind, self.survivor(kind, id))).filter(|record| !record.archived)
    }

    pub(super) fn get_mut(&mut self, kind: Kind, id: u64) -> Option<&mut Record> {
        let id = self.survivor(kind, id);
        self.records.get_mut(&(kind, id)).filter(|record| !record.archived)
    }

    /// A deleted record. A merged record does not count as deleted: its id leads to the survivor.
    pub(super) fn archived(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.records.get(&(kind, self.survivor(kind, id))).filter(|record| record.archived)
    }

    /// The most recently deleted record with this id, or with this value in a unique property.
    pub(super) fn find_archived(&self, kind: Kind, property: Option<&str>, value: &str) -> Option<&Record> {
        let Some(property) = property.filter(|property| *property != "hs_object_id") else {
            return self.archived(kind, value.parse().ok()?);
        };
        let has = |record: &&Record| {
            record.get(property).is_some_and(|held| held.eq_ignore_ascii_case(value.trim()))
        };
        let of_kind = self.records.iter().filter(|((of, _), record)| *of == kind && record.archived);
        let deleted = of_kind
            .map(|(_, record)| record)
            .filter(|record| !self.survivors.contains_key(&(kind, record.id)));
        deleted.filter(has).max_by_key(|record| record.updated)
    }

    fn survivor(&self, kind: Kind, id: u64) -> u64 {
        let mut id = id;
        while let Some(survivor) = self.survivors.get(&(kind, id)) {
            id = *survivor;
        }
        id
    }

    /// Merges a record into another of its kind. The survivor keeps its values and takes over those that it
    /// lacks; a contact takes over the address as a secondary one. False if either record does not exist.
    pub(super) fn merge(&mut self, kind: Kind, survivor: u64, merged: u64, now: Timestamp) -> bool {
        if survivor == merged || self.get(kind, survivor).is_none() {
            return false;
        }
        let Some(loser) = self.get_mut(kind, merged) else { return false };
        loser.archive(now);
        let merged_properties = loser.properties.clone();
        let Some(record) = self.get_mut(kind, survivor) else { return false };
        let multiple = match kind {
            Kind::Contact => Some(("email", "hs_additional_emails")),
            Kind::Company => Some(("domain", "hs_additional_domains")),
            Kind::Deal | Kind::Note | Kind::Task => None,
        };
        let appended = |list: Option<&String>, value: &str| match list {
            Some(list) if !list.is_empty() => format!("{list};{value}"),
            _ => value.to_owned(),
        };
        for (name, value) in merged_properties {
            match multiple {
                Some((first, more)) if name == first || name == more => {
                    let is_first = name == first && !record.properties.contains_key(first);
                    let key = if is_first { first } else { more };
                    let list = if is_first { None } else { record.properties.get(more) };
                    let list = appended(list, &value);
                    record.properties.insert(key.to_owned(), list);
                }
                _ => drop(record.properties.entry(name).or_insert(value)),
            }
        }
        let ids = appended(record.properties.get("hs_merged_object_ids"), &merged.to_string());
        record.properties.insert("hs_merged_object_ids".to_owned(), ids);
        record.touch(now);
        self.survivors.insert((kind, merged), survivor);
        true
    }

    /// The contact with this secondary address.
    pub(super) fn with_secondary_address(&self, email: &str) -> Option<u64> {
        let has = |record: &&Record| {
            let more = record.get("hs_additional_emails").unwrap_or_default();
            more.split(';').any(|address| address.trim().eq_ignore_ascii_case(email.trim()))
        };
        self.live(Kind::Contact).find(has).map(|record| record.id)
    }

    /// The record with this id, or with this value in a unique property; secondary addresses do not count.
    /// Values are compared case-insensitively.
    pub(super) fn find(&self, kind: Kind, property: Option<&str>, value: &str) -> Option<u64> {
        match property {
            None | Some("hs_object_id") => self.get(kind, value.parse().ok()?).map(|record| record.id),
            Some(property) => self
                .live(kind)
                .find(|record| {
                    record.get(property).is_some_and(|held| held.eq_ignore_ascii_case(value.trim()))
                })
                .map(|record| record.id),
        }
    }
}
