//! Conversion of a sender's payload to our fields.

use intake::{Format, field_named, is_absent};
use serde_json::{Map, Value};

use crate::selector::Selector;

/// The objects whose members are facts.
pub(crate) const NAMESPACES: [&str; 3] = ["marketo", "product", "salesforce"];

/// How the payload of a source becomes our fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapping {
    /// Fields with the places of their value, in order of precedence. They win over all others.
    pub(crate) rules: Vec<Rule>,
    /// Objects whose members become fields of their own.
    pub(crate) lift: Vec<Selector>,
    /// Lists of name and value that become fields of their own.
    pub(crate) pairs: Vec<Pairs>,
    /// Whether top-level fields that nothing else uses are kept.
    pub(crate) keeps_rest: bool,
    /// The campaign of payloads without one.
    pub(crate) campaign: Option<String>,
}

/// One of our fields and its origins.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// A top-level field, or a path below a namespace.
    pub(crate) target: String,
    pub(crate) from: Vec<Origin>,
}

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The first present value at a path.
    At(Selector),
    /// A fixed value.
    Constant(Value),
}

/// A list of questions with answers, as form builders send them.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    pub(crate) list: Selector,
    pub(crate) name: Vec<Selector>,
    pub(crate) value: Vec<Selector>,
}

/// The result of a mapping.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) fields: Vec<(String, Value)>,
    /// Facts that the source's own rules set, by namespace. A person cannot set them.
    pub(crate) facts: Map<String, Value>,
    /// The origin of each rule's value, in the order of the rules; none for a rule without a value.
    pub(crate) origins: Vec<Option<String>>,
}

impl Mapping {
    /// Whether the payload is taken as it is.
    pub(crate) fn is_identity(&self) -> bool {
        self.rules.is_empty()
            && self.lift.is_empty()
            && self.pairs.is_empty()
            && self.keeps_rest
            && self.campaign.is_none()
    }

    pub(crate) fn apply(&self, sent: &[(String, Value)], format: Format) -> Mapped {
        let payload = tree(sent, format);
        let mut mapped = Mapped::default();
        for rule in &self.rules {
            let found = rule.from.iter().find_map(|origin| origin.value(&payload));
            mapped.origins.push(found.as_ref().map(|(_, origin)| origin.clone()));
            if let Some((value, _)) = found {
                mapped.set(&rule.target, single(value));
            }
        }
        let ruled: Vec<&str> = mapped.fields.iter().filter_map(|(name, _)| field_named(name)).collect();
        let is_free = |name: &str| field_named(name).is_none_or(|field| !ruled.contains(&field));
        let mut others = Vec::new();
        for object in self.lift.iter().flat_map(|lift| lift.find(&payload)) {
            if let Value::Object(members) = parsed(object) {
                let free = members.into_iter().filter(|(name, _)| is_free(name));
                others.extend(free.map(|(name, value)| (name, single(value))));
            }
        }
        for pairs in &self.pairs {
            others.extend(pairs.find(&payload).into_iter().filter(|(name, _)| is_free(name)));
        }
        if self.keeps_rest {
            let rest = sent.iter().filter(|(name, _)| is_free(name) && !self.uses(name));
            others.extend(rest.cloned());
        }
        mapped.fields.extend(others);
        let has_campaign =
            |(name, value): &(String, Value)| field_named(name) == Some("campaign_id") && !is_absent(value);
        if let Some(campaign) = &self.campaign
            && !mapped.fields.iter().any(has_campaign)
        {
            mapped.fields.push(("campaign_id".to_owned(), campaign.as_str().into()));
        }
        mapped
    }

    /// Whether another part of the mapping takes a top-level field as a whole.
    fn uses(&self, name: &str) -> bool {
        let of_rules = self.rules.iter().flat_map(|rule| &rule.from).filter_map(|origin| match origin {
            Origin::At(path) => Some(path),
            Origin::Constant(_) => None,
        });
        let top = name.split('[').next().unwrap_or(name);
        (of_rules.filter(|path| path.is_name(name)).count() > 0)
            || (self.lift.iter().chain(self.pairs.iter().map(|pairs| &pairs.list)))
                .any(|path| path.first_name().is_some_and(|first| first == top))
    }
}

impl Origin {
    /// The path that is looked at.
    pub(crate) fn path(&self) -> Option<String> {
        match self {
            Self::At(path) => Some(path.as_str().to_owned()),
            Self::Constant(_) => None,
        }
    }

    /// The value, and the text that names this origin.
    fn value(&self, payload: &Value) -> Option<(Value, String)> {
        match self {
            Self::At(path) => path.first(payload).map(|value| (value, path.as_str().to_owned())),
            Self::Constant(value) => Some((value.clone(), "fixed in the sources file".to_owned())),
        }
    }
}

impl Pairs {
    fn find(&self, payload: &Value) -> Vec<(String, Value)> {
        let lists = self.list.find(payload);
        let items = lists.into_iter().flat_map(|list| match list {
            Value::Array(items) => items,
            // By name, as a form writes a list: `fields[email][value]`.
            Value::Object(members) if members.values().all(Value::is_object) => {
                members.into_values().collect()
            }
            single => vec![single],
        });
        items
            .filter_map(|item| {
                let name = self.name.iter().find_map(|path| path.first(&item))?;
                let value = self.value.iter().find_map(|path| path.first(&item))?;
                let name = match name {
                    Value::String(name) => name,
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                };
                Some((name, single(value)))
            })
            .collect()
    }
}

