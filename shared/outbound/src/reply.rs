use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// The longest that a system is left alone because it asks for it.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A whole answer. Its `Debug` leaves out the body and the headers, which may hold anything.
pub struct Reply {
    /// Any status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// All of it, within the client's bound.
    pub body: Bytes,
}

impl Reply {
    /// The body read as JSON; none where it is not what is expected. Why would quote the body.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the system asks to be left alone: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), at most a day.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse::<f64>() {
            Duration::try_from_secs_f64(seconds).ok()?
        } else {
            let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(text: &str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        let reply = Reply { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Bytes::new() };
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        reply.retry_after(now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date_and_never_longer_than_a_day() {
        assert_eq!(retry_after("120"), Some(120));
        assert_eq!(retry_after("1.5"), Some(1));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(retry_after("1000000"), Some(86_400));
        for nonsense in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(retry_after(nonsense), None, "{nonsense}");
        }
    }
}
