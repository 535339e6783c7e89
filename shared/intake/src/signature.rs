//! Webhook signatures as specified by
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>: HMAC-SHA256
//! over `id.timestamp.body`, in base64 with the prefix `v1,`, several of them separated by spaces.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

use crate::auth_error::AuthError;
use crate::message_id::MessageId;

/// Maximum difference between a signature's timestamp and our clock, in both directions.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_mins(5);

/// The shortest signing key, in bytes after decoding. This is the minimum of the specification.
pub const MIN_SIGNING_KEY_BYTES: usize = 24;

/// Maximum number of signatures that are checked in a request. Senders add one for each key, and rotate
/// between two keys.
pub const MAX_SIGNATURES: usize = 8;

/// Base64 with or without padding, since some senders omit it.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes the part of a secret after `whsec_`. Returns `None` if it is not base64 or shorter than
/// [`MIN_SIGNING_KEY_BYTES`].
pub(crate) fn signing_key(encoded: &str) -> Option<SecretSlice<u8>> {
    let key = BASE64.decode(encoded).ok().map(SecretSlice::from)?;
    (key.expose_secret().len() >= MIN_SIGNING_KEY_BYTES).then_some(key)
}

/// The header names of the specification, and those of its predecessor Svix, which large senders still use:
/// <https://docs.svix.com/receiving/verifying-payloads/how-manual>.
const FAMILIES: [[&str; 3]; 2] = [
    ["webhook-id", "webhook-timestamp", "webhook-signature"],
    ["svix-id", "svix-timestamp", "svix-signature"],
];

/// The headers of a signed request. They are well-formed and the timestamp is within the tolerance; the
/// signature is not verified yet.
pub(crate) struct Signed<'h> {
    id: MessageId,
    timestamp: &'h [u8],
    signatures: Vec<Vec<u8>>,
}

impl<'h> Signed<'h> {
    /// Parses the headers of a signature.
    ///
    /// # Errors
    ///
    /// Fails when a header is missing, when the id or the timestamp is repeated or malformed, and when the
    /// timestamp is too far from `now`.
    pub(crate) fn read(headers: &'h HeaderMap, now: Timestamp) -> Result<Self, AuthError> {
        let is_complete = |names: &&[&str; 3]| names.iter().all(|name| headers.contains_key(*name));
        let [id, timestamp, signature] =
            FAMILIES.iter().find(is_complete).ok_or(AuthError::MissingCredentials)?;
        let id = single_value(headers, id).and_then(MessageId::parse).ok_or(AuthError::BadMessageId)?;
        let timestamp = single_value(headers, timestamp).ok_or(AuthError::BadSignature)?;
        let sent: i64 = std::str::from_utf8(timestamp)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(AuthError::BadSignature)?;
        if now.as_second().abs_diff(sent) > TIMESTAMP_TOLERANCE.as_secs() {
            return Err(AuthError::StaleTimestamp);
        }
        let signatures = headers.get_all(*signature).iter().filter_map(|value| value.to_str().ok());
        Ok(Self { id, timestamp, signatures: signatures.flat_map(v1).take(MAX_SIGNATURES).collect() })
    }

    /// Verifies that one of the keys signed the body. Returns the signed message id.
    pub(crate) fn verify(self, keys: &[SecretSlice<u8>], body: &[u8]) -> Result<MessageId, AuthError> {
        let mut valid = Choice::from(0);
        for key in keys {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key.expose_secret()).map_err(|_| AuthError::BadSignature)?;
            for part in [self.id.as_str().as_bytes(), b".", self.timestamp, b".", body] {
                mac.update(part);
            }
            let expected = mac.finalize().into_bytes();
            for given in &self.signatures {
                valid |= expected.as_slice().ct_eq(given);
            }
        }
        if bool::from(valid) { Ok(self.id) } else { Err(AuthError::BadSignature) }
    }
}

/// The value of a header that occurs exactly once.
pub fn single_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value.as_bytes()) }
}

