use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::adopted::Adopted;
use super::rule::{Rule, Step, Write};
use super::source::Source;
use super::{Customers, Mapping, ObjectMapping, SOURCES};
use crate::Object;

/// The reason that a text is not a valid mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The text is not TOML, or has the wrong structure.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// The mapping is inconsistent.
    #[error("line {line}: {problem}")]
    Unsound {
        /// The line, from 1.
        line: usize,
        /// The problem, without a final period.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    version: Spanned<String>,
    crm: Spanned<String>,
    lead: Option<ObjectFile>,
    task: Option<ObjectFile>,
    activity: Option<ObjectFile>,
    contact: Option<ObjectFile>,
    opportunity: Option<ObjectFile>,
    company: Option<ObjectFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectFile {
    object: Spanned<String>,
    external_id: Spanned<String>,
    customers: Option<CustomersFile>,
    fields: Vec<RuleFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomersFile {
    field: Spanned<String>,
    values: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    source: Option<Spanned<String>>,
    value: Option<Spanned<String>>,
    field: Spanned<String>,
    #[serde(default)]
    write: Write,
    adopted: Option<Spanned<Adopted>>,
    default: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    #[serde(default)]
    order: Vec<Step>,
}

pub(super) fn parse(text: &str) -> Result<Mapping, MappingError> {
    let file: MappingFile = toml::from_str(text)?;
    let checker = Checker { text };
    checker.word(&file.version, "version")?;
    checker.word(&file.crm, "crm")?;
    if file.lead.is_none() {
        return Err(MappingError::Unsound { line: 1, problem: "the table [lead] is missing".to_owned() });
    }
    let objects = [
        (Object::Lead, file.lead),
        (Object::Task, file.task),
        (Object::Activity, file.activity),
        (Object::Contact, file.contact),
        (Object::Opportunity, file.opportunity),
        (Object::Company, file.company),
    ];
    let mut mapping =
        Mapping { version: file.version.into_inner(), crm: file.crm.into_inner(), objects: BTreeMap::new() };
    for (object, table) in objects {
        if let Some(table) = table {
            mapping.objects.insert(object, checker.object(object, table)?);
        }
    }
    Ok(mapping)
}

struct Checker<'t> {
    text: &'t str,
}

impl Checker<'_> {
    fn object(&self, object: Object, table: ObjectFile) -> Result<ObjectMapping, MappingError> {
        self.name(&table.object, "object")?;
        self.name(&table.external_id, "external_id")?;
        let external_id = table.external_id.into_inner();
        let mut seen = BTreeSet::new();
        let mut rules = Vec::with_capacity(table.fields.len());
        for rule in table.fields {
            self.name(&rule.field, "field")?;
            let field = rule.field.get_ref();
            if *field == external_id {
                return Err(
                    self.unsound(&rule.field, format!("`{field}` holds our id and is written automatically"))
                );
            }
            // Values of a new contact and values of a converted lead arrive with different actions, never
            // together.
            let of_contact =
                rule.source.as_ref().is_some_and(|source| source.get_ref().starts_with("contact."));
            if !seen.insert((field.clone(), of_contact)) {
                return Err(self.unsound(&rule.field, format!("`{field}` has a rule already")));
            }
            rules.push(self.rule(object, rule)?);
        }
        let customers = table.customers.map(|customers| self.customers(object, customers)).transpose()?;
        Ok(ObjectMapping { object: table.object.into_inner(), external_id, customers, rules })
    }

    fn customers(&self, object: Object, customers: CustomersFile) -> Result<Customers, MappingError> {
        self.name(&customers.field, "customers.field")?;
        let is_person = matches!(object, Object::Lead | Object::Contact);
        if !is_person || customers.values.get_ref().is_empty() {
            let problem = "`customers` is for [lead] and [contact], and names at least one value".to_owned();
            return Err(self.unsound(&customers.field, problem));
        }
        Ok(Customers { field: customers.field.into_inner(), values: customers.values.into_inner() })
    }

    fn rule(&self, object: Object, rule: RuleFile) -> Result<Rule, MappingError> {
        let source = match (&rule.source, &rule.value) {
            (Some(source), None) => self.source(object, source)?,
            (None, Some(value)) => {
                self.word(value, "value")?;
                Source::Constant(value.get_ref().clone())
            }
            _ => {
                return Err(self.unsound(&rule.field, "a rule has either a `source` or a `value`".to_owned()));
            }
        };
        if matches!(source, Source::Constant(_)) && !(rule.values.is_empty() && rule.default.is_none()) {
            let problem = "`values` and `default` have no meaning beside `value`".to_owned();
            return Err(self.unsound(&rule.field, problem));
        }
        if let Some(unknown) = rule
            .values
            .values()
            .find(|word| !rule.order.is_empty() && !rule.order.iter().any(|step| step.has(word)))
        {
            return Err(self.unsound(&rule.field, format!("`{unknown}` is missing in `order`")));
        }
        let adopted = rule.adopted.as_ref().map(|adopted| *adopted.get_ref());
        if adopted == Some(Adopted::NotLower) && !source.is_written_with_score() {
            let problem =
                "`not_lower` is for values written with the score: `score.*` and `computed.*`".to_owned();
            return Err(self.unsound(&rule.field, problem));
        }
        let adopted = adopted.unwrap_or_else(|| source.adopted());
        Ok(Rule {
            source,
            field: rule.field.into_inner(),
            write: rule.write,
            adopted,
            default: rule.default,
            values: rule.values,
            order: rule.order,
        })
    }

    fn source(&self, object: Object, text: &Spanned<String>) -> Result<Source, MappingError> {
        let name = text.get_ref();
        let Some(source) = Source::parse(name) else {
            let near =
                SOURCES.iter().find(|known| known.split('.').next_back() == name.split('.').next_back());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let problem = format!("`{name}` is neither a known source nor the path of a fact{hint}");
            return Err(self.unsound(text, problem));
        };
        if source.suits(object) {
            Ok(source)
        } else {
            Err(self.unsound(text, format!("`{name}` is not allowed in [{}]", object.as_str())))
        }
    }

    /// Checks a CRM name. Names become part of URLs and queries.
    fn name(&self, text: &Spanned<String>, key: &str) -> Result<(), MappingError> {
        let name = text.get_ref();
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= 100
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if is_name {
            Ok(())
        } else {
            Err(self.unsound(text, format!("`{key}` must be a name of letters, digits, `_` and `-`")))
        }
    }

    fn word(&self, text: &Spanned<String>, key: &str) -> Result<(), MappingError> {
        let is_word = !text.get_ref().trim().is_empty() && text.get_ref().chars().count() <= 255;
        if is_word { Ok(()) } else { Err(self.unsound(text, format!("`{key}` must be 1 to 255 characters"))) }
    }

    fn unsound(&self, at: &Spanned<String>, problem: String) -> MappingError {
        let line = 1 + self.text[..at.span().start].matches('\n').count();
        MappingError::Unsound { line, problem }
    }
}
