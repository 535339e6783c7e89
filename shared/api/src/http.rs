//! The operations over HTTP.
//!
//! Every answer has a Content-Type, is never cached, and is JSON but for `/metrics` and for an explanation asked for as text.
//! Whatever goes wrong is answered as `{"error":"..","message":".."}`:
//!
//! | status | `error` | when |
//! |---|---|---|
//! | 400 | `invalid_query`, `invalid_body`, `ambiguous_id` | the request cannot be understood |
//! | 401 | `unauthorized` | an admin token is configured and the request does not carry it |
//! | 403 | `forbidden` | no token is configured and the request comes through a proxy or not from this machine's own pages |
//! | 404, 405, 413 | `not_found`, `method_not_allowed`, `body_too_large` | |
//! | 409 | `conflict`, `not_held`, or the failure's own code | it cannot be done in the state things are in |
//! | 500 | `internal` | a defect of ours, or stored data that cannot be read; the log has it |
//! | 503 | `unavailable`, `timeout`, or the failure's own code | something outside is away; `Retry-After` is set |

mod access;
mod answer;
mod boundary;
mod crm;
mod gauges;
mod health;
mod leads;
mod parked;
mod pauses;
mod people;
mod query;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use secrecy::SecretString;

pub use access::local_only;
use answer::{ApiError, Json};
use operations::Operations;

/// The largest request body read, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// How long a request may take where nobody says less. A replay asks a model, which may think for a while.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What the routes work with. Clones share it.
#[derive(Clone)]
pub struct ApiState {
    operations: Operations,
    admin_token: Option<access::Token>,
    render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    worker: Worker,
    gauges: Arc<gauges::Gauges>,
    timeout: Duration,
}

/// What is known of the worker in this process.
#[derive(Clone)]
enum Worker {
    /// Nothing: whoever runs this is no server.
    Unsaid,
    None,
    /// Says whether it is at work.
    Here(Arc<dyn Fn() -> bool + Send + Sync>),
}

impl ApiState {
    /// State for operations that are open to whoever has the token or, without one, to this machine only.
    ///
    /// `render_metrics` gives the process' metrics in Prometheus' text format.
    pub fn new(
        operations: Operations,
        admin_token: Option<SecretString>,
        render_metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            operations,
            admin_token: admin_token.map(access::Token::from),
            render_metrics: Arc::new(render_metrics),
            worker: Worker::Unsaid,
            gauges: Arc::new(gauges::Gauges::new()),
            timeout: TIMEOUT,
        }
    }

    /// Answers every request within this time instead of a minute.
    #[must_use]
    pub fn answering_within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Of a process that also works on leads; `is_at_work` says whether it really does, for `/readyz` to tell.
    #[must_use]
    pub fn with_worker(self, is_at_work: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { worker: Worker::Here(Arc::new(is_at_work)), ..self }
    }

    /// Of a process that leaves the work on leads to others.
    #[must_use]
    pub fn without_worker(self) -> Self {
        Self { worker: Worker::None, ..self }
    }
}

/// Every route but `POST /leads`, whose router can be merged with this one.
pub fn router(state: ApiState) -> Router {
    let protected = Router::new()
        .route("/leads", get(leads::list))
        .route("/leads/{id}", get(leads::show))
        .route("/leads/{id}/audit", get(leads::audit))
        .route("/leads/{id}/explain", get(leads::explain))
        .route("/leads/{id}/replay", post(leads::replay))
        .route("/leads/{id}/responded", post(people::responded))
        .route("/leads/{id}/plan", get(crm::plan))
        .route("/leads/{id}/promote", post(crm::promote))
        .route("/crm/rollback", post(crm::rollback))
        .route("/crm/resume", post(crm::resume))
        .route("/pauses", get(pauses::list))
        .route("/pauses/{id}/resume", post(pauses::resume))
        .route("/reviews", get(people::held))
        .route("/reviews/{id}/approve", post(people::approve))
        .route("/reviews/{id}/rejudge", post(people::rejudge))
        .route("/reviews/{id}/dismiss", post(people::dismiss))
        .route("/suppressions", get(people::suppressions).post(people::suppress))
        .route("/suppressions/remove", post(people::unsuppress))
        .route("/suppressions/removed", get(people::removed_suppressions))
        .route("/suppressions/{entry}", delete(people::unsuppress_entry))
        .route("/erasures", post(people::erase))
        .route("/dead-letters", get(parked::dead_letters))
        .route("/dead-letters/{id}/redrive", post(parked::redrive))
        .route("/quarantine", get(parked::quarantine))
        .route("/quarantine/{id}", get(parked::quarantined))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), access::guard));
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(method_not_allowed);
    let timeout = state.timeout;
    let bounded = from_fn(move |request, next| boundary::boundary(timeout, request, next));
    protected.merge(open).layer(bounded).with_state(state)
}

/// What a process answers that cannot reach its database: that it lives and is not ready, and 503 to all else.
pub fn router_without_database() -> Router {
    let bounded = from_fn(move |request, next| boundary::boundary(TIMEOUT, request, next));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::away))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(async || ApiError::unavailable("database"))
        .layer(bounded)
}

async fn openapi(State(_): State<ApiState>) -> Json<utoipa::openapi::OpenApi> {
    Json(crate::openapi())
}

async fn not_found() -> ApiError {
    ApiError::not_found("there is nothing at this path; /openapi.json lists what there is")
}

async fn method_not_allowed(uri: Uri) -> ApiError {
    let refusal = ApiError::method_not_allowed();
    // Senders of leads get the body that every answer to them has, whichever method they use.
    if uri.path() == "/leads" { refusal.of_a_lead() } else { refusal }
}