/// The version 1 signatures in one header line. They are separated by spaces, or by commas if a proxy has
/// joined several lines. A comma also follows the version, and is not a character of base64.
fn v1(line: &str) -> impl Iterator<Item = Vec<u8>> {
    let mut parts = line.split([' ', '\t', ',']).filter(|part| !part.is_empty());
    std::iter::from_fn(move || {
        while let Some(part) = parts.next() {
            if part == "v1" {
                return Some(parts.next().and_then(|text| BASE64.decode(text).ok()));
            }
        }
        None
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use standardwebhooks::Webhook;

    use super::*;
    use crate::{Authenticator, Proof};

    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const OTHER: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    const SENT: i64 = 1_767_225_600;

    fn authenticator(secrets: &[&str]) -> Authenticator {
        Authenticator::new(secrets.iter().map(|secret| SecretString::from(*secret))).unwrap()
    }

    fn headers(timestamp: i64, signatures: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_1".parse().unwrap());
        headers.insert("webhook-timestamp", timestamp.to_string().parse().unwrap());
        headers.insert("webhook-signature", signatures.parse().unwrap());
        headers
    }

    /// A signature made by the reference implementation.
    fn signed(secret: &str, timestamp: i64, body: &str) -> String {
        Webhook::new(secret).unwrap().sign("msg_1", timestamp, body.as_bytes()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn msg_1() -> Proof {
        Proof::Signature(MessageId::parse(b"msg_1").unwrap())
    }

    #[test]
    fn signature_of_the_reference_implementation_is_accepted() {
        let headers = headers(SENT, &signed(SECRET, SENT, "body"));
        assert_eq!(authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT)), Ok(msg_1()));
    }

    #[test]
    fn reference_implementation_agrees_with_our_verification() {
        // The reference implementation reads the machine's clock, and so must this test.
        let now = Timestamp::now();
        let (good, bad) = ("body", "other");
        let headers = headers(now.as_second(), &signed(SECRET, now.as_second(), good));
        let (ours, theirs) = (authenticator(&[SECRET]), Webhook::new(SECRET).unwrap());
        for body in [good, bad] {
            let accepted = ours.authenticate(&headers, body.as_bytes(), now).is_ok();
            assert_eq!(accepted, theirs.verify(body.as_bytes(), &headers).is_ok());
            assert_eq!(accepted, body == good);
        }
    }

    #[test]
    fn any_change_to_the_signed_content_is_detected() {
        let ours = authenticator(&[SECRET]);
        let good = headers(SENT, &signed(SECRET, SENT, "body"));
        assert_eq!(ours.authenticate(&good, b"bodY", at(SENT)), Err(AuthError::BadSignature));
        for (name, value) in [
            ("webhook-id", "msg_2"),
            ("webhook-timestamp", "1767225601"),
            ("webhook-timestamp", "soon"),
            ("webhook-timestamp", "99999999999999999999"),
            ("webhook-signature", "v1,"),
            ("webhook-signature", "v1,AAAA"),
            ("webhook-signature", "v1,not base64"),
            ("webhook-signature", ""),
        ] {
            let mut changed = good.clone();
            changed.insert(name, value.parse().unwrap());
            let result = ours.authenticate(&changed, b"body", at(SENT));
            assert_eq!(result, Err(AuthError::BadSignature), "{name}: {value}");
        }
        let v2 = good["webhook-signature"].to_str().unwrap().replace("v1,", "v2,");
        assert_eq!(ours.authenticate(&headers(SENT, &v2), b"body", at(SENT)), Err(AuthError::BadSignature));
    }

    #[test]
    fn every_header_is_required() {
        let good = headers(SENT, &signed(SECRET, SENT, "body"));
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = good.clone();
            without.remove(name);
            let result = authenticator(&[SECRET]).authenticate(&without, b"body", at(SENT));
            assert_eq!(result, Err(AuthError::MissingCredentials), "{name}");
        }
    }

    #[test]
    fn keys_can_be_rotated_on_either_side() {
        let (old, new) = (signed(OTHER, SENT, "body"), signed(SECRET, SENT, "body"));
        let accepts = |secrets: &[&str], signatures: &str| {
            authenticator(secrets).authenticate(&headers(SENT, signatures), b"body", at(SENT)).is_ok()
        };
        assert!(accepts(&[OTHER, SECRET], &old) && accepts(&[OTHER, SECRET], &new));
        assert!(accepts(&[SECRET], &format!("v1a,xyz {old} {new}")));
        assert!(!accepts(&[SECRET], &old));
        assert!(!accepts(&["a static token of ours"], &new));
        assert!(accepts(&[SECRET], &format!("{old},{new}")) && accepts(&[SECRET], &format!("{old}, {new}")));
    }

    #[test]
    fn signatures_in_several_header_lines_are_accepted() {
        let mut headers = headers(SENT, &signed(OTHER, SENT, "body"));
        headers.append("webhook-signature", "v1a,xyz".parse().unwrap());
        headers.append("webhook-signature", signed(SECRET, SENT, "body").parse().unwrap());
        assert_eq!(authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT)), Ok(msg_1()));
    }

    #[test]
    fn svix_header_names_are_accepted() {
        let mut svix = HeaderMap::new();
        for (name, value) in &headers(SENT, &signed(SECRET, SENT, "body")) {
            svix.insert(
                http::HeaderName::try_from(name.as_str().replace("webhook", "svix")).unwrap(),
                value.clone(),
            );
        }
        assert_eq!(authenticator(&[SECRET]).authenticate(&svix, b"body", at(SENT)), Ok(msg_1()));
        assert_eq!(
            authenticator(&[SECRET]).authenticate(&svix, b"bodY", at(SENT)),
            Err(AuthError::BadSignature)
        );
        // Headers of the two families cannot be mixed.
        let id = svix.remove("svix-id").unwrap();
        svix.insert("webhook-id", id);
        assert_eq!(
            authenticator(&[SECRET]).authenticate(&svix, b"body", at(SENT)),
            Err(AuthError::MissingCredentials)
        );
    }

    #[test]
    fn message_id_with_a_dot_or_a_bad_length_is_rejected() {
        // A signed body that holds a timestamp is sent again with the boundary between id and body moved.
        let body = format!("x.{SENT}.{{}}");
        let mut moved = headers(SENT, &signed(SECRET, SENT, &body));
        assert_eq!(authenticator(&[SECRET]).authenticate(&moved, body.as_bytes(), at(SENT)), Ok(msg_1()));
        moved.insert("webhook-id", format!("msg_1.{SENT}.x").parse().unwrap());
        let result = authenticator(&[SECRET]).authenticate(&moved, b"{}", at(SENT));
        assert_eq!(result, Err(AuthError::BadMessageId));
        let sign = |id: &str| Webhook::new(SECRET).unwrap().sign(id, SENT, b"body").unwrap();
        for (id, is_sound) in [("a".repeat(128), true), ("a".repeat(129), false), (String::new(), false)] {
            let mut headers = headers(SENT, &sign(&id));
            headers.insert("webhook-id", id.parse().unwrap());
            let result = authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT));
            assert_eq!(result.is_ok(), is_sound, "{id}");
        }
        let mut twice = headers(SENT, &signed(SECRET, SENT, "body"));
        twice.append("webhook-id", "msg_2".parse().unwrap());
        let result = authenticator(&[SECRET]).authenticate(&twice, b"body", at(SENT));
        assert_eq!(result, Err(AuthError::BadMessageId));
    }

    #[test]
    fn secret_without_the_prefix_verifies_no_signature() {
        let key = "0123456789abcdef0123456789abcdef";
        let signed = headers(SENT, &signed(SECRET, SENT, "body"));
        let result = authenticator(&[key]).authenticate(&signed, b"body", at(SENT));
        assert_eq!(result, Err(AuthError::NoSigningKey));
        assert!(AuthError::NoSigningKey.to_string().contains("whsec_"));
        assert!(AuthError::BadSignature.to_string().contains("whsec_"));
    }

    #[test]
    fn timestamp_may_differ_by_five_minutes_both_ways() {
        let headers = headers(SENT, &signed(SECRET, SENT, "body"));
        for (offset, expected) in [
            (-301, Err(AuthError::StaleTimestamp)),
            (-300, Ok(msg_1())),
            (300, Ok(msg_1())),
            (301, Err(AuthError::StaleTimestamp)),
        ] {
            let result = authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT + offset));
            assert_eq!(result, expected, "{offset}");
        }
    }

    #[test]
    fn extreme_timestamps_are_stale() {
        for timestamp in [i64::MIN, i64::MAX] {
            let headers = headers(timestamp, &signed(SECRET, timestamp, "body"));
            let result = authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT));
            assert_eq!(result, Err(AuthError::StaleTimestamp));
        }
    }

    #[test]
    fn signature_without_padding_is_accepted() {
        let signature = signed(SECRET, SENT, "body");
        let headers = headers(SENT, signature.trim_end_matches('='));
        assert_eq!(authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT)), Ok(msg_1()));
    }
}
