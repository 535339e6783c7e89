//! `POST /services/oauth2/token`: client credentials and JWT bearer.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use super::org::Org;
use super::rest::identity;

/// The valid audiences of an assertion, besides the org's own host.
const AUDIENCES: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A request for a token.
pub(super) struct TokenRequest<'r> {
    /// The host of the request.
    pub(super) host: &'r str,
    pub(super) authorization: Option<&'r str>,
    pub(super) form: &'r [(String, String)],
}

/// Grants a session, or returns an OAuth error: one object.
pub(super) fn token(org: &mut Org, request: &TokenRequest<'_>) -> (StatusCode, Value) {
    let granted = match request.form("grant_type") {
        Some("client_credentials") => client_credentials(org, request),
        Some(JWT_BEARER) => jwt_bearer(org, request),
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    };
    match granted {
        Ok(()) => {
            let url = format!("http://{}", request.host);
            let body = json!({
                "access_token": org.new_session(), "instance_url": url, "id": identity(request.host),
                "token_type": "Bearer", "scope": "api", "issued_at": "1767225600000", "signature": "sandbox",
            });
            (StatusCode::OK, body)
        }
        Err((error, description)) => {
            (StatusCode::BAD_REQUEST, json!({ "error": error, "error_description": description }))
        }
    }
}

type Refusal = (&'static str, &'static str);

fn client_credentials(org: &Org, request: &TokenRequest<'_>) -> Result<(), Refusal> {
    if ["login.salesforce.com", "test.salesforce.com"].contains(&request.host) {
        return Err(("invalid_grant", "request not supported on this domain"));
    }
    let of_form = |name| request.form(name).unwrap_or_default().to_owned();
    let (key, secret) = request.basic().unwrap_or_else(|| (of_form("client_id"), of_form("client_secret")));
    if key != org.consumer_key {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    match &org.consumer_secret {
        None => Err(("invalid_grant", "client credentials flow is not enabled for this application")),
        Some(expected) if *expected != secret => Err(("invalid_client", "invalid client credentials")),
        Some(_) if org.run_as.is_none() => Err(("invalid_grant", "no client credentials user enabled")),
        Some(_) => Ok(()),
    }
}

fn jwt_bearer(org: &Org, request: &TokenRequest<'_>) -> Result<(), Refusal> {
    let invalid = ("invalid_grant", "invalid assertion");
    let assertion = request.form("assertion").ok_or(invalid)?;
    let (signed, signature) = assertion.rsplit_once('.').ok_or(invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(invalid)?;
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid);
    let header: Value = serde_json::from_slice(&decoded(header)?).map_err(|_| invalid)?;
    let claims: Value = serde_json::from_slice(&decoded(claims)?).map_err(|_| invalid)?;
    if claims["iss"].as_str() != Some(&org.consumer_key) {
        return Err(("invalid_client_id", "client identifier invalid"));
    }
    let certificate = org.certificate.as_ref().ok_or(("invalid_grant", "invalid assertion"))?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, certificate);
    let is_signed = header["alg"] == "RS256" && key.verify(signed.as_bytes(), &decoded(signature)?).is_ok();
    if !is_signed {
        return Err(invalid);
    }
    if !claims["aud"].as_str().is_some_and(|audience| is_audience(audience, request.host)) {
        return Err(("invalid_grant", "audience is invalid"));
    }
    // Clients may send the number as a string.
    let expiry = claims["exp"].as_i64().or_else(|| claims["exp"].as_str()?.parse().ok()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let ahead = expiry - i64::try_from(now).unwrap_or_default();
    if !(0..=300).contains(&ahead) {
        return Err(("invalid_grant", "assertion has expired, or is valid for too long"));
    }
    if org.run_as.is_none() || claims["sub"].as_str() != org.run_as.as_deref() {
        return Err(("invalid_grant", "user hasn't approved this consumer"));
    }
    Ok(())
}

/// Whether an audience is a login host or the org's own host.
fn is_audience(audience: &str, host: &str) -> bool {
    AUDIENCES.contains(&audience) || audience.split_once("://").is_some_and(|(_, own)| own == host)
}

impl TokenRequest<'_> {
    fn form(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn basic(&self) -> Option<(String, String)> {
        let encoded = self.authorization?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        decoded.split_once(':').map(|(key, secret)| (key.to_owned(), secret.to_owned()))
    }
}
