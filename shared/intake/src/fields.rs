use html_escape::decode_html_entities;
use lead::text::without_zero_fraction;
use lead::{CampaignId, EmailAddress, FieldIssue, Lead, Personal};
use serde_json::{Map, Value};

use crate::absent::{cut, holds_token, is_absent, one_line, tidy, tidy_object, tidy_text};
use crate::address;
use crate::json::read_object_text;
use crate::limits::{MAX_LINE_CHARS, MAX_PHONE_CHARS};
use crate::names::{
    CAMPAIGN, COMPANY, EMAIL, FIRST_NAME, Field, LAST_NAME, MARKETO, NAME, PHONE, PRODUCT, SALESFORCE, TITLE,
};
use crate::number;
use crate::path::{ATTRIBUTES, Path};
use crate::reading::Reading;
use crate::rejection::Rejection;
use crate::repeated::{self, Repeated};

/// The top-level fields that are not read yet, in the order sent; a name may come twice.
pub(crate) struct Fields<'a> {
    fields: Vec<(String, Value)>,
    reading: &'a mut Reading,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(fields: Vec<(String, Value)>, reading: &'a mut Reading) -> Self {
        Self { fields, reading }
    }

    /// Makes a lead of them: refused without an address and a campaign, while any other field costs itself alone.
    pub(crate) fn into_lead(mut self) -> Result<Lead, Rejection> {
        let email =
            self.identity(&EMAIL, |text| EmailAddress::parse(text).map_err(Rejection::invalid_email))?;
        let campaign_id =
            self.identity(&CAMPAIGN, |text| CampaignId::parse(text).map_err(Rejection::invalid_campaign))?;
        let name = self.line(&NAME);
        let first_name = self.line(&FIRST_NAME);
        let last_name = self.last_name(first_name.as_deref());
        let company = self.line(&COMPANY);
        let title = self.line(&TITLE);
        let phone = self.phone();
        let mut marketo = self.namespace(&MARKETO)?;
        if let Some(score) = marketo.get_mut("engagement_score")
            && let Some(number) = score.as_str().and_then(number::from_text)
        {
            *score = number;
        }
        let product = self.namespace(&PRODUCT)?;
        let salesforce = self.namespace(&SALESFORCE)?;
        Ok(Lead {
            name: name.map(Personal::new),
            first_name: first_name.map(Personal::new),
            last_name: last_name.map(Personal::new),
            company,
            title,
            phone: phone.map(Personal::new),
            marketo,
            product,
            salesforce,
            attributes: self.attributes()?,
            ..Lead::new(email, campaign_id)
        })
    }

    /// Removes every spelling of a field and returns those with a value, the documented spellings first.
    fn take(&mut self, field: &Field) -> Vec<(String, Value)> {
        let of_field = self.fields.extract_if(.., |(name, _)| field.rank(name).is_some());
        let mut taken: Vec<_> = of_field.filter(|(_, value)| !is_absent(value)).collect();
        taken.sort_by_key(|(name, _)| field.rank(name));
        taken
    }

    /// A required text. Spellings and repetitions that mean the same are one; others are refused, for two leads could
    /// become one.
    fn identity<T: PartialEq>(
        &mut self,
        field: &'static Field,
        parse: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let taken = self.take(field);
        let (mut found, mut refused) = (None, None);
        for (_, value) in &taken {
            match identity_text(field, value).and_then(|text| parse(&text)) {
                Ok(identity) if found.as_ref().is_some_and(|found| *found != identity) => {
                    return Err(Rejection::conflict(field.name));
                }
                Ok(identity) => found = Some(identity),
                Err(rejection) => refused = refused.or(Some(rejection)),
            }
        }
        if let Some(identity) = found {
            if refused.is_some() {
                self.reading.note(&Path::Field(field.name), FieldIssue::Repeated);
            }
            return Ok(identity);
        }
        let is_text = taken.iter().any(|(_, value)| value.is_string() || value.is_number());
        let elsewhere = || {
            self.fields.extend(taken);
            address::seen(&self.fields).filter(|_| *field == EMAIL)
        };
        Err(match refused {
            None if self.reading.dropped_number(field.name) => Rejection::inexact(field.name),
            None => Rejection::missing(field.name, elsewhere()),
            Some(_) if !is_text => Rejection::not_text(field.name, elsewhere()),
            Some(rejection) => rejection,
        })
    }

    /// An optional text on one line. Where spellings differ the documented one counts, and the others are kept under
    /// `attributes`. One spelling with several values has none.
    fn line(&mut self, field: &'static Field) -> Option<String> {
        let path = Path::Field(field.name);
        let mut chosen: Option<(String, String)> = None;
        let mut is_repeated = false;
        for (name, value) in self.take(field) {
            let text = scalar_text(&value).or_else(|| object_text(field, &value));
            if text.is_none() {
                self.reading.note(&path, FieldIssue::WrongType);
            }
            let text = text.as_deref().and_then(tidy_text);
            if text.as_deref().is_some_and(holds_token) {
                self.reading.note(&path, FieldIssue::UnreplacedToken);
                continue;
            }
            let is_structured = scalar_text(&value).is_none();
            match (&chosen, text) {
                (_, None) => self.fields.push((name, value)),
                (Some((_, known)), Some(text)) if *known == text => {}
                (Some((first, _)), Some(_)) if *first == name => is_repeated = true,
                (Some(_), Some(_)) => {
                    self.reading.note(&Path::Member(&ATTRIBUTES, &name), FieldIssue::Repeated);
                    self.fields.push((name, value));
                }
                (None, Some(text)) => {
                    if is_structured {
                        self.fields.push((name.clone(), value));
                    }
                    chosen = Some((name, text));
                }
            }
        }
        if is_repeated {
            self.reading.note(&path, FieldIssue::Repeated);
            return None;
        }
        let (_, text) = chosen?;
        let shorter = if *field == PHONE { None } else { cut(&text, MAX_LINE_CHARS) };
        if shorter.is_some() {
            self.reading.note(&path, FieldIssue::Cut);
        }
        Some(shorter.unwrap_or(text))
    }

    /// A family name may be `NULL` where the given name is in capitals as well.
    fn last_name(&mut self, first_name: Option<&str>) -> Option<String> {
        let is_null = |value: &Value| value.as_str().is_some_and(|text| one_line(text) == "NULL");
        let is_null =
            self.fields.iter().any(|(name, value)| LAST_NAME.rank(name).is_some() && is_null(value));
        let null = || (is_null && first_name.is_some_and(is_in_capitals)).then(|| "NULL".to_owned());
        self.line(&LAST_NAME).or_else(null)
    }

    /// A number that went through a float has its `.0` taken off. Half a number is another number, so that one that is
    /// too long is dropped.
    fn phone(&mut self) -> Option<String> {
        let phone = self.line(&PHONE)?;
        let phone = without_zero_fraction(&phone);
        if phone.chars().count() > MAX_PHONE_CHARS {
            self.reading.note(&Path::Field(PHONE.name), FieldIssue::TooLong);
            return None;
        }
        Some(phone.to_owned())
    }

    /// An object, given as one, as JSON text or in parts. What is neither has no meaning here and is kept under
    /// `attributes`.
    fn namespace(&mut self, field: &'static Field) -> Result<Map<String, Value>, Rejection> {
        let path = Path::Field(field.name);
        let (mut object, mut repeated) = (Map::new(), Repeated::default());
        for (name, value) in self.take(field) {
            match self.object(value, path)? {
                Value::Object(members) => repeated::merge(&mut object, members, &mut repeated),
                other => {
                    self.reading.note(&path, FieldIssue::WrongType);
                    self.fields.push((name, other));
                }
            }
        }
        repeated.remove_from(&mut object, path, self.reading);
        Ok(tidy_object(object, &path, self.reading))
    }

    /// The object that a text holds as JSON; any other value as it is.
    fn object(&mut self, value: Value, path: Path<'_>) -> Result<Value, Rejection> {
        let Value::String(text) = value else { return Ok(value) };
        let object = read_object_text(&text, path, self.reading)?;
        Ok(object.map_or(Value::String(text), Value::Object))
    }

    /// Everything that is left. A name with several plain values gets a list of them, as forms send several choices.
    fn attributes(mut self) -> Result<Map<String, Value>, Rejection> {
        let mut kept = Map::new();
        let mut lists = Vec::new();
        for (name, mut value) in std::mem::take(&mut self.fields) {
            let path = Path::Member(&ATTRIBUTES, &name);
            if name == "attributes" {
                value = self.object(value, path)?;
            }
            let Some(value) = tidy(value, &path, self.reading) else { continue };
            match kept.get_mut(&name) {
                None => {
                    kept.insert(name, value);
                }
                Some(known) if *known == value => {}
                Some(Value::Array(items)) if lists.contains(&name) && !is_nested(&value) => {
                    if !items.contains(&value) {
                        items.push(value);
                    }
                }
                Some(known) if !is_nested(known) && !is_nested(&value) => {
                    *known = Value::Array(vec![known.take(), value]);
                    lists.push(name);
                }
                Some(_) => self.reading.note(&path, FieldIssue::Repeated),
            }
        }
        Ok(kept)
    }
}

