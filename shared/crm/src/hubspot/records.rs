//! Batch calls of the API: reads, writes, associations and searches of records.

use http_client::Method;
use lead::Failure;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::errors;
use super::errors::{Invalid, Refusal};
use crate::PresentRecord;

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

/// A record to write.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// `HubSpot`'s id, or the value of the unique property.
    pub(super) id: String,
    pub(super) fields: Map<String, Value>,
    /// The associations of a new record.
    pub(super) associations: Vec<Association>,
}

impl Row {
    pub(super) fn new(id: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { id: id.into(), fields, associations: Vec::new() }
    }
}

/// An association that is created with a record.
#[derive(Clone, Debug)]
pub(super) struct Association {
    pub(super) to_id: String,
    /// The id of the default association type, defined by `HubSpot`.
    pub(super) type_id: u32,
}

/// How records are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// Created, with this unique property. Refused if another record has the value, so that a request that
    /// arrives twice has one effect.
    Create(String),
    /// Upserted by this unique property.
    Upsert(String),
    /// Updated by `HubSpot`'s id.
    Id,
}

/// The id of the default association type between two of `HubSpot`'s own objects, from the list in its
/// official client. None for objects without one that is known.
pub(super) fn association_type(from: &str, to: &str) -> Option<u32> {
    match (from, to) {
        ("contacts" | "0-1", "companies" | "0-2") => Some(279),
        ("deals" | "0-3", "contacts" | "0-1") => Some(3),
        ("deals" | "0-3", "companies" | "0-2") => Some(341),
        ("notes" | "0-46", "contacts" | "0-1") => Some(202),
        ("tasks" | "0-27", "contacts" | "0-1") => Some(204),
        _ => None,
    }
}

