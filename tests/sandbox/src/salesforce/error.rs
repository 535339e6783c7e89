use http::StatusCode;
use serde_json::{Value, json};

/// An error of Salesforce's REST API: a status, and a list with one `{message, errorCode, fields}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    /// The invalid fields; None omits the member, for errors that are not about fields.
    pub(super) fields: Option<Vec<String>>,
    /// Additional members of some errors, such as `duplicateResult`.
    pub(super) more: Value,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), fields: None, more: Value::Null }
    }

    /// A refused save: status 400.
    pub(super) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(super) fn no_resource() -> Self {
        Self::not_found("The requested resource does not exist")
    }

    pub(super) fn on<'f>(mut self, fields: impl IntoIterator<Item = &'f str>) -> Self {
        self.fields = Some(fields.into_iter().map(str::to_owned).collect());
        self
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        let mut error = json!({ "message": self.message, "errorCode": self.code });
        if let Some(fields) = &self.fields {
            error["fields"] = json!(fields);
        }
        if let (Some(error), Value::Object(more)) = (error.as_object_mut(), &self.more) {
            error.extend(more.clone());
        }
        json!([error])
    }
}
