use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Salesforce;
use super::address;
use super::error::ApiError;
use super::id::{long_id, record_id};
use super::schema::{Object, standard_objects};
use super::values;
use crate::serve::FailingRow;

/// An org: its settings and records. Tests change the settings that they need.
#[derive(Clone, Debug)]
pub struct Org {
    /// The external client app's consumer key.
    pub consumer_key: String,
    /// The consumer secret for client credentials; None disables that flow.
    pub consumer_secret: Option<String>,
    /// The public key of the app's certificate, DER (`SubjectPublicKeyInfo`), for JWT bearer; None disables
    /// that flow.
    pub certificate: Option<Vec<u8>>,
    /// The integration user; None if the app has no such user or is not approved.
    pub run_as: Option<String>,
    /// The newest API version; versions from 20 up to it are served.
    pub newest_version: u32,
    /// The objects and fields visible to the integration user.
    pub objects: Vec<Object>,
    /// The limit of calls in 24 hours.
    pub daily_calls: u64,
    /// The number of calls so far, by all clients.
    pub calls: u64,
    /// The number of calls after which a session ends.
    pub calls_per_session: Option<u64>,
    /// The owner that the active assignment rule sets on every lead saved without `Sforce-Auto-Assign:
    /// FALSE`.
    pub assignment_rule: Option<String>,
    /// Active duplicate rules.
    pub duplicate_rules: Vec<DuplicateRule>,
    /// Active validation rules.
    pub validation_rules: Vec<ValidationRule>,
    /// Saves to fail.
    pub row_faults: Vec<RowFault>,
    /// Queries to fail.
    pub query_faults: Vec<QueryFault>,
    /// Whether an unlisted user is unknown as an owner; otherwise such a user counts as active.
    pub knows_all_users: bool,
    /// The number of bytes to add to every describe, as in an object with many fields.
    pub describe_padding: usize,
    /// Whether the Apex class of `docs/salesforce.md` is deployed, at
    /// `/services/apexrest/revenueflow/convert`.
    pub has_convert_endpoint: bool,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) sessions: BTreeMap<String, u64>,
    /// The save of the current request that is to fail.
    pub(super) failing_row: Option<FailingRow>,
    sequence: u64,
}

/// A duplicate rule: two records of an object are duplicates if a field has the same value in both.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DuplicateRule {
    /// The object.
    pub object: String,
    /// The compared field; the comparison ignores case.
    pub field: String,
    /// Whether the rule blocks a save even if the client allows duplicates; otherwise it only alerts.
    pub blocks: bool,
}

/// A validation rule: refuses one value of a field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValidationRule {
    /// The object.
    pub object: String,
    /// The field.
    pub field: String,
    /// The refused value.
    pub refused: Value,
    /// The administrator's error message.
    pub message: String,
}

/// Saves of an object to fail with an error code, such as `UNABLE_TO_LOCK_ROW`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowFault {
    /// The object.
    pub object: String,
    /// The error code.
    pub code: String,
    /// The number of saves that succeed first.
    #[serde(default)]
    pub skip: u32,
    /// The number of saves that then fail.
    pub times: u32,
    /// The fields named in the error.
    #[serde(default)]
    pub fields: Vec<String>,
}

impl RowFault {
    /// Fails the next `times` saves of an object with a code and without fields.
    pub fn of(object: &str, code: &str, times: u32) -> Self {
        Self { object: object.to_owned(), code: code.to_owned(), skip: 0, times, fields: Vec::new() }
    }
}

/// Queries to fail, as slow ones do in a large org.
#[derive(Clone, Debug)]
pub struct QueryFault {
    /// A part of the query's text, such as `Website IN`.
    pub contains: String,
    /// The error code, such as `QUERY_TIMEOUT`.
    pub code: String,
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) object: &'static str,
    pub(super) fields: Map<String, Value>,
    pub(super) is_deleted: bool,
}

/// The options for a save from the request's headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct SaveOptions {
    /// `Sforce-Auto-Assign`; on by default.
    pub(super) auto_assign: bool,
    /// `allowSave` of `Sforce-Duplicate-Rule-Header`; off by default.
    pub(super) allow_duplicates: bool,
}

