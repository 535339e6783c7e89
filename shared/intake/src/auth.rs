use std::fmt;

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::signature::{self, MIN_SIGNING_KEY_BYTES};

/// The header of a sender that cannot sign, such as Marketo; its value is one of the secrets.
pub const TOKEN_HEADER: &str = "x-revenueflow-token";

/// The shortest static token, in characters.
pub const MIN_SECRET_CHARS: usize = 16;

/// What marks a secret as a signing key rather than a static token.
const SIGNING_PREFIX: &str = "whsec_";

/// Decides whether a webhook comes from someone who knows a secret. Its `Debug` shows no secret.
///
/// A secret of the form `whsec_` and base64 verifies Standard Webhooks signatures; any other is a static token for
/// [`TOKEN_HEADER`]. Several of both kinds are valid at once, so that secrets can be rotated.
pub struct Authenticator {
    /// SHA-256 of each token: of one length, so that comparing them tells nothing of theirs.
    tokens: Vec<[u8; 32]>,
    signing_keys: Vec<SecretSlice<u8>>,
}

/// Why a request is not authenticated. For our logs; the caller is told no more than `unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither a token nor all three headers of a signature.
    #[error("no credentials")]
    MissingCredentials,
    /// The token is none of ours, or there are several.
    #[error("the token is not one of the configured secrets")]
    BadToken,
    /// No signature is by one of our keys over this body.
    #[error("the signature is not by one of the configured secrets")]
    BadSignature,
    /// The signature is good, but older or newer than [`crate::TIMESTAMP_TOLERANCE`].
    #[error("the signature's timestamp is too far from our clock")]
    StaleTimestamp,
}

impl AuthError {
    /// A stable short name, for logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingCredentials => "missing_credentials",
            Self::BadToken => "bad_token",
            Self::BadSignature => "bad_signature",
            Self::StaleTimestamp => "stale_timestamp",
        }
    }
}

/// Why a list of secrets cannot be used. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The list is empty. To run without secrets is a choice of its own: [`Authenticator::open`].
    #[error("WEBHOOK_SECRETS holds no secret")]
    Empty,
    /// A static token can be guessed.
    #[error("WEBHOOK_SECRETS: secret {0} is shorter than {MIN_SECRET_CHARS} characters")]
    TooShort(usize),
    /// A signing key is broken or can be guessed.
    #[error(
        "WEBHOOK_SECRETS: secret {0} starts with {SIGNING_PREFIX} but is not base64 of at least {MIN_SIGNING_KEY_BYTES} bytes"
    )]
    InvalidSigningKey(usize),
}

