//! The entry points of parsing.

use http::HeaderMap;
use lead::{FieldNote, Lead};

use crate::fields::Fields;
use crate::form::read_form;
use crate::format::reject_unsupported_format;
use crate::json::read_body;
use crate::limits::MAX_BODY_BYTES;
use crate::reading::Reading;
use crate::rejection::Rejection;

/// A lead, with notes on the fields of its webhook that were dropped or cut.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedLead {
    /// The lead.
    pub lead: Lead,
    /// One note for each field that was malformed, at most [`crate::MAX_NOTES`]. The same body gives the same
    /// notes.
    pub notes: Vec<FieldNote>,
}

/// Parses one lead from a webhook body, JSON or form, within all limits. The [crate documentation](crate)
/// describes the accepted bodies.
///
/// `headers` do not decide whether a body is accepted. They only improve the error for an unreadable body. A
/// message from a queue has none.
///
/// # Errors
/// Reports a problem with the body as a whole first, then one with `email`, then one with `campaign_id`. No
/// other field causes a rejection.
pub fn parse_webhook(body: &[u8], headers: Option<&HeaderMap>) -> Result<ParsedLead, Rejection> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Rejection::body_too_large());
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let is_json = match text.first() {
        None => return Err(Rejection::empty_body()),
        Some(first) => matches!(first, b'{' | b'[' | b'"'),
    };
    if let Some(rejection) = reject_unsupported_format(text, headers) {
        return Err(rejection);
    }
    let Ok(text) = str::from_utf8(text) else {
        let not_text = "the body is not UTF-8 text";
        return Err(if is_json {
            Rejection::invalid_json(not_text)
        } else {
            Rejection::invalid_form(not_text)
        });
    };
    let mut reading = Reading::new();
    let fields = if is_json { read_body(text, &mut reading)? } else { read_form(text, &mut reading)? };
    let lead = Fields::new(fields, &mut reading).into_lead()?;
    Ok(ParsedLead { lead, notes: reading.into_notes() })
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