impl Default for Org {
    /// An org with the app of [`Salesforce::KEY`] and [`Salesforce::SECRET`], and no records.
    fn default() -> Self {
        Self {
            consumer_key: Salesforce::KEY.to_owned(),
            consumer_secret: Some(Salesforce::SECRET.to_owned()),
            certificate: None,
            run_as: Some("integration@acme.example".to_owned()),
            newest_version: 67,
            objects: standard_objects(),
            daily_calls: 100_000,
            calls: 0,
            calls_per_session: None,
            assignment_rule: None,
            duplicate_rules: Vec::new(),
            validation_rules: Vec::new(),
            row_faults: Vec::new(),
            query_faults: Vec::new(),
            knows_all_users: false,
            describe_padding: 0,
            has_convert_endpoint: false,
            records: BTreeMap::new(),
            sessions: BTreeMap::new(),
            failing_row: None,
            sequence: 0,
        }
    }
}

impl Org {
    /// The integration user.
    pub const API_USER: &str = "005000000000API001";

    /// The creator of records that are not created over the API.
    pub const PERSON: &str = "005000000000PER001";

    /// An object by its API name, case-insensitive.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// A mutable object by its API name.
    pub fn object_mut(&mut self, name: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// Adds a record without applying any rules, and returns its id.
    ///
    /// # Panics
    ///
    /// If the object does not exist, or the fields are not a JSON object.
    pub fn insert(&mut self, object: &str, fields: Value) -> String {
        let (name, prefix) =
            self.object(object).map(|object| (object.name, object.prefix)).expect("an object of the org");
        let Value::Object(fields) = fields else { panic!("fields must be a JSON object") };
        let id = self.next_id(prefix);
        let mut record = Record { object: name, fields, is_deleted: false };
        let now = self.tick();
        for field in ["CreatedDate", "LastModifiedDate", "SystemModstamp"] {
            record.fields.insert(field.to_owned(), now.clone());
        }
        let creator = record.fields.entry("CreatedById").or_insert_with(|| json!(Self::PERSON));
        if creator.is_null() {
            *creator = json!(Self::PERSON);
        }
        self.records.insert(id.clone(), record);
        id
    }

    /// The undeleted records of an object, the oldest first: their fields with `Id`, without nulls.
    pub fn records(&self, object: &str) -> Vec<Value> {
        let of_object = self
            .records
            .iter()
            .filter(|(_, record)| record.object.eq_ignore_ascii_case(object) && !record.is_deleted);
        let mut records: Vec<_> = of_object.collect();
        records.sort_by_key(|(_, record)| record.fields.get("CreatedDate").map(Value::to_string));
        let shown = |(id, record): (&String, &Record)| {
            let mut fields = record.fields.clone();
            fields.retain(|_, value| !value.is_null());
            fields.insert("Id".to_owned(), json!(id));
            Value::Object(fields)
        };
        records.into_iter().map(shown).collect()
    }

    /// Sets a field of a record without applying any rules.
    pub fn set(&mut self, id: &str, field: &str, value: Value) {
        if let Some(record) = self.records.get_mut(id) {
            record.fields.insert(field.to_owned(), value);
        }
    }

    /// Converts a lead as `Database.convertLead` does: creates a contact, moves the lead's tasks to it, and
    /// makes the lead read-only. Returns the contact's id; None if the lead does not exist or is already
    /// converted.
    pub fn convert(&mut self, lead_id: &str) -> Option<String> {
        let lead = self.records.get(lead_id).filter(|lead| lead.object == "Lead" && !lead.is_converted())?;
        let account = json!({ "Name": lead.fields.get("Company") });
        let names = ["LastName", "FirstName", "Title", "Phone", "Email", "OwnerId"];
        let taken =
            names.iter().filter_map(|name| Some(((*name).to_owned(), lead.fields.get(*name)?.clone())));
        let mut contact: Map<String, Value> = taken.collect();
        let account = self.insert("Account", account);
        contact.insert("AccountId".to_owned(), json!(account));
        let contact = self.insert("Contact", Value::Object(contact));
        for task in self.records.values_mut().filter(|record| record.object == "Task") {
            if task.fields.get("WhoId").and_then(Value::as_str) == Some(lead_id) {
                task.fields.insert("WhoId".to_owned(), json!(contact));
            }
        }
        let now = self.tick();
        let lead = self.records.get_mut(lead_id)?;
        lead.fields.extend([
            ("IsConverted".to_owned(), json!(true)),
            ("Status".to_owned(), json!("Closed - Converted")),
            ("ConvertedContactId".to_owned(), json!(contact)),
            ("ConvertedAccountId".to_owned(), json!(account)),
            ("LastModifiedDate".to_owned(), now),
        ]);
        Some(contact)
    }

    /// Enables State and Country/Territory picklists.
    pub fn enable_address_picklists(&mut self) {
        if !self.has_address_picklists() {
            self.objects.iter_mut().for_each(address::add_codes);
        }
    }

    /// Whether State and Country/Territory picklists are enabled.
    pub fn has_address_picklists(&self) -> bool {
        self.object("Lead").is_some_and(|lead| lead.field("CountryCode").is_some())
    }

    /// Merges two records of an object: the loser is deleted and refers to the winner. False if either record
    /// does not exist.
    pub fn merge(&mut self, winner: &str, loser: &str) -> bool {
        let object_of =
            |id: &str| self.records.get(id).filter(|record| !record.is_deleted).map(|record| record.object);
        let is_valid =
            winner != loser && object_of(winner).is_some() && object_of(winner) == object_of(loser);
        if let Some(record) = self.records.get_mut(loser).filter(|_| is_valid) {
            record.is_deleted = true;
            record.fields.insert("MasterRecordId".to_owned(), json!(winner));
        }
        is_valid
    }

    /// Deletes a record. False if it does not exist.
    pub fn delete_record(&mut self, id: &str) -> bool {
        let record = self.records.get_mut(id).filter(|record| !record.is_deleted);
        record.map(|record| record.is_deleted = true).is_some()
    }

    /// Ends every session: the next call with each of them is answered with `INVALID_SESSION_ID`.
    pub fn end_sessions(&mut self) {
        self.sessions.clear();
    }

    pub(super) fn new_session(&mut self) -> String {
        self.sequence += 1;
        let token = format!("00DAcme!sandbox.{}", self.sequence);
        self.sessions.insert(token.clone(), 0);
        token
    }

    /// Counts a call of a session and returns whether the session is valid.
    pub(super) fn use_session(&mut self, token: &str) -> bool {
        let Some(calls) = self.sessions.get_mut(token) else { return false };
        *calls += 1;
        if self.calls_per_session.is_some_and(|most| *calls > most) {
            self.sessions.remove(token);
            return false;
        }
        true
    }

    /// The undeleted record of an object with this id.
    pub(super) fn get(&self, object: &Object, id: &str) -> Result<(&str, &Record), ApiError> {
        let id = long_id(id).filter(|id| id.starts_with(object.prefix)).ok_or_else(ApiError::no_resource)?;
        match self.records.get_key_value(&id) {
            Some((id, record)) if !record.is_deleted => Ok((id, record)),
            Some(_) => Err(ApiError::new(StatusCode::NOT_FOUND, "ENTITY_IS_DELETED", "entity is deleted")),
            None => Err(ApiError::no_resource()),
        }
    }

    /// The ids of the records with this external id, compared case-insensitively.
    pub(super) fn by_external_id(
        &self,
        object: &Object,
        field: &str,
        value: &str,
    ) -> Result<Vec<String>, ApiError> {
        let Some(field) = object.field(field).filter(|field| field.external_id || field.kind == "id") else {
            let message = format!("Provided external ID field does not exist or is not accessible: {field}");
            return Err(ApiError::not_found(message));
        };
        if field.kind == "id" {
            return Ok(self.get(object, value).map(|(id, _)| vec![id.to_owned()]).unwrap_or_default());
        }
        let has = |record: &&Record| {
            record.object == object.name
                && !record.is_deleted
                && values::same(record.fields.get(&field.name), value)
        };
        Ok(self.records.iter().filter(|(_, record)| has(record)).map(|(id, _)| id.clone()).collect())
    }

    /// Creates a record, or changes the record with this id.
    pub(super) fn save(
        &mut self,
        object: &Object,
        id: Option<&str>,
        body: &Value,
        options: SaveOptions,
    ) -> Result<String, ApiError> {
        let Value::Object(body) = body else {
            return Err(ApiError::bad(
                "JSON_PARSER_ERROR",
                "The HTTP entity body is required, but this request has no entity body.",
            ));
        };
        let before = id
            .map(|id| self.get(object, id))
            .transpose()?
            .map(|(id, record)| (id.to_owned(), record.clone()));
        let is_new = before.is_none();
        let mut fields = before.as_ref().map(|(_, record)| record.fields.clone()).unwrap_or_default();
        for (name, value) in body.iter().filter(|(name, _)| *name != "attributes") {
            let field = values::writable(object, name, is_new)?;
            fields.insert(field.name.clone(), values::checked(field, value)?);
        }
        address::check(object, body, &mut fields)?;
        values::complete(object, &mut fields, is_new)?;
        self.apply_row_fault(object)?;
        if before.as_ref().is_some_and(|(_, record)| record.is_converted()) {
            return Err(ApiError::bad("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"));
        }
        let own_id = before.as_ref().map(|(id, _)| id.as_str());
        self.check_references(object, &fields)?;
        self.check_owner(object, body)?;
        self.check_rules(object, &fields)?;
        self.check_unique(object, own_id, &fields)?;
        self.check_duplicates(object, own_id, &fields, body, options)?;
        if let Some(owner) =
            self.assignment_rule.as_ref().filter(|_| object.name == "Lead" && options.auto_assign)
        {
            fields.insert("OwnerId".to_owned(), json!(owner));
        }
        Ok(match before {
            None => {
                // Without an explicit owner, a record created over the API belongs to the API user.
                let user = json!(Self::API_USER);
                fields.insert("CreatedById".to_owned(), user.clone());
                if object.field("OwnerId").is_some() {
                    let owner = fields.entry("OwnerId").or_insert(Value::Null);
                    if owner.is_null() {
                        *owner = user;
                    }
                }
                self.insert(object.name, Value::Object(fields))
            }
            Some((id, record)) => {
                let now = self.tick();
                fields.insert("LastModifiedDate".to_owned(), now.clone());
                fields.insert("SystemModstamp".to_owned(), now);
                self.records.insert(id.clone(), Record { fields, ..record });
                id
            }
        })
    }

    fn apply_row_fault(&mut self, object: &Object) -> Result<(), ApiError> {
        if let Some(code) = FailingRow::next(&mut self.failing_row) {
            return Err(failed_save(&code, &[]));
        }
        let of_object =
            |fault: &&mut RowFault| fault.object.eq_ignore_ascii_case(object.name) && fault.times > 0;
        let Some(fault) = self.row_faults.iter_mut().find(of_object) else { return Ok(()) };
        if fault.skip > 0 {
            fault.skip -= 1;
            return Ok(());
        }
        fault.times -= 1;
        Err(failed_save(&fault.code, &fault.fields))
    }

    /// Checks all references except owners, which [`check_owner`](Self::check_owner) checks.
    fn check_references(&self, object: &Object, fields: &Map<String, Value>) -> Result<(), ApiError> {
        let is_user = |name: &str| matches!(name, "OwnerId" | "CreatedById" | "MasterRecordId");
        for field in object.fields.iter().filter(|field| field.kind == "reference" && !is_user(&field.name)) {
            let Some(id) = fields.get(&field.name).and_then(Value::as_str) else { continue };
            if self.records.get(id).is_none_or(|record| record.is_deleted) {
                let message = format!("{}: id value of incorrect type or not found: {id}", field.name);
                return Err(ApiError::bad("INVALID_CROSS_REFERENCE_KEY", message).on([field.name.as_str()]));
            }
        }
        let is_lead =
            |name: &str| fields.get(name).and_then(Value::as_str).is_some_and(|id| id.starts_with("00Q"));
        if object.name == "Task"
            && is_lead("WhoId")
            && fields.get("WhatId").is_some_and(|what| !what.is_null())
        {
            let message = "Related To ID: You can't relate a task to a lead and to another record";
            return Err(ApiError::bad("FIELD_INTEGRITY_EXCEPTION", message).on(["WhatId"]));
        }
        Ok(())
    }

    fn check_rules(&self, object: &Object, fields: &Map<String, Value>) -> Result<(), ApiError> {
        let broken = self.validation_rules.iter().find(|rule| {
            rule.object.eq_ignore_ascii_case(object.name) && fields.get(&rule.field) == Some(&rule.refused)
        });
        broken.map_or(Ok(()), |rule| {
            Err(ApiError::bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", &rule.message).on([]))
        })
    }

    fn check_unique(
        &self,
        object: &Object,
        own_id: Option<&str>,
        fields: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        for field in object.fields.iter().filter(|field| field.unique) {
            let Some(value) = fields.get(&field.name).and_then(Value::as_str) else { continue };
            if let Some(other) = self.others(object, own_id, &field.name, value).next() {
                let message = format!(
                    "duplicate value found: {} duplicates value on record with id: {other}",
                    field.name
                );
                return Err(ApiError::bad("DUPLICATE_VALUE", message).on([]));
            }
        }
        Ok(())
    }

    /// Applies the duplicate rules to new records and to records whose compared field changes.
    fn check_duplicates(
        &self,
        object: &Object,
        own_id: Option<&str>,
        fields: &Map<String, Value>,
        written: &Map<String, Value>,
        options: SaveOptions,
    ) -> Result<(), ApiError> {
        for rule in self.duplicate_rules.iter().filter(|rule| rule.object.eq_ignore_ascii_case(object.name)) {
            let Some(value) = fields.get(&rule.field).and_then(Value::as_str) else { continue };
            if own_id.is_some() && !written.contains_key(&rule.field)
                || options.allow_duplicates && !rule.blocks
            {
                continue;
            }
            let found: BTreeSet<&str> = self.others(object, own_id, &rule.field, value).collect();
            if !found.is_empty() {
                let message = "Use one of these records?";
                let mut error = ApiError::bad("DUPLICATES_DETECTED", message);
                error.more = json!({ "duplicateResult": duplicate_result(object, rule, &found, message) });
                return Err(error);
            }
        }
        Ok(())
    }

    fn others<'o>(
        &'o self,
        object: &Object,
        own_id: Option<&'o str>,
        field: &'o str,
        value: &'o str,
    ) -> impl Iterator<Item = &'o str> {
        let name = object.name;
        self.records.iter().filter_map(move |(id, record)| {
            let is_other = record.object == name && !record.is_deleted && own_id != Some(id.as_str());
            (is_other && values::same(record.fields.get(field), value)).then_some(id.as_str())
        })
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.sequence += 1;
        record_id(prefix, self.sequence)
    }

