use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use lead::Failure;
use serde_json::json;

use super::DEPENDENCY;

/// The validity of an assertion. Salesforce accepts at most five minutes; the rest is a margin for clock
/// skew.
const VALID_FOR: SignedDuration = SignedDuration::from_mins(3);

/// Signs JWT bearer assertions (RFC 7523) with RS256, the only algorithm that Salesforce accepts.
pub(super) struct Signer(RsaKeyPair);

impl Signer {
    /// Reads an unencrypted RSA private key of at least 2048 bits in PEM, PKCS #8 or PKCS #1.
    pub(super) fn from_pem(pem: &str) -> Result<Self, Failure> {
        let problem = || {
            let message = "the private key is not an unencrypted RSA key of at least 2048 bits in PEM";
            Failure::permanent("crm_private_key", message).on(DEPENDENCY)
        };
        // In an environment variable, line feeds are written as `\n`.
        let pem = pem.replace("\\n", "\n");
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).map_err(|_| problem())?;
        let key =
            RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).map_err(|_| problem())?;
        Ok(Self(key))
    }

    /// Signs an assertion that `client_id` acts as `username`.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        username: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let claims = json!({ "iss": client_id, "sub": username, "aud": audience, "exp": (now + VALID_FOR).as_second() });
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(r#"{"alg":"RS256","typ":"JWT"}"#), encode(&claims.to_string()));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).map_err(|_| {
            Failure::transient("crm_private_key", "the assertion cannot be signed").on(DEPENDENCY)
        })?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}
