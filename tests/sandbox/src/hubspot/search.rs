use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::Account;
use super::batch::requested_properties;
use super::dispatch::Answer;
use super::objects::{Kind, Record};
use super::refusal::Refusal;

/// The maximum number of rows of an answer.
const MAX_ROWS: usize = 200;
/// The maximum length of the body of a search, in characters.
const MAX_BODY: usize = 3_000;

impl Account {
    /// Searches the index, which lags some seconds behind the records. The operators are those that
    /// RevenueFlow uses; any other is refused.
    pub(super) fn search(&self, kind: Kind, body: &Value) -> Result<Answer, Refusal> {
        if body.to_string().chars().count() > MAX_BODY {
            return Err(Refusal::validation(format!("a search has at most {MAX_BODY} characters")));
        }
        let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
        if groups.len() > 5 {
            return Err(Refusal::validation("a search has at most 5 filter groups"));
        }
        for filter in groups.iter().flat_map(filters) {
            let name = filter["propertyName"].as_str().unwrap_or_default();
            let is_known = self.properties.get(kind, name).is_some();
            if !is_known || !["EQ", "IN"].iter().any(|known| filter["operator"] == *known) {
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
        let after = body["after"].as_str().and_then(|after| after.parse::<usize>().ok()).unwrap_or_default();
        let limit = limit.min(MAX_ROWS);
        let page =
            found.iter().skip(after).take(limit).map(|(record, _)| self.shown(kind, record, &properties));
        let mut answer = json!({"total": found.len(), "results": page.collect::<Vec<_>>()});
        if found.len() > after + limit {
            answer["paging"] = json!({"next": {"after": (after + limit).to_string()}});
        }
        Ok(Answer::ok(answer))
    }
}

fn filters(group: &Value) -> impl Iterator<Item = &Value> {
    group["filters"].as_array().into_iter().flatten()
}

/// Whether a record matches a filter. A property with a list of values, separated by `;`, matches by each of
/// them.
fn holds(filter: &Value, known: &BTreeMap<String, String>) -> bool {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let held = known.get(name).map(|held| held.to_lowercase()).unwrap_or_default();
    let is_wanted = |value: &Value| value.as_str().is_some_and(|value| value.to_lowercase() == held);
    if filter["operator"] == "EQ" {
        return is_wanted(&filter["value"]);
    }
    // The values of IN must be in lower case.
    let wanted: Vec<&str> =
        filter["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    !held.is_empty() && held.split(';').any(|one| wanted.contains(&one.trim()))
}