    /// A distinct time for each change, in the API's format, so that changes are distinct and ordered.
    fn tick(&mut self) -> Value {
        self.sequence += 1;
        let begin = 1_767_225_600; // 2026-01-01
        let seconds = begin + i64::try_from(self.sequence).unwrap_or_default();
        let now = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        json!(now.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string())
    }
}

impl Record {
    pub(super) fn is_converted(&self) -> bool {
        self.fields.get("IsConverted") == Some(&json!(true))
    }
}

fn duplicate_result(object: &Object, rule: &DuplicateRule, found: &BTreeSet<&str>, message: &str) -> Value {
    let name = object.name;
    let record = |id: &&str| {
        let url = format!("/services/data/v67.0/sobjects/{name}/{id}");
        json!({
            "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
            "record": { "attributes": { "type": name, "url": url }, "Id": id },
        })
    };
    json!({
        "allowSave": !rule.blocks, "duplicateRule": format!("{name}_by_{}", rule.field), "duplicateRuleEntityType": name,
        "errorMessage": message,
        "matchResults": [{
            "entityType": name, "errors": [], "matchEngine": "ExactMatchEngine", "rule": format!("{}_is_the_same", rule.field),
            "size": found.len(), "success": true, "matchRecords": found.iter().map(record).collect::<Vec<_>>(),
        }],
    })
}

fn failed_save(code: &str, fields: &[String]) -> ApiError {
    let message = match code {
        "UNABLE_TO_LOCK_ROW" => "unable to obtain exclusive access to this record or 1 records",
        _ => "injected fault",
    };
    ApiError::bad(code, message).on(fields.iter().map(String::as_str))
}
