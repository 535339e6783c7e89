//! Batch reads, writes, associations and searches of records.

use http_client::Method;
use lead::{Failure, FailureClass};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::errors;
use super::errors::{Invalid, Refusal};
use crate::PresentRecord;

/// The maximum number of rows in a batch.
pub(super) const MAX_ROWS: usize = 100;

/// The result of writing one record.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) record_id: String,
    pub(super) created: bool,
    /// The properties that `HubSpot` refused. The record was written without them.
    pub(super) left_out: Vec<Invalid>,
}

impl Written {
    /// The result for an existing record with nothing left to write.
    pub(super) fn unchanged(record_id: &str) -> Self {
        Self { record_id: record_id.to_owned(), created: false, left_out: Vec::new() }
    }
}

/// The result of each row of a batch, in order.
pub(super) type Rows = Vec<Result<Written, Refusal>>;

impl Api {
    /// Reads records by their ids, or by their values of a unique property; at most [`MAX_ROWS`] of them.
    ///
    /// Records that do not exist are missing from the result.
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
        let response = self.call(Method::POST, &path, query, Some(body)).await?;
        refuse_errors(&response)?;
        Ok(rows(&response, "results").filter_map(record_of).collect())
    }

    /// The id of the deleted record with this value of a unique property; none if there is no such record or
    /// the account refuses the query. `HubSpot` keeps deleted records for 90 days.
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
            // The result may be a merged record, which is not deleted: its property holds another value.
            Ok(found) => found.into_iter().find(|record| {
                record
                    .value(unique)
                    .and_then(Value::as_str)
                    .is_some_and(|held| held.eq_ignore_ascii_case(value))
            }),
            Err(failure) if failure.class() == FailureClass::Permanent => None,
            Err(failure) => return Err(failure),
        };
        Ok(found.map(|record| record.record_id))
    }

    /// Reads the record with this value of a unique property.
    pub(super) async fn read_record(
        &self,
        object: &str,
        unique: &str,
        value: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        Ok(self.read_records(object, Some(unique), &[value], properties).await?.pop())
    }

    /// Creates or updates records by a unique property. Returns one result per row, in order.
    pub(super) async fn upsert(
        &self,
        object: &str,
        unique: &str,
        records: &[(String, Map<String, Value>)],
    ) -> Result<Rows, Refusal> {
        let rows = records.iter().map(|(id, fields)| {
            let mut properties = as_strings(fields);
            properties.insert(unique.to_owned(), json!(id));
            json!({"id": id, "idProperty": unique, "properties": properties})
        });
        self.write_rows(&self.path("objects", &[object, "batch/upsert"]), unique, rows.collect()).await
    }

    /// Updates records by their ids. Returns one result per row, in order.
    pub(super) async fn update(
        &self,
        object: &str,
        records: &[(String, Map<String, Value>)],
    ) -> Result<Rows, Refusal> {
        let rows = records.iter().map(|(id, fields)| json!({"id": id, "properties": as_strings(fields)}));
        self.write_rows(&self.path("objects", &[object, "batch/update"]), "hs_object_id", rows.collect())
            .await
    }

    /// Sends a batch and matches results and errors to its rows, preferably by the trace id that each row
    /// carries.
    async fn write_rows(&self, path: &str, unique: &str, mut inputs: Vec<Value>) -> Result<Rows, Refusal> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        for (index, input) in inputs.iter_mut().enumerate() {
            input["objectWriteTraceId"] = json!(index.to_string());
        }
        let response = self.write(path, &json!({ "inputs": inputs })).await?;
        let results = inputs.iter().enumerate().map(|(index, input)| {
            let trace = index.to_string();
            let id = input["id"].as_str().unwrap_or_default();
            let is_result = |row: &&Value| {
                row["objectWriteTraceId"] == trace.as_str()
                    || row["properties"][unique].as_str().is_some_and(|held| held.eq_ignore_ascii_case(id))
                    || row["id"] == id
            };
            let is_error = |row: &&Value| {
                let names = |key: &str, id: &str| {
                    row["context"][key].as_array().into_iter().flatten().any(|value| value == id)
                };
                names("objectWriteTraceId", &trace) || names("ids", id)
            };
            if let Some(error) = rows(&response, "errors").find(is_error) {
                return Err(errors::of_row(error));
            }
            let found = rows(&response, "results").find(is_result);
            // The only result of a batch of one belongs to its row.
            let found = found.or_else(|| (inputs.len() == 1).then(|| rows(&response, "results").next())?);
            let written = found.and_then(|row| Some((row["id"].as_str()?, row["new"] == Value::Bool(true))));
            if written.is_none()
                && let Some(error) = rows(&response, "errors").find(|error| names_no_row(error))
            {
                return Err(errors::of_row(error));
            }
            let (record_id, created) = written.ok_or_else(errors::unanswered_row)?;
            Ok(Written { record_id: record_id.to_owned(), created, left_out: Vec::new() })
        });
        Ok(results.collect())
    }

    /// Associates pairs of records with the default association type. Existing associations stay.
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
        let response = self.post(&path, &json!({ "inputs": inputs })).await?;
        rows(&response, "errors").next().map_or(Ok(()), |error| Err(errors::of_row(error).into()))
    }

    /// Reads the associations of records, as pairs of the id in `ids` and the id of the associated record.
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
        let response = self.post(&path, &json!({ "inputs": inputs })).await?;
        // A record without associations is reported as an OBJECT_NOT_FOUND error too.
        refuse_errors(&response)?;
        let mut pairs = Vec::new();
        for row in rows(&response, "results") {
            let Some(id) = id_of(&row["from"]["id"]) else { continue };
            for other in rows(row, "to") {
                pairs.extend(id_of(&other["toObjectId"]).map(|other| (id.clone(), other)));
            }
        }
        Ok(pairs)
    }

    /// Searches records by the value of a property, or by a member of the `;`-separated list in the property
    /// `also`.
    ///
    /// Returns at most ten records, the most recently modified first. The search index lags behind writes by
    /// a few seconds.
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
        let mut requested = properties.to_vec();
        requested.extend([property].into_iter().chain(also).map(str::to_owned));
        let body = json!({
            "filterGroups": groups, "properties": requested, "limit": 10,
            "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "DESCENDING"}],
        });
        let response = self.post(&self.path("objects", &[object, "search"]), &body).await?;
        let mut found: Vec<PresentRecord> = rows(&response, "results").filter_map(record_of).collect();
        // A token match may be only a part of a longer value.
        found.retain(|record| {
            let held = |name: &str| record.value(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let has = |list: String| list.split(';').any(|one| one.trim().eq_ignore_ascii_case(value));
            has(held(property)) || also.is_some_and(|also| has(held(also)))
        });
        Ok(found)
    }
}

fn rows<'a>(response: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    response[key].as_array().into_iter().flatten()
}

/// Fails with the first error of a batch reply, except for `OBJECT_NOT_FOUND`.
fn refuse_errors(response: &Value) -> Result<(), Failure> {
    let refused = rows(response, "errors").find(|error| error["category"] != "OBJECT_NOT_FOUND");
    refused.map_or(Ok(()), |error| Err(errors::of_row(error).into()))
}

/// Whether an error names no row, so it may belong to any row without a result.
fn names_no_row(error: &Value) -> bool {
    let names = |key: &str| error["context"][key].as_array().is_some_and(|names| !names.is_empty());
    !names("objectWriteTraceId") && !names("ids")
}

fn record_of(row: &Value) -> Option<PresentRecord> {
    let fields = row["properties"].as_object().cloned().unwrap_or_default();
    Some(PresentRecord { record_id: id_of(&row["id"])?, fields, adopted: false })
}

/// Reads an id, which is a string, or a number in some older replies.
fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Converts values to strings, as the API expects them. An empty string clears the property.
fn as_strings(fields: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    fields.iter().map(|(name, value)| (name.clone(), Value::String(text(value)))).collect()
}
