//! The signatures of each maker, as another implementation makes them: Python's `hmac`, by the formula of the
//! maker's documentation.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use http::HeaderMap;
use intake::AuthError;
use jiff::Timestamp;
use secrecy::SecretString;
use sources::{Refusal, Senders, Sources};

const SECRET: &str = "a-secret-of-the-maker";
const BODY: &[u8] = br#"{"email":"ann@acme.example","campaign_id":"c1"}"#;
const SENT: i64 = 1_796_116_477;
const URL: &str = "https://leads.example.com/leads/it";

type Headers = &'static [(&'static str, &'static str)];

/// The headers of one request of each maker, over the same body with the same secret.
const SIGNED: [(&str, Headers); 6] = [
    (
        "meta",
        &[("X-Hub-Signature-256", "sha256=cf7c9c19eaea1abda4f92ec0c4a0e439557b3f5225132e7ea66fd5da5c834576")],
    ),
    ("typeform", &[("Typeform-Signature", "sha256=z3ycGerqGr2k+S7AxKDkOVV7P1IlEy5+pm/V2lyDRXY=")]),
    (
        "hubspot-v3",
        &[
            ("X-HubSpot-Signature-v3", "Kj5xEZlKIytYSYMlzwFu76hNbG2QQ/7NQhmQLJdgL98="),
            ("X-HubSpot-Request-Timestamp", "1796116477000"),
        ],
    ),
    (
        "calendly",
        &[(
            "Calendly-Webhook-Signature",
            "t=1796116477,v1=969775e9d091dec2128a6dd4930ad1a7936572afeaae3bbaa2ee120fd426d69b",
        )],
    ),
    ("segment", &[("X-Signature", "d51bec0b536f23135b465c2d61ce7e659f1efe5d")]),
    (
        "webflow",
        &[
            ("X-Webflow-Signature", "75b2e893a4de6822c56860783aac8106745bdcab2ea1c7ceaae92bb1e53584ab"),
            ("X-Webflow-Timestamp", "1796116477000"),
        ],
    ),
];

fn check(signature: &str, headers: Headers, body: &[u8], seconds_later: i64) -> Result<(), Refusal> {
    let text = format!(
        "[[source]]\nname = \"it\"\nsecrets = \"IT\"\nsignature = \"{signature}\"\nurl = \"{URL}\"\ncampaign = \"c\""
    );
    let sources = Sources::parse(&text).unwrap();
    let secrets = format!("another-secret-of-it, {SECRET}");
    let senders = Senders::new(&sources, |_| Some(SecretString::from(secrets.clone()))).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let now = Timestamp::from_second(SENT + seconds_later).unwrap();
    senders.precheck("/leads/it", None, &map, now)?;
    senders.authenticate("/leads/it", None, &map, body, now).map(|found| assert!(found.is_proved))
}

#[test]
fn signature_of_each_maker_is_accepted() {
    for (maker, headers) in SIGNED {
        assert_eq!(check(maker, headers, BODY, 0), Ok(()), "{maker}");
    }
}

/// The test vectors of HubSpot's own client libraries, such as `@hubspot/api-client`.
#[test]
fn vectors_of_hubspot_are_accepted() {
    let text = "[[source]]\nname = \"it\"\nsecrets = \"IT\"\nsignature = \"hubspot-v3\"\n\
                url = \"https://www.example.com/webhook_uri\"";
    let secret = |_: &str| Some(SecretString::from("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"));
    let senders = Senders::new(&Sources::parse(text).unwrap(), secret).unwrap();
    for (millis, signature) in [
        ("1693657560000", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
        ("1700000300000", "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("X-HubSpot-Signature-v3", signature.parse().unwrap());
        headers.insert("X-HubSpot-Request-Timestamp", millis.parse().unwrap());
        let now = Timestamp::from_millisecond(millis.parse().unwrap()).unwrap();
        let body = b"{'example_field':'example_value'}";
        assert!(senders.authenticate("/leads/it", None, &headers, body, now).is_ok(), "{millis}");
    }
}

#[test]
fn changed_body_is_refused() {
    let changed = br#"{"email":"eve@acme.example","campaign_id":"c1"}"#;
    for (maker, headers) in SIGNED {
        assert_eq!(check(maker, headers, changed, 0), Err(AuthError::BadSignature.into()), "{maker}");
    }
}

#[test]
fn old_request_is_refused_where_its_time_is_signed() {
    for (maker, headers) in SIGNED {
        let expected = match maker {
            "hubspot-v3" | "calendly" | "webflow" => Err(AuthError::StaleTimestamp.into()),
            _ => Ok(()),
        };
        assert_eq!(check(maker, headers, BODY, 301), expected, "{maker}");
        assert_eq!(check(maker, headers, BODY, -301), expected, "{maker}, from the future");
    }
}

#[test]
fn request_without_a_whole_signature_is_refused_before_its_body() {
    for (maker, headers) in SIGNED {
        for missing in 0..headers.len() {
            let kept: Vec<_> = headers
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != missing)
                .map(|(_, header)| *header)
                .collect();
            let refused = check(maker, Box::leak(kept.into_boxed_slice()), b"", 0);
            assert_eq!(refused, Err(AuthError::MissingCredentials.into()), "{maker}");
        }
    }
}

#[test]
fn malformed_signatures_are_refused() {
    for (maker, header, value) in [
        ("meta", "X-Hub-Signature-256", "sha256="),
        ("meta", "X-Hub-Signature-256", "sha256=zz"),
        ("typeform", "Typeform-Signature", "sha256=%%%"),
        ("segment", "X-Signature", ""),
        ("segment", "X-Signature", "d51bec0b536f23135b465c2d61ce7e659f1efe5"),
    ] {
        let headers: Headers = Box::leak(Box::new([(header, value)]));
        assert_eq!(check(maker, headers, BODY, 0), Err(AuthError::BadSignature.into()), "{maker} {value}");
    }
    for value in ["t=x,v1=00", "v1=00", "t=1796116477", "t=1796116477,v0=00"] {
        let headers: Headers = Box::leak(Box::new([("Calendly-Webhook-Signature", value)]));
        assert!(check("calendly", headers, BODY, 0).is_err(), "{value}");
    }
}
