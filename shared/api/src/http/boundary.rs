use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;

use super::answer::ApiError;

/// Disables caching and content sniffing of an answer.
pub(super) async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers within `timeout`, also after a panic.
pub(super) async fn boundary(timeout: Duration, request: Request, next: Next) -> Response {
    // A panic leaves no broken state behind: the handler's own state is dropped, and the shared state is a
    // pool.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            // The panic hook has logged the location; the message may quote personal data and is not
            // repeated.
            tracing::error!("a request panicked");
            ApiError::internal().into_response()
        }
        Err(_) => ApiError::timeout().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::middleware::{from_fn, map_response};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// Well below the timeouts of clients.
    const TIMEOUT: Duration = Duration::from_secs(25);

    async fn ask(path: &str) -> (StatusCode, String) {
        let router = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("ann@example.com") }))
            .route("/hang", get(std::future::pending::<&'static str>))
            .layer(from_fn(|request, next| boundary(TIMEOUT, request, next)))
            .layer(map_response(private));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn panics_are_hidden_from_clients() {
        let (status, body) = ask("/panic").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("\"error\":\"internal\"") && !body.contains("ann"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_request_is_answered() {
        let asked = tokio::time::Instant::now();
        let (status, body) = ask("/hang").await;
        assert_eq!(asked.elapsed(), TIMEOUT);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"error\":\"timeout\""), "{body}");
    }
}
