//! Signature headers: only a signature with the key over this body is accepted, and a valid one always is.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use intake::{AuthError, Authenticator, MessageId};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use standardwebhooks::Webhook;

const KEY: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NOW: i64 = 1_767_225_600;

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    let secrets = [format!("whsec_{KEY}"), "a-static-token-of-enough-length".to_owned()];
    Authenticator::new(secrets.map(SecretString::from)).expect("good secrets")
});
static REFERENCE: LazyLock<Webhook> = LazyLock::new(|| Webhook::new(KEY).expect("a good key"));

// The lines of the input are the three headers, a static token, and the body.
fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(5, |byte| *byte == b'\n');
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-revenueflow-token"];
    let mut headers = HeaderMap::new();
    for name in names {
        let value = parts.next().unwrap_or_default();
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    let body = parts.next().unwrap_or_default();
    let now = Timestamp::from_second(NOW).expect("a time");
    let accepted = AUTHENTICATOR.authenticate(&headers, body, now);

    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = match (text("webhook-id"), text("webhook-timestamp").and_then(|text| text.parse().ok())) {
        (Some(id), Some(sent)) => REFERENCE.sign(id, sent, body).ok().map(|signature| (sent, signature)),
        _ => None,
    };
    if headers.get("x-revenueflow-token").is_none() {
        if accepted.is_ok() {
            let (sent, signature) = signed.as_ref().expect("an accepted request is signed");
            assert!(NOW.abs_diff(*sent) <= 300);
            let given = text("webhook-signature").unwrap_or_default();
            assert!(given.contains(signature.trim_end_matches('=')), "by the key, over this body");
        }
        // The same request with a valid signature is accepted, unless it is stale.
        if let Some((sent, signature)) = signed
            && text("webhook-timestamp") == Some(sent.to_string().as_str())
        {
            let id = text("webhook-id").unwrap_or_default();
            let is_valid_id = id.len() <= MessageId::MAX_CHARS && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
            headers.insert("webhook-signature", signature.parse().expect("a header"));
            let expected = match (is_valid_id, NOW.abs_diff(sent) <= 300) {
                (false, _) => Err(AuthError::BadMessageId),
                (true, false) => Err(AuthError::StaleTimestamp),
                (true, true) => Ok(()),
            };
            assert_eq!(AUTHENTICATOR.authenticate(&headers, body, now).map(drop), expected);
        }
    }
});
