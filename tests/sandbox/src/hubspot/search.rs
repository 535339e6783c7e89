use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::Account;
use super::batch::requested_properties;
use super::dispatch::Answer;
use super::objects::{Kind, Record};
use super::refusal::Refusal;

/// The maximum number of rows of an answer.
const MAX_ROWS: usize = 200;

impl Account {
    /// Searches the index, which lags some seconds behind the records. The operators are those that
    /// RevenueFlow uses; any other is refused.
    pub(super) fn search(&self, kind: Kind, body: &Value) -> Result<Answer, Refusal> {
        let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
        if groups.len() > 5 {
            return Err(Refusal::validation("a search has at most 5 filter groups"));
        }
        for filter in groups.iter().flat_map(filters) {
            let name = filter["propertyName"].as_str().unwrap_or_default();
            let is_known = self.properties.get(kind, name).is_some();
            if !is_known || (filter["operator"] != "EQ" && filter["operator"] != "CONTAINS_TOKEN") {
                let message = format!("There was a problem with the request: {name}, {}", filter["operator"]);
                return Err(Refusal::validation(message));
            }
        }
        let (now, lag) = (self.now(), self.settings.index_lag);
        let indexed = |record| Some((record, Record::indexed(record, now, lag)?));
        let holds = |(_, known): &(&Record, &BTreeMap<String, String>)| {
            groups.is_empty() || groups.iter().any(|group| filters(group).all(|filter| holds(filter, known)))
        };
        let mut found: Vec<_> = self.objects.live(kind).filter_map(indexed).filter(holds).collect();
        if let Some(sort) = body["sorts"].as_array().and_then(|sorts| sorts.first()) {
            let name = sort["propertyName"].as_str().or(sort.as_str()).unwrap_or("createdate");
            found.sort_by_key(|(record, _)| (record.value(name), record.id));
            if sort["direction"] == "DESCENDING" {
                found.reverse();
            }
        }
        let limit = body["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
        let properties = requested_properties(body);
        let page = found.iter().take(limit.min(MAX_ROWS)).map(|(record, _)| record.shown(kind, &properties));
        Ok(Answer::ok(json!({"total": found.len(), "results": page.collect::<Vec<_>>()})))
    }
}

fn filters(group: &Value) -> impl Iterator<Item = &Value> {
    group["filters"].as_array().into_iter().flatten()
}

fn holds(filter: &Value, known: &BTreeMap<String, String>) -> bool {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let held = known.get(name).map(|held| held.to_lowercase()).unwrap_or_default();
    let value = filter["value"].as_str().unwrap_or_default().to_lowercase();
    if filter["operator"] == "EQ" {
        return held == value;
    }
    let words = held.split(|c: char| !c.is_alphanumeric());
    words.chain(held.split(';')).any(|token| token == value.trim_matches('*'))
}
