use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::account::Account;
use super::associations::types;
use super::dispatch::{Answer, ApiRequest};
use super::objects::{Kind, Record};
use super::refusal::Refusal;
use super::write::Accepted;

/// The maximum number of rows in a batch.
const MAX_ROWS: usize = 100;

/// The results and errors of a batch's rows.
#[derive(Default)]
struct Rows {
    results: Vec<Value>,
    errors: Vec<Value>,
    /// The first refusal that is not limited to its row, which may be the answer to the whole call.
    first: Option<Refusal>,
}

/// Calls for many records.
impl Account {
    pub(super) fn batch(&mut self, kind: Kind, call: &str, request: &ApiRequest) -> Result<Answer, Refusal> {
        let inputs = request.body["inputs"].as_array().cloned().unwrap_or_default();
        if inputs.is_empty() || inputs.len() > MAX_ROWS {
            return Err(Refusal::validation(format!("a batch has 1 to {MAX_ROWS} inputs")));
        }
        match call {
            "read" => self.batch_read(kind, &inputs, request),
            "create" => self.batch_create(kind, &inputs),
            "update" => self.batch_update(kind, &inputs),
            "upsert" => self.batch_upsert(kind, &inputs),
            _ => Err(Refusal::no_such_path(call)),
        }
    }

    fn batch_read(&self, kind: Kind, inputs: &[Value], request: &ApiRequest) -> Result<Answer, Refusal> {
        let property = request.body["idProperty"].as_str();
        if let Some(property) = property {
            self.refuse_non_unique(kind, property)?;
        }
        let properties = requested_properties(&request.body);
        let (mut found, mut missing) = (BTreeSet::new(), Vec::new());
        if request.query_value("archived") == Some("true") {
            return Ok(self.batch_read_archived(kind, inputs, property, &properties));
        }
        for input in inputs {
            match self.find(kind, property, text(input, "id")) {
                Some(id) => drop(found.insert(id)),
                None => missing.push(text(input, "id").to_owned()),
            }
        }
        let mut rows = Rows::default();
        let records = found.into_iter().filter_map(|id| self.objects.get(kind, id));
        rows.results = records.map(|record| self.shown(kind, record, &properties)).collect();
        if !missing.is_empty() {
            rows.errors.push(could_not_get(kind, &missing));
        }
        Ok(rows.answer(true))
    }

    /// Reads only deleted records, as for `archived=true`.
    fn batch_read_archived(
        &self,
        kind: Kind,
        inputs: &[Value],
        property: Option<&str>,
        properties: &[String],
    ) -> Answer {
        let (mut rows, mut missing) = (Rows::default(), Vec::new());
        for input in inputs {
            let id = text(input, "id");
            match self.objects.find_archived(kind, property, id) {
                Some(record) => rows.results.push(record.shown(kind, properties)),
                None => missing.push(id.to_owned()),
            }
        }
        if !missing.is_empty() {
            rows.errors.push(could_not_get(kind, &missing));
        }
        rows.answer(true)
    }

    fn batch_update(&mut self, kind: Kind, inputs: &[Value]) -> Result<Answer, Refusal> {
        refuse_duplicates(inputs)?;
        let mut accepted = Vec::new();
        for input in inputs {
            if let Some(property) = input["idProperty"].as_str() {
                self.refuse_non_unique(kind, property)?;
            }
            accepted.push(self.accept_input(kind, &input["properties"])?);
        }
        let (mut rows, mut missing) = (Rows::default(), Vec::new());
        for (input, values) in inputs.iter().zip(accepted) {
            let id = text(input, "id");
            let values = match values {
                Ok(values) => values,
                Err(refusal) => {
                    rows.refuse(id, trace(input), &refusal);
                    continue;
                }
            };
            let Some(found) = self.find(kind, input["idProperty"].as_str(), id) else {
                missing.push(id.to_owned());
                continue;
            };
            let result = self.row(id, |account| account.update(kind, found, values).map(|()| found));
            rows.add(id, trace(input), result.and_then(|id| self.shown_whole(kind, id)));
        }
        if !missing.is_empty() {
            rows.errors.push(could_not_get(kind, &missing));
        }
        Ok(rows.answer(inputs.len() > 1))
    }

