//! The schema of CRM objects, and conversion of values to fit their fields.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::mapping::Example;
use crate::{LeftOut, ObjectMapping};

/// The length of our ids, in characters. The key of a company is its domain, which is usually shorter.
const ID_CHARS: usize = 64;

/// The fields of one object, by the CRM's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSchema(pub BTreeMap<String, FieldSchema>);

/// The type and constraints of a field.
#[expect(clippy::struct_excessive_bools, reason = "independent properties that CRMs report")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSchema {
    /// The type.
    pub kind: FieldKind,
    /// The maximum length of a text, in UTF-16 code units. This is the stricter interpretation if a CRM does
    /// not specify the unit.
    pub max_length: Option<usize>,
    /// Whether we may set the field on a new record.
    pub createable: bool,
    /// Whether we may change the field.
    pub updateable: bool,
    /// The values of a picklist.
    pub options: Vec<FieldOption>,
    /// Whether a picklist accepts only its own values.
    pub restricted: bool,
    /// Whether the CRM keeps the field unique and finds records by it.
    pub unique: bool,
    /// The field that determines the options. None for an independent field.
    pub controlled_by: Option<Control>,
}

/// A field that determines the options of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The field's name.
    pub field: String,
    /// The available options for each of its values.
    pub options: BTreeMap<String, Vec<FieldOption>>,
}

/// The types of fields that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A checkbox.
    Boolean,
    /// A day. A time is converted to its day in UTC.
    Date,
    /// A point in time.
    DateTime,
    /// One value of a list.
    Picklist,
    /// Several values of a list, written with `;` between them.
    Multipicklist,
    /// A text that must not be cut, since a part would be a different value: an e-mail address, a link, a
    /// telephone number.
    Exact,
    /// Any other type, such as a reference. Texts are sent unchanged and never cut.
    Other,
}

/// A value of a picklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOption {
    /// The value in the API.
    pub value: String,
    /// The label that people see.
    pub label: String,
}

/// A value converted to fit a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The value.
    pub value: Value,
    /// Whether a text was cut.
    pub cut: bool,
}

impl FieldSchema {
    /// A writable, optional field of this type, without further constraints.
    pub fn of(kind: FieldKind) -> Self {
        Self {
            kind,
            max_length: None,
            createable: true,
            updateable: true,
            options: Vec::new(),
            restricted: false,
            unique: false,
            controlled_by: None,
        }
    }

    /// Converts a value to fit the field. Texts are cut ([`truncate`]) unless a part would be a different
    /// value. Picklist values become the CRM's own: matched by value, then by label, both without regard to
    /// case, then without regard to accents. Numbers and times are converted.
    ///
    /// The conversion is idempotent, so that present values can be converted too and then compared.
    pub fn fit(&self, value: &Value) -> Result<Fitted, LeftOut> {
        let whole = |value| Ok(Fitted { value, cut: false });
        match self.kind {
            FieldKind::Text | FieldKind::Exact | FieldKind::Other => self.fit_text(value),
            FieldKind::Integer => {
                whole(number(value).as_ref().and_then(rounded).ok_or(LeftOut::WrongType)?.into())
            }
            FieldKind::Number => whole(number(value).ok_or(LeftOut::WrongType)?),
            FieldKind::Boolean => whole(boolean(value).ok_or(LeftOut::WrongType)?.into()),
            FieldKind::Date => whole(day(value).ok_or(LeftOut::WrongType)?.to_string().into()),
            FieldKind::DateTime => whole(instant(value).ok_or(LeftOut::WrongType)?.to_string().into()),
            FieldKind::Picklist => self.fit_option(value),
            FieldKind::Multipicklist => self.fit_options(value),
        }
    }

    fn fit_text(&self, value: &Value) -> Result<Fitted, LeftOut> {
        let text = plain_text(value, "; ").ok_or(LeftOut::WrongType)?;
        let fitted = truncate(&text, self.max_length.unwrap_or(usize::MAX));
        let cut = fitted.len() < text.len();
        if cut && (self.kind != FieldKind::Text || self.unique) {
            return Err(LeftOut::TooLong);
        }
        Ok(Fitted { cut, value: fitted.into() })
    }

