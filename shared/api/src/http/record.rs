//! One log line and one counter for each request of an operator.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use metrics::counter;

use super::access::Caller;

/// The name in place of an operator's, if the request is not admitted.
const NONE: &str = "none";

/// A request, recorded when it is dropped: also a request whose client leaves before the answer.
pub(super) struct Record {
    route: String,
    actor: String,
    status: Option<StatusCode>,
}

impl Record {
    /// Starts the record of a request by `caller`. Holds the template of the path, because a path may hold
    /// personal data, and no part of the query.
    pub(super) fn of(request: &Request, caller: Option<&Caller>) -> Self {
        let method = match *request.method() {
            Method::GET | Method::HEAD => "GET",
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            _ => "OTHER",
        };
        let path = request.extensions().get::<MatchedPath>().map_or(NONE, MatchedPath::as_str);
        Self {
            route: format!("{method} {path}"),
            actor: caller.map_or(NONE, |caller| caller.actor().as_str()).to_owned(),
            status: None,
        }
    }

    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let status = self.status.as_ref().map_or("aborted", StatusCode::as_str);
        tracing::info!(route = self.route, actor = self.actor, status, "operator request");
        counter!(
            "revenueflow_operator_requests_total",
            "route" => std::mem::take(&mut self.route),
            "actor" => std::mem::take(&mut self.actor),
            "status" => status.to_owned()
        )
        .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn request_without_an_answer_is_recorded_as_aborted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let request = Request::builder().method("X-MADE-UP").uri("/leads").body(Body::empty()).unwrap();
            drop(Record::of(&request, None));
        });
        let sample =
            r#"revenueflow_operator_requests_total{route="OTHER none",actor="none",status="aborted"} 1"#;
        assert!(recorder.handle().render().contains(sample), "{}", recorder.handle().render());
    }
}