    fn batch_upsert(&mut self, kind: Kind, inputs: &[Value]) -> Result<Answer, Refusal> {
        for input in inputs {
            let property = text(input, "idProperty");
            self.refuse_non_unique(kind, property)?;
        }
        refuse_duplicates(inputs)?;
        let mut accepted = Vec::new();
        for input in inputs {
            let mut values = self.accept_input(kind, &input["properties"])?;
            let (name, id) = (text(input, "idProperty"), text(input, "id"));
            if name != "hs_object_id"
                && let Ok(values) = &mut values
            {
                let named = self.accept(kind, &json!({ name: id }))?;
                values.extend(named);
            }
            accepted.push(values);
        }
        let mut rows = Rows::default();
        for (input, values) in inputs.iter().zip(accepted) {
            let (name, id) = (text(input, "idProperty"), text(input, "id"));
            let values = match values {
                Ok(values) => values,
                Err(refusal) => {
                    rows.refuse(id, trace(input), &refusal);
                    continue;
                }
            };
            let found = self.find(kind, Some(name), id);
            let result = self.row(id, |account| match found {
                Some(found) => account.update(kind, found, values).map(|()| found),
                None => account.create(kind, values),
            });
            let shown = result.and_then(|id| self.shown_whole(kind, id)).map(|mut shown| {
                shown["new"] = json!(found.is_none());
                shown
            });
            rows.add(id, trace(input), shown);
        }
        Ok(rows.answer(inputs.len() > 1))
    }

    /// Creates records with their associations. A record that has a unique value of another one is refused:
    /// alone if every input carries its own trace id, and otherwise with the whole call.
    fn batch_create(&mut self, kind: Kind, inputs: &[Value]) -> Result<Answer, Refusal> {
        let traces: BTreeSet<&str> = inputs.iter().filter_map(trace).collect();
        let is_multi_status = traces.len() == inputs.len();
        let mut accepted = Vec::new();
        for input in inputs {
            accepted.push(self.accept_input(kind, &input["properties"])?);
        }
        if !is_multi_status {
            for values in accepted.iter().flatten() {
                self.refuse_conflicts(kind, None, values)?;
            }
        }
        let mut rows = Rows::default();
        for (input, values) in inputs.iter().zip(accepted) {
            let values = match values {
                Ok(values) => values,
                Err(refusal) => {
                    rows.refuse("", trace(input), &refusal);
                    continue;
                }
            };
            let to = match self.inline_associations(kind, input) {
                Ok(to) => to,
                Err(refusal) => {
                    rows.add("", trace(input), Err(refusal));
                    continue;
                }
            };
            let unique: Vec<String> = values.values().cloned().collect();
            let result = self.row(&unique.join(" "), |account| account.create(kind, values));
            if let Ok(id) = result {
                for (other, to_id) in to {
                    self.associations.add_default(kind, id, other, to_id);
                }
            }
            let shown = result.and_then(|id| self.shown_whole(kind, id)).map(|mut shown| {
                shown["objectWriteTraceId"] = json!(trace(input));
                shown
            });
            rows.add("", trace(input), shown);
        }
        let answer = rows.answer(inputs.len() > 1);
        Ok(if answer.status == 200 { Answer { status: 201, ..answer } } else { answer })
    }

    /// The records that an input of a batch associates with the new record. They must exist, and only the
    /// default association types are known.
    fn inline_associations(&self, kind: Kind, input: &Value) -> Result<Vec<(Kind, u64)>, Refusal> {
        let given = input["associations"].as_array().into_iter().flatten();
        let to = given.map(|association| {
            let id = text(&association["to"], "id").parse::<u64>().unwrap_or_default();
            let named = &association["types"][0];
            let type_id = named["associationTypeId"].as_u64();
            let is_default = |other: &Kind| {
                types(kind, *other).first().is_some_and(|(there, ..)| Some(u64::from(*there)) == type_id)
            };
            let other = Kind::ALL.into_iter().find(is_default);
            let other = other.filter(|_| named["associationCategory"] == "HUBSPOT_DEFINED");
            let other = other.ok_or_else(|| Refusal::validation("Invalid association type"))?;
            let is_there = self.objects.get(other, id).is_some();
            if is_there { Ok((other, id)) } else { Err(Refusal::not_found()) }
        });
        to.collect()
    }

