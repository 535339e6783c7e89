use serde_json::{Value, json};

/// An answer that is an error, in the shape of `HubSpot`'s.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
    /// Whether it is a row's and never the answer to a whole call.
    pub(super) alone: bool,
}

/// What is wrong with one property.
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

    /// One refusal for all properties that are wrong. The message holds the same again as JSON, as `HubSpot`'s does.
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

/// The same for all: nobody looks anything up by it here.
pub(super) const CORRELATION_ID: &str = "00000000-0000-4000-8000-000000000000";
