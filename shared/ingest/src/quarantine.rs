use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, header};
use intake::Rejection;
use jiff::Timestamp;
use lead::{Personal, SenderName};
use sha2::{Digest as _, Sha256};

/// The longest Content-Type that is kept, in bytes; a longer one is dropped.
pub const MAX_CONTENT_TYPE_BYTES: usize = 128;

/// A rejected body, kept for an operator to inspect and repair. At most [`intake::MAX_BODY_BYTES`] long, from
/// an authenticated sender. Its `Debug` does not show the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedBody {
    /// The SHA-256 of the body in lower-case hex. A broken template posts the same body repeatedly; the hash
    /// makes that one row with a count.
    pub id: String,
    /// The source that sent it.
    pub sender: SenderName,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The reason of the rejection: the code, the field and the message that the sender received.
    pub rejection: Rejection,
    /// The request's Content-Type, if it is visible ASCII and not too long. Not verified.
    pub content_type: Option<String>,
    /// The exact bytes of the body.
    pub body: Personal<Bytes>,
}

impl QuarantinedBody {
    pub(crate) fn new(
        sender: SenderName,
        headers: &HeaderMap,
        body: Bytes,
        rejection: Rejection,
        received_at: Timestamp,
    ) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Self {
            id: Sha256::digest(&body).iter().fold(String::with_capacity(64), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
                hex
            }),
            sender,
            received_at,
            rejection,
            content_type: content_type.filter(|text| text.len() <= MAX_CONTENT_TYPE_BYTES).map(str::to_owned),
            body: body.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content_type: &[u8]) -> QuarantinedBody {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.try_into().unwrap());
        let body = Bytes::from_static(b"sentinel");
        QuarantinedBody::new(
            SenderName::unnamed(),
            &headers,
            body,
            Rejection::body_too_large(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn id_is_the_hash_of_the_body() {
        // printf sentinel | sha256sum
        let id = "2b7847b7b705781d7cf21a05e9c1bb37cbf078aea103bc3edcc6aca52ab65453";
        assert_eq!(item(b"text/plain").id, id);
    }

    #[test]
    fn debug_output_hides_the_body() {
        assert!(!format!("{:?}", item(b"text/plain")).contains("sentinel"));
    }

    #[test]
    fn unusable_content_type_is_dropped() {
        assert_eq!(item(b"application/json").content_type.as_deref(), Some("application/json"));
        assert_eq!(item(b"\xff\xfe").content_type, None);
        assert_eq!(item(&[b'a'; MAX_CONTENT_TYPE_BYTES + 1]).content_type, None);
    }
}