impl Mapped {
    fn set(&mut self, target: &str, value: Value) {
        match target.split_once('.') {
            Some((namespace, path)) if NAMESPACES.contains(&namespace) => {
                let facts = self.facts.entry(namespace).or_insert_with(|| Value::Object(Map::new()));
                let steps: Vec<&str> = path.split('.').collect();
                insert(facts, &steps, value);
            }
            _ => self.fields.push((target.to_owned(), value)),
        }
    }
}

/// The value that a text holds as JSON.
fn parsed(value: Value) -> Value {
    let text = value.as_str().filter(|text| text.trim_start().starts_with('{'));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(value)
}

/// The item of a list with one item: some senders write every value as a list.
fn single(value: Value) -> Value {
    match value {
        Value::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    }
}

/// The payload as one value. The names of a form may form paths, as in `fields[email][value]`; several values
/// of one name become a list.
fn tree(sent: &[(String, Value)], format: Format) -> Value {
    let mut payload = Value::Object(Map::new());
    for (name, value) in sent {
        let steps: Vec<&str> = match (format, name.split_once('[')) {
            (Format::Form, Some((first, rest))) if rest.ends_with(']') => {
                std::iter::once(first).chain(rest[..rest.len() - 1].split("][")).collect()
            }
            _ => vec![name],
        };
        insert(&mut payload, &steps, value.clone());
    }
    payload
}

fn insert(into: &mut Value, steps: &[&str], value: Value) {
    let mut place = into;
    for (at, step) in steps.iter().enumerate() {
        if !place.is_object() {
            return;
        }
        let is_last = at + 1 == steps.len();
        place = &mut place[*step];
        if place.is_null() && !is_last {
            *place = Value::Object(Map::new());
        }
    }
    match place {
        Value::Null => *place = value,
        Value::Array(items) => items.push(value),
        known => *known = Value::Array(vec![known.take(), value]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Selector {
        Selector::parse(text).unwrap()
    }

    fn rule(target: &str, from: &[&str]) -> Rule {
        Rule { target: target.to_owned(), from: from.iter().map(|from| Origin::At(path(from))).collect() }
    }

    fn apply(mapping: &Mapping, payload: Value) -> (Value, Value) {
        let Value::Object(members) = payload else { panic!("an object") };
        let sent: Vec<_> = members.into_iter().collect();
        let mapped = mapping.apply(&sent, Format::Json);
        (mapped.fields.into_iter().collect(), mapped.facts.into())
    }

    #[test]
    fn first_present_origin_of_a_rule_counts() {
        let mapping = Mapping { rules: vec![rule("email", &["a.mail", "b", "c"])], ..Mapping::default() };
        assert_eq!(apply(&mapping, json!({"b": "", "c": "x", "d": 1})).0, json!({"email": "x"}));
        assert_eq!(apply(&mapping, json!({"a": {"mail": "m"}, "c": "x"})).0, json!({"email": "m"}));
        assert_eq!(apply(&mapping, json!({})).0, json!({}));
    }

    #[test]
    fn rules_win_over_lifted_fields() {
        let mapping = Mapping {
            rules: vec![rule("email", &["contact.email"])],
            lift: vec![path("data")],
            ..Mapping::default()
        };
        let payload = json!({"contact": {"email": "a"}, "data": {"E-Mail": "b", "Company": "Acme"}});
        assert_eq!(apply(&mapping, payload).0, json!({"email": "a", "Company": "Acme"}));
    }

    #[test]
    fn rest_is_kept_without_what_rules_use() {
        let mapping =
            Mapping { rules: vec![rule("email", &["Your mail"])], keeps_rest: true, ..Mapping::default() };
        let payload = json!({"Your mail": "a", "company": "Acme"});
        assert_eq!(apply(&mapping, payload).0, json!({"email": "a", "company": "Acme"}));
    }

    #[test]
    fn facts_of_rules_are_apart_from_sent_ones() {
        let constant = Origin::Constant("demo_request".into());
        let mapping = Mapping {
            rules: vec![Rule { target: "marketo.activity".to_owned(), from: vec![constant] }],
            lift: vec![path("data")],
            ..Mapping::default()
        };
        let (fields, facts) = apply(&mapping, json!({"data": {"marketo": {"engagement_score": 99}}}));
        assert_eq!(facts, json!({"marketo": {"activity": "demo_request"}}));
        assert_eq!(fields, json!({"marketo": {"engagement_score": 99}}), "the scope of the source decides");
    }

    #[test]
    fn names_of_a_form_are_paths() {
        let sent = [("fields[email][value]", "a"), ("choice", "x"), ("choice", "y")];
        let sent: Vec<_> = sent.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        assert_eq!(
            tree(&sent, Format::Form),
            json!({"fields": {"email": {"value": "a"}}, "choice": ["x", "y"]})
        );
        assert_eq!(tree(&sent[..1], Format::Json), json!({"fields[email][value]": "a"}));
    }

    #[test]
    fn fixed_campaign_fills_a_gap() {
        let mapping = Mapping { campaign: Some("demo".to_owned()), keeps_rest: true, ..Mapping::default() };
        assert_eq!(apply(&mapping, json!({})).0, json!({"campaign_id": "demo"}));
        assert_eq!(apply(&mapping, json!({"Campaign ID": "own"})).0, json!({"Campaign ID": "own"}));
    }
}