/// The text of a required field, entities decoded and otherwise as it came.
fn identity_text(field: &'static Field, value: &Value) -> Result<String, Rejection> {
    let text = scalar_text(value).ok_or_else(|| Rejection::not_text(field.name, None))?;
    let text = decode_html_entities(&text);
    if holds_token(&text) { Err(Rejection::token(field.name)) } else { Ok(text.into_owned()) }
}

/// A text, or the digits of a number.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number::plain(&number.to_string()),
        _ => None,
    }
}

/// The text in an object that stands where a text is expected: its name, as Segment describes a company, its value or
/// label, as form builders send a choice, or the parts of a person's name.
fn object_text(field: &Field, value: &Value) -> Option<String> {
    let object = value.as_object()?;
    let of = |names: &[&str]| {
        let members = names.iter().filter_map(|name| object.get(*name));
        members.filter(|value| !is_absent(value)).find_map(scalar_text)
    };
    if *field == NAME {
        let first = of(&["first", "first_name", "firstName", "given"]);
        let last = of(&["last", "last_name", "lastName", "family"]);
        if first.is_some() || last.is_some() {
            return Some([first, last].into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
    }
    of(&["name", "value", "label"])
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn is_in_capitals(name: &str) -> bool {
    name.chars().filter(|c| c.is_alphabetic()).count() > 1
        && name.chars().filter(|c| c.is_alphabetic()).all(char::is_uppercase)
}
