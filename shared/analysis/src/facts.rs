//! Builds the fact sheet of a lead: bounded facts of the sender and of enrichment, without personal data.

use enrichment::Enrichment;
use grounding::{FactSheet, FieldPath, Namespace};
use lead::Lead;
use serde_json::{Map, Value};

use crate::bounds::bound;
use crate::icp::Icp;
use crate::personal::{Person, is_personal_key};

/// The maximum number of facts of one source.
const MAX_FACTS: usize = 100;
/// The maximum nesting, in objects below the namespace.
const MAX_DEPTH: usize = 4;
/// The maximum length of a key, in characters.
const MAX_KEY_CHARS: usize = 64;
/// The maximum length of a text, in characters. A longer text is dropped, not truncated: a truncated text is
/// not a statement of its source.
const MAX_TEXT_CHARS: usize = 500;
/// The maximum number of members of a list. The list is truncated: each remaining member is still true.
const MAX_MEMBERS: usize = 100;

/// The fact sheet of a lead: everything that an analyst may know about it.
///
/// - `salesforce.*`, `marketo.*`, `product.*`: the fields of the sender that the profile lists, if their
///   values are short. `computed.present_fields` names further fields that the sender set.
/// - `enrichment.*`: the company, if enrichment found it.
/// - `computed.*`: the results of the profile, see [`Icp::computed`].
///
/// The rendered sheet is at most 32 KiB. Above that limit the largest facts are dropped, and
/// `computed.facts_left_out` is their number.
///
/// The sheet never holds the address, name or telephone number of the person, whichever field contained them.
/// It also leaves out free text of the person (company, title) and fields without a known meaning
/// (`attributes`): only values derived from them appear.
pub fn fact_sheet(lead: &Lead, enrichment: &Enrichment, icp: &Icp) -> FactSheet {
    let sent = sender_facts(lead);
    let mut computed = icp.computed_from(lead, enrichment, &sent);
    let (mut facts, present) = icp.visible_facts(&sent);
    if !present.is_empty() {
        computed.insert("present_fields".to_owned(), present.into());
    }
    facts.set(Namespace::Computed, computed);
    if let Some(company) = enrichment.found()
        && let Ok(Value::Object(company)) = serde_json::to_value(company)
    {
        facts.set(
            Namespace::Enrichment,
            Bounds { person: None, left: MAX_FACTS }.of(Namespace::Enrichment, &company),
        );
    }
    bound(&mut facts);
    facts
}

/// The facts of the sender's systems, bounded and without personal data. Unlike the fact sheet they include
/// fields that no model sees, for a mapping that writes them to the CRM.
pub fn sent_facts(lead: &Lead) -> FactSheet {
    sender_facts(lead)
}

pub(crate) fn sender_facts(lead: &Lead) -> FactSheet {
    let person = Person::of(lead);
    let mut facts = FactSheet::new();
    for (namespace, source) in [
        (Namespace::Salesforce, &lead.salesforce),
        (Namespace::Marketo, &lead.marketo),
        (Namespace::Product, &lead.product),
    ] {
        facts.set(namespace, Bounds { person: Some(&person), left: MAX_FACTS }.of(namespace, source));
    }
    facts
}

/// Copies facts within the bounds above.
struct Bounds<'a> {
    /// The person to hide; none for facts that cannot concern a person.
    person: Option<&'a Person>,
    /// How many more facts fit.
    left: usize,
}

impl Bounds<'_> {
    fn of(mut self, namespace: Namespace, facts: &Map<String, Value>) -> Map<String, Value> {
        self.object(namespace.as_str(), facts, MAX_DEPTH)
    }

    fn object(&mut self, prefix: &str, facts: &Map<String, Value>, depth: usize) -> Map<String, Value> {
        // Sorted, so that the selection does not depend on the order of the input.
        let mut entries: Vec<_> = facts.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let mut kept = Map::new();
        for (key, value) in entries {
            let path = format!("{prefix}.{key}");
            if !is_valid_key(key) || FieldPath::parse(&path).is_err() {
                continue;
            }
            if self
                .person
                .is_some_and(|person| is_personal_key(key) || person.is_in(&Value::from(key.as_str())))
            {
                continue;
            }
            if self.left == 0 {
                break;
            }
            let value = match value {
                Value::Object(below) if depth > 1 => Some(self.object(&path, below, depth - 1))
                    .filter(|below| !below.is_empty())
                    .map(Value::Object),
                Value::Array(members) => {
                    let members: Vec<_> =
                        members.iter().take(MAX_MEMBERS).filter_map(|member| self.scalar(member)).collect();
                    self.left -= usize::from(!members.is_empty());
                    (!members.is_empty()).then_some(Value::Array(members))
                }
                single => {
                    let single = self.scalar(single);
                    self.left -= usize::from(single.is_some());
                    single
                }
            };
            if let Some(value) = value {
                kept.insert(key.clone(), value);
            }
        }
        kept
    }

    fn scalar(&self, value: &Value) -> Option<Value> {
        let sound = match value {
            Value::String(text) => {
                text.chars().any(char::is_alphanumeric)
                    && text.chars().take(MAX_TEXT_CHARS + 1).count() <= MAX_TEXT_CHARS
            }
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        (sound && !self.person.is_some_and(|person| person.is_in(value))).then(|| value.clone())
    }
}

/// Whether a key is safe to show to a model and, as evidence, to a person. Only the ASCII characters of names
/// are allowed: letters of other scripts can imitate a known key.
fn is_valid_key(key: &str) -> bool {
    key.chars().take(MAX_KEY_CHARS + 1).count() <= MAX_KEY_CHARS
        && key.chars().any(|c| c.is_ascii_alphanumeric())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
}
