use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::account::{Account, span};
use super::refusal::Refusal;

impl Account {
    /// The token of a request if it is valid.
    pub(super) fn authenticate(&self, authorization: Option<&str>) -> Result<String, Refusal> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim();
        let refused = |category, message: &str| Err(Refusal::new(401, category, message));
        if token.is_empty() {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and \
                           you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
            return refused("INVALID_AUTHENTICATION", message);
        }
        match self.tokens.get(token) {
            _ if token == self.settings.token => Ok(token.to_owned()),
            Some(expires) if *expires > self.now() => Ok(token.to_owned()),
            Some(_) => refused("EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired"),
            None => refused("INVALID_AUTHENTICATION", "The access token is invalid"),
        }
    }

    /// A new token for a client with a valid secret; for `refresh_token`, the refresh token must be valid as
    /// well.
    pub(super) fn issue_token(&mut self, form: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        let given = |name: &str| form.get(name).map_or("", String::as_str);
        let settings = &self.settings;
        let refused = |status: &str, error: &str, why: &str| {
            let body = json!({"status": status, "message": why, "error": error, "error_description": why});
            Err(Refusal { status: 400, body, alone: false })
        };
        if given("client_id") != settings.client_id {
            return refused("BAD_CLIENT_ID", "invalid_client", "missing or unknown client id");
        }
        if given("client_secret") != settings.client_secret {
            return refused("BAD_CLIENT_SECRET", "invalid_client", "missing or invalid client secret");
        }
        match given("grant_type") {
            "client_credentials" => {}
            "refresh_token" if given("refresh_token") == settings.refresh_token => {}
            "refresh_token" => {
                return refused("BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token");
            }
            _ => return refused("BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type"),
        }
        let lifetime = settings.token_lifetime;
        let token = format!("sandbox-oauth-token-{}", self.tokens.len() + 1);
        let mut answer = json!({
            "token_type": "bearer", "access_token": token, "expires_in": lifetime.as_secs(),
        });
        if given("grant_type") == "refresh_token" {
            answer["refresh_token"] = json!(settings.refresh_token);
        }
        let expires = self.now().saturating_add(span(lifetime)).unwrap_or(jiff::Timestamp::MAX);
        self.tokens.insert(token, expires);
        Ok(answer)
    }
}
