//! Detection of unsupported body formats. The rejection names the format, since a form parser would report a
//! misleading error.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use crate::rejection::Rejection;

const COMPRESSED: &str = "compressed bodies are not accepted (Content-Encoding); send the body as it is";
const UTF_16: &str = "the body is UTF-16 text; send it in UTF-8";
const MULTIPART: &str =
    "multipart/form-data is not accepted; send JSON, or a form as application/x-www-form-urlencoded";
const XML: &str = "XML and HTML are not accepted; send JSON, or a form as application/x-www-form-urlencoded";

/// Rejects a body in a known but unsupported format.
///
/// A header alone never decides, since many senders set none or a wrong one. It only identifies bytes that
/// are not text.
pub(crate) fn reject_unsupported_format(body: &[u8], headers: Option<&HeaderMap>) -> Option<Rejection> {
    let text = body.trim_ascii_start();
    let message = if is_compressed(body, headers) {
        COMPRESSED
    } else if is_utf_16(body) {
        UTF_16
    } else if is_multipart(text, headers) {
        MULTIPART
    } else if text.starts_with(b"<") {
        XML
    } else {
        return None;
    };
    Some(Rejection::unsupported_format(message))
}

/// Detects compression by the magic numbers of gzip (RFC 1952), zlib (RFC 1950) and Zstandard (RFC 8878).
/// Brotli has none and is detected by its header, if the body is not UTF-8.
fn is_compressed(body: &[u8], headers: Option<&HeaderMap>) -> bool {
    let magic: [&[u8]; 5] = [b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd"];
    let encoding = value(headers, CONTENT_ENCODING);
    let is_encoded = encoding.is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity"));
    magic.iter().any(|magic| body.starts_with(magic)) || (is_encoded && str::from_utf8(body).is_err())
}

/// Detects UTF-16 by its byte order mark, or by a NUL beside the first character.
fn is_utf_16(body: &[u8]) -> bool {
    matches!(body, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..])
}

fn is_multipart(text: &[u8], headers: Option<&HeaderMap>) -> bool {
    let is_named = value(headers, CONTENT_TYPE)
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/"));
    text.starts_with(b"--")
        && (is_named || text.to_ascii_lowercase().windows(20).any(|part| part == b"content-disposition:"))
}

fn value(headers: Option<&HeaderMap>, name: HeaderName) -> Option<&str> {
    headers?.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refused(body: &[u8], header: Option<(HeaderName, &'static str)>) -> Option<&'static str> {
        let headers: HeaderMap =
            header.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        reject_unsupported_format(body, Some(&headers)).map(|rejection| match rejection.message {
            std::borrow::Cow::Borrowed(message) => message,
            std::borrow::Cow::Owned(_) => "",
        })
    }

    #[test]
    fn rejection_names_the_format() {
        let utf_16: Vec<u8> = "{\"email\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf_16_big: Vec<u8> = "{\"email\":1}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let form_data = b"\r\n--X1\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nann\r\n--X1--";
        for (body, header, message) in [
            (&b"\x1f\x8b\x08\x00"[..], None, COMPRESSED),
            (b"x\x9c\xab", None, COMPRESSED),
            (b"\x28\xb5\x2f\xfd\x04", None, COMPRESSED),
            (b"\x8b\x1f\x80\xff", Some((CONTENT_ENCODING, "br")), COMPRESSED),
            (b"\xff\xfe{\x00", None, UTF_16),
            (b"\xfe\xff\x00{", None, UTF_16),
            (&utf_16, None, UTF_16),
            (&utf_16_big, None, UTF_16),
            (form_data, None, MULTIPART),
            (b"--X1\r\n", Some((CONTENT_TYPE, "Multipart/Form-Data; boundary=X1")), MULTIPART),
            (b"\n<?xml version=\"1.0\"?><lead/>", None, XML),
            (b"<lead a=\"1\"/>", None, XML),
        ] {
            assert_eq!(refused(body, header), Some(message), "{body:?}");
        }
    }

    #[test]
    fn wrong_header_alone_rejects_nothing() {
        for (name, value) in [
            (CONTENT_ENCODING, "gzip"),
            (CONTENT_ENCODING, "identity"),
            (CONTENT_TYPE, "multipart/form-data"),
            (CONTENT_TYPE, "application/xml"),
        ] {
            for body in [&b"{}"[..], b"email=a", b"\xef\xbb\xbf{}", b"x=1"] {
                assert_eq!(refused(body, Some((name.clone(), value))), None);
            }
        }
    }
}
