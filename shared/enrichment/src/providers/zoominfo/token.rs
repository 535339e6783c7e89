use std::time::Duration;

use http_client::Method;
use jiff::Timestamp;
use lead::Failure;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::ZoomInfoAccess;
use crate::providers::client::Client;

/// How long before its expiry a token is replaced.
const MARGIN: Duration = Duration::from_secs(60);
/// The lifetime of a token that does not state one, in seconds.
const DEFAULT_LIFE: u64 = 600;
/// The maximum lifetime of a token, in seconds, whatever it states.
const MAX_LIFE: u64 = 24 * 60 * 60;
const SCOPE: &str = "api:data:company";

/// Access tokens of OAuth's client credentials grant. Each is used until shortly before its expiry.
pub(super) struct Tokens {
    access: ZoomInfoAccess,
    current: Mutex<Option<Token>>,
}

struct Token {
    text: SecretString,
    use_until: Timestamp,
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl Tokens {
    pub(super) fn new(access: ZoomInfoAccess) -> Self {
        Self { access, current: Mutex::default() }
    }

    /// The current token, or a new one. Concurrent callers wait for a single request.
    pub(super) async fn get(&self, client: &Client) -> Result<SecretString, Failure> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) if client.now() < token.use_until => Ok(token.text.clone()),
            _ => self.fetch(client, &mut current).await,
        }
    }

    /// A replacement for a refused token: the token that another caller has fetched since, or a new one.
    pub(super) async fn instead_of(
        &self,
        refused: &SecretString,
        client: &Client,
    ) -> Result<SecretString, Failure> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(token) if token.text.expose_secret() != refused.expose_secret() => Ok(token.text.clone()),
            _ => self.fetch(client, &mut current).await,
        }
    }

    async fn fetch(&self, client: &Client, current: &mut Option<Token>) -> Result<SecretString, Failure> {
        *current = None;
        let form = [("grant_type", "client_credentials"), ("scope", SCOPE)];
        let request = client
            .request_to(Method::POST, self.access.token_url.clone())
            .basic_auth(&self.access.client_id, Some(self.access.client_secret.expose_secret()))
            .form(&form);
        let reply = client.send(request).await?;
        if !reply.status.is_success() {
            // OAuth answers 400 to every refusal of a client (RFC 6749, 5.2).
            return Err(match reply.status.as_u16() {
                400 | 401 | 403 => client.credentials_refused(),
                _ => client.failure(&reply),
            });
        }
        let answer: Answer = reply.json().ok_or_else(|| client.unreadable())?;
        let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE).min(MAX_LIFE));
        let now = client.now();
        let use_until = now.saturating_add(life.saturating_sub(MARGIN)).unwrap_or(now);
        *current = Some(Token { text: answer.access_token.clone(), use_until });
        Ok(answer.access_token)
    }
}
