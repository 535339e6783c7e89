//! Authentication of webhooks by static token or signature.

use std::fmt;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::auth_error::{AuthError, SIGNING_PREFIX};
use crate::message_id::MessageId;
use crate::signature::{self, MIN_SIGNING_KEY_BYTES, Signed};

/// The header for the static token of a sender that cannot sign, such as Marketo.
pub const TOKEN_HEADER: &str = "x-revenueflow-token";

/// The shortest static token, in characters.
pub const MIN_SECRET_CHARS: usize = 16;

/// The prefix that some senders add to a token, in lower case.
const BEARER: &[u8] = b"bearer ";

/// Checks that the sender of a webhook knows a secret. Its `Debug` output shows no secret.
///
/// A secret of the form `whsec_` and base64 verifies Standard Webhooks signatures; any other is a static
/// token for [`TOKEN_HEADER`]. Several of both kinds are valid at once, so that secrets can be rotated.
pub struct Authenticator {
    token_header: HeaderName,
    /// The SHA-256 of each token. Comparing digests of equal length does not leak the length of a token.
    tokens: Vec<[u8; 32]>,
    signing_keys: Vec<SecretSlice<u8>>,
}

/// The proof by which a request was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// None, since no secrets are configured.
    None,
    /// A static token.
    Token,
    /// A signature, which also covers the message id.
    Signature(MessageId),
}

/// The reason why a list of secrets is invalid. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The list is empty. Running without secrets has to be requested explicitly, with
    /// [`Authenticator::open`].
    #[error("holds no secret")]
    Empty,
    /// A static token is shorter than [`MIN_SECRET_CHARS`], and could be guessed.
    #[error("secret {0} is shorter than {MIN_SECRET_CHARS} characters")]
    TooShort(usize),
    /// A signing key is not valid base64, or is shorter than [`MIN_SIGNING_KEY_BYTES`] bytes.
    #[error(
        "secret {0} starts with {SIGNING_PREFIX} but is not base64 of at least {MIN_SIGNING_KEY_BYTES} bytes"
    )]
    InvalidSigningKey(usize),
}

impl Authenticator {
    /// Creates an authenticator that accepts requests with one of the secrets.
    ///
    /// # Errors
    ///
    /// Fails when the list is empty, or when a secret is too short or not valid base64.
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

    /// Creates an authenticator that accepts every request. Only for a server that listens on loopback, which
    /// the server has to ensure.
    pub fn open() -> Self {
        let token_header = HeaderName::from_static(TOKEN_HEADER);
        Self { token_header, tokens: Vec::new(), signing_keys: Vec::new() }
    }

    /// The same authenticator for a sender that sends its token in another header.
    #[must_use]
    pub fn with_token_in(self, token_header: HeaderName) -> Self {
        Self { token_header, ..self }
    }

    /// Whether every request is accepted.
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.signing_keys.is_empty()
    }

    /// The number of static tokens, and the number of signing keys.
    pub fn counts(&self) -> (usize, usize) {
        (self.tokens.len(), self.signing_keys.len())
    }

    /// Authenticates one request: by its token if it has one, and otherwise by its signature.
    ///
    /// # Errors
    ///
    /// Fails when the token or the signature is missing or invalid.
    pub fn authenticate(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Proof, AuthError> {
        match self.check_headers(headers, now)? {
            Credentials::None => Ok(Proof::None),
            Credentials::Token => Ok(Proof::Token),
            Credentials::Signed(signed) => signed.verify(&self.signing_keys, body).map(Proof::Signature),
        }
    }

    /// Checks the headers before the body is read: the token, or the presence and age of a signature. A
    /// request that passes may still fail in [`authenticate`](Self::authenticate).
    ///
    /// # Errors
    ///
    /// Fails when the token is invalid. Without a token, fails when a header of the signature is missing,
    /// malformed or stale, and when no signing key is configured.
    pub fn precheck(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), AuthError> {
        self.check_headers(headers, now).map(drop)
    }

    fn check_headers<'h>(
        &self,
        headers: &'h HeaderMap,
        now: Timestamp,
    ) -> Result<Credentials<'h>, AuthError> {
        if self.is_open() {
            return Ok(Credentials::None);
        }
        let mut tokens = headers.get_all(&self.token_header).iter();
        match (tokens.next(), tokens.next()) {
            (None, _) => {
                let signed = Signed::read(headers, now)?;
                if self.signing_keys.is_empty() {
                    return Err(AuthError::NoSigningKey);
                }
                Ok(Credentials::Signed(signed))
            }
            (Some(token), None) if self.accepts_token(token.as_bytes()) => Ok(Credentials::Token),
            (Some(_), _) => Err(AuthError::BadToken),
        }
    }

    /// Whether the value of a header or parameter is one of the tokens, ignoring surrounding white space and
    /// a `Bearer` prefix.
    pub fn accepts_token(&self, value: &[u8]) -> bool {
        let token = value.trim_ascii();
        let bearer = match token.split_at_checked(BEARER.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(BEARER) => rest.trim_ascii_start(),
            _ => token,
        };
        self.is_token(token) | self.is_token(bearer)
    }

    /// Compares with every token without stopping at a match, so that the time taken does not leak the
    /// result.
    fn is_token(&self, token: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(token).into();
        self.tokens.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given)).into()
    }
}