impl Authenticator {
    /// Accepts whoever knows one of the secrets.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Result<Self, SecretError> {
        let mut this = Self::open();
        for (position, secret) in (1..).zip(secrets) {
            let secret = secret.expose_secret();
            if let Some(encoded) = secret.strip_prefix(SIGNING_PREFIX) {
                let key = signature::signing_key(encoded).ok_or(SecretError::InvalidSigningKey(position))?;
                this.signing_keys.push(key);
            } else if secret.chars().count() < MIN_SECRET_CHARS {
                return Err(SecretError::TooShort(position));
            } else {
                this.tokens.push(Sha256::digest(secret).into());
            }
        }
        if this.is_open() { Err(SecretError::Empty) } else { Ok(this) }
    }

    /// Accepts everyone. Only for a server that listens on loopback alone, which the server has to see to.
    pub fn open() -> Self {
        Self { tokens: Vec::new(), signing_keys: Vec::new() }
    }

    /// Whether everyone is accepted.
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.signing_keys.is_empty()
    }

    /// Checks one request. A request with a token is judged by the token alone, any other by its signature.
    pub fn authenticate(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), AuthError> {
        if self.is_open() {
            return Ok(());
        }
        let mut tokens = headers.get_all(TOKEN_HEADER).iter();
        match (tokens.next(), tokens.next()) {
            (None, _) => signature::verify(&self.signing_keys, headers, body, now),
            (Some(token), None) if self.knows(token.as_bytes()) => Ok(()),
            (Some(_), _) => Err(AuthError::BadToken),
        }
    }

    /// The `webhook-id` of a request that [`authenticate`](Self::authenticate) has accepted, where its signature covers it:
    /// none for a request with a token, or where everyone is accepted.
    pub fn signed_webhook_id<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        if self.is_open() || headers.contains_key(TOKEN_HEADER) {
            return None;
        }
        headers.get("webhook-id")?.to_str().ok().filter(|id| !id.is_empty())
    }

    /// Compares with every token, without stopping at the one that fits: how long it takes tells nothing.
    fn knows(&self, token: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(token).into();
        self.tokens.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given)).into()
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("tokens", &self.tokens.len())
            .field("signing_keys", &self.signing_keys.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECRETS: [&str; 2] = ["the-token-of-last-year", "the-token-of-this-year"];

    fn new(secrets: &[&str]) -> Result<Authenticator, SecretError> {
        Authenticator::new(secrets.iter().map(|secret| SecretString::from(*secret)))
    }

    fn with_tokens(tokens: &[&[u8]]) -> Result<(), AuthError> {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append("X-RevenueFlow-Token", HeaderValue::from_bytes(token).unwrap());
        }
        new(&SECRETS).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_configured_token_is_accepted_and_no_other() {
        for secret in SECRETS {
            assert_eq!(with_tokens(&[secret.as_bytes()]), Ok(()));
        }
        for wrong in
            [&b""[..], b"the-token", b"the-token-of-this-yeaR", b"the-token-of-this-year ", b"\xff\xfe"]
        {
            assert_eq!(with_tokens(&[wrong]), Err(AuthError::BadToken), "{wrong:?}");
        }
    }

    #[test]
    fn no_token_and_two_tokens_are_refused() {
        assert_eq!(with_tokens(&[]), Err(AuthError::MissingCredentials));
        assert_eq!(with_tokens(&[b"guess", SECRETS[0].as_bytes()]), Err(AuthError::BadToken));
    }

    #[test]
    fn a_signing_key_is_no_token() {
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN_HEADER, secret.parse().unwrap());
        let result = new(&[secret]).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH);
        assert_eq!(result, Err(AuthError::BadToken));
    }

    #[test]
    fn secrets_that_can_be_guessed_are_refused_by_their_position() {
        assert_eq!(new(&[]).unwrap_err(), SecretError::Empty);
        assert_eq!(new(&[SECRETS[0], "short"]).unwrap_err(), SecretError::TooShort(2));
        for bad in ["whsec_", "whsec_not base64 at all, but long", "whsec_c2hvcnQ="] {
            let error = new(&[bad]).unwrap_err();
            assert_eq!(error, SecretError::InvalidSigningKey(1));
            assert!(error.to_string().contains("WEBHOOK_SECRETS"));
        }
        assert!(new(&[&"x".repeat(MIN_SECRET_CHARS)]).is_ok());
    }

    #[test]
    fn only_an_open_authenticator_accepts_everyone() {
        let anyone = |this: Authenticator| this.authenticate(&HeaderMap::new(), b"", Timestamp::UNIX_EPOCH);
        assert_eq!(anyone(Authenticator::open()), Ok(()));
        assert_eq!(anyone(new(&SECRETS).unwrap()), Err(AuthError::MissingCredentials));
    }

    #[test]
    fn only_a_signature_vouches_for_a_webhook_id() {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
        assert_eq!(new(&SECRETS).unwrap().signed_webhook_id(&headers), Some("msg_1"));
        assert_eq!(Authenticator::open().signed_webhook_id(&headers), None);
        headers.insert(TOKEN_HEADER, HeaderValue::from_static(SECRETS[0]));
        assert_eq!(new(&SECRETS).unwrap().signed_webhook_id(&headers), None);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", new(&SECRETS).unwrap()), "Authenticator { tokens: 2, signing_keys: 0 }");
    }
}
