use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lead::{Clock, Failure, FailureClass};
use outbound::{Http, Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{DEPENDENCY, HubSpotCredentials, errors};

/// A token is replaced this long before it expires: a 401 is not a sign to wait for.
const MARGIN: SignedDuration = SignedDuration::from_secs(120);

/// Where tokens come from. One is asked for at a time.
pub(super) struct Tokens {
    credentials: HubSpotCredentials,
    url: Url,
    clock: Arc<dyn Clock>,
    issued: tokio::sync::Mutex<Option<Issued>>,
}

struct Issued {
    token: SecretString,
    renew_at: Timestamp,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds.
    expires_in: u32,
}

impl Tokens {
    pub(super) fn new(credentials: HubSpotCredentials, url: Url, clock: Arc<dyn Clock>) -> Self {
        Self { credentials, url, clock, issued: tokio::sync::Mutex::default() }
    }

    /// A token that is good for a while.
    pub(super) async fn token(&self, http: &Http) -> Result<SecretString, Failure> {
        let (client_id, client_secret, refresh_token) = match &self.credentials {
            HubSpotCredentials::PrivateApp(token) => return Ok(token.clone()),
            HubSpotCredentials::OAuth { client_id, client_secret, refresh_token } => {
                (client_id, client_secret, refresh_token)
            }
        };
        let mut issued = self.issued.lock().await;
        let now = self.clock.now();
        if let Some(issued) = issued.as_ref().filter(|issued| now < issued.renew_at) {
            return Ok(issued.token.clone());
        }
        let mut form = vec![
            ("grant_type", if refresh_token.is_some() { "refresh_token" } else { "client_credentials" }),
            ("client_id", client_id.as_str()),
            ("client_secret", client_secret.expose_secret()),
        ];
        form.extend(refresh_token.as_ref().map(|token| ("refresh_token", token.expose_secret())));
        let reply = http.send(http.request(Method::POST, self.url.clone()).form(&form)).await?;
        let answer: Option<Answer> = reply.json().filter(|_| reply.status.is_success());
        let Some(answer) = answer else {
            let failure = errors::refused(&reply, now).failure;
            // Whatever the request lacks, it is the credentials that make it.
            if failure.class == FailureClass::Permanent {
                let message = "HubSpot does not accept the OAuth credentials";
                let wait = Some(Duration::from_mins(5));
                return Err(Failure::deferral(DEPENDENCY, "crm_credentials_refused", message, wait));
            }
            return Err(failure);
        };
        let lifetime = SignedDuration::from_secs(answer.expires_in.into());
        let token = SecretString::from(answer.access_token);
        // A token that lasts no longer than the margin is used for half of its time.
        let used_for = (lifetime - MARGIN).max(lifetime / 2);
        *issued = Some(Issued {
            token: token.clone(),
            renew_at: now.saturating_add(used_for).unwrap_or(Timestamp::MAX),
        });
        Ok(token)
    }

    /// Whether another token can be had.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self.credentials, HubSpotCredentials::OAuth { .. })
    }

    /// Drops a token that has expired before its time, unless it was replaced meanwhile.
    pub(super) async fn drop_expired(&self, token: &SecretString) {
        let mut issued = self.issued.lock().await;
        if issued.as_ref().is_some_and(|issued| issued.token.expose_secret() == token.expose_secret()) {
            *issued = None;
        }
    }
}
