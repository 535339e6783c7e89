use http::HeaderMap;
use lead::{FieldNote, Lead};

use crate::body::refuse_other_format;
use crate::fields::Fields;
use crate::form::read_form;
use crate::json::read_body;
use crate::limits::MAX_BODY_BYTES;
use crate::reading::Reading;
use crate::rejection::Rejection;

/// A lead, and what of its webhook was dropped or cut.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedLead {
    /// The lead.
    pub lead: Lead,
    /// One note for each field that was malformed, at most [`crate::MAX_NOTES`]. The same body gives the same notes.
    pub notes: Vec<FieldNote>,
}

/// Reads one lead from a webhook body, JSON or form, within all bounds. What is accepted is on [the crate](crate).
///
/// `headers` decide nothing: they explain a body that cannot be read. A message of a queue has none.
///
/// # Errors
/// A problem with the body as a whole first, then one with `email`, then one with `campaign_id`. No other field is a
/// reason to refuse a lead.
pub fn parse_webhook(body: &[u8], headers: Option<&HeaderMap>) -> Result<ParsedLead, Rejection> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Rejection::body_too_large());
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let is_json = match text.first() {
        None => return Err(Rejection::empty_body()),
        Some(first) => matches!(first, b'{' | b'[' | b'"'),
    };
    if let Some(rejection) = refuse_other_format(text, headers) {
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

/// [`parse_webhook`] without the notes, for a body that came without headers.
///
/// # Errors
/// Those of [`parse_webhook`].
pub fn parse_lead(body: &[u8]) -> Result<Lead, Rejection> {
    parse_webhook(body, None).map(|parsed| parsed.lead)
}

#[cfg(test)]
mod tests;