    fn fit_option(&self, value: &Value) -> Result<Fitted, LeftOut> {
        let text = plain_text(value, ";").ok_or(LeftOut::WrongType)?;
        match self.option(&text) {
            Some(option) => Ok(Fitted { value: option.into(), cut: false }),
            None if self.restricted => Err(LeftOut::NotInPicklist),
            None => self.fit_text(&Value::String(text)),
        }
    }

    fn fit_options(&self, value: &Value) -> Result<Fitted, LeftOut> {
        let text = plain_text(value, ";").ok_or(LeftOut::WrongType)?;
        let members = text.split(';').map(str::trim).filter(|member| !member.is_empty());
        let known: Vec<&str> = members
            .filter_map(|member| self.option(member).or((!self.restricted).then_some(member)))
            .collect();
        if known.is_empty() {
            return Err(LeftOut::NotInPicklist);
        }
        Ok(Fitted { value: known.join(";").into(), cut: false })
    }

    /// The CRM's own spelling of a picklist value: an exact match, else a match without regard to case, else
    /// one without regard to accents if it is the only one.
    pub fn option(&self, text: &str) -> Option<&str> {
        let same = |a: &str| a.to_lowercase() == text.trim().to_lowercase();
        let by_value = self.options.iter().find(|option| option.value == text);
        let found = by_value
            .or_else(|| self.options.iter().find(|option| same(&option.value)))
            .or_else(|| self.options.iter().find(|option| same(&option.label)))
            .or_else(|| self.option_without_accents(text));
        found.map(|option| option.value.as_str())
    }

    fn option_without_accents(&self, text: &str) -> Option<&FieldOption> {
        let folded = without_accents(text);
        let is_match = |option: &&FieldOption| {
            [&option.value, &option.label].iter().any(|text| without_accents(text) == folded)
        };
        let mut found = self.options.iter().filter(is_match);
        found.next().filter(|_| !folded.is_empty() && found.next().is_none())
    }

    /// Whether two values are equal once converted to fit this field.
    pub fn same(&self, a: &Value, b: &Value) -> bool {
        a == b || matches!((self.fit(a), self.fit(b)), (Ok(a), Ok(b)) if a.value == b.value)
    }
}

/// A text in lower case and without accents, in whichever encoding: `São Paulo` becomes `sao paulo`.
fn without_accents(text: &str) -> String {
    let letters = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    letters.collect::<String>().trim().to_owned()
}

/// The longest prefix of a text that has at most `max` UTF-16 code units, cut between characters, without
/// trailing white space.
pub fn truncate(text: &str, max: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > max
    });
    end.map_or(text, |(end, _)| text[..end].trim_end())
}

