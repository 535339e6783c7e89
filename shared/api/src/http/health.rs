use std::future::Future;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::answer::{ApiError, Json};
use super::pauses::PauseView;
use super::{ApiState, Worker, access};
use operations::Operations;
use operators::Scope;
use utoipa::ToSchema;

/// The time limit of each readiness check, below that of the callers.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

const DATABASE_UNAVAILABLE: &str = "the database cannot be reached";

/// The process is alive.
#[derive(Serialize, ToSchema)]
struct Live {
    /// `ok`.
    status: &'static str,
}

/// Liveness
#[utoipa::path(
    get, path = "/healthz", tag = "service", operation_id = "live",
    responses((status = 200, description = "The process is alive", body = Live)),
)]
// Calls no dependency.
pub(super) async fn live() -> Response {
    Json(Live { status: "ok" }).into_response()
}

/// The answer of [`ready`] for a process that never reached its database.
pub(super) async fn away() -> Response {
    let answer = Ready {
        failing: Some("database"),
        message: Some(DATABASE_UNAVAILABLE),
        ..Ready::status("unavailable")
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

/// Readiness of the process, with the first failing check.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready` or `unavailable`.
    status: &'static str,
    /// `database`, `migrations`, `queue` or `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    /// Whether this process has a running worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<bool>,
    /// The pauses in force, only for callers with the scope `read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pauses: Option<Vec<PauseView>>,
}

/// Readiness
///
/// Pauses of consumption are listed for callers with the scope `read`; leads are accepted and kept during a
/// pause.
#[utoipa::path(
    get, path = "/readyz", tag = "service", operation_id = "ready",
    responses(
        (status = 200, description = "The process is ready", body = Ready),
        (status = 503, description = "The process is not ready; `failing` names the check", body = Ready),
    ),
    security((), ("operator_token" = [])),
)]
pub(super) async fn ready(State(state): State<ApiState>, request: Request) -> Response {
    let at_work = match &state.worker {
        Worker::Unknown => None,
        Worker::None => Some(false),
        Worker::Local(is_at_work) => Some(is_at_work()),
    };
    let hangs = matches!(state.worker, Worker::Local(_)) && at_work == Some(false);
    let checked = match check(&state.operations).await {
        Ok(_) if hangs => Err(("worker", "the worker of this process hangs: restart it")),
        checked => checked,
    };
    let (status, mut answer) = match checked {
        Ok(pauses) => (StatusCode::OK, Ready { pauses: Some(pauses), ..Ready::status("ready") }),
        Err((failing, message)) => {
            let unready = Ready::status("unavailable");
            let answer = Ready { failing: Some(failing), message: Some(message), ..unready };
            (StatusCode::SERVICE_UNAVAILABLE, answer)
        }
    };
    answer.worker = at_work;
    let caller = access::check(&state.credentials, request.uri(), request.headers());
    if !caller.is_ok_and(|caller| caller.may(Scope::Read)) {
        answer.pauses = None;
    }
    (status, Json(answer)).into_response()
}

impl Ready {
    fn status(status: &'static str) -> Self {
        Self { status, failing: None, message: None, worker: None, pauses: None }
    }
}

/// The pauses in force, or the failed check with its message.
async fn check(operations: &Operations) -> Result<Vec<PauseView>, (&'static str, &'static str)> {
    let database = operations.store().database();
    let unreachable = ("database", DATABASE_UNAVAILABLE);
    in_time("database", database.ping()).await.ok_or(unreachable)?;
    if !in_time("database", database.is_migrated()).await.ok_or(unreachable)? {
        return Err((
            "migrations",
            "the database's schema is older than this version: run `revenueflow migrate`",
        ));
    }
    let unreachable = ("queue", "the queue cannot be reached or refuses access");
    in_time("queue", operations.queue().ping()).await.ok_or(unreachable)?;
    let pauses = in_time("queue", operations.queue().pauses()).await.ok_or(unreachable)?;
    Ok(pauses.into_iter().map(PauseView::from).collect())
}

async fn in_time<T, E: std::fmt::Display>(
    check: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Option<T> {
    match tokio::time::timeout(CHECK_TIMEOUT, answer).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!(check, %error, "readiness check failed");
            None
        }
        Err(_) => {
            tracing::warn!(check, "readiness check timed out");
            None
        }
    }
}

/// Metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain",
        description = "The metrics of this process, and the gauges of backlogs")),
)]
// A gauge that cannot be read keeps its value and reports its age.
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    state.gauges.read(&state.operations).await;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], (state.render_metrics)()).into_response())
}
