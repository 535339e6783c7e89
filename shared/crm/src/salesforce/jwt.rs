use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use lead::Failure;
use serde_json::json;

use super::DEPENDENCY;

/// How long an assertion is good for: Salesforce takes at most five minutes, and clocks differ.
const VALID_FOR: SignedDuration = SignedDuration::from_mins(3);

/// What signs assertions (RFC 7523 with RS256, the only one that Salesforce takes).
pub(super) struct Signer(RsaKeyPair);

impl Signer {
    /// Reads a private key: PEM, PKCS #8 or PKCS #1, unencrypted, 2048 bits or more.
    pub(super) fn of_pem(pem: &str) -> Result<Self, Failure> {
        let problem = || {
            let message = "the private key is no unencrypted RSA key of 2048 bits or more in PEM";
            Failure::permanent("crm_private_key", message).on(DEPENDENCY)
        };
        // A key in an environment variable has its line feeds written out.
        let pem = pem.replace("\\n", "\n");
        let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).map_err(|_| problem())?;
        let key =
            RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).map_err(|_| problem())?;
        Ok(Self(key))
    }

    /// An assertion that `client_id` acts for `username`.
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
