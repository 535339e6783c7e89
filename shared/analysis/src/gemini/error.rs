//! Classification of Gemini's errors.

use std::time::Duration;

use http_client::Reply;
use jiff::Timestamp;
use lead::{Cause, Failure};
use serde::Deserialize;
use serde_json::Value;

use super::DEPENDENCY;
use crate::codes;

/// Wait after a rate limit that does not say how long.
const DEFAULT_RATE_WAIT: Duration = Duration::from_secs(30);
/// The longest wait after a rate limit. Limits are per minute, so a longer wait is not plausible.
const MAX_RATE_WAIT: Duration = Duration::from_hours(1);

/// Daily quotas reset at midnight in California: 8:00 UTC, or 7:00 UTC in summer. In seconds after midnight
/// UTC.
const QUOTA_RESET: i64 = 8 * 60 * 60;
const DAY: i64 = 24 * 60 * 60;

/// The body of an error. Some paths wrap it in a list of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Bare(Wrapper),
    Listed([Wrapper; 1]),
}

#[derive(Deserialize)]
struct Wrapper {
    error: Error,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    status: String,
    details: Vec<Value>,
}

/// Classifies a reply that is not a success. The failure never repeats its text, which may quote the request.
pub(super) fn failure(reply: &Reply, now: Timestamp) -> Failure {
    let error = match reply.json::<Body>() {
        Some(Body::Bare(wrapper) | Body::Listed([wrapper])) => wrapper.error,
        None => Error::default(),
    };
    let status = reply.status.as_u16();
    match (status, error.status.as_str()) {
        (429, _) | (_, "RESOURCE_EXHAUSTED") => limit(&error, reply, now),
        (401 | 403, _) | (_, "UNAUTHENTICATED" | "PERMISSION_DENIED") => {
            credentials_refused("refuses the API key or its permissions")
        }
        (400, _) if error.is_about_the_key() => credentials_refused("refuses the API key"),
        (400, "FAILED_PRECONDITION") => {
            credentials_refused("cannot be used by this account: check its country and its billing")
        }
        (404, _) => permanent(codes::MODEL_RETIRED, "does not offer this model, or no longer does")
            .because(Cause::Misconfigured),
        (408 | 409 | 499 | 500.., _) => {
            Failure::transient(codes::UNAVAILABLE, format!("{DEPENDENCY} answered {status}")).on(DEPENDENCY)
        }
        _ => permanent(codes::REQUEST_REFUSED, &format!("refused the request with {status}")),
    }
}

fn credentials_refused(problem: &str) -> Failure {
    permanent(codes::CREDENTIALS_REFUSED, problem).because(Cause::CredentialsRefused)
}

fn permanent(code: &'static str, problem: &str) -> Failure {
    Failure::permanent(code, format!("{DEPENDENCY} {problem}")).on(DEPENDENCY)
}

fn limit(error: &Error, reply: &Reply, now: Timestamp) -> Failure {
    if error.is_per_day() {
        let problem = "ai.gemini: daily quota exhausted";
        return Failure::deferral(DEPENDENCY, codes::QUOTA_EXHAUSTED, problem, Some(until_reset(now)))
            .because(Cause::QuotaExhausted);
    }
    let wait = error.retry_delay().or_else(|| reply.retry_after(now)).unwrap_or(DEFAULT_RATE_WAIT);
    let wait = wait.clamp(Duration::from_secs(1), MAX_RATE_WAIT);
    Failure::deferral(
        DEPENDENCY,
        codes::RATE_LIMITED,
        "ai.gemini: rate limit per minute exceeded",
        Some(wait),
    )
    .because(Cause::RateLimited)
}

fn until_reset(now: Timestamp) -> Duration {
    let left = DAY - (now.as_second() - QUOTA_RESET).rem_euclid(DAY);
    Duration::from_secs(u64::try_from(left).unwrap_or_default())
}

