//! The Lambda function behind the read and operate endpoints.

mod secrets;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::ApiState;
use axum::Router;
use axum::http::StatusCode;
use cloud::{Cloud, Parts, ends_at};
use http_body_util::BodyExt as _;
use lambda_http::{Body, Error, Request, RequestExt as _, Response, service_fn};
use operations::Operations;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::secrets::{OperatorSecrets, OperatorsInForce};

/// A second redrive within this time sends no second message.
const RESEND_AFTER: Duration = Duration::from_millis(1);

/// The part of the function's time that is reserved for answering, so that Lambda does not answer instead.
const MARGIN: Duration = Duration::from_secs(3);

/// The time limit for the connections, including a database that has to resume; then it counts as
/// unavailable.
const PARTS_TIMEOUT: Duration = Duration::from_secs(18);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let function = Function { cloud: Cloud::start()?, operators: OperatorsInForce::default() };
    lambda_http::run(service_fn(async |request: Request| {
        let end = ends_at(request.lambda_context().deadline()) - MARGIN;
        let answer = Box::pin(answer(&function, request, end)).await;
        function.cloud.flush();
        answer.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "request failed");
            Error::from("request failed")
        })
    }))
    .await
}

async fn answer(function: &Function, request: Request, end: Instant) -> anyhow::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.to_vec();
    let call = async |router: Router| {
        let request = axum::extract::Request::from_parts(head.clone(), axum::body::Body::from(body.clone()));
        router.oneshot(request).await.unwrap_or_else(|never| match never {})
    };
    let mut response = match Box::pin(ready(function, head.uri.path())).await {
        Some((parts, secrets)) => {
            let response = call(function.router(&parts, &secrets, end)?).await;
            // The secrets may be newer than their copies in this process.
            let newer = match response.status() {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    OperatorSecrets::read(&function.cloud, true).await.ok()
                }
                _ => None,
            };
            match newer.filter(|newer| newer != &secrets) {
                Some(newer) => call(function.router(&parts, &newer, end)?).await,
                None => response,
            }
        }
        None => call(api::router_without_database()).await,
    };
    let body = std::mem::take(response.body_mut()).collect().await?.to_bytes();
    let (head, _) = response.into_parts();
    let body = String::from_utf8(body.into()).context("the response body is not text")?;
    Ok(Response::from_parts(head, Body::Text(body)))
}

/// The connections and the secrets, where the path needs them and they are ready in time.
async fn ready(function: &Function, path: &str) -> Option<(Arc<Parts>, OperatorSecrets)> {
    if path == "/healthz" {
        return None;
    }
    let cloud = &function.cloud;
    let both = async { anyhow::Ok((cloud.parts().await?, OperatorSecrets::read(cloud, false).await?)) };
    match timeout(PARTS_TIMEOUT, both).await.context("no answer in time").flatten() {
        Ok(both) => Some(both),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "connections not ready");
            None
        }
    }
}

/// The execution environment of this function.
struct Function {
    cloud: Cloud,
    operators: OperatorsInForce,
}

impl Function {
    fn router(&self, parts: &Arc<Parts>, secrets: &OperatorSecrets, end: Instant) -> anyhow::Result<Router> {
        let operations = Operations::new(Arc::new(parts.queue(RESEND_AFTER)?), Arc::clone(&parts.pipeline))
            .with_retention(parts.config.retention);
        let elsewhere = || "# Metrics are in CloudWatch: this process measures only a part.\n".to_owned();
        let state = ApiState::new(operations, self.operators.credentials(secrets), elsewhere);
        Ok(api::router(state.answering_within(end.saturating_duration_since(Instant::now()))))
    }
}
