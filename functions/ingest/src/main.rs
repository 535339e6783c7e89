//! The Lambda function behind `POST /leads`, for REST proxy events, HTTP API events and function URLs.
//!
//! It starts fast because it makes its clients from the environment, reads its secret with the first request,
//! and links no database and nothing else behind the queue.

mod bucket;
mod cloud_sink;
mod webhook_auth;

use std::sync::Arc;

use cloud_sink::CloudSink;
use lambda_http::{Body, Error, Request, RequestExt as _, Response, service_fn};
use lead::TraceContext;
use runtime::aws::{aws_config, init_embedded_metrics};
use runtime::{LogFormat, Variables};
use webhook_auth::WebhookAuth;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::of_process();
    runtime::init_logs(&variables, LogFormat::Json, std::io::stdout)?;
    runtime::log_panics();
    let metrics = init_embedded_metrics(&variables);
    let aws = aws_config(&variables)?;
    let sink = Arc::new(CloudSink::new(&variables, &aws)?);
    let auth = WebhookAuth::new(&variables, &aws, sink)?;
    lambda_http::run(service_fn(async |request: Request| {
        // Lambda's own trace, never the sender's, because API Gateway decides on sampling.
        let xray = request.lambda_context_ref().and_then(|context| context.xray_trace_id.as_deref());
        let trace = xray.and_then(TraceContext::from_xray);
        let mut request = request.map(|body| body.to_vec().into());
        if let Some(trace) = trace {
            request.extensions_mut().insert(trace);
        }
        let answer = auth.handle(request).await;
        metrics.flush();
        let (head, body) = answer.into_parts();
        let body = String::from_utf8(body.into()).expect("every answer is JSON");
        Ok::<_, Error>(Response::from_parts(head, Body::Text(body)))
    }))
    .await
}