/// A value as text, or the members of a list joined by the separator.
fn plain_text(value: &Value, separator: &str) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Array(members) => {
            let members: Option<Vec<String>> =
                members.iter().map(|member| plain_text(member, separator)).collect();
            members.map(|members| members.join(separator))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Converts to a number. Whole numbers remain integers: `3.0` and `"3"` become 3.
fn number(value: &Value) -> Option<Value> {
    let float = match value {
        Value::Number(number) if number.is_f64() => number.as_f64()?,
        Value::Number(_) => return Some(value.clone()),
        Value::String(text) => {
            if let Ok(whole) = text.trim().parse::<i64>() {
                return Some(whole.into());
            }
            text.trim().parse().ok()?
        }
        _ => return None,
    };
    if float.fract() == 0.0 {
        return rounded(&float.into()).map(Value::from);
    }
    Number::from_f64(float).map(Value::Number)
}

fn rounded(value: &Value) -> Option<i64> {
    /// The largest integer (2^53) up to which floats are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let float = value.as_f64()?.round();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the exact range")]
    (float.abs() <= EXACT).then_some(float as i64)
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Parses a point in time: RFC 3339, also with an offset such as `+0000`, as Salesforce writes it; a day,
/// which starts at midnight UTC; or milliseconds since 1970, as `HubSpot` writes some. A number that would be
/// before 1973 is not taken for a time, since it is more likely a score or a count.
fn instant(value: &Value) -> Option<Timestamp> {
    let of_millis =
        |millis: i64| (millis > 100_000_000_000).then(|| Timestamp::from_millisecond(millis).ok()).flatten();
    if let Some(millis) = value.as_i64() {
        return of_millis(millis);
    }
    let text = value.as_str()?.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if let Ok(day) = text.parse::<Date>() {
        return day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    text.parse().ok().and_then(of_millis)
}

fn day(value: &Value) -> Option<Date> {
    instant(value).map(|timestamp| timestamp.to_zoned(TimeZone::UTC).date())
}

/// A mismatch between the CRM's schema and the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaProblem {
    /// The CRM's object.
    pub object: String,
    /// The CRM's field. None if the object itself is the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The kind of problem.
    pub problem: Problem,
    /// Whether no lead can be written until the problem is solved. Otherwise the field is left out of every
    /// write.
    pub blocks: bool,
    /// The problem and its solution in one line, without a final period.
    pub message: String,
}

/// The kind of a schema problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The object or field does not exist, or is not visible to us.
    Missing,
    /// We have no permission to write the field.
    NotWritable,
    /// The mapping's value does not fit the field's type.
    WrongType,
    /// The external id field is not unique.
    NotUnique,
    /// The picklist lacks a value that the mapping sends.
    NotInPicklist,
}

impl ObjectSchema {
    /// Compares the mapping of an object with its schema. `schema` is none if the CRM does not have the
    /// object.
    pub fn problems(mapping: &ObjectMapping, schema: Option<&Self>) -> Vec<SchemaProblem> {
        let object = mapping.object();
        let problem = |field: Option<&str>, problem, blocks, message: String| SchemaProblem {
            object: object.to_owned(),
            field: field.map(str::to_owned),
            problem,
            blocks,
            message,
        };
        let Some(schema) = schema else {
            let message = format!("there is no object {object}, or the integration's user may not see it");
            return vec![problem(None, Problem::Missing, true, message)];
        };
        let mut problems = Vec::new();
        let key = mapping.external_id();
        match schema.0.get(key) {
            None => {
                let message =
                    format!("{object}.{key} is missing: create it as a unique text field of 64 characters");
                problems.push(problem(Some(key), Problem::Missing, true, message));
            }
            Some(field) if !field.unique => {
                let message = format!("{object}.{key} is not unique: records cannot be found by it");
                problems.push(problem(Some(key), Problem::NotUnique, true, message));
            }
            Some(field) if !field.createable => {
                let message = format!("{object}.{key} is not writable for the integration's user");
                problems.push(problem(Some(key), Problem::NotWritable, true, message));
            }
            Some(field) if field.max_length.is_some_and(|most| most < ID_CHARS) => {
                let message =
                    format!("{object}.{key} is too short for our ids: give it {ID_CHARS} characters");
                problems.push(problem(Some(key), Problem::WrongType, true, message));
            }
            Some(_) => {}
        }
        for rule in mapping.rules() {
            let name = schema.written_as(rule.field());
            let Some(field) = schema.0.get(name) else {
                let message = format!(
                    "{object}.{name} is missing or not visible: create it, or remove {} from the mapping",
                    rule.origin()
                );
                problems.push(problem(Some(name), Problem::Missing, false, message));
                continue;
            };
            if !field.createable && !field.updateable {
                let message = format!("{object}.{name} is not writable for the integration's user");
                problems.push(problem(Some(name), Problem::NotWritable, false, message));
            }
            for Example { value, is_sent } in rule.examples() {
                match field.fit(&value) {
                    Err(LeftOut::NotInPicklist) if !is_sent => {}
                    Err(LeftOut::NotInPicklist) => {
                        let message = format!("{object}.{name} has no picklist value {value}");
                        problems.push(problem(Some(name), Problem::NotInPicklist, false, message));
                    }
                    Err(_) => {
                        let message = format!(
                            "{object}.{name} is a {:?} field: {} does not fit",
                            field.kind,
                            rule.origin()
                        );
                        problems.push(problem(Some(name), Problem::WrongType, false, message));
                        break;
                    }
                    Ok(_) => {}
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests;
