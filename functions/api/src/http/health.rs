use std::future::Future;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use lead::LeadStatus;
use metrics::gauge;
use serde::Serialize;

use super::answer::{ApiError, Json};
use super::pauses::PauseView;
use super::{ApiState, Worker, access};
use crate::{OperationError, Operations};

/// How long each check of readiness may take: who asks will not wait longer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

const DATABASE_AWAY: &str = "the database cannot be reached";

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

/// Whether the process is there. Asks nobody.
pub(super) async fn live() -> Response {
    Json(Live { status: "ok" }).into_response()
}

/// Not ready, as [`ready`] says it, where the database was never reached.
pub(super) async fn away() -> Response {
    let answer =
        Ready { failing: Some("database"), message: Some(DATABASE_AWAY), ..Ready::status("unavailable") };
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

/// Whether the process can do its work, and the first thing that keeps it from it.
#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    /// Whether this process works on leads, and is at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<bool>,
    /// For whom may see more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pauses: Option<Vec<PauseView>>,
}

/// A paused queue is ready: leads are taken in and kept.
pub(super) async fn ready(State(state): State<ApiState>, request: Request) -> Response {
    let at_work = match &state.worker {
        Worker::Unsaid => None,
        Worker::None => Some(false),
        Worker::Here(is_at_work) => Some(is_at_work()),
    };
    let hangs = matches!(state.worker, Worker::Here(_)) && at_work == Some(false);
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
    if access::check(state.admin_token.as_ref(), request.uri(), request.headers()).is_err() {
        answer.pauses = None;
    }
    (status, Json(answer)).into_response()
}

impl Ready {
    fn status(status: &'static str) -> Self {
        Self { status, failing: None, message: None, worker: None, pauses: None }
    }
}

/// The pauses in force; otherwise the check that failed and what that means.
async fn check(operations: &Operations) -> Result<Vec<PauseView>, (&'static str, &'static str)> {
    let database = operations.store().database();
    let unreachable = ("database", DATABASE_AWAY);
    in_time("database", database.ping()).await.ok_or(unreachable)?;
    if !in_time("database", database.is_migrated()).await.ok_or(unreachable)? {
        return Err((
            "migrations",
            "the database's schema is older than this version: run `revenueflow migrate`",
        ));
    }
    let unreachable = ("queue", "the queue cannot be reached");
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
            tracing::warn!(check, %error, "not ready");
            None
        }
        Err(_) => {
            tracing::warn!(check, "not ready: no answer in time");
            None
        }
    }
}

/// The process' metrics, and how much is waiting everywhere.
///
/// What cannot be asked is `NaN`, not what it was: the metrics of this process are needed most while something is away.
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let gauges = tokio::time::timeout(CHECK_TIMEOUT, Gauges::read(&state.operations)).await;
    match gauges {
        Ok(Ok(gauges)) => gauges.record(),
        failed => {
            if let Ok(Err(error)) = failed {
                tracing::warn!(%error, "gauges could not be read");
            } else {
                tracing::warn!("gauges could not be read in time");
            }
            Gauges::UNKNOWN.record();
        }
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], (state.render_metrics)()).into_response())
}

/// What is read anew at each scrape.
struct Gauges {
    messages: f64,
    in_flight: f64,
    oldest_seconds: f64,
    pauses: f64,
    dead_letters: f64,
    /// In the order of [`LeadStatus::ALL`].
    leads: [f64; LeadStatus::ALL.len()],
}

impl Gauges {
    const UNKNOWN: Self = Self {
        messages: f64::NAN,
        in_flight: f64::NAN,
        oldest_seconds: f64::NAN,
        pauses: f64::NAN,
        dead_letters: f64::NAN,
        leads: [f64::NAN; LeadStatus::ALL.len()],
    };

    async fn read(operations: &Operations) -> Result<Self, OperationError> {
        let depth = operations.queue().depth().await?;
        let pauses = operations.queue().pauses().await?;
        let counts = operations.store().count_leads().await?;
        let dead_letters = operations.store().count_dead_letters().await?;
        let mut leads = [0.0; LeadStatus::ALL.len()];
        for (status, gauge) in LeadStatus::ALL.iter().zip(&mut leads) {
            *gauge = counts.iter().find(|(counted, _)| counted == status).map_or(0.0, |(_, n)| to_f64(*n));
        }
        Ok(Self {
            messages: to_f64(depth.messages.cast_signed()),
            in_flight: to_f64(depth.in_flight.cast_signed()),
            oldest_seconds: depth.oldest_age.as_secs_f64(),
            pauses: to_f64(i64::try_from(pauses.len()).unwrap_or(i64::MAX)),
            dead_letters: to_f64(dead_letters),
            leads,
        })
    }

    fn record(&self) {
        gauge!("revenueflow_queue_messages").set(self.messages);
        gauge!("revenueflow_queue_in_flight").set(self.in_flight);
        gauge!("revenueflow_queue_oldest_seconds").set(self.oldest_seconds);
        gauge!("revenueflow_queue_paused").set(self.pauses);
        gauge!("revenueflow_dead_letters").set(self.dead_letters);
        for (status, leads) in LeadStatus::ALL.iter().zip(self.leads) {
            gauge!("revenueflow_leads", "status" => status.as_str()).set(leads);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn to_f64(count: i64) -> f64 {
    count as f64
}
