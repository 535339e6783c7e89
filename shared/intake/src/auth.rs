use std::fmt;

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::signature::{self, MIN_SIGNING_KEY_BYTES, Signed};

/// The header of a sender that cannot sign, such as Marketo; its value is one of the secrets.
pub const TOKEN_HEADER: &str = "x-revenueflow-token";

/// The shortest static token, in characters.
pub const MIN_SECRET_CHARS: usize = 16;

/// What marks a secret as a signing key rather than a static token.
const SIGNING_PREFIX: &str = "whsec_";

/// What some senders put before a token.
const BEARER: &[u8] = b"bearer ";

/// Decides whether a webhook comes from someone who knows a secret. Its `Debug` shows no secret.
///
/// A secret of the form `whsec_` and base64 verifies Standard Webhooks signatures; any other is a static token for
/// [`TOKEN_HEADER`]. Several of both kinds are valid at once, so that secrets can be rotated.
pub struct Authenticator {
    /// SHA-256 of each token: of one length, so that comparing them tells nothing of theirs.
    tokens: Vec<[u8; 32]>,
    signing_keys: Vec<SecretSlice<u8>>,
}

/// How a request has proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not at all: there are no secrets.
    None,
    /// By a static token.
    Token,
    /// By a signature, which also covers the id of the message.
    Signature(MessageId),
}

/// The signed id of a message: the same in every retry of one delivery. 1 to [`Self::MAX_CHARS`] printable ASCII characters
/// without a dot, since what is signed is `id.timestamp.body`: with a dot in it, parts of a signed body could be passed off
/// as the id and the timestamp of another message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The longest id accepted.
    pub const MAX_CHARS: usize = 128;

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let is_sound = (1..=Self::MAX_CHARS).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
        if is_sound { std::str::from_utf8(bytes).ok().map(|id| Self(id.to_owned())) } else { None }
    }

    /// The id as it was signed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a request is not authenticated. For our logs; the caller is told no more than `unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither a token nor all three headers of a signature.
    #[error("neither an X-RevenueFlow-Token header nor the three headers of a signature")]
    MissingCredentials,
    /// The token is none of ours, or there are several.
    #[error("the token is not one of the configured secrets")]
    BadToken,
    /// It is signed, and there is no key to check that with.
    #[error(
        "signed, but no secret of WEBHOOK_SECRETS begins with {SIGNING_PREFIX}: one without it is a token only"
    )]
    NoSigningKey,
    /// The id is missing, given twice, longer than [`MessageId::MAX_CHARS`], or holds a dot.
    #[error("the message id must have 1 to {} characters, none of them a dot", MessageId::MAX_CHARS)]
    BadMessageId,
    /// No signature is by one of our keys over this body.
    #[error(
        "the signature is by none of the secrets that begin with {SIGNING_PREFIX}; one without it is a token only"
    )]
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
            Self::NoSigningKey => "no_signing_key",
            Self::BadMessageId => "bad_message_id",
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

    /// How many secrets are static tokens, and how many are signing keys.
    pub fn counts(&self) -> (usize, usize) {
        (self.tokens.len(), self.signing_keys.len())
    }

    /// Checks one request. A request with a token is judged by the token alone, any other by its signature.
    pub fn authenticate(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Proof, AuthError> {
        match self.check_headers(headers, now)? {
            Credentials::None => Ok(Proof::None),
            Credentials::Token => Ok(Proof::Token),
            Credentials::Signed(signed) => signed.verify(&self.signing_keys, body).map(Proof::Signature),
        }
    }

    /// Checks what can be known before the body is read: the token, or whether a signature is there and fresh. What passes
    /// here may still fail in [`authenticate`](Self::authenticate).
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
        let mut tokens = headers.get_all(TOKEN_HEADER).iter();
        match (tokens.next(), tokens.next()) {
            (None, _) => {
                let signed = Signed::read(headers, now)?;
                if self.signing_keys.is_empty() {
                    return Err(AuthError::NoSigningKey);
                }
                Ok(Credentials::Signed(signed))
            }
            (Some(token), None) if self.knows(token.as_bytes()) => Ok(Credentials::Token),
            (Some(_), _) => Err(AuthError::BadToken),
        }
    }

    /// Whether a header's value is one of the tokens, as it is or with blanks around it or `Bearer` before it.
    fn knows(&self, value: &[u8]) -> bool {
        let token = value.trim_ascii();
        let bearer = match token.split_at_checked(BEARER.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(BEARER) => rest.trim_ascii_start(),
            _ => token,
        };
        self.is_token(token) | self.is_token(bearer)
    }

    /// Compares with every token, without stopping at the one that fits: how long it takes tells nothing.
    fn is_token(&self, token: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(token).into();
        self.tokens.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given)).into()
    }
}

/// What the headers of a request offer. A token has been checked, a signature has not.
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

    fn with_tokens(tokens: &[&[u8]]) -> Result<Proof, AuthError> {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append("X-RevenueFlow-Token", HeaderValue::from_bytes(token).unwrap());
        }
        new(&SECRETS).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_configured_token_is_accepted_and_no_other() {
        for secret in SECRETS {
            assert_eq!(with_tokens(&[secret.as_bytes()]), Ok(Proof::Token));
        }
        for wrong in [&b""[..], b"the-token", b"the-token-of-this-yeaR", b"Bearer", b"Bearer ", b"\xff\xfe"] {
            assert_eq!(with_tokens(&[wrong]), Err(AuthError::BadToken), "{wrong:?}");
        }
    }

    #[test]
    fn blanks_and_a_bearer_prefix_around_a_token_are_ignored() {
        for value in ["{} ", "  {}\t", "Bearer {}", "bearer {}", "BEARER   {} "] {
            let value = value.replace("{}", SECRETS[1]);
            assert_eq!(with_tokens(&[value.as_bytes()]), Ok(Proof::Token), "{value}");
        }
        let own = "Bearer of good news for us all";
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN_HEADER, own.parse().unwrap());
        let proof = new(&[own]).unwrap().authenticate(&headers, b"", Timestamp::UNIX_EPOCH);
        assert_eq!(proof, Ok(Proof::Token), "a secret may begin like that");
        for wrong in
            ["Basic the-token-of-this-year", "Bearerthe-token-of-this-year", "the-token-of- this-year"]
        {
            assert_eq!(with_tokens(&[wrong.as_bytes()]), Err(AuthError::BadToken), "{wrong}");
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
        assert_eq!(anyone(Authenticator::open()), Ok(Proof::None));
        assert_eq!(anyone(new(&SECRETS).unwrap()), Err(AuthError::MissingCredentials));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", new(&SECRETS).unwrap()), "Authenticator { tokens: 2, signing_keys: 0 }");
    }
}
