use std::sync::Arc;
use std::time::Duration;

use http_client::{Http, Method, Url};
use jiff::{SignedDuration, Timestamp};
use lead::{Cause, Clock, Failure, FailureClass};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{DEPENDENCY, HubSpotCredentials, errors};

/// How long before its expiry a token is replaced, so that calls do not fail with 401.
const MARGIN: SignedDuration = SignedDuration::from_secs(120);

/// The source of access tokens. At most one token request runs at a time.
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
struct TokenResponse {
    access_token: String,
    /// In seconds.
    expires_in: u32,
}

impl Tokens {
    pub(super) fn new(credentials: HubSpotCredentials, url: Url, clock: Arc<dyn Clock>) -> Self {
        Self { credentials, url, clock, issued: tokio::sync::Mutex::default() }
    }

    /// A valid access token; requests a new one if the current token is about to expire.
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
        let response: Option<TokenResponse> = reply.json().filter(|_| reply.status.is_success());
        let Some(response) = response else {
            let failure = errors::refusal_of(&reply, now).failure;
            // The request consists of the configured credentials, so a refusal of it concerns them.
            if failure.class() == FailureClass::Permanent {
                let message = "HubSpot does not accept the OAuth credentials";
                let wait = Some(Duration::from_mins(5));
                return Err(Failure::deferral(DEPENDENCY, "crm_credentials_refused", message, wait)
                    .because(Cause::CredentialsRefused));
            }
            return Err(failure);
        };
        let lifetime = SignedDuration::from_secs(response.expires_in.into());
        let token = SecretString::from(response.access_token);
        // A short-lived token is used for at least half of its lifetime.
        let used_for = (lifetime - MARGIN).max(lifetime / 2);
        *issued = Some(Issued {
            token: token.clone(),
            renew_at: now.saturating_add(used_for).unwrap_or(Timestamp::MAX),
        });
        Ok(token)
    }

    /// Whether a new token can be requested. The token of a private app is fixed.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self.credentials, HubSpotCredentials::OAuth { .. })
    }

    /// Discards a token that expired earlier than computed, unless it was replaced in the meantime.
    pub(super) async fn drop_expired(&self, token: &SecretString) {
        let mut issued = self.issued.lock().await;
        if issued.as_ref().is_some_and(|issued| issued.token.expose_secret() == token.expose_secret()) {
            *issued = None;
        }
    }
}