    /// The records of a kind, page by page.
    pub(super) fn list(&self, kind: Kind, request: &ApiRequest) -> Answer {
        let number = |name: &str| request.query_value(name).and_then(|value| value.parse::<u64>().ok());
        let limit = usize::try_from(number("limit").unwrap_or(10)).unwrap_or(10).min(MAX_ROWS);
        let after = number("after").unwrap_or_default();
        let is_archived = request.query_value("archived") == Some("true");
        let properties: Vec<String> = request
            .query_value("properties")
            .map(|names| names.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        let all: Vec<&Record> = self.objects.listed(kind, is_archived).filter(|one| one.id > after).collect();
        let page = all.iter().take(limit).map(|record| record.shown(kind, &properties));
        let mut body = json!({ "results": page.collect::<Vec<_>>() });
        if let Some(last) = all.get(limit.wrapping_sub(1)).filter(|_| all.len() > limit) {
            body["paging"] = json!({"next": {"after": last.id.to_string()}});
        }
        Answer::ok(body)
    }

    /// The values of one input of a batch. An invalid input refuses the whole call, or only its own row if
    /// the account is set so.
    fn accept_input(&self, kind: Kind, given: &Value) -> Result<Result<Accepted, Refusal>, Refusal> {
        let accepted = self.accept(kind, given);
        if self.settings.invalid_inputs_fail_alone { Ok(accepted) } else { accepted.map(Ok) }
    }

    fn refuse_non_unique(&self, kind: Kind, property: &str) -> Result<(), Refusal> {
        if self.properties.is_unique(kind, property) {
            return Ok(());
        }
        let message =
            format!("Unable to perform update/upsert by non-unique {} property {property}", kind.type_id());
        Err(Refusal::validation(message))
    }

    /// A record with these properties, some of which are computed from its associations.
    pub(super) fn shown(&self, kind: Kind, record: &Record, properties: &[String]) -> Value {
        let mut shown = record.shown(kind, properties);
        if let Some(deals) = shown["properties"].get_mut("num_associated_deals") {
            let number = self.associations.of(kind, record.id, Kind::Deal).len();
            *deals = if number == 0 { Value::Null } else { json!(number.to_string()) };
        }
        if let Some(primary) = shown["properties"].get_mut("associatedcompanyid") {
            let company = self.associations.primary_company(record.id);
            *primary = company.map_or(Value::Null, |company| json!(company.to_string()));
        }
        shown
    }

    fn shown_whole(&self, kind: Kind, id: u64) -> Result<Value, Refusal> {
        self.objects.get(kind, id).map(|record| record.shown_whole(kind)).ok_or_else(Refusal::not_found)
    }

    /// Processes a row unless it is to be refused.
    fn row(
        &mut self,
        id: &str,
        work: impl FnOnce(&mut Self) -> Result<u64, Refusal>,
    ) -> Result<u64, Refusal> {
        match self.row_fault(id) {
            Some(category) => {
                let message = "the row was refused by an injected fault";
                Err(Refusal { alone: true, ..Refusal::new(500, &category, message) })
            }
            None => work(self),
        }
    }
}

impl Rows {
    fn add(&mut self, id: &str, trace: Option<&str>, result: Result<Value, Refusal>) {
        match result {
            Ok(row) => self.results.push(row),
            Err(refusal) if refusal.alone => self.refuse(id, trace, &refusal),
            Err(refusal) => {
                self.refuse(id, trace, &refusal);
                self.first.get_or_insert(refusal);
            }
        }
    }

    /// Refuses one row without refusing the whole call.
    fn refuse(&mut self, id: &str, trace: Option<&str>, refusal: &Refusal) {
        self.errors.push(refusal.row(id, trace));
    }

    /// 207 if rows were refused. Without `in_parts` (a batch of one row) the first refusal is the answer
    /// instead, unless it is limited to its row.
    fn answer(self, in_parts: bool) -> Answer {
        if let (false, Some(refusal)) = (in_parts, self.first) {
            return Answer { status: refusal.status, body: refusal.body };
        }
        let now = jiff::Timestamp::UNIX_EPOCH.to_string();
        let mut body = json!({
            "status": "COMPLETE", "results": self.results, "requestedAt": now, "startedAt": now, "completedAt": now,
        });
        if self.errors.is_empty() {
            return Answer::ok(body);
        }
        body["numErrors"] = json!(self.errors.len());
        body["errors"] = Value::Array(self.errors);
        Answer { status: 207, body }
    }
}

/// The names of the properties to return.
pub(super) fn requested_properties(body: &Value) -> Vec<String> {
    let names = body["properties"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text<'a>(input: &'a Value, key: &str) -> &'a str {
    input[key].as_str().unwrap_or_default()
}

fn trace(input: &Value) -> Option<&str> {
    input["objectWriteTraceId"].as_str()
}

/// Refuses a batch that writes a record twice.
fn refuse_duplicates(inputs: &[Value]) -> Result<(), Refusal> {
    let ids: BTreeSet<String> = inputs.iter().map(|input| text(input, "id").to_lowercase()).collect();
    if ids.len() == inputs.len() {
        return Ok(());
    }
    if inputs.iter().any(|input| text(input, "idProperty") == "email") {
        return Err(Refusal::new(409, "CONFLICT", "Duplicate emails found in batch input"));
    }
    let listed: Vec<&str> = inputs.iter().map(|input| text(input, "id")).collect();
    let message = format!("Duplicate IDs found in batch input: [{}]. IDs must be unique", listed.join(", "));
    Err(Refusal::validation(message))
}

fn could_not_get(kind: Kind, ids: &[String]) -> Value {
    let message = format!(
        "Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.",
        kind.singular()
    );
    json!({"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ids}})
}