impl Error {
    fn of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.details
            .iter()
            .filter(move |detail| detail["@type"].as_str().is_some_and(|found| found.ends_with(name)))
    }

    fn is_about_the_key(&self) -> bool {
        self.of_type("google.rpc.ErrorInfo")
            .any(|info| info["reason"].as_str().is_some_and(|reason| reason.starts_with("API_KEY_")))
    }

    fn is_per_day(&self) -> bool {
        self.of_type("google.rpc.QuotaFailure")
            .filter_map(|quota| quota["violations"].as_array())
            .flatten()
            .any(|violation| violation["quotaId"].as_str().is_some_and(|id| id.contains("PerDay")))
    }

    /// A duration such as `26s` or `26.123s`.
    fn retry_delay(&self) -> Option<Duration> {
        let seconds = self
            .of_type("google.rpc.RetryInfo")
            .find_map(|info| info["retryDelay"].as_str()?.strip_suffix('s')?.parse().ok())?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use http_client::{HeaderMap, StatusCode};
    use lead::FailureClass::{Deferral, Permanent, Transient};
    use serde_json::json;

    use super::*;

    fn failure_of(status: u16, body: &Value) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply { status, headers: HeaderMap::new(), body: body.to_string().into() };
        failure(&reply, "2026-11-25T09:30:00Z".parse().unwrap())
    }

    fn error(status: &str, details: &Value) -> Value {
        json!({ "error": { "code": 1, "message": "about ann@example.com", "status": status, "details": details } })
    }

    #[test]
    fn errors_are_classified_and_never_quoted() {
        let key =
            json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }]);
        for (status, body, class, code) in [
            (400, error("INVALID_ARGUMENT", &json!([])), Permanent, "ai_request_refused"),
            (400, error("INVALID_ARGUMENT", &key), Permanent, "ai_credentials_refused"),
            (400, error("FAILED_PRECONDITION", &json!([])), Permanent, "ai_credentials_refused"),
            (403, error("PERMISSION_DENIED", &json!([])), Permanent, "ai_credentials_refused"),
            (404, error("NOT_FOUND", &json!([])), Permanent, "ai_model_retired"),
            (404, json!([error("NOT_FOUND", &json!([]))]), Permanent, "ai_model_retired"),
            (429, error("RESOURCE_EXHAUSTED", &json!([])), Deferral, "ai_rate_limited"),
            (499, error("CANCELLED", &json!([])), Transient, "ai_unavailable"),
            (500, error("INTERNAL", &json!([])), Transient, "ai_unavailable"),
            (503, json!("<html>busy</html>"), Transient, "ai_unavailable"),
            (504, json!(null), Transient, "ai_unavailable"),
            (302, json!(null), Permanent, "ai_request_refused"),
        ] {
            let failure = failure_of(status, &body);
            assert_eq!((failure.class(), failure.code.as_ref()), (class, code), "{status} {body}");
            assert_eq!(failure.dependency(), Some(&DEPENDENCY));
            assert!(!failure.message.contains("ann@"));
        }
    }

    #[test]
    fn retry_delay_is_read_and_bounded() {
        let wait = |details: Value| failure_of(429, &error("RESOURCE_EXHAUSTED", &details)).retry_after();
        let info = |delay: &str| json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }]);
        assert_eq!(wait(info("26s")), Some(Duration::from_secs(26)));
        assert_eq!(wait(info("26.5s")), Some(Duration::from_millis(26_500)));
        assert_eq!(wait(info("0s")), Some(Duration::from_secs(1)));
        assert_eq!(wait(info("1e9s")), Some(MAX_RATE_WAIT));
        for nonsense in ["", "soon", "-1s", "NaNs"] {
            assert_eq!(wait(info(nonsense)), Some(DEFAULT_RATE_WAIT), "{nonsense}");
        }
    }

    #[test]
    fn daily_quota_defers_until_its_reset() {
        let details = json!([
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s" },
            { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
                { "quotaId": "GenerateRequestsPerDayPerProjectPerModel" } ] },
        ]);
        let failure = failure_of(429, &error("RESOURCE_EXHAUSTED", &details));
        assert_eq!((failure.class(), failure.code.as_ref()), (Deferral, "ai_quota_exhausted"));
        assert_eq!(failure.retry_after(), Some(Duration::from_mins(22 * 60 + 30)));
    }
}
