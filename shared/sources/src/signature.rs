//! Signatures over a request, described as data.

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use intake::{AuthError, BASE64, MAX_SIGNATURES, single_value};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha1::Sha1;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};

/// How a sender signs its requests: a keyed hash of some parts of the request, in a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scheme {
    /// The header with the signature.
    header: String,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    encoding: Encoding,
    /// The text before the signature in the header, such as `sha256=`.
    #[serde(default)]
    prefix: String,
    /// The name of the signature in a header of the form `t=..,v1=..`.
    element: Option<String>,
    /// The signed text with the placeholders `{timestamp}`, `{method}`, `{url}` and `{body}`.
    #[serde(default = "body_only")]
    signed: String,
    timestamp: Option<TimestampPlace>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Algorithm {
    #[default]
    HmacSha256,
    /// Only where a maker has nothing else. An HMAC does not depend on the collision resistance that SHA-1
    /// lacks.
    HmacSha1,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// Where the signed timestamp is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampPlace {
    /// A header of its own.
    header: Option<String>,
    /// Its name in the header of the signature.
    element: Option<String>,
    #[serde(default)]
    unit: Unit,
    /// Maximum difference to our clock, in both directions.
    #[serde(default = "five_minutes")]
    tolerance_seconds: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Seconds,
    Milliseconds,
}

fn body_only() -> String {
    "{body}".to_owned()
}

fn five_minutes() -> u32 {
    300
}

/// The parts of a request that a signature may cover.
#[derive(Clone, Copy)]
pub(crate) struct Signable<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The full URL as the sender calls it, from the sources file: a proxy may have changed it.
    pub(crate) url: &'a str,
    pub(crate) body: &'a [u8],
}

impl Scheme {
    /// The problem of a scheme that could not protect a request.
    pub(crate) fn problem(&self, has_url: bool) -> Option<&'static str> {
        let signs_time = self.signed.contains("{timestamp}");
        let place = self.timestamp.as_ref();
        if http::HeaderName::try_from(self.header.as_str()).is_err() {
            Some("`header` is not the name of a header")
        } else if !self.signed.contains("{body}") {
            Some("`signed` must contain {body}: otherwise the payload is not protected")
        } else if signs_time != place.is_some() {
            Some("a `timestamp` and {timestamp} in `signed` go together")
        } else if place.is_some_and(|place| place.header.is_some() == place.element.is_some()) {
            Some("a `timestamp` has either a `header` or an `element`")
        } else if self.signed.contains("{url}") && !has_url {
            Some("the signature covers the URL: set `url` to the address that the sender calls")
        } else {
            None
        }
    }

    /// Checks all that needs no body: that the signature is there, and that its timestamp is near our clock.
    pub(crate) fn precheck(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), AuthError> {
        self.read(headers, now).map(drop)
    }

    /// The timestamp, and the signatures, of which there is at least one.
    fn read<'h>(
        &'h self,
        headers: &'h HeaderMap,
        now: Timestamp,
    ) -> Result<(&'h str, Vec<Vec<u8>>), AuthError> {
        let timestamp = self.timestamp(headers, now)?;
        let signatures = self.signatures(headers);
        if signatures.is_empty() { Err(AuthError::MissingCredentials) } else { Ok((timestamp, signatures)) }
    }

    /// Whether one of the keys made a signature of the request.
    pub(crate) fn verify(
        &self,
        keys: &[SecretString],
        request: Signable<'_>,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let (timestamp, given) = self.read(request.headers, now)?;
        let mut valid = Choice::from(0);
        for key in keys {
            let expected = self.sign(key.expose_secret().as_bytes(), timestamp, request);
            for signature in &given {
                valid |= expected.as_slice().ct_eq(signature);
            }
        }
        if bool::from(valid) { Ok(()) } else { Err(AuthError::BadSignature) }
    }

    /// The timestamp as text, which is what the signature covers; empty without one.
    fn timestamp<'h>(&'h self, headers: &'h HeaderMap, now: Timestamp) -> Result<&'h str, AuthError> {
        let Some(place) = &self.timestamp else { return Ok("") };
        let name = place.header.as_deref().unwrap_or(&self.header);
        let value = single_value(headers, name)
            .and_then(|value| str::from_utf8(value).ok())
            .ok_or(AuthError::MissingCredentials)?;
        let text = match &place.element {
            Some(element) => elements(value, element).next().ok_or(AuthError::MissingCredentials)?,
            None => value.trim(),
        };
        let sent: i64 = text.parse().map_err(|_| AuthError::BadSignature)?;
        let seconds = if place.unit == Unit::Milliseconds { sent / 1000 } else { sent };
        if now.as_second().abs_diff(seconds) > u64::from(place.tolerance_seconds) {
            return Err(AuthError::StaleTimestamp);
        }
        Ok(text)
    }

    /// The decoded signatures of a request. A malformed one matches nothing.
    fn signatures(&self, headers: &HeaderMap) -> Vec<Vec<u8>> {
        let values = headers.get_all(self.header.as_str()).iter().filter_map(|value| value.to_str().ok());
        let texts = values.flat_map(|value| match &self.element {
            Some(element) => elements(value, element).collect::<Vec<_>>(),
            None => vec![value.trim()],
        });
        texts
            .filter_map(|text| text.strip_prefix(self.prefix.as_str()))
            .take(MAX_SIGNATURES)
            .map(|text| match self.encoding {
                Encoding::Hex => from_hex(text).unwrap_or_default(),
                Encoding::Base64 => BASE64.decode(text).unwrap_or_default(),
            })
            .collect()
    }

    fn sign(&self, key: &[u8], timestamp: &str, request: Signable<'_>) -> Vec<u8> {
        match self.algorithm {
            Algorithm::HmacSha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
                self.feed(timestamp, request, |part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }
            Algorithm::HmacSha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
                self.feed(timestamp, request, |part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn feed(&self, timestamp: &str, request: Signable<'_>, mut update: impl FnMut(&[u8])) {
        let mut rest = self.signed.as_str();
        while let Some(open) = rest.find('{') {
            update(&rest.as_bytes()[..open]);
            rest = &rest[open..];
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            match &rest[..end] {
                "{timestamp}" => update(timestamp.as_bytes()),
                "{method}" => update(b"POST"),
                "{url}" => update(request.url.as_bytes()),
                "{body}" => update(request.body),
                other => update(other.as_bytes()),
            }
            rest = &rest[end..];
        }
        update(rest.as_bytes());
    }
}

/// The values of a name in a text of the form `t=1,v1=a,v1=b`.
fn elements<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(',').filter_map(move |part| {
        let (key, value) = part.trim().split_once('=')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
