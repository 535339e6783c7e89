use std::borrow::Cow;

use lead::{CampaignIdError, EmailError};
use serde::Serialize;

use crate::limits::{MAX_BODY_BYTES, MAX_DEPTH, MAX_FIELDS, MAX_KEY_CHARS};

/// Why a body is not a lead. Serialises to the flat body of a 400 answer.
///
/// Safe to log and to send back: it holds our words and our field names, never what the sender wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "status", rename = "rejected")]
#[error("{error}: {message}")]
pub struct Rejection {
    /// A stable code: `body_too_large`, `empty_body`, `invalid_json`, `invalid_form`, `too_deep`, `too_many_fields`,
    /// `duplicate_field`, `missing_field`, `invalid_email`, `invalid_field` or `too_long`.
    pub error: &'static str,
    /// The field to correct, where it is one that we know by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// What to change, for a person.
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

    pub(crate) fn too_deep() -> Self {
        Self::new("too_deep", None, format!("objects and lists may be nested {MAX_DEPTH} levels deep"))
    }

    pub(crate) fn too_many_fields() -> Self {
        Self::new("too_many_fields", None, format!("the body may hold {MAX_FIELDS} fields and list items"))
    }

    pub(crate) fn duplicate() -> Self {
        Self::new("duplicate_field", None, "the same field is given more than once")
    }

    pub(crate) fn missing(field: &'static str) -> Self {
        Self::new("missing_field", Some(field), format!("{field} is required"))
    }

    pub(crate) fn invalid_email(cause: EmailError) -> Self {
        Self::new("invalid_email", Some("email"), format!("email {cause}"))
    }

    pub(crate) fn invalid_campaign(cause: CampaignIdError) -> Self {
        let code = if cause == CampaignIdError::TooLong { "too_long" } else { "invalid_field" };
        Self::new(code, Some("campaign_id"), format!("campaign_id {cause}"))
    }

    pub(crate) fn not_text(field: &'static str) -> Self {
        let code = if field == "email" { "invalid_email" } else { "invalid_field" };
        Self::new(code, Some(field), format!("{field} must be a text"))
    }

    pub(crate) fn not_an_object(field: &'static str) -> Self {
        Self::new("invalid_field", Some(field), format!("{field} must be an object"))
    }

    pub(crate) fn too_long(field: &'static str, max: usize) -> Self {
        Self::new("too_long", Some(field), format!("a text in {field} must be at most {max} characters"))
    }

    pub(crate) fn bad_key() -> Self {
        let message = format!(
            "a field name must have 1 to {MAX_KEY_CHARS} characters, none of them a control character"
        );
        Self::new("invalid_field", None, message)
    }

    /// The same problem, found inside a field.
    pub(crate) fn within(self, field: Option<&'static str>) -> Self {
        Self { field: self.field.or(field), ..self }
    }

    fn new(error: &'static str, field: Option<&'static str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { error, field, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_serialises_flat_with_its_status_first() {
        assert_eq!(
            serde_json::to_string(&Rejection::missing("campaign_id")).unwrap(),
            r#"{"status":"rejected","error":"missing_field","field":"campaign_id","message":"campaign_id is required"}"#
        );
        let without_field = serde_json::to_value(Rejection::too_deep()).unwrap();
        assert!(without_field.get("field").is_none());
    }
}
