//! What a CRM says about its own fields, and values made to fit them.

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

/// The length of our ids, in characters. A company's key is its domain, which is mostly shorter.
const ID_CHARS: usize = 64;

/// The fields of one object, by the CRM's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSchema(pub BTreeMap<String, FieldSchema>);

/// What a field takes.
#[expect(clippy::struct_excessive_bools, reason = "what CRMs say of a field, each by itself")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSchema {
    /// Its type.
    pub kind: FieldKind,
    /// The longest text, in UTF-16 code units, which is the stricter reading where a CRM does not say what it counts.
    pub max_length: Option<usize>,
    /// Whether we may set it on a new record.
    pub createable: bool,
    /// Whether we may change it.
    pub updateable: bool,
    /// The values of a picklist.
    pub options: Vec<FieldOption>,
    /// Whether a picklist takes no other values than its own.
    pub restricted: bool,
    /// Whether the CRM keeps it unique and finds records by it.
    pub unique: bool,
    /// What its options depend on; none for a field that stands by itself.
    pub controlled_by: Option<Control>,
}

/// A field that another field's options depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its name.
    pub field: String,
    /// The options that each of its values leaves.
    pub options: BTreeMap<String, Vec<FieldOption>>,
}

/// The types of field that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A tick.
    Boolean,
    /// A day. Times become the day in UTC.
    Date,
    /// A point in time.
    DateTime,
    /// One of a list.
    Picklist,
    /// Some of a list; written with `;` between them.
    Multipicklist,
    /// A text of which a part would be another value: an e-mail address, a link, a telephone number. Never cut.
    Exact,
    /// Anything else, such as a reference: texts go as they are, uncut.
    Other,
}

/// A value of a picklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOption {
    /// As the API takes it.
    pub value: String,
    /// As people see it.
    pub label: String,
}

/// A value as it goes into a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The value.
    pub value: Value,
    /// Whether something of a text was cut off.
    pub cut: bool,
}

impl FieldSchema {
    /// A writable, optional field of this type, for a CRM that says no more of it.
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

    /// Makes a value fit: texts are cut ([`truncate`]) unless a part would be another value, picklist values become the CRM's own (by value, then by label,
    /// both without regard to case), numbers and times are converted.
    ///
    /// Fitting what was fitted changes nothing, so that present values can be compared after fitting them too.
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

    /// The CRM's own spelling of a picklist value: as it is, then without regard to case, then without regard to accents
    /// where one option alone is meant.
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
        let is_meant = |option: &&FieldOption| {
            [&option.value, &option.label].iter().any(|text| without_accents(text) == folded)
        };
        let mut meant = self.options.iter().filter(is_meant);
        meant.next().filter(|_| !folded.is_empty() && meant.next().is_none())
    }

    /// Whether two values are the same for this field.
    pub fn same(&self, a: &Value, b: &Value) -> bool {
        a == b || matches!((self.fit(a), self.fit(b)), (Ok(a), Ok(b)) if a.value == b.value)
    }
}

/// A text in lower case and without accents, whichever way they are encoded: `São Paulo` is `sao paulo`.
fn without_accents(text: &str) -> String {
    let letters = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    letters.collect::<String>().trim().to_owned()
}

/// The longest beginning of a text that has at most `max` UTF-16 code units, cut between characters, without white space
/// at its end.
pub fn truncate(text: &str, max: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > max
    });
    end.map_or(text, |(end, _)| text[..end].trim_end())
}

/// One value as text, or a list as its members with the separator between them.
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

/// Whole numbers stay whole, `3.0` and `"3"` are 3.
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
    /// Beyond it a float is no longer exact.
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

/// A point in time: RFC 3339, also with the offset as `+0000`, which is how Salesforce writes it; or a day, which begins
/// at midnight UTC; or milliseconds since 1970, which is how `HubSpot` writes some. A number before 1973 is not taken for a
/// time: it is a score, or a count.
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

/// One thing about the CRM's schema that does not suit the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaProblem {
    /// The CRM's object.
    pub object: String,
    /// The CRM's field; none where the object itself is the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    pub problem: Problem,
    /// Whether leads cannot be written before it is put right. Otherwise the field is left out of every write.
    pub blocks: bool,
    /// One line for a person: what is wrong and what to do, without a final period.
    pub message: String,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// There is no such object or field, or we may not see it.
    Missing,
    /// We may not write it.
    NotWritable,
    /// What the mapping sends does not fit its type.
    WrongType,
    /// It names records and is not unique.
    NotUnique,
    /// It lacks a picklist value that the mapping sends.
    NotInPicklist,
}

impl ObjectSchema {
    /// Whether the mapping of an object can be carried out on it. None for an object that the CRM does not have.
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
