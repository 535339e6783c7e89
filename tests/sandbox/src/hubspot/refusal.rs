use serde_json::{Value, json};

/// An error answer in `HubSpot`'s format.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
    /// Whether it refuses only a row, never the whole call.
    pub(super) alone: bool,
}

/// The reason why one property is invalid.
pub(super) struct Invalid {
    pub(super) name: String,
    pub(super) error: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, category: &str, message: impl Into<String>) -> Self {
        let body = json!({
            "status": "error", "message": message.into(), "correlationId": CORRELATION_ID, "category": category,
        });
        Self { status, body, alone: false }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "OBJECT_NOT_FOUND", "resource not found")
    }

    pub(super) fn no_such_path(path: &str) -> Self {
        Self {
            status: 404,
            body: json!({"status": "error", "message": format!("Unable to find a route for {path}")}),
            alone: false,
        }
    }

    /// One refusal for all invalid properties. Like `HubSpot`'s, the message repeats the errors as JSON.
    pub(super) fn invalid(invalid: &[Invalid]) -> Self {
        let listed: Vec<Value> = invalid
            .iter()
            .map(
                |one| json!({"isValid": false, "message": one.message, "error": one.error, "name": one.name}),
            )
            .collect();
        let mut refusal =
            Self::validation(format!("Property values were not valid: {}", Value::Array(listed)));
        refusal.body["errors"] = invalid
            .iter()
            .map(|one| json!({"message": one.message, "code": one.error, "context": {"propertyName": [one.name]}}))
            .collect();
        refusal
    }

    /// The refusal as a row of a batch's `errors`.
    pub(super) fn row(&self, id: &str, trace: Option<&str>) -> Value {
        let mut row = self.body.clone();
        row["context"] = json!({"ids": [id]});
        if let Some(trace) = trace {
            row["context"]["objectWriteTraceId"] = json!([trace]);
        }
        row
    }
}

/// Constant, since no test looks a request up by it.
pub(super) const CORRELATION_ID: &str = "00000000-0000-4000-8000-000000000000";