/// The credentials in the headers of a request. A token is already verified, a signature is not.
enum Credentials<'h> {
    None,
    Token,
    Signed(Signed<'h>),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("tokens", &self.tokens.len())
            .field("signing_keys", &self.signing_keys.len())
            .finish_non_exhaustive()
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

    fn with_tokens(tokens: &[&[u8]]) -> Result<Proof, AuthError> {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append("X-RevenueFlow-Token", HeaderValue::from_bytes(token).unwrap());
        }
        new(&SECRETS).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_configured_tokens_are_accepted() {
        for secret in SECRETS {
            assert_eq!(with_tokens(&[secret.as_bytes()]), Ok(Proof::Token));
        }
        for wrong in [&b""[..], b"the-token", b"the-token-of-this-yeaR", b"Bearer", b"Bearer ", b"\xff\xfe"] {
            assert_eq!(with_tokens(&[wrong]), Err(AuthError::BadToken), "{wrong:?}");
        }
    }

    #[test]
    fn white_space_and_bearer_prefix_of_a_token_are_ignored() {
        for value in ["{} ", "  {}\t", "Bearer {}", "bearer {}", "BEARER   {} "] {
            let value = value.replace("{}", SECRETS[1]);
            assert_eq!(with_tokens(&[value.as_bytes()]), Ok(Proof::Token), "{value}");
        }
        let own = "Bearer of good news for us all";
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN_HEADER, own.parse().unwrap());
        let proof = new(&[own]).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH);
        assert_eq!(proof, Ok(Proof::Token), "a secret may itself begin with Bearer");
        for wrong in
            ["Basic the-token-of-this-year", "Bearerthe-token-of-this-year", "the-token-of- this-year"]
        {
            assert_eq!(with_tokens(&[wrong.as_bytes()]), Err(AuthError::BadToken), "{wrong}");
        }
    }

    #[test]
    fn missing_and_repeated_tokens_are_rejected() {
        assert_eq!(with_tokens(&[]), Err(AuthError::MissingCredentials));
        assert_eq!(with_tokens(&[b"guess", SECRETS[0].as_bytes()]), Err(AuthError::BadToken));
    }

    #[test]
    fn signing_key_is_not_accepted_as_a_token() {
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN_HEADER, secret.parse().unwrap());
        let result = new(&[secret]).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH);
        assert_eq!(result, Err(AuthError::BadToken));
    }

    #[test]
    fn weak_secrets_are_rejected_with_their_position() {
        assert_eq!(new(&[]).unwrap_err(), SecretError::Empty);
        assert_eq!(new(&[SECRETS[0], "short"]).unwrap_err(), SecretError::TooShort(2));
        for bad in ["whsec_", "whsec_not base64 at all, but long", "whsec_c2hvcnQ="] {
            let error = new(&[bad]).unwrap_err();
            assert_eq!(error, SecretError::InvalidSigningKey(1));
        }
        assert!(new(&[&"x".repeat(MIN_SECRET_CHARS)]).is_ok());
    }

    #[test]
    fn only_an_open_authenticator_accepts_every_request() {
        let unauthenticated =
            |this: Authenticator| this.authenticate(&HeaderMap::new(), b"", Timestamp::UNIX_EPOCH);
        assert_eq!(unauthenticated(Authenticator::open()), Ok(Proof::None));
        assert_eq!(unauthenticated(new(&SECRETS).unwrap()), Err(AuthError::MissingCredentials));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(
            format!("{:?}", new(&SECRETS).unwrap()),
            "Authenticator { tokens: 2, signing_keys: 0, .. }"
        );
    }
}
