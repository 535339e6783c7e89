//! Signatures as of <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>:
//! HMAC-SHA256 over `id.timestamp.body`, in base64 with the prefix `v1,`, several of them separated by spaces.

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

use crate::auth::AuthError;

/// How far a signature's timestamp may be from our clock, both ways.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_mins(5);

/// The shortest signing key, in bytes after decoding; the shortest that the specification allows.
pub const MIN_SIGNING_KEY_BYTES: usize = 24;

/// More signatures than this in one request are not looked at. Senders give one a key, and rotate between two keys.
const MAX_SIGNATURES: usize = 8;

/// Senders differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key in what follows `whsec_` of a secret; none where that is not base64 or the key is too short.
pub(crate) fn signing_key(encoded: &str) -> Option<SecretSlice<u8>> {
    let key = BASE64.decode(encoded).ok().map(SecretSlice::from)?;
    (key.expose_secret().len() >= MIN_SIGNING_KEY_BYTES).then_some(key)
}

/// Checks that one of the keys signed the body, lately.
pub(crate) fn verify(
    keys: &[SecretSlice<u8>],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), AuthError> {
    let header = |name: &str| headers.get(name).ok_or(AuthError::MissingCredentials);
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signatures = header("webhook-signature")?.to_str().map_err(|_| AuthError::BadSignature)?;
    let sent: i64 =
        timestamp.to_str().ok().and_then(|text| text.parse().ok()).ok_or(AuthError::BadSignature)?;

    let mut valid = Choice::from(0);
    for key in keys {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.expose_secret()).map_err(|_| AuthError::BadSignature)?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        let expected = mac.finalize().into_bytes();
        let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        for given in given.take(MAX_SIGNATURES).filter_map(|text| BASE64.decode(text).ok()) {
            valid |= expected.as_slice().ct_eq(&given);
        }
    }
    if !bool::from(valid) {
        Err(AuthError::BadSignature)
    } else if now.as_second().abs_diff(sent) > TIMESTAMP_TOLERANCE.as_secs() {
        Err(AuthError::StaleTimestamp)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use standardwebhooks::Webhook;

    use super::*;
    use crate::Authenticator;

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

    /// A signature by the reference implementation.
    fn signed(secret: &str, timestamp: i64, body: &str) -> String {
        Webhook::new(secret).unwrap().sign("msg_1", timestamp, body.as_bytes()).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_the_reference_implementation_signs_is_accepted() {
        let headers = headers(SENT, &signed(SECRET, SENT, "body"));
        assert_eq!(authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT)), Ok(()));
    }

    #[test]
    fn what_is_accepted_here_the_reference_implementation_accepts() {
        // It reads the machine's clock, so this test has to as well.
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
    fn any_change_to_what_was_signed_is_noticed() {
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
    fn every_header_is_needed() {
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
    }

    #[test]
    fn the_timestamp_may_be_five_minutes_off_both_ways() {
        let headers = headers(SENT, &signed(SECRET, SENT, "body"));
        for (offset, expected) in [
            (-301, Err(AuthError::StaleTimestamp)),
            (-300, Ok(())),
            (300, Ok(())),
            (301, Err(AuthError::StaleTimestamp)),
        ] {
            let result = authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT + offset));
            assert_eq!(result, expected, "{offset}");
        }
    }

    #[test]
    fn the_furthest_timestamps_do_no_harm() {
        for timestamp in [i64::MIN, i64::MAX] {
            let headers = headers(timestamp, &signed(SECRET, timestamp, "body"));
            let result = authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT));
            assert_eq!(result, Err(AuthError::StaleTimestamp));
        }
    }

    #[test]
    fn a_signature_without_padding_is_the_same_signature() {
        let signature = signed(SECRET, SENT, "body");
        let headers = headers(SENT, signature.trim_end_matches('='));
        assert_eq!(authenticator(&[SECRET]).authenticate(&headers, b"body", at(SENT)), Ok(()));
    }
}
