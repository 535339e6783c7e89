//! The HTTP client that all providers share, and the classification of their refusals.

use std::sync::Arc;
use std::time::Duration;

use http_client::{Http, HttpSettings, Method, Reply, RequestBuilder, Url};
use jiff::Timestamp;
use lead::{Cause, Clock, Dependency, Failure};
use secrecy::SecretString;

/// The maximum size of a reply, in bytes. People Data Labs promises to stay below 1 MB; the others send a few
/// kilobytes.
const MAX_REPLY: usize = 2 << 20;
/// Pause after exhausted credits. Purchased credits take effect within the hour.
const CREDITS_PAUSE: Duration = Duration::from_hours(1);
/// The longest pause that the headers of a provider can request.
const MAX_PAUSE: Duration = Duration::from_hours(24);
/// The lowest rate-limit reset that is a Unix time in seconds. Smaller values are seconds from now.
const FIRST_UNIX_TIME: i64 = 1_000_000_000;

/// Address and key of a provider.
#[derive(Clone, Debug)]
pub struct Access {
    /// The address without the path of a call.
    pub base_url: Url,
    /// The key.
    pub key: SecretString,
}

/// The failure codes of one provider.
pub(crate) struct Codes {
    pub(crate) dependency: Dependency,
    pub(crate) credentials_refused: &'static str,
    pub(crate) not_allowed: &'static str,
    pub(crate) credits_used_up: &'static str,
    pub(crate) rate_limited: &'static str,
    pub(crate) request_refused: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) unreadable: &'static str,
}

/// The failure codes of the provider with this name.
macro_rules! codes {
    ($name:literal) => {
        $crate::providers::client::Codes {
            dependency: lead::Dependency::new(concat!("enrichment.", $name)),
            credentials_refused: concat!($name, "_credentials_refused"),
            not_allowed: concat!($name, "_not_allowed"),
            credits_used_up: concat!($name, "_credits_used_up"),
            rate_limited: concat!($name, "_rate_limited"),
            request_refused: concat!($name, "_request_refused"),
            unavailable: concat!($name, "_unavailable"),
            unreadable: concat!($name, "_answer_unreadable"),
        }
    };
}
pub(crate) use codes;

/// HTTP client of one provider, with the classification of its refusals.
pub(crate) struct Client {
    http: Http,
    base_url: Url,
    clock: Arc<dyn Clock>,
    codes: Codes,
}

impl Client {
    pub(crate) fn new(
        codes: Codes,
        base_url: Url,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let settings = HttpSettings { timeout, max_body: MAX_REPLY, ..HttpSettings::default() };
        Ok(Self { http: Http::new(codes.dependency.clone(), settings)?, base_url, clock, codes })
    }

    /// A request to a path below the base address.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    pub(crate) fn request_to(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        self.http.send(request).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Classifies an unsuccessful reply by its status.
    pub(crate) fn failure(&self, reply: &Reply) -> Failure {
        let (status, codes) = (reply.status.as_u16(), &self.codes);
        match status {
            401 => self.credentials_refused(),
            402 => self.credits_used_up(),
            403 => self.permanent(
                codes.not_allowed,
                "the account or its plan does not allow this request".to_owned(),
            ),
            429 => self.rate_limited(reply),
            408 | 500.. => {
                Failure::transient(codes.unavailable, format!("{} answered {status}", codes.dependency))
                    .on(codes.dependency.clone())
            }
            // May concern this company only, so it names no dependency.
            _ => Failure::permanent(
                codes.request_refused,
                format!("{} answered {status} to the lookup of a domain", codes.dependency),
            ),
        }
    }

    pub(crate) fn credentials_refused(&self) -> Failure {
        let problem = format!("{} does not accept the credentials", self.codes.dependency);
        self.permanent(self.codes.credentials_refused, problem).because(Cause::CredentialsRefused)
    }

    pub(crate) fn not_allowed(&self, problem: &str) -> Failure {
        self.permanent(self.codes.not_allowed, problem.to_owned())
    }

    pub(crate) fn credits_used_up(&self) -> Failure {
        Failure::deferral(
            self.codes.dependency.clone(),
            self.codes.credits_used_up,
            "the account has no credits left",
            Some(CREDITS_PAUSE),
        )
    }

    pub(crate) fn rate_limited(&self, reply: &Reply) -> Failure {
        Failure::deferral(
            self.codes.dependency.clone(),
            self.codes.rate_limited,
            "rate limit exceeded",
            requested_pause(reply, self.clock.now()),
        )
    }

    pub(crate) fn unavailable(&self, problem: &str) -> Failure {
        Failure::transient(self.codes.unavailable, problem).on(self.codes.dependency.clone())
    }

    pub(crate) fn unreadable(&self) -> Failure {
        let problem = format!("{} sent a reply that cannot be parsed", self.codes.dependency);
        Failure::transient(self.codes.unreadable, problem).on(self.codes.dependency.clone())
    }

    fn permanent(&self, code: &'static str, problem: String) -> Failure {
        Failure::permanent(code, problem).on(self.codes.dependency.clone())
    }
}

/// The pause that a provider requests: `Retry-After`, or else `X-RateLimit-Reset`, which holds seconds from
/// now, a Unix time in seconds or a timestamp, depending on the provider.
fn requested_pause(reply: &Reply, now: Timestamp) -> Option<Duration> {
    if let Some(wait) = reply.retry_after(now) {
        return Some(wait);
    }
    let text = reply.header("x-ratelimit-reset")?.trim();
    let moment = match text.parse::<i64>() {
        Ok(seconds) if seconds < FIRST_UNIX_TIME => {
            return Some(Duration::from_secs(seconds.try_into().ok()?).min(MAX_PAUSE));
        }
        Ok(seconds) => Timestamp::from_second(seconds).ok()?,
        Err(_) => text.parse().ok()?,
    };
    Some(Duration::try_from(moment.duration_since(now)).unwrap_or_default().min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use http_client::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn seconds(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers: HeaderMap = (headers.iter())
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let reply = Reply { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Vec::new().into() };
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        requested_pause(&reply, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn requested_pause_is_read_in_four_forms() {
        assert_eq!(seconds(&[("retry-after", "7"), ("x-ratelimit-reset", "900")]), Some(7));
        assert_eq!(seconds(&[("x-ratelimit-reset", "900")]), Some(900));
        assert_eq!(seconds(&[("x-ratelimit-reset", "1767225630")]), Some(30));
        assert_eq!(seconds(&[("x-ratelimit-reset", "2026-01-01T00:01:00Z")]), Some(60));
        assert_eq!(seconds(&[("x-ratelimit-reset", "2025-01-01T00:00:00Z")]), Some(0));
        assert_eq!(seconds(&[("x-ratelimit-reset", "9000000000")]), Some(86_400));
        for nonsense in ["", "soon", "-5"] {
            assert_eq!(seconds(&[("x-ratelimit-reset", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(seconds(&[]), None);
    }
}
