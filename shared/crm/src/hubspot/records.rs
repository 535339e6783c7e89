//! Records, read and written in batches.

use lead::{Failure, FailureClass};
use outbound::Method;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::errors;
use super::errors::{Invalid, Refused};
use crate::PresentRecord;

/// The most rows of a batch.
pub(super) const MAX_ROWS: usize = 100;

/// A record that was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) record_id: String,
    pub(super) created: bool,
    /// The properties that `HubSpot` refused, without which it was written.
    pub(super) left_out: Vec<Invalid>,
}

impl Written {
    /// A record to which nothing is written.
    pub(super) fn untouched(record_id: &str) -> Self {
        Self { record_id: record_id.to_owned(), created: false, left_out: Vec::new() }
    }
}

/// What became of each row of a batch, in order.
pub(super) type Rows = Vec<Result<Written, Refused>>;

impl Api {
    /// The records of these ids: the CRM's own, or the values of a unique property. What is not there is left out.
    pub(super) async fn read_records(
        &self,
        object: &str,
        unique: Option<&str>,
        ids: &[&str],
        properties: &[String],
    ) -> Result<Vec<PresentRecord>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inputs: Vec<Value> = ids.iter().take(MAX_ROWS).map(|id| json!({ "id": id })).collect();
        let mut body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        if let Some(unique) = unique {
            body["idProperty"] = json!(unique);
        }
        self.read_batch(object, &[], &body).await
    }

    async fn read_batch(
        &self,
        object: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Vec<PresentRecord>, Failure> {
        let path = self.path("objects", &[object, "batch/read"]);
        let answer = self.call(Method::POST, &path, query, Some(body)).await?;
        refuse_errors(&answer)?;
        Ok(rows(&answer, "results").filter_map(record_of).collect())
    }

    /// The id of the record with this value in a unique property that people have deleted; none where there is none, or the
    /// account does not tell. `HubSpot` keeps deleted records for 90 days.
    pub(super) async fn read_deleted(
        &self,
        object: &str,
        unique: &str,
        value: &str,
    ) -> Result<Option<String>, Failure> {
        let body = json!({
            "inputs": [{ "id": value }], "idProperty": unique, "properties": [unique], "propertiesWithHistory": [],
        });
        let found = match self.read_batch(object, &[("archived", "true")], &body).await {
            // One that is merged is found by its id, and is no deleted one.
            Ok(found) => found.into_iter().find(|record| {
                record
                    .value(unique)
                    .and_then(Value::as_str)
                    .is_some_and(|held| held.eq_ignore_ascii_case(value))
            }),
            Err(failure) if failure.class == FailureClass::Permanent => None,
            Err(failure) => return Err(failure),
        };
        Ok(found.map(|record| record.record_id))
    }

    /// The record that has this value in a unique property.
    pub(super) async fn read_record(
        &self,
        object: &str,
        unique: &str,
        value: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        Ok(self.read_records(object, Some(unique), &[value], properties).await?.pop())
    }

    /// Creates or changes records by a unique property. One result for each row, in order.
    pub(super) async fn upsert(
        &self,
        object: &str,
        unique: &str,
        records: &[(String, Map<String, Value>)],
    ) -> Result<Rows, Refused> {
        let rows = records.iter().map(|(id, fields)| {
            let mut properties = texts(fields);
            properties.insert(unique.to_owned(), json!(id));
            json!({"id": id, "idProperty": unique, "properties": properties})
        });
        self.write_rows(&self.path("objects", &[object, "batch/upsert"]), unique, rows.collect()).await
    }

    /// Changes records by their own ids. One result for each row, in order.
    pub(super) async fn update(
        &self,
        object: &str,
        records: &[(String, Map<String, Value>)],
    ) -> Result<Rows, Refused> {
        let rows = records.iter().map(|(id, fields)| json!({"id": id, "properties": texts(fields)}));
        self.write_rows(&self.path("objects", &[object, "batch/update"]), "hs_object_id", rows.collect())
            .await
    }

    /// A batch row by row. Each row carries a trace, by which its result or its error is told.
    async fn write_rows(&self, path: &str, unique: &str, mut inputs: Vec<Value>) -> Result<Rows, Refused> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        for (index, input) in inputs.iter_mut().enumerate() {
            input["objectWriteTraceId"] = json!(index.to_string());
        }
        let answer = self.write(path, &json!({ "inputs": inputs })).await?;
        let results = inputs.iter().enumerate().map(|(index, input)| {
            let trace = index.to_string();
            let id = input["id"].as_str().unwrap_or_default();
            let is_result = |row: &&Value| {
                row["objectWriteTraceId"] == trace.as_str()
                    || row["properties"][unique].as_str().is_some_and(|held| held.eq_ignore_ascii_case(id))
                    || row["id"] == id
            };
            let is_error = |row: &&Value| {
                let names = |key: &str, what: &str| {
                    row["context"][key].as_array().into_iter().flatten().any(|value| value == what)
                };
                names("objectWriteTraceId", &trace) || names("ids", id)
            };
            if let Some(error) = rows(&answer, "errors").find(is_error) {
                return Err(errors::of_row(error));
            }
            let found = rows(&answer, "results").find(is_result);
            // A batch of one needs no telling apart.
            let found = found.or_else(|| (inputs.len() == 1).then(|| rows(&answer, "results").next())?);
            let told = found.and_then(|row| Some((row["id"].as_str()?, row["new"] == Value::Bool(true))));
            if told.is_none()
                && let Some(error) = rows(&answer, "errors").find(|error| is_nobodys(error))
            {
                return Err(errors::of_row(error));
            }
            let (record_id, created) = told.ok_or_else(errors::unanswered_row)?;
            Ok(Written { record_id: record_id.to_owned(), created, left_out: Vec::new() })
        });
        Ok(results.collect())
    }

    /// Associates records by the default type of their kinds. What is associated stays so.
    pub(super) async fn associate(
        &self,
        from: &str,
        to: &str,
        pairs: &[(String, String)],
    ) -> Result<(), Failure> {
        if pairs.is_empty() {
            return Ok(());
        }
        let inputs: Vec<Value> =
            pairs.iter().map(|(id, to_id)| json!({"from": {"id": id}, "to": {"id": to_id}})).collect();
        let path = self.path("associations", &[from, to, "batch/associate/default"]);
        let answer = self.post(&path, &json!({ "inputs": inputs })).await?;
        rows(&answer, "errors").next().map_or(Ok(()), |error| Err(errors::of_row(error).into()))
    }

    /// The ids of the records that belong to each of these, as pairs.
    pub(super) async fn associated(
        &self,
        from: &str,
        to: &str,
        ids: &[&str],
    ) -> Result<Vec<(String, String)>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inputs: Vec<Value> = ids.iter().take(MAX_ROWS).map(|id| json!({ "id": id })).collect();
        let path = self.path("associations", &[from, to, "batch/read"]);
        let answer = self.post(&path, &json!({ "inputs": inputs })).await?;
        // A record without associations is such an error too.
        refuse_errors(&answer)?;
        let mut pairs = Vec::new();
        for row in rows(&answer, "results") {
            let Some(id) = id_of(&row["from"]["id"]) else { continue };
            for other in rows(row, "to") {
                pairs.extend(id_of(&other["toObjectId"]).map(|other| (id.clone(), other)));
            }
        }
        Ok(pairs)
    }

    /// The records with this value in a property, or in the list of further values `also`, the one changed last first; at
    /// most ten. What was written in the last seconds is not among them.
    pub(super) async fn search(
        &self,
        object: &str,
        property: &str,
        also: Option<&str>,
        value: &str,
        properties: &[String],
    ) -> Result<Vec<PresentRecord>, Failure> {
        let group = |property: &str, operator: &str| json!({"filters": [{"propertyName": property, "operator": operator, "value": value}]});
        let mut groups = vec![group(property, "EQ")];
        groups.extend(also.map(|also| group(also, "CONTAINS_TOKEN")));
        let mut asked = properties.to_vec();
        asked.extend([property].into_iter().chain(also).map(str::to_owned));
        let body = json!({
            "filterGroups": groups, "properties": asked, "limit": 10,
            "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "DESCENDING"}],
        });
        let answer = self.post(&self.path("objects", &[object, "search"]), &body).await?;
        let mut found: Vec<PresentRecord> = rows(&answer, "results").filter_map(record_of).collect();
        // Tokens may be parts of another value.
        found.retain(|record| {
            let held = |name: &str| record.value(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let has = |list: String| list.split(';').any(|one| one.trim().eq_ignore_ascii_case(value));
            has(held(property)) || also.is_some_and(|also| has(held(also)))
        });
        Ok(found)
    }
}

fn rows<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer[key].as_array().into_iter().flatten()
}

/// Fails with the first row that was refused for another reason than that there is nothing.
fn refuse_errors(answer: &Value) -> Result<(), Failure> {
    let refused = rows(answer, "errors").find(|error| error["category"] != "OBJECT_NOT_FOUND");
    refused.map_or(Ok(()), |error| Err(errors::of_row(error).into()))
}

/// Whether an error says of no row that it is its own.
fn is_nobodys(error: &Value) -> bool {
    let names = |key: &str| error["context"][key].as_array().is_some_and(|names| !names.is_empty());
    !names("objectWriteTraceId") && !names("ids")
}

fn record_of(row: &Value) -> Option<PresentRecord> {
    let fields = row["properties"].as_object().cloned().unwrap_or_default();
    Some(PresentRecord { record_id: id_of(&row["id"])?, fields, adopted: false })
}

/// Ids are texts, and in some older answers numbers.
fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Every value is sent as a text; an empty one clears the property.
fn texts(fields: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    fields.iter().map(|(name, value)| (name.clone(), Value::String(text(value)))).collect()
}
