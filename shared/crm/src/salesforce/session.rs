use std::sync::Arc;

use http_client::{Http, Method, Reply, StatusCode, Url};
use jiff::Timestamp;
use lead::{Cause, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::errors::ADMIN_WAIT;
use super::jwt::Signer;
use super::{DEPENDENCY, SalesforceCredentials};

/// An access token, and the instance that it is valid for.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: SecretString,
    pub(super) instance: Url,
    /// The id of the integration's user, if the token response had it.
    pub(super) user: Option<String>,
}

/// The session that all calls share. At most one login runs at a time; other calls wait for its result.
pub(super) struct Sessions {
    url: Url,
    login: Login,
    current: Mutex<Option<Arc<Session>>>,
}

enum Login {
    Secret { client_id: String, client_secret: SecretString },
    Jwt { client_id: String, username: String, audience: String, signer: Signer },
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    instance_url: String,
    /// The identity URL of the integration's user: `https://login.salesforce.com/id/ORG/USER`.
    #[serde(default)]
    id: String,
}

#[derive(Default, Deserialize)]
struct TokenError {
    #[serde(default)]
    error: String,
}

impl Sessions {
    pub(super) fn new(url: Url, credentials: SalesforceCredentials) -> Result<Self, Failure> {
        let login = match credentials {
            SalesforceCredentials::ClientSecret { client_id, client_secret } => {
                Login::Secret { client_id, client_secret }
            }
            SalesforceCredentials::Jwt { client_id, username, private_key, audience } => {
                let signer = Signer::from_pem(private_key.expose_secret())?;
                Login::Jwt { client_id, username, audience, signer }
            }
        };
        Ok(Self { url, login, current: Mutex::new(None) })
    }

    /// The current session; logs in if there is none.
    pub(super) async fn get(&self, http: &Http) -> Result<Arc<Session>, Failure> {
        self.renew(http, None).await
    }

    /// A session other than `expired`. Of concurrent calls with the same expired session, only the first logs
    /// in.
    pub(super) async fn renew(
        &self,
        http: &Http,
        expired: Option<&Arc<Session>>,
    ) -> Result<Arc<Session>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref()
            && !expired.is_some_and(|expired| Arc::ptr_eq(expired, session))
        {
            return Ok(Arc::clone(session));
        }
        *current = None;
        let session = Arc::new(self.log_in(http).await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn log_in(&self, http: &Http) -> Result<Session, Failure> {
        let url = self
            .url
            .join("/services/oauth2/token")
            .map_err(|_| refused("SALESFORCE_URL is not a base URL"))?;
        let request = http.request(Method::POST, url);
        let request = match &self.login {
            Login::Secret { client_id, client_secret } => request
                .basic_auth(client_id, Some(client_secret.expose_secret()))
                .form(&[("grant_type", "client_credentials")]),
            Login::Jwt { client_id, username, audience, signer } => {
                let assertion = signer.assertion(client_id, username, audience, Timestamp::now())?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                request.form(&[("grant_type", grant), ("assertion", &assertion)])
            }
        };
        let reply = http.send(request).await?;
        let response = read(&reply)?;
        // The token must not be sent in clear text, so the instance needs the scheme of the configured URL.
        let instance =
            Url::parse(&response.instance_url).ok().filter(|url| url.scheme() == self.url.scheme());
        let instance = instance.ok_or_else(|| {
            refused(
                "the instance URL in the token response is invalid or has another scheme than SALESFORCE_URL",
            )
        })?;
        let user = response.id.rsplit('/').next().filter(|id| id.starts_with("005")).map(str::to_owned);
        Ok(Session { token: response.access_token.into(), instance, user })
    }
}

fn read(reply: &Reply) -> Result<TokenResponse, Failure> {
    if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS {
        let message = format!("the Salesforce token request failed: status {}", reply.status.as_u16());
        return Err(Failure::transient("crm_login_failed", message).on(DEPENDENCY));
    }
    if reply.status == StatusCode::OK
        && let Some(response) = reply.json::<TokenResponse>()
    {
        return Ok(response);
    }
    let error = reply.json::<TokenError>().unwrap_or_default().error;
    Err(refused(match error.as_str() {
        "invalid_client_id" => "invalid_client_id: is SALESFORCE_CLIENT_ID the app's consumer key?",
        "invalid_client" => "invalid_client: is SALESFORCE_CLIENT_SECRET the app's consumer secret?",
        "invalid_grant" => {
            "invalid_grant: is the flow enabled, the run-as user set or approved, the certificate the key's?"
        }
        "unsupported_grant_type" => "unsupported_grant_type: is the flow enabled on the app?",
        _ => "is SALESFORCE_URL the org's own address (My Domain)?",
    }))
}

/// Refused credentials affect every lead, so all leads wait for an operator instead of being dead-lettered.
fn refused(reason: &str) -> Failure {
    let message = format!("Salesforce refused our credentials: {reason}");
    tracing::error!(dependency = %DEPENDENCY, code = "crm_credentials_refused", "{message}");
    Failure::deferral(DEPENDENCY, "crm_credentials_refused", message, Some(ADMIN_WAIT))
        .because(Cause::CredentialsRefused)
}
