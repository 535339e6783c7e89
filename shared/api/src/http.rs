//! The operator's interface over HTTP.
//!
//! Every answer has a Content-Type, is never cached, and is JSON except for `/metrics` and for an explanation
//! that is requested as text. Every error is answered as `{"error":"..","message":".."}`:
//!
//! | status | `error` | when |
//! |---|---|---|
//! | 400 | `invalid_query`, `invalid_body` | the request is malformed |
//! | 401 | `unauthorized` | the token of an operator is missing, unknown or expired |
//! | 403 | `missing_scope` | the operator may not use this route |
//! | 403 | `forbidden` | no token is configured, and the request is from a proxy, another site or another machine |
//! | 404, 405, 413 | `not_found`, `method_not_allowed`, `body_too_large` | |
//! | 409 | `conflict`, `not_held`, `ambiguous_id`, or the failure's own code | the present state does not allow the operation, or several leads have the prefix |
//! | 500 | `internal` | a defect, or unreadable stored data; the details are in the log |
//! | 503 | `unavailable`, `timeout`, or the failure's own code | a dependency is down; `Retry-After` is set |

mod access;
mod answer;
mod audit;
mod boundary;
mod crm;
mod gauges;
mod health;
mod leads;
mod openapi;
mod parked;
mod pauses;
mod people;
#[expect(dead_code, reason = "only its description is used")]
mod post_lead;
mod query;
mod record;
mod routes;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::get;

pub use access::local_only;
use answer::ApiError;
pub use openapi::openapi;
use operations::Operations;
use operators::Credentials;

/// The largest request body, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// The default time limit of a request. A replay calls a model, which may take long.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The state of the routes. Clones share it.
#[derive(Clone)]
pub struct ApiState {
    operations: Operations,
    credentials: Credentials,
    render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    worker: Worker,
    gauges: Arc<gauges::Gauges>,
    timeout: Duration,
}

/// The worker of this process.
#[derive(Clone)]
enum Worker {
    /// Unknown, because the process is not a server.
    Unknown,
    None,
    /// Present; the function returns whether it is running.
    Local(Arc<dyn Fn() -> bool + Send + Sync>),
}

impl ApiState {
    /// State for operations that are open to operators or, without any credentials, to this machine only.
    ///
    /// `render_metrics` returns the process's metrics in Prometheus' text format.
    pub fn new(
        operations: Operations,
        credentials: Credentials,
        render_metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            operations,
            credentials,
            render_metrics: Arc::new(render_metrics),
            worker: Worker::Unknown,
            gauges: Arc::new(gauges::Gauges::new()),
            timeout: TIMEOUT,
        }
    }

    /// Sets the time limit of a request, a minute by default.
    #[must_use]
    pub fn answering_within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// For a process with a worker; `is_at_work` returns whether the worker is running, for `/readyz`.
    #[must_use]
    pub fn with_worker(self, is_at_work: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { worker: Worker::Local(Arc::new(is_at_work)), ..self }
    }

    /// For a process that leaves the leads to other workers.
    #[must_use]
    pub fn without_worker(self) -> Self {
        Self { worker: Worker::None, ..self }
    }
}

/// All routes except `POST /leads`. Its router can be merged with this one.
pub fn router(state: ApiState) -> Router {
    let timeout = state.timeout;
    let bounded = from_fn(move |request, next| boundary::boundary(timeout, request, next));
    let protected = routes::router()
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(bounded.clone())
        // Around the time limit, so that a request that takes too long is recorded too.
        .layer(from_fn_with_state(state.clone(), access::guard));
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(bounded);
    protected.merge(open).layer(map_response(boundary::private)).with_state(state)
}

/// The routes of a process without a database: it is alive, not ready, and answers all else with 503.
pub fn router_without_database() -> Router {
    let bounded = from_fn(move |request, next| boundary::boundary(TIMEOUT, request, next));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::away))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(async || ApiError::unavailable("database"))
        .layer(bounded)
        .layer(map_response(boundary::private))
}

async fn not_found() -> ApiError {
    ApiError::not_found("no such path; /openapi.json lists all paths")
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let refusal = ApiError::method_not_allowed();
    // Senders of leads get the same body for every answer, those of `/leads` whatever the method.
    let is_sender = uri.path() == "/leads" || (method == Method::POST && is_of_source(uri.path()));
    if is_sender { refusal.of_a_lead() } else { refusal }
}

/// Whether a path may be that of a named source.
fn is_of_source(path: &str) -> bool {
    path.strip_prefix("/leads/").is_some_and(|name| !name.contains('/'))
}
