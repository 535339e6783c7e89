use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use lead::{Failure, FailureClass};
use queue::QueueError;
use serde::Serialize;
use utoipa::ToSchema;

use operations::OperationError;
use operators::Scope;

pub(super) use axum::Json;

/// The `Retry-After` of a 503, in seconds.
const RETRY_AFTER: &str = "5";

/// A refusal or failure as the client sees it, without internal details.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// Whether the request posts a lead; senders expect a `status` in the answer.
    of_a_lead: bool,
}

/// A refusal or failure.
#[derive(Serialize, ToSchema)]
#[schema(as = Error, example = json!({"error": "not_found", "message": "there is no lead with this id"}))]
pub(super) struct ErrorBody {
    /// `rejected`, in an answer to a sender of leads, which is described with `POST /leads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    status: Option<&'static str>,
    /// The machine-readable, stable code.
    error: Cow<'static, str>,
    /// The message for a person.
    message: Cow<'static, str>,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), of_a_lead: false }
    }

    /// Adds the `status` that every answer to a posted lead has.
    pub(super) fn of_a_lead(self) -> Self {
        Self { of_a_lead: true, ..self }
    }

    pub(super) fn invalid_query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    pub(super) fn invalid_body(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "send the token of an operator as \"Authorization: Bearer <token>\"";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn expired() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token has expired; ask for a new one")
    }

    pub(super) fn missing_scope(scope: Scope) -> Self {
        let message = format!("this needs a token with the scope {scope}");
        Self::new(StatusCode::FORBIDDEN, "missing_scope", message)
    }

    pub(super) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this path has other methods; the Allow header names them";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn body_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is larger than 4 KiB")
    }

    pub(super) fn internal() -> Self {
        let message = "internal error; the details are in the server's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(super) fn timeout() -> Self {
        let message = "no answer in time; try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    pub(super) fn unavailable(what: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("the {what} cannot be reached"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.of_a_lead.then_some("rejected");
        let body = Json(ErrorBody { status, error: self.code, message: self.message });
        let mut response = (self.status, body).into_response();
        let header = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> Self {
        match &error {
            OperationError::NotFound(_) | OperationError::NotPaused { .. } => {
                Self::not_found(error.to_string())
            }
            OperationError::Ambiguous(_) => {
                Self::new(StatusCode::CONFLICT, "ambiguous_id", error.to_string())
            }
            OperationError::Conflict(message) => Self::new(StatusCode::CONFLICT, "conflict", *message),
            OperationError::NotJudged { .. } | OperationError::NotSynced(_) | OperationError::CrmHeld => {
                Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
            }
            OperationError::NotHeld(_) => Self::new(StatusCode::CONFLICT, "not_held", error.to_string()),
            OperationError::Invalid(message) => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_body", message.clone())
            }
            OperationError::Database(cause) => {
                tracing::error!(error = %cause, "request failed: database error");
                match cause {
                    DatabaseError::Corrupt { .. } => Self::internal(),
                    _ => Self::unavailable("database"),
                }
            }
            OperationError::Queue(cause) => {
                tracing::error!(error = %cause, "request failed: queue error");
                Self::unavailable("queue")
            }
            OperationError::Failed(failure) => failed(failure),
        }
    }
}

/// Failures of a pipeline step have a message for the client; those of the database and the queue would
/// reveal internal details.
fn failed(failure: &Failure) -> ApiError {
    tracing::error!(code = %failure.code, message = %failure.message, "request failed: pipeline error");
    match failure.dependency() {
        Some(dependency) if *dependency == DatabaseError::DEPENDENCY => match failure.class() {
            FailureClass::Permanent => ApiError::internal(),
            _ => ApiError::unavailable("database"),
        },
        Some(dependency) if *dependency == QueueError::DEPENDENCY => ApiError::unavailable("queue"),
        _ => {
            let status = match failure.class() {
                FailureClass::Permanent => StatusCode::CONFLICT,
                FailureClass::Transient | FailureClass::Deferral => StatusCode::SERVICE_UNAVAILABLE,
            };
            ApiError::new(status, failure.code.clone(), failure.message.clone())
        }
    }
}
