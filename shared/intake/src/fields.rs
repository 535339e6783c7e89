//! Conversion of the top-level fields of a body to a lead.

use html_escape::decode_html_entities;
use lead::text::without_zero_fraction;
use lead::{CampaignId, EmailAddress, FieldIssue, Lead, Personal};
use serde_json::{Map, Value};

use crate::json::read_object_text;
use crate::limits::{MAX_LINE_CHARS, MAX_PHONE_CHARS};
use crate::misplaced_email;
use crate::names::{
    CAMPAIGN, COMPANY, EMAIL, FIRST_NAME, Field, LAST_NAME, MARKETO, NAME, PHONE, PRODUCT, SALESFORCE, TITLE,
};
use crate::normalize::{cut, holds_token, is_absent, normalize, normalize_object, normalize_text, one_line};
use crate::number;
use crate::parse::Format;
use crate::path::{ATTRIBUTES, Path};
use crate::reading::Reading;
use crate::rejection::Rejection;
use crate::repeated::{self, Repeated};
use crate::scope::FactScope;

/// The top-level fields that are not converted yet, in the order sent. Names may repeat.
pub(crate) struct Fields<'a> {
    remaining: Vec<(String, Value)>,
    format: Format,
    /// Facts that the configuration of the sender sets, by namespace.
    facts: Map<String, Value>,
    scope: &'a FactScope,
    reading: &'a mut Reading,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(
        fields: Vec<(String, Value)>,
        format: Format,
        facts: Map<String, Value>,
        scope: &'a FactScope,
        reading: &'a mut Reading,
    ) -> Self {
        Self { remaining: fields, format, facts, scope, reading }
    }

    /// Converts the fields to a lead. A body without a valid address and campaign is rejected; any other
    /// malformed field is dropped.
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
        let of_field = self.remaining.extract_if(.., |(name, _)| field.rank(name).is_some());
        let mut taken: Vec<_> = of_field.filter(|(_, value)| !is_absent(value)).collect();
        taken.sort_by_key(|(name, _)| field.rank(name));
        taken
    }

    /// A required text. Several spellings or repetitions must have the same value: otherwise the body is
    /// rejected, since two leads could be merged.
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
        let misplaced = || {
            self.remaining.extend(taken);
            misplaced_email::email_path(&self.remaining).filter(|_| *field == EMAIL)
        };
        Err(match refused {
            None if self.reading.dropped_number(field.name) => Rejection::inexact(field.name),
            None => Rejection::missing(field.name, misplaced()),
            Some(_) if !is_text => Rejection::not_text(field.name, misplaced()),
            Some(rejection) => rejection,
        })
    }

    /// An optional text on one line. If several spellings have different values, the documented one counts
    /// and the others are kept under `attributes`. A spelling with several different values counts as absent.
    fn line(&mut self, field: &'static Field) -> Option<String> {
        let path = Path::Field(field.name);
        let mut chosen: Option<(String, String)> = None;
        let mut is_repeated = false;
        for (name, value) in self.take(field) {
            let text = scalar_text(&value).or_else(|| object_text(field, &value));
            if text.is_none() {
                self.reading.note(&path, FieldIssue::WrongType);
            }
            let text = text.as_deref().and_then(normalize_text);
            if text.as_deref().is_some_and(holds_token) {
                self.reading.note(&path, FieldIssue::UnreplacedToken);
                continue;
            }
            let is_structured = scalar_text(&value).is_none();
            match (&chosen, text) {
                (_, None) => self.remaining.push((name, value)),
                (Some((_, known)), Some(text)) if *known == text => {}
                (Some((first, _)), Some(_)) if *first == name => is_repeated = true,
                (Some(_), Some(_)) => {
                    self.reading.note(&Path::Member(&ATTRIBUTES, &name), FieldIssue::Repeated);
                    self.remaining.push((name, value));
                }
                (None, Some(text)) => {
                    if is_structured {
                        self.remaining.push((name.clone(), value));
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

    /// The family name. `NULL` is accepted if the given name is in capitals as well.
    fn last_name(&mut self, first_name: Option<&str>) -> Option<String> {
        let is_null = |value: &Value| value.as_str().is_some_and(|text| one_line(text) == "NULL");
        let is_null =
            self.remaining.iter().any(|(name, value)| LAST_NAME.rank(name).is_some() && is_null(value));
        let null = || (is_null && first_name.is_some_and(is_in_capitals)).then(|| "NULL".to_owned());
        self.line(&LAST_NAME).or_else(null)
    }

    /// The telephone number. A `.0` from a conversion to a float is removed. A number over the limit is
    /// dropped instead of cut, since part of a number is another number.
    fn phone(&mut self) -> Option<String> {
        let phone = self.line(&PHONE)?;
        let phone = without_zero_fraction(&phone);
        if phone.chars().count() > MAX_PHONE_CHARS {
            self.reading.note(&Path::Field(PHONE.name), FieldIssue::TooLong);
            return None;
        }
        Some(phone.to_owned())
    }

    /// An object field, sent as an object, as JSON text or, in a form, in parts. A value of another type is
    /// kept under `attributes`, and so are facts outside of the scope.
    ///
    /// A JSON body with two different objects under one name has none of them: a template has it once, so a
    /// person has added the other one.
    fn namespace(&mut self, field: &'static Field) -> Result<Map<String, Value>, Rejection> {
        let path = Path::Field(field.name);
        let (mut object, mut repeated) = (Map::new(), Repeated::default());
        let taken = self.take(field);
        if self.format == Format::Json && taken.iter().any(|(_, value)| *value != taken[0].1) {
            self.reading.note(&path, FieldIssue::Repeated);
            return Ok(self.configured(field));
        }
        for (name, value) in taken {
            match self.object(value, path)? {
                Value::Object(members) => repeated::merge(&mut object, members, &mut repeated),
                other => {
                    self.reading.note(&path, FieldIssue::WrongType);
                    self.remaining.push((name, other));
                }
            }
        }
        repeated.remove_from(&mut object, path, self.reading);
        let (mut permitted, refused) =
            self.scope.split(field.name, normalize_object(object, &path, self.reading));
        if !refused.is_empty() {
            if permitted.is_empty() {
                self.reading.note(&path, self.scope.issue());
            } else {
                for name in refused.keys() {
                    self.reading.note(&Path::Member(&path, name), self.scope.issue());
                }
            }
            self.remaining.push((field.name.to_owned(), Value::Object(refused)));
        }
        permitted.extend(self.configured(field));
        Ok(permitted)
    }

    /// The facts of a namespace that the configuration of the sender sets.
    fn configured(&mut self, field: &'static Field) -> Map<String, Value> {
        match self.facts.remove(field.name) {
            Some(Value::Object(members)) => normalize_object(members, &Path::Field(field.name), self.reading),
            _ => Map::new(),
        }
    }

    /// Parses a text that holds a JSON object. Returns any other value unchanged.
    fn object(&mut self, value: Value, path: Path<'_>) -> Result<Value, Rejection> {
        let Value::String(text) = value else { return Ok(value) };
        let object = read_object_text(&text, path, self.reading)?;
        Ok(object.map_or(Value::String(text), Value::Object))
    }

    /// The remaining fields. Several scalar values of a name become a list, since forms send several choices
    /// that way.
    fn attributes(mut self) -> Result<Map<String, Value>, Rejection> {
        let mut kept = Map::new();
        let mut lists = Vec::new();
        for (name, mut value) in std::mem::take(&mut self.remaining) {
            let path = Path::Member(&ATTRIBUTES, &name);
            if name == "attributes" {
                value = self.object(value, path)?;
            }
            let Some(value) = normalize(value, &path, self.reading) else { continue };
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

/// The text of a required field, with HTML entities decoded and otherwise unchanged.
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

/// The text of an object in a text field: its name, as Segment describes a company, its value or label, as
/// form builders send a choice, or the parts of a person's name.
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
