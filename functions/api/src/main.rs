//! The function behind the read and operate endpoints.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{ApiState, Operations};
use axum::Router;
use axum::http::StatusCode;
use cloud::{Cloud, Parts};
use http_body_util::BodyExt as _;
use lambda_http::{Body, Error, Request, Response, service_fn};
use runtime::Variables;
use secrecy::{ExposeSecret as _, SecretString};
use tower::ServiceExt as _;

/// Who redrives twice within this time sends once.
const RESEND_AFTER: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    lambda_http::run(service_fn(async |request: Request| {
        let answer = Box::pin(answer(&cloud, request)).await;
        cloud.flush();
        answer.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "not ready");
            Error::from("not ready")
        })
    }))
    .await
}

async fn answer(cloud: &Cloud, request: Request) -> anyhow::Result<Response<Body>> {
    let parts = cloud.parts().await?;
    let (head, body) = request.into_parts();
    let body = body.to_vec();
    let token = admin_token(cloud, false).await?;
    let call = async |token: &SecretString| {
        let request = axum::extract::Request::from_parts(head.clone(), axum::body::Body::from(body.clone()));
        let response = router(&parts, token)?.oneshot(request).await.unwrap_or_else(|never| match never {});
        anyhow::Ok(response)
    };
    let mut response = call(&token).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let now = admin_token(cloud, true).await?;
        if now.expose_secret() != token.expose_secret() {
            response = call(&now).await?;
        }
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = String::from_utf8(body.into()).context("an answer is text")?;
    Ok(Response::from_parts(head, Body::Text(body)))
}

/// `ADMIN_TOKEN`, or the secret of `ADMIN_TOKEN_ARN`. Behind a gateway there is no loopback to fall back to.
async fn admin_token(cloud: &Cloud, anew: bool) -> anyhow::Result<SecretString> {
    if let Some(token) = Variables::of_process().secret("ADMIN_TOKEN") {
        return Ok(token);
    }
    let arn = cloud.variable("ADMIN_TOKEN_ARN")?;
    let secret = if anew { cloud.secrets().get_anew(&arn).await? } else { cloud.secrets().get(&arn).await? };
    Ok(secret.expose_secret().trim().into())
}

fn router(parts: &Arc<Parts>, token: &SecretString) -> anyhow::Result<Router> {
    let operations = Operations::new(Arc::new(parts.queue(RESEND_AFTER)?), Arc::clone(&parts.pipeline));
    // Metrics go to CloudWatch.
    Ok(api::router(ApiState::new(operations, Some(token.clone()), String::new)))
}
