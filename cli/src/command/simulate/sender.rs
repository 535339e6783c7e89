//! One post and what became of it.

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

/// Marketo hangs up after 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The wait before the first repetition; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);
/// How long a server may be silent before it counts as gone, where nobody asked to wait longer.
const MIN_PATIENCE: Duration = Duration::from_secs(1);

/// Posts leads, again and again where that is asked for.
pub(super) struct Sender {
    client: Client,
    url: Url,
    token: Option<HeaderValue>,
    retry_for: Duration,
    /// When the server last answered.
    contact: Mutex<Contact>,
    /// Says that no further post makes sense.
    stop: CancellationToken,
}

#[derive(Clone, Copy)]
struct Contact {
    at: Instant,
    is_first: bool,
}

/// What became of a post in the end.
pub(super) struct Outcome {
    /// The answer, in a word or two.
    pub(super) answer: Cow<'static, str>,
    /// Whether the lead is safe with the server.
    pub(super) is_acknowledged: bool,
    /// How often it was posted again.
    pub(super) retries: u32,
    /// Why nothing else should be posted.
    pub(super) fatal: Option<Fatal>,
}

/// Why posting on makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fatal {
    /// Nobody listens there.
    Gone,
    /// The server does not know us.
    Unauthorized,
    /// It is no RevenueFlow server, or it takes in no leads.
    WrongServer,
}

/// What one try gave.
enum Try {
    Acknowledged(&'static str),
    Refused(Cow<'static, str>, Option<Fatal>),
    /// Worth another try: the server is away, or says that it cannot now.
    Away(Cow<'static, str>, bool),
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
        // A proxy is of no use on the way to oneself.
        let is_local = url
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
        let client = if is_local { client.no_proxy() } else { client };
        let contact = Mutex::new(Contact { at: Instant::now(), is_first: true });
        Ok(Self { client: client.build()?, url, token, retry_for, contact, stop })
    }

    /// Posts until the server has answered for good, or has been away for too long.
    pub(super) async fn post(&self, post: Post) -> Outcome {
        let began = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut retries = 0;
        loop {
            let (answer, is_unreachable) = match self.post_once(&post).await {
                Try::Acknowledged(answer) => {
                    return Outcome { answer: answer.into(), is_acknowledged: true, retries, fatal: None };
                }
                Try::Refused(answer, fatal) => {
                    return Outcome { answer, is_acknowledged: false, retries, fatal };
                }
                Try::Away(answer, is_unreachable) => (answer, is_unreachable),
            };
            let gives_up = began.elapsed() + wait > self.retry_for;
            if gives_up || self.stop.is_cancelled() {
                let fatal = (is_unreachable && self.is_gone()).then_some(Fatal::Gone);
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

    async fn post_once(&self, post: &Post) -> Try {
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
            Err(error) => return Try::Away(name(&error).into(), error.is_connect()),
        };
        let status = response.status();
        // The body is part of the answer: one that is cut off acknowledges nothing.
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Try::Away(name(&error).into(), false),
        };
        *self.contact.lock().unwrap_or_else(PoisonError::into_inner) =
            Contact { at: Instant::now(), is_first: false };
        read(status, &body, &post.lead_id)
    }

    /// Whether the server has not been heard of for as long as we were told to wait.
    fn is_gone(&self) -> bool {
        let contact = *self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        (contact.is_first && self.retry_for.is_zero())
            || contact.at.elapsed() >= self.retry_for.max(MIN_PATIENCE)
    }
}

fn read(status: StatusCode, body: &[u8], lead_id: &LeadId) -> Try {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    match (status, answer) {
        (StatusCode::ACCEPTED, Some(Answer { status, lead_id: Some(id), .. })) if id == *lead_id => {
            match status.as_str() {
                "accepted" => Try::Acknowledged("accepted"),
                "duplicate" => Try::Acknowledged("duplicate"),
                _ => Try::Refused("unreadable answer".into(), None),
            }
        }
        (StatusCode::ACCEPTED, Some(Answer { lead_id: Some(_), .. })) => {
            Try::Refused("accepted as another lead".into(), None)
        }
        (StatusCode::ACCEPTED, _) => Try::Refused("unreadable answer".into(), None),
        (StatusCode::UNAUTHORIZED, _) => Try::Refused("unauthorized".into(), Some(Fatal::Unauthorized)),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
            Try::Refused(format!("http {}", status.as_u16()).into(), Some(Fatal::WrongServer))
        }
        (StatusCode::BAD_REQUEST, Some(Answer { error: Some(error), .. })) => {
            let code: String =
                error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            Try::Refused(format!("rejected: {code}").into(), None)
        }
        (
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
            _,
        ) => Try::Away(format!("http {}", status.as_u16()).into(), false),
        (status, _) => Try::Refused(format!("http {}", status.as_u16()).into(), None),
    }
}

/// What went wrong, in two words that can be counted.
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
    fn only_an_acknowledgement_of_this_very_lead_counts() {
        let id = |email| {
            LeadId::derive(&EmailAddress::parse(email).unwrap(), &CampaignId::parse("launch_test").unwrap())
        };
        let (ours, other) = (id("ann@example.com"), id("bob@example.com"));
        let body = |status: &str, id: &LeadId| format!(r#"{{"status":"{status}","lead_id":"{id}"}}"#);
        let is_acknowledged =
            |status, body: &str| matches!(read(status, body.as_bytes(), &ours), Try::Acknowledged(_));
        assert!(is_acknowledged(StatusCode::ACCEPTED, &body("accepted", &ours)));
        assert!(is_acknowledged(StatusCode::ACCEPTED, &body("duplicate", &ours)));
        assert!(!is_acknowledged(StatusCode::ACCEPTED, &body("accepted", &other)));
        assert!(!is_acknowledged(StatusCode::ACCEPTED, ""));
        assert!(!is_acknowledged(StatusCode::OK, &body("accepted", &ours)));
    }

    #[test]
    fn a_server_that_cannot_now_is_asked_again_and_one_that_refuses_is_not() {
        let id = LeadId::derive(
            &EmailAddress::parse("ann@example.com").unwrap(),
            &CampaignId::parse("launch_test").unwrap(),
        );
        assert!(matches!(read(StatusCode::SERVICE_UNAVAILABLE, b"", &id), Try::Away(..)));
        let Try::Refused(answer, None) =
            read(StatusCode::BAD_REQUEST, br#"{"status":"rejected","error":"invalid_email"}"#, &id)
        else {
            panic!("a rejection is final")
        };
        assert_eq!(answer, "rejected: invalid_email");
        assert!(matches!(
            read(StatusCode::UNAUTHORIZED, b"{}", &id),
            Try::Refused(_, Some(Fatal::Unauthorized))
        ));
    }
}
