use enrichment::Enrichment;
use grounding::{FactSheet, FieldPath, Namespace};
use lead::Lead;
use serde_json::{Map, Value};

use crate::bounds::bound;
use crate::icp::Icp;
use crate::personal::{Person, is_personal_key};

/// The most facts kept of one source.
const MAX_FACTS: usize = 100;
/// The deepest nesting kept, in objects below the namespace.
const MAX_DEPTH: usize = 4;
/// The longest key kept, in characters.
const MAX_KEY_CHARS: usize = 64;
/// The longest text kept, in characters. A longer one is left out, not cut: half a text is not what the source said.
const MAX_TEXT_CHARS: usize = 500;
/// The most members kept of a list. Every member that is kept is still true.
const MAX_MEMBERS: usize = 100;

/// Everything an analyst may know about a lead.
///
/// - `salesforce.*`, `marketo.*`, `product.*`: of what the sender passed on, the fields that the profile lists, as far as they hold
///   short values; `computed.present_fields` names others that are there;
/// - `enrichment.*`: the company, only where it was found;
/// - `computed.*`: what the profile makes of it, see [`Icp::computed`].
///
/// The whole is at most 32 KiB as a model is shown it: the largest facts are left out, and `computed.facts_left_out` says how many.
///
/// The person's address, name and telephone number never get here, wherever the sender put them. Nor does text that the
/// person wrote (company, title) or that has no meaning to us (`attributes`): it is there only as what we derived from it.
pub fn fact_sheet(lead: &Lead, enrichment: &Enrichment, icp: &Icp) -> FactSheet {
    let said = said(lead);
    let mut computed = icp.computed_from(lead, enrichment, &said);
    let (mut facts, present) = icp.shown_of(&said);
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

/// What the sender passed on from its systems, within bounds and without personal data: also what no model is shown, for a mapping that
/// sends it to the CRM.
pub fn sent_facts(lead: &Lead) -> FactSheet {
    said(lead)
}

pub(crate) fn said(lead: &Lead) -> FactSheet {
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

/// Copies facts as far as the bounds allow.
struct Bounds<'a> {
    /// Who must not be recognisable, where that can be.
    person: Option<&'a Person>,
    /// How many facts may still be taken.
    left: usize,
}

impl Bounds<'_> {
    fn of(mut self, namespace: Namespace, facts: &Map<String, Value>) -> Map<String, Value> {
        self.object(namespace.as_str(), facts, MAX_DEPTH)
    }

    fn object(&mut self, prefix: &str, facts: &Map<String, Value>, depth: usize) -> Map<String, Value> {
        // Sorted, so that the same facts are left out whatever order they came in.
        let mut entries: Vec<_> = facts.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let mut kept = Map::new();
        for (key, value) in entries {
            let path = format!("{prefix}.{key}");
            if !is_sound_key(key) || FieldPath::parse(&path).is_err() {
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

/// Whether a key can be a name: it becomes part of what a model reads and of what a person reads as evidence, so it is held to
/// what names are made of, in plain ASCII: a letter of another script could look like one of ours.
fn is_sound_key(key: &str) -> bool {
    key.chars().take(MAX_KEY_CHARS + 1).count() <= MAX_KEY_CHARS
        && key.chars().any(|c| c.is_ascii_alphanumeric())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
}
