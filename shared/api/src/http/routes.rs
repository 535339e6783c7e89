//! The routes of operators, each with the scope that it requires. A route cannot be added without one.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post};
use operators::Scope;

use super::access::{Caller, count_refusal};
use super::answer::ApiError;
use super::{ApiState, audit, crm, health, leads, openapi, parked, pauses, people};

/// A method and a path, the scope that they require, and their handler.
pub(super) struct Route {
    /// The method in lower case, as in the description.
    pub(super) method: &'static str,
    /// The path with `{parameters}`.
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    handler: MethodRouter<ApiState>,
}

/// All routes that need a token, if one is configured.
pub(super) fn routes() -> Vec<Route> {
    use Scope::{Crm, Erase, Metrics, Read, Redrive, Respond, Review, Suppress};
    vec![
        on_get("/leads", Read, leads::list),
        on_get("/leads/{id}", Read, leads::show),
        on_get("/leads/{id}/audit", Read, leads::audit),
        on_get("/leads/{id}/explain", Read, leads::explain),
        on_get("/leads/{id}/plan", Read, crm::plan),
        // A dry run needs it too: it calls the analyst, which may cost money.
        on_post("/leads/{id}/replay", Review, leads::replay),
        on_post("/leads/{id}/responded", Respond, people::responded),
        on_post("/leads/{id}/promote", Crm, crm::promote),
        on_post("/crm/rollback", Crm, crm::rollback),
        on_post("/crm/resume", Crm, crm::resume),
        on_get("/audit", Read, audit::acts),
        on_get("/pauses", Read, pauses::list),
        on_post("/pauses/{dependency}/resume", Redrive, pauses::resume),
        on_get("/reviews", Read, people::held),
        on_post("/reviews/{id}/approve", Review, people::approve),
        on_post("/reviews/{id}/rejudge", Review, people::rejudge),
        on_post("/reviews/{id}/dismiss", Review, people::dismiss),
        on_get("/suppressions", Read, people::suppressions),
        on_post("/suppressions", Suppress, people::suppress),
        on_post("/suppressions/remove", Suppress, people::unsuppress),
        on_get("/suppressions/removed", Read, people::removed_suppressions),
        on_delete("/suppressions/{entry}", Suppress, people::unsuppress_entry),
        on_post("/erasures", Erase, people::erase),
        // The right of a person like an erasure, and as much data at once as no other route returns.
        on_post("/exports", Erase, people::export),
        on_get("/dead-letters", Read, parked::dead_letters),
        on_post("/dead-letters/{id}/redrive", Redrive, parked::redrive),
        on_get("/quarantine", Read, parked::quarantine),
        on_get("/quarantine/{id}", Read, parked::quarantined),
        on_get("/metrics", Metrics, health::metrics),
        on_get("/openapi.json", Read, openapi::serve),
    ]
}

/// The router of all routes. Each checks its scope; a layer around the router has to authenticate the caller.
pub(super) fn router() -> Router<ApiState> {
    routes().into_iter().fold(Router::new(), |router, route| {
        let handler = route.handler.route_layer(from_fn_with_state(route.scope, require));
        router.route(route.path, handler)
    })
}

async fn require(State(scope): State<Scope>, caller: Caller, request: Request, next: Next) -> Response {
    if caller.may(scope) {
        return next.run(request).await;
    }
    count_refusal("missing_scope");
    ApiError::missing_scope(scope).into_response()
}

fn on_get<H, T>(path: &'static str, scope: Scope, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route { method: "get", path, scope, handler: get(handler) }
}

fn on_post<H, T>(path: &'static str, scope: Scope, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route { method: "post", path, scope, handler: post(handler) }
}

fn on_delete<H, T>(path: &'static str, scope: Scope, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route { method: "delete", path, scope, handler: delete(handler) }
}
