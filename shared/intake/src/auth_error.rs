use crate::message_id::MessageId;

/// The prefix of signing keys. A secret without it is a static token.
pub(crate) const SIGNING_PREFIX: &str = "whsec_";

/// The reason why a request is not authenticated. It is for our logs; the response says only `unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither a token nor all three headers of a signature.
    #[error("neither an X-RevenueFlow-Token header nor the three headers of a signature")]
    MissingCredentials,
    /// The token is not configured, or the request has several.
    #[error("the token is not one of the configured secrets")]
    BadToken,
    /// The request is signed, but no signing key is configured.
    #[error("signed, but no secret in WEBHOOK_SECRETS is a signing key: one begins with {SIGNING_PREFIX}")]
    NoSigningKey,
    /// The id is missing, repeated, longer than [`MessageId::MAX_CHARS`], or holds a dot or a character that
    /// is not printable ASCII.
    #[error("the message id must have 1 to {} characters, none of them a dot", MessageId::MAX_CHARS)]
    BadMessageId,
    /// No configured key made a signature over this body, or the timestamp is repeated or not a number.
    #[error("the signature matches no signing key in WEBHOOK_SECRETS: one begins with {SIGNING_PREFIX}")]
    BadSignature,
    /// The timestamp differs from our clock by more than [`crate::TIMESTAMP_TOLERANCE`]. The signature is not
    /// checked.
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
