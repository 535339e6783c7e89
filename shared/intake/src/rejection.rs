//! Rejections of bodies, with messages for the sender.

use std::borrow::Cow;

use lead::{CampaignIdError, EmailError};
use serde::Serialize;

use crate::hint::LITERAL_TOKEN;
use crate::limits::{MAX_BODY_BYTES, MAX_BODY_DEPTH, MAX_FIELDS};
use crate::names::{EMAIL, Field};

/// The reason why a body is not a lead. Serialises to the flat body of a 400 answer.
///
/// It is safe to log and to send back: it holds only our own texts and field names, and names of the sender
/// that look like identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "status", rename = "rejected")]
#[error("{error}: {message}")]
pub struct Rejection {
    /// A stable code: `body_too_large`, `empty_body`, `unsupported_format`, `invalid_json`, `invalid_form`,
    /// `too_deep`, `too_many_fields`, `duplicate_field`, `missing_field`, `invalid_email`, `invalid_field` or
    /// `too_long`.
    pub error: &'static str,
    /// The field to correct, if it is a known one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// The problem and its remedy, for people.
    pub message: Cow<'static, str>,
}

impl Rejection {
    /// The body is larger than [`MAX_BODY_BYTES`].
    pub fn body_too_large() -> Self {
        Self::new("body_too_large", None, format!("the body must be at most {MAX_BODY_BYTES} bytes"))
    }

    pub(crate) fn empty_body() -> Self {
        Self::new("empty_body", None, "the body is empty; send one lead as a JSON object or a form")
    }

    pub(crate) fn invalid_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_json", None, message)
    }

    pub(crate) fn invalid_form(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_form", None, message)
    }

    pub(crate) fn unsupported_format(message: &'static str) -> Self {
        Self::new("unsupported_format", None, message)
    }

    pub(crate) fn too_deep() -> Self {
        Self::new("too_deep", None, format!("objects and lists may be nested {MAX_BODY_DEPTH} levels deep"))
    }

    pub(crate) fn too_many_fields() -> Self {
        let message = format!(
            "the body may hold {MAX_FIELDS} fields; send email, campaign_id and the lead's main fields at the top \
             level, not every property of a CRM record"
        );
        Self::new("too_many_fields", None, message)
    }

    pub(crate) fn conflict(field: &'static str) -> Self {
        let message =
            format!("{field} is given more than once, with different values; send it once, as {field}");
        Self::new("duplicate_field", Some(field), message)
    }

    /// `found_at` is the path of an address outside the field, if there is one.
    pub(crate) fn missing(field: &'static str, found_at: Option<String>) -> Self {
        let message = match found_at {
            None => format!("{field} is required"),
            Some(path) => format!("{field} is required at the top level; an e-mail address is at {path}"),
        };
        Self::new("missing_field", Some(field), message)
    }

    pub(crate) fn invalid_email(cause: EmailError) -> Self {
        Self::new("invalid_email", Some("email"), format!("email {cause}"))
    }

    pub(crate) fn invalid_campaign(cause: CampaignIdError) -> Self {
        let code = if cause == CampaignIdError::TooLong { "too_long" } else { "invalid_field" };
        Self::new(code, Some("campaign_id"), format!("campaign_id {cause}"))
    }

    /// `found_at` is the path of an address outside the field, if there is one.
    pub(crate) fn not_text(field: &'static str, found_at: Option<String>) -> Self {
        let message = match found_at {
            None => format!("{field} must be a text"),
            Some(path) => format!("{field} must be a text; an e-mail address is at {path}"),
        };
        Self::new(code_of(field), Some(field), message)
    }

    pub(crate) fn inexact(field: &'static str) -> Self {
        let message = format!("{field} is a number that cannot be kept exactly; send it as a text");
        Self::new(code_of(field), Some(field), message)
    }

    pub(crate) fn token(field: &'static str) -> Self {
        Self::new(code_of(field), Some(field), format!("{field}: {LITERAL_TOKEN}"))
    }

    /// The same problem, attributed to a field.
    pub(crate) fn within(self, field: Option<&'static Field>) -> Self {
        Self { field: self.field.or(field.map(|field| field.name)), ..self }
    }

    fn new(error: &'static str, field: Option<&'static str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { error, field, message: message.into() }
    }
}

fn code_of(field: &str) -> &'static str {
    if field == EMAIL.name { "invalid_email" } else { "invalid_field" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejection_serialises_flat_with_its_status_first() {
        assert_eq!(
            serde_json::to_string(&Rejection::missing("campaign_id", None)).unwrap(),
            r#"{"status":"rejected","error":"missing_field","field":"campaign_id","message":"campaign_id is required"}"#
        );
        let without_field = serde_json::to_value(Rejection::too_deep()).unwrap();
        assert!(without_field.get("field").is_none());
    }
}
