use std::sync::Arc;

use jiff::Timestamp;
use lead::Failure;
use outbound::{Http, Method, Reply, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::errors::ADMIN_WAIT;
use super::jwt::Signer;
use super::{DEPENDENCY, SalesforceCredentials};

/// A token, and the server it is for.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: SecretString,
    pub(super) instance: Url,
    /// The id of our own user, where the token came with it.
    pub(super) user: Option<String>,
}

/// The one session that all calls share. Whoever needs a new one waits for the one that is being asked for.
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
struct Granted {
    access_token: String,
    instance_url: String,
    /// The address of our user: `https://login.salesforce.com/id/ORG/USER`.
    #[serde(default)]
    id: String,
}

#[derive(Default, Deserialize)]
struct Refused {
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
                let signer = Signer::of_pem(private_key.expose_secret())?;
                Login::Jwt { client_id, username, audience, signer }
            }
        };
        Ok(Self { url, login, current: Mutex::new(None) })
    }

    /// The session to call with.
    pub(super) async fn get(&self, http: &Http) -> Result<Arc<Session>, Failure> {
        self.renewed(http, None).await
    }

    /// Another session than the one that has ended. Of those who find out at the same time, one asks.
    pub(super) async fn renewed(
        &self,
        http: &Http,
        ended: Option<&Arc<Session>>,
    ) -> Result<Arc<Session>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref()
            && !ended.is_some_and(|ended| Arc::ptr_eq(ended, session))
        {
            return Ok(Arc::clone(session));
        }
        *current = None;
        let session = Arc::new(self.log_in(http).await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn log_in(&self, http: &Http) -> Result<Session, Failure> {
        let url =
            self.url.join("/services/oauth2/token").map_err(|_| refused("the address of the org is none"))?;
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
        let granted = read(&reply)?;
        // A token must not travel in clear, nor to a host that is not Salesforce's word.
        let instance = Url::parse(&granted.instance_url).ok().filter(|url| url.scheme() == self.url.scheme());
        let instance = instance.ok_or_else(|| {
            refused("the address that came with the token is not encrypted as the configured one is")
        })?;
        let user = granted.id.rsplit('/').next().filter(|id| id.starts_with("005")).map(str::to_owned);
        Ok(Session { token: granted.access_token.into(), instance, user })
    }
}

fn read(reply: &Reply) -> Result<Granted, Failure> {
    if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS {
        let message = format!("Salesforce gave no token: status {}", reply.status.as_u16());
        return Err(Failure::transient("crm_login_failed", message).on(DEPENDENCY));
    }
    if reply.status == StatusCode::OK
        && let Some(granted) = reply.json::<Granted>()
    {
        return Ok(granted);
    }
    let error = reply.json::<Refused>().unwrap_or_default().error;
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

/// Not the lead's fault: every lead waits, so that none is dead-lettered, until an operator has put it right.
fn refused(why: &str) -> Failure {
    let message = format!("Salesforce refused our credentials: {why}");
    tracing::error!(dependency = %DEPENDENCY, code = "crm_credentials_refused", "{message}");
    Failure::deferral(DEPENDENCY, "crm_credentials_refused", message, Some(ADMIN_WAIT))
}
