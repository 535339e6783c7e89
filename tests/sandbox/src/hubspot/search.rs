use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::Account;
use super::dispatch::{Answer, ApiRequest};
use super::objects::{Kind, Record};
use super::refusal::Refusal;

/// The maximum number of rows on a page.
const MAX_ROWS: usize = 200;

impl Account {
    /// Searches the index, which lags some seconds behind the records.
    pub(super) fn search(&self, kind: Kind, request: &ApiRequest) -> Result<Answer, Refusal> {
        let body = &request.body;
        let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
        if groups.len() > 5 {
            return Err(Refusal::validation("a search has at most 5 filter groups"));
        }
        for filter in groups.iter().flat_map(|group| group["filters"].as_array().into_iter().flatten()) {
            let name = filter["propertyName"].as_str().unwrap_or_default();
            if self.properties.get(kind, name).is_none() {
                return Err(Refusal::validation(format!(
                    "There was a problem with the request: {name} is no property"
                )));
            }
        }
        let (now, lag) = (self.now(), self.settings.index_lag);
        let mut found: Vec<(&Record, &BTreeMap<String, String>)> = self
            .objects
            .live(kind)
            .filter_map(|record| Some((record, record.indexed(now, lag)?)))
            .filter(|(record, known)| {
                let holds = |group: &Value| {
                    let mut filters = group["filters"].as_array().into_iter().flatten();
                    filters.all(|filter| holds(filter, record, known))
                };
                groups.is_empty() || groups.iter().any(holds)
            })
            .collect();
        sort(&mut found, &body["sorts"]);
        let limit =
            body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10).min(MAX_ROWS);
        let after: usize = match &body["after"] {
            Value::String(text) => text.parse().unwrap_or_default(),
            other => other.as_u64().and_then(|after| usize::try_from(after).ok()).unwrap_or_default(),
        };
        let properties: Vec<String> = body["properties"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let page: Vec<Value> =
            found.iter().skip(after).take(limit).map(|(record, _)| record.shown(kind, &properties)).collect();
        let mut answer = json!({"total": found.len(), "results": page});
        if after + limit < found.len() {
            answer["paging"] = json!({"next": {"after": (after + limit).to_string()}});
        }
        Ok(Answer { status: 200, body: answer })
    }
}

fn holds(filter: &Value, record: &Record, known: &BTreeMap<String, String>) -> bool {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let held =
        known.get(name).cloned().or_else(|| record.value(name).filter(|_| name.starts_with("hs_object")));
    let held = held.unwrap_or_default().to_lowercase();
    let value = filter["value"].as_str().unwrap_or_default().to_lowercase();
    let values =
        || filter["values"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase);
    match filter["operator"].as_str().unwrap_or_default() {
        "EQ" => held == value,
        "NEQ" => held != value,
        "IN" => values().any(|value| value == held),
        "NOT_IN" => !values().any(|value| value == held),
        "HAS_PROPERTY" => !held.is_empty(),
        "NOT_HAS_PROPERTY" => held.is_empty(),
        "CONTAINS_TOKEN" => {
            let words = held.split(|c: char| !c.is_alphanumeric());
            words.chain(held.split(';')).any(|token| token == value.trim_matches('*'))
        }
        "GT" => compare(&held, &value) == Ordering::Greater,
        "GTE" => compare(&held, &value) != Ordering::Less,
        "LT" => compare(&held, &value) == Ordering::Less,
        "LTE" => compare(&held, &value) != Ordering::Greater,
        _ => false,
    }
}

fn sort(found: &mut [(&Record, &BTreeMap<String, String>)], sorts: &Value) {
    let Some(sort) = sorts.as_array().and_then(|sorts| sorts.first()) else { return };
    let name = sort["propertyName"].as_str().or(sort.as_str()).unwrap_or("createdate").to_owned();
    let descending = sort["direction"] == "DESCENDING";
    found.sort_by(|(a, _), (b, _)| {
        let of = |record: &Record| record.value(&name).unwrap_or_default();
        let order = compare(&of(a), &of(b)).then(a.id.cmp(&b.id));
        if descending { order.reverse() } else { order }
    });
}

fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}