impl Api {
    /// Reads records by their ids, or by their values of a unique property; at most 100 of them. With
    /// `archived`, only deleted records.
    ///
    /// Records that do not exist are missing from the result.
    pub(super) async fn read_records(
        &self,
        object: &str,
        unique: Option<&str>,
        ids: &[String],
        properties: &[String],
        archived: bool,
    ) -> Result<Vec<PresentRecord>, Failure> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let mut body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        if let Some(unique) = unique {
            body["idProperty"] = json!(unique);
        }
        let query: &[(&str, &str)] = if archived { &[("archived", "true")] } else { &[] };
        let path = self.path("objects", &[object, "batch/read"]);
        let response = self.call(Method::POST, &path, query, Some(&body)).await?;
        refuse_errors(&response)?;
        Ok(rows(&response, "results").filter_map(record_of).collect())
    }

    /// Reads a page of the deleted records of an object, and where the next page begins.
    pub(super) async fn list_deleted(
        &self,
        object: &str,
        property: &str,
        after: Option<&str>,
    ) -> Result<(Vec<PresentRecord>, Option<String>), Failure> {
        let mut query = vec![("archived", "true"), ("limit", "100"), ("properties", property)];
        query.extend(after.map(|after| ("after", after)));
        let response = self.call(Method::GET, &self.path("objects", &[object]), &query, None).await?;
        let found = rows(&response, "results").filter_map(record_of).collect();
        Ok((found, response["paging"]["next"]["after"].as_str().map(str::to_owned)))
    }

    /// Writes records. Returns one result per row, in order.
    pub(super) async fn write_rows(&self, object: &str, by: &By, records: &[Row]) -> Result<Rows, Refusal> {
        let (call, unique) = match by {
            By::Create(unique) => ("batch/create", unique.as_str()),
            By::Upsert(unique) => ("batch/upsert", unique.as_str()),
            By::Id => ("batch/update", "hs_object_id"),
        };
        let inputs = records.iter().map(|row| {
            let mut properties = as_strings(&row.fields);
            if *by == By::Id {
                return json!({"id": row.id, "properties": properties});
            }
            properties.insert(unique.to_owned(), json!(row.id));
            if matches!(by, By::Upsert(_)) {
                return json!({"id": row.id, "idProperty": unique, "properties": properties});
            }
            let associations = row.associations.iter().map(|association| {
                let of_type = json!({
                    "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": association.type_id,
                });
                json!({"to": {"id": association.to_id}, "types": [of_type]})
            });
            json!({"properties": properties, "associations": associations.collect::<Vec<_>>()})
        });
        let path = self.path("objects", &[object, call]);
        self.write_inputs(&path, unique, records, inputs.collect()).await
    }

    /// Sends a batch and matches results and errors to its rows, preferably by the trace id that each row
    /// carries.
    async fn write_inputs(
        &self,
        path: &str,
        unique: &str,
        records: &[Row],
        mut inputs: Vec<Value>,
    ) -> Result<Rows, Refusal> {
        for (index, input) in inputs.iter_mut().enumerate() {
            input["objectWriteTraceId"] = json!(index.to_string());
        }
        let response = self.write(path, &json!({ "inputs": inputs })).await?;
        let results = records.iter().enumerate().map(|(index, Row { id, .. })| {
            let trace = index.to_string();
            let is_result = |row: &&Value| {
                row["objectWriteTraceId"] == trace.as_str()
                    || row["properties"][unique].as_str().is_some_and(|held| held.eq_ignore_ascii_case(id))
                    || row["id"] == id.as_str()
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
            let written = found.and_then(|row| {
                // A creation never changes a record that existed.
                let created = path.ends_with("/create") || row["new"] == Value::Bool(true);
                Some((row["id"].as_str()?, created))
            });
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
    ) -> Result<(), Refusal> {
        let inputs: Vec<Value> =
            pairs.iter().map(|(id, to_id)| json!({"from": {"id": id}, "to": {"id": to_id}})).collect();
        let path = self.path("associations", &[from, to, "batch/associate/default"]);
        let response = self.write(&path, &json!({ "inputs": inputs })).await?;
        rows(&response, "errors").next().map_or(Ok(()), |error| Err(errors::of_row(error)))
    }

    /// Reads the associations of records, as pairs of the id in `ids` and the id of the associated record.
    pub(super) async fn associated(
        &self,
        from: &str,
        to: &str,
        ids: &[String],
    ) -> Result<Vec<(String, String)>, Failure> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
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

    /// Searches records that have one of the values in one of the properties, which may hold a
    /// `;`-separated list.
    ///
    /// Returns the most recently modified first, at most [`MAX_FOUND`]. The search index lags behind writes
    /// by a few seconds.
    pub(super) async fn search(
        &self,
        object: &str,
        search: &Search<'_>,
    ) -> Result<Vec<PresentRecord>, Failure> {
        let path = self.path("objects", &[object, "search"]);
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut body = search.body();
            if let Some(after) = &after {
                body["after"] = json!(after);
            }
            let response = self.post(&path, &body).await?;
            found.extend(rows(&response, "results").filter_map(record_of));
            after = response["paging"]["next"]["after"].as_str().map(str::to_owned);
            if after.is_none() || found.len() >= MAX_FOUND {
                return Ok(found);
            }
        }
    }
}

/// The maximum number of records that a search returns.
pub(super) const MAX_FOUND: usize = 1_000;

/// A search for records by values of properties.
pub(super) struct Search<'a> {
    pub(super) values: &'a [String],
    /// The properties that may have one of the values.
    pub(super) names: &'a [&'a str],
    /// The properties to return.
    pub(super) properties: &'a [String],
}

impl Search<'_> {
    /// The maximum length of the body of a search, in characters, with a reserve for the place of a page.
    const MAX_BODY: usize = 2_950;

    fn body(&self) -> Value {
        let group = |name: &&str| {
            let filter = json!({"propertyName": name, "operator": "IN", "values": self.values});
            json!({ "filters": [filter] })
        };
        json!({
            "filterGroups": self.names.iter().map(group).collect::<Vec<_>>(), "properties": self.properties,
            "limit": 200, "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "DESCENDING"}],
        })
    }

    /// The number of values, from the first, that one search can hold; at least one.
    pub(super) fn capacity(&self) -> usize {
        let fixed = Search { values: &[], ..*self }.body().to_string().chars().count();
        let mut left = Self::MAX_BODY.saturating_sub(fixed);
        let fitting = self.values.iter().take_while(|value| {
            // Quotes, a comma, and an escape of each character in the worst case of a domain: none.
            let size = self.names.len() * (value.chars().count() + 3);
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        fitting.count().max(1)
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
