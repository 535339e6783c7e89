use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lead::{Clock, Dependency, Failure};
use outbound::{Http, HttpSettings, Method, Reply, RequestBuilder, Url};
use secrecy::SecretString;

/// The largest answer read. People Data Labs promises to stay below 1 MB; the others send a few kilobytes.
const MAX_REPLY: usize = 2 << 20;
/// How long a provider whose credits are used up is left alone, so that bought ones count within the hour.
const CREDITS_WAIT: Duration = Duration::from_hours(1);
/// The longest that a provider is left alone because its headers say so.
const MAX_WAIT: Duration = Duration::from_hours(24);
/// A reset below this is a number of seconds; from here on, a moment since 1970.
const FIRST_MOMENT: i64 = 1_000_000_000;

/// Where a provider is, and its key.
#[derive(Clone, Debug)]
pub struct Access {
    /// Without the path of any one call.
    pub base_url: Url,
    /// The key.
    pub key: SecretString,
}

/// The codes of one provider's failures.
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

/// The codes of the provider of that name.
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

/// HTTP to one provider, and what its refusals mean.
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

    /// What a status other than success means where the body says nothing more.
    pub(crate) fn failure(&self, reply: &Reply) -> Failure {
        let (status, codes) = (reply.status.as_u16(), &self.codes);
        match status {
            401 => self.credentials_refused(),
            402 => self.credits_used_up(),
            403 => self.permanent(codes.not_allowed, "the account or its plan may not ask this".to_owned()),
            429 => self.rate_limited(reply),
            408 | 500.. => {
                Failure::transient(codes.unavailable, format!("{} answered {status}", codes.dependency))
                    .on(codes.dependency.clone())
            }
            // It may be about this company alone, so it names no dependency.
            _ => Failure::permanent(
                codes.request_refused,
                format!("{} answered {status} to a company's domain", codes.dependency),
            ),
        }
    }

    pub(crate) fn credentials_refused(&self) -> Failure {
        let problem = format!("{} does not accept the credentials", self.codes.dependency);
        self.permanent(self.codes.credentials_refused, problem)
    }

    pub(crate) fn not_allowed(&self, problem: &str) -> Failure {
        self.permanent(self.codes.not_allowed, problem.to_owned())
    }

    pub(crate) fn credits_used_up(&self) -> Failure {
        Failure::deferral(
            self.codes.dependency.clone(),
            self.codes.credits_used_up,
            "the account has no credits left",
            Some(CREDITS_WAIT),
        )
    }

    pub(crate) fn rate_limited(&self, reply: &Reply) -> Failure {
        Failure::deferral(
            self.codes.dependency.clone(),
            self.codes.rate_limited,
            "too many questions for now",
            wait(reply, self.clock.now()),
        )
    }

    pub(crate) fn unavailable(&self, problem: &str) -> Failure {
        Failure::transient(self.codes.unavailable, problem).on(self.codes.dependency.clone())
    }

    pub(crate) fn unreadable(&self) -> Failure {
        let problem = format!("{} answered in a form that is not understood", self.codes.dependency);
        Failure::transient(self.codes.unreadable, problem).on(self.codes.dependency.clone())
    }

    fn permanent(&self, code: &'static str, problem: String) -> Failure {
        Failure::permanent(code, problem).on(self.codes.dependency.clone())
    }
}

/// How long a provider asks to be left alone: `Retry-After`, or else `X-RateLimit-Reset`, which some write as a number of
/// seconds, some as seconds since 1970, and some as a time.
fn wait(reply: &Reply, now: Timestamp) -> Option<Duration> {
    if let Some(wait) = reply.retry_after(now) {
        return Some(wait);
    }
    let text = reply.header("x-ratelimit-reset")?.trim();
    let moment = match text.parse::<i64>() {
        Ok(seconds) if seconds < FIRST_MOMENT => {
            return Some(Duration::from_secs(seconds.try_into().ok()?).min(MAX_WAIT));
        }
        Ok(seconds) => Timestamp::from_second(seconds).ok()?,
        Err(_) => text.parse().ok()?,
    };
    Some(Duration::try_from(moment.duration_since(now)).unwrap_or_default().min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use outbound::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn seconds(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers: HeaderMap = (headers.iter())
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let reply = Reply { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Vec::new().into() };
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        wait(&reply, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn how_long_to_wait_is_said_in_four_ways() {
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
