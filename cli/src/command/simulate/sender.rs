//! Sending of posts, with retries, and their outcomes.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use intake::TOKEN_HEADER;
use lead::LeadId;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::campaign::Post;

/// Marketo closes the connection after 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The wait before the first retry. It doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Minimum time without an answer after which a server counts as unreachable. A longer `retry_for` extends
/// it.
const MIN_SILENCE: Duration = Duration::from_secs(1);

/// Posts leads, with retries for a configured time.
pub(super) struct Sender {
    client: Client,
    url: Url,
    token: Option<HeaderValue>,
    retry_for: Duration,
    /// The time of the server's last answer.
    contact: Mutex<Contact>,
    /// Cancelled when further posts are pointless.
    stop: CancellationToken,
}

#[derive(Clone, Copy)]
struct Contact {
    at: Instant,
    /// No answer yet: `at` is the start.
    is_first: bool,
}

/// The outcome of a post after all retries.
pub(super) struct Outcome {
    /// A short name of the answer, for counting.
    pub(super) answer: Cow<'static, str>,
    /// Whether the server acknowledged the lead.
    pub(super) is_acknowledged: bool,
    /// Number of retries.
    pub(super) retries: u32,
    /// The error that makes further posts pointless, if any.
    pub(super) fatal: Option<Fatal>,
}

/// An error that makes further posts pointless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fatal {
    /// No server listens at the address.
    Unreachable,
    /// The server refuses the token.
    Unauthorized,
    /// The server is not RevenueFlow, or accepts no leads.
    WrongServer,
}

/// The outcome of one attempt.
enum Attempt {
    Acknowledged(&'static str),
    Refused(Cow<'static, str>, Option<Fatal>),
    /// A retry may succeed: the server is unreachable (then the flag is true) or reports a temporary failure.
    Unavailable(Cow<'static, str>, bool),
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    lead_id: Option<LeadId>,
    error: Option<String>,
}

impl Sender {
    pub(super) fn new(
        url: Url,
        token: Option<HeaderValue>,
        connections: usize,
        retry_for: Duration,
        stop: CancellationToken,
    ) -> reqwest::Result<Self> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(connections)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("revenueflow-simulate/", env!("CARGO_PKG_VERSION")));
        // Requests to this machine bypass a proxy.
        let is_local = url
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
        let client = if is_local { client.no_proxy() } else { client };
        let contact = Mutex::new(Contact { at: Instant::now(), is_first: true });
        Ok(Self { client: client.build()?, url, token, retry_for, contact, stop })
    }

    /// Posts until the server gives a final answer, or until the time for retries is over.
    pub(super) async fn post(&self, post: Post) -> Outcome {
        let began = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut retries = 0;
        loop {
            let (answer, is_unreachable) = match self.post_once(&post).await {
                Attempt::Acknowledged(answer) => {
                    return Outcome { answer: answer.into(), is_acknowledged: true, retries, fatal: None };
                }
                Attempt::Refused(answer, fatal) => {
                    return Outcome { answer, is_acknowledged: false, retries, fatal };
                }
                Attempt::Unavailable(answer, is_unreachable) => (answer, is_unreachable),
            };
            let is_last = began.elapsed() + wait > self.retry_for;
            if is_last || self.stop.is_cancelled() {
                let fatal = (is_unreachable && self.is_silent()).then_some(Fatal::Unreachable);
                return Outcome { answer, is_acknowledged: false, retries, fatal };
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
            wait = (wait * 2).min(MAX_WAIT);
            retries += 1;
        }
    }

    async fn post_once(&self, post: &Post) -> Attempt {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, post.content_type)
            .body(post.body.clone());
        if let Some(token) = &self.token {
            request = request.header(TOKEN_HEADER, token.clone());
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Unavailable(name(&error).into(), error.is_connect()),
        };
        let status = response.status();
        // An answer with an incomplete body does not acknowledge the lead.
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Attempt::Unavailable(name(&error).into(), false),
        };
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner) =
            Contact { at: Instant::now(), is_first: false };
        read(status, &body, &post.lead_id)
    }

    /// Whether the server has given no answer during the time for retries.
    fn is_silent(&self) -> bool {
        let contact = *self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        (contact.is_first && self.retry_for.is_zero())
            || contact.at.elapsed() >= self.retry_for.max(MIN_SILENCE)
    }
}

