//! The entry points of parsing.

use http::HeaderMap;
use lead::{FieldNote, Lead};
use serde_json::{Map, Value};

use crate::fields::Fields;
use crate::form::read_form;
use crate::format::reject_unsupported_format;
use crate::json::read_body;
use crate::limits::MAX_BODY_BYTES;
use crate::reading::Reading;
use crate::rejection::Rejection;
use crate::scope::FactScope;

/// A lead, with notes on the fields of its webhook that were dropped or cut.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedLead {
    /// The lead.
    pub lead: Lead,
    /// One note for each field that was malformed, at most [`crate::MAX_NOTES`]. The same body gives the same
    /// notes.
    pub notes: Vec<FieldNote>,
}

/// A body that was read, before its fields have a meaning.
pub struct Body {
    fields: Vec<(String, Value)>,
    format: Format,
    /// Facts that the configuration sets, by namespace.
    facts: Map<String, Value>,
    reading: Reading,
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// A form, with all values as text.
    Form,
}

impl Body {
    /// Reads a body, JSON or form, within all limits.
    ///
    /// `headers` do not decide whether a body is accepted. They only improve the error for an unreadable
    /// body.
    ///
    /// # Errors
    /// When the body cannot be read as a whole.
    pub fn read(body: &[u8], headers: Option<&HeaderMap>) -> Result<Self, Rejection> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Rejection::body_too_large());
        }
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        let format = match text.first() {
            None => return Err(Rejection::empty_body()),
            Some(b'{' | b'[' | b'"') => Format::Json,
            Some(_) => Format::Form,
        };
        if let Some(rejection) = reject_unsupported_format(text, headers) {
            return Err(rejection);
        }
        let text = str::from_utf8(text).map_err(|_| {
            let not_text = "the body is not UTF-8 text";
            match format {
                Format::Json => Rejection::invalid_json(not_text),
                Format::Form => Rejection::invalid_form(not_text),
            }
        })?;
        let mut reading = Reading::new();
        let fields = match format {
            Format::Json => read_body(text, &mut reading)?,
            Format::Form => read_form(text, &mut reading)?,
        };
        Ok(Self { fields, format, facts: Map::new(), reading })
    }

    /// The format of the body.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The top-level fields in the order sent. Names may repeat.
    pub fn fields(&self) -> &[(String, Value)] {
        &self.fields
    }

    /// The same body with other top-level fields, made from its own by a mapping.
    #[must_use]
    pub fn with_fields(self, fields: Vec<(String, Value)>) -> Self {
        Self { fields, ..self }
    }

    /// The same body with facts that the sender's configuration sets, by namespace. They win over the sent
    /// ones and need no permission.
    #[must_use]
    pub fn with_facts(self, facts: Map<String, Value>) -> Self {
        Self { facts, ..self }
    }

    /// Converts the fields to a lead. Facts outside of the scope are kept under `attributes`.
    ///
    /// # Errors
    /// Reports a problem with `email` first, then one with `campaign_id`. No other field causes a rejection.
    pub fn into_lead(mut self, scope: &FactScope) -> Result<ParsedLead, Rejection> {
        let lead = Fields::new(self.fields, self.format, self.facts, scope, &mut self.reading).into_lead()?;
        Ok(ParsedLead { lead, notes: self.reading.into_notes() })
    }
}

/// Parses one lead from a body whose sender may set every fact. The [crate documentation](crate) describes
/// the accepted bodies.
///
/// # Errors
/// The errors of [`Body::read`] and [`Body::into_lead`].
pub fn parse_webhook(body: &[u8], headers: Option<&HeaderMap>) -> Result<ParsedLead, Rejection> {
    Body::read(body, headers)?.into_lead(&FactScope::all())
}

/// [`parse_webhook`] without notes and without headers.
///
/// # Errors
/// The same as [`parse_webhook`].
pub fn parse_lead(body: &[u8]) -> Result<Lead, Rejection> {
    parse_webhook(body, None).map(|parsed| parsed.lead)
}

#[cfg(test)]
mod tests;
