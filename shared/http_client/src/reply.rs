use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// The maximum wait taken from a `Retry-After` header.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A complete HTTP response. `Debug` omits headers and body, which may contain personal data or secrets.
pub struct Reply {
    /// Any status, including errors.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body, within the client's size limit.
    pub body: Bytes,
}

impl Reply {
    /// Parses the body as JSON. Returns none on failure, because the parser's error may quote the body.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The value of a header, if it is visible ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The wait that `Retry-After` requests, in seconds or as a date (RFC 9110, section 10.2.3). At most 24
    /// hours; zero for a date in the past.
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
    fn retry_after_is_read_as_seconds_or_date_up_to_a_day() {
        assert_eq!(retry_after("120"), Some(120));
        assert_eq!(retry_after("1.5"), Some(1));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(retry_after("1000000"), Some(86_400));
        for invalid in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(retry_after(invalid), None, "{invalid}");
        }
    }
}