fn read(status: StatusCode, body: &[u8], lead_id: &LeadId) -> Attempt {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    match (status, answer) {
        (StatusCode::ACCEPTED, Some(Answer { status, lead_id: Some(id), .. })) if id == *lead_id => {
            match status.as_str() {
                "accepted" => Attempt::Acknowledged("accepted"),
                "duplicate" => Attempt::Acknowledged("duplicate"),
                _ => Attempt::Refused("unreadable answer".into(), None),
            }
        }
        (StatusCode::ACCEPTED, Some(Answer { lead_id: Some(_), .. })) => {
            Attempt::Refused("accepted as another lead".into(), None)
        }
        (StatusCode::ACCEPTED, _) => Attempt::Refused("unreadable answer".into(), None),
        (StatusCode::UNAUTHORIZED, _) => Attempt::Refused("unauthorized".into(), Some(Fatal::Unauthorized)),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
            Attempt::Refused(format!("http {}", status.as_u16()).into(), Some(Fatal::WrongServer))
        }
        (StatusCode::BAD_REQUEST, Some(Answer { error: Some(error), .. })) => {
            let code: String =
                error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            Attempt::Refused(format!("rejected: {code}").into(), None)
        }
        (
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
            _,
        ) => Attempt::Unavailable(format!("http {}", status.as_u16()).into(), false),
        (status, _) => Attempt::Refused(format!("http {}", status.as_u16()).into(), None),
    }
}

/// A short name of an error, for counting.
fn name(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection lost"
    }
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, EmailAddress};

    use super::*;

    #[test]
    fn only_an_acknowledgement_of_the_posted_lead_counts() {
        let id = |email| {
            LeadId::derive(&EmailAddress::parse(email).unwrap(), &CampaignId::parse("launch_test").unwrap())
        };
        let (ours, other) = (id("ann@example.com"), id("bob@example.com"));
        let body = |status: &str, id: &LeadId| format!(r#"{{"status":"{status}","lead_id":"{id}"}}"#);
        let is_acknowledged =
            |status, body: &str| matches!(read(status, body.as_bytes(), &ours), Attempt::Acknowledged(_));
        assert!(is_acknowledged(StatusCode::ACCEPTED, &body("accepted", &ours)));
        assert!(is_acknowledged(StatusCode::ACCEPTED, &body("duplicate", &ours)));
        assert!(!is_acknowledged(StatusCode::ACCEPTED, &body("accepted", &other)));
        assert!(!is_acknowledged(StatusCode::ACCEPTED, ""));
        assert!(!is_acknowledged(StatusCode::OK, &body("accepted", &ours)));
    }

    #[test]
    fn unavailable_is_retried_and_a_rejection_is_final() {
        let id = LeadId::derive(
            &EmailAddress::parse("ann@example.com").unwrap(),
            &CampaignId::parse("launch_test").unwrap(),
        );
        assert!(matches!(read(StatusCode::SERVICE_UNAVAILABLE, b"", &id), Attempt::Unavailable(..)));
        let Attempt::Refused(answer, None) =
            read(StatusCode::BAD_REQUEST, br#"{"status":"rejected","error":"invalid_email"}"#, &id)
        else {
            panic!("a rejection is final")
        };
        assert_eq!(answer, "rejected: invalid_email");
        assert!(matches!(
            read(StatusCode::UNAUTHORIZED, b"{}", &id),
            Attempt::Refused(_, Some(Fatal::Unauthorized))
        ));
    }
}
