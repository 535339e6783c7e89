//! The routes that receive leads.

use std::sync::Arc;
use std::time::Duration;

use assembly::Config;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::post;
use http::HeaderMap;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ingest::{Ingest, LeadSink, Unread};
use intake::MAX_BODY_BYTES;
use lead::TraceContext;
use trace::Span;

use super::App;

/// Limit for reading the body of a rejected request.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(200);

/// The router of `POST /leads` and of the paths of named sources. Without secrets it accepts only requests
/// from this machine.
pub(super) fn webhook(config: &Config, app: &App, sink: Arc<dyn LeadSink>) -> anyhow::Result<Router> {
    let senders = config.senders()?;
    for source in senders.iter() {
        tracing::info!(source = %source.name(), path = source.path(), "source of leads");
    }
    let ingest = Arc::new(Ingest::new(senders, sink, Arc::clone(&app.clock)));
    let limit = config.read_timeout;
    let accept = move |request: Request| async move { accept(&ingest, request, limit).await };
    // The operators' interface has GET routes with the same paths.
    let router = Router::new().route("/leads", post(accept.clone())).route("/leads/{id}", post(accept));
    Ok(if config.accepts_any_sender() {
        router.layer(axum::middleware::from_fn(api::local_only))
    } else {
        router
    })
}

async fn accept(ingest: &Ingest, request: Request, limit: Duration) -> http::Response<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(refusal) = ingest.refuse_head(&parts) {
        discard(body).await;
        return refusal.map(Body::from);
    }
    let span = Span::server("POST /leads", sent_context(&parts.headers))
        .with("http.request.method", "POST")
        .with("http.route", "/leads");
    span.run(async {
        if let Some(context) = trace::current() {
            parts.extensions.insert(context);
        }
        let answer = match read(body, limit).await {
            Ok(body) => ingest.handle(http::Request::from_parts(parts, body)).await,
            Err(reason) => ingest.refuse_unread(reason),
        };
        trace::note("http.response.status_code", answer.status().as_u16());
        if answer.status().is_server_error() {
            trace::fail(answer.status().as_str().to_owned());
        }
        answer.map(Body::from)
    })
    .await
}

/// The trace context of a request. Several `traceparent` headers count as none, as W3C Trace Context says of
/// an invalid header.
fn sent_context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut sent = headers.get_all("traceparent").iter();
    let (Some(only), None) = (sent.next(), sent.next()) else { return None };
    only.to_str().ok()?.parse().ok()
}

/// Reads and drops a body for a short time. Otherwise, a client that sends its whole body before it reads the
/// answer would see a connection reset instead of the answer.
async fn discard(mut body: Body) {
    let mut left = MAX_BODY_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, bytes::Bytes::len);
            left = left.saturating_sub(read.max(1));
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

/// Reads a body to its end. Stops reading once the body exceeds [`MAX_BODY_BYTES`].
async fn read(body: Body, limit: Duration) -> Result<bytes::Bytes, Unread> {
    match tokio::time::timeout(limit, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::TooSlow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_of(chunks: Vec<Result<Vec<u8>, std::io::Error>>) -> Result<usize, Unread> {
        let body = Body::from_stream(futures::stream::iter(chunks));
        read(body, Duration::from_secs(30)).await.map(|body| body.len())
    }

    #[test]
    fn several_traceparent_headers_count_as_none() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        assert_eq!(sent_context(&headers), None);
        headers.insert("traceparent", text.parse().unwrap());
        assert_eq!(sent_context(&headers), text.parse().ok());
        headers.append("traceparent", text.parse().unwrap());
        assert_eq!(sent_context(&headers), None);
    }

    #[tokio::test]
    async fn oversized_and_broken_bodies_have_different_errors() {
        let full = || Ok(vec![b' '; MAX_BODY_BYTES]);
        let reset = || Err(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(read_of(vec![full()]).await, Ok(MAX_BODY_BYTES));
        assert_eq!(read_of(vec![full(), Ok(vec![b' '])]).await, Err(Unread::TooLarge));
        assert_eq!(read_of(vec![Ok(vec![b'{']), reset()]).await, Err(Unread::Broken));
    }

    #[tokio::test(start_paused = true)]
    async fn reading_a_rejected_body_is_limited_in_time_and_size() {
        let started = tokio::time::Instant::now();
        discard(Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())).await;
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1024]));
        discard(Body::from_stream(endless)).await;
        assert_eq!(started.elapsed(), DISCARD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_body_times_out() {
        let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(read(body, Duration::from_secs(30)).await, Err(Unread::TooSlow));
    }
}
