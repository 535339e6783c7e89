//! Search for an address, in any spelling, in a body that could not be parsed.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::person::{Person, ascii_domain};

/// The maximum depth of nested escapes, such as JSON in a form field. Bounds the work for one body.
const MAX_NESTING: usize = 4;

/// Whether a body mentions an address of the person.
///
/// Decodes percent-encoding and the escapes of JSON and HTML, and ignores case, Unicode normal form and the
/// form of the domain (Unicode or A-labels). The match must be a whole address: `an@x.io` is not in
/// `susan@x.io`, and not in `an@x.io.example`.
pub(super) fn mentions(body: &[u8], person: &Person) -> bool {
    let text = text_of(body);
    if mentions_in(&text, person) {
        return true;
    }
    // A form writes a space as `+`, and some senders forget to encode a real `+`.
    let is_form = text.contains('=') && !text.trim_start().starts_with(['{', '[', '"']);
    is_form && text.contains('+') && mentions_in(&text.replace('+', " "), person)
}

fn mentions_in(text: &str, person: &Person) -> bool {
    let text = normal(&decoded(text));
    text.match_indices('@').any(|(at, _)| {
        let before = text[..at].trim_end_matches(is_noise);
        let after = text[at + 1..].trim_start_matches(is_noise);
        begins_with_domain(after, person.domain()) && ends_with_local(before, person)
    })
}

/// Characters that a mistyped address has around its `@`.
fn is_noise(c: char) -> bool {
    c == '@' || c.is_whitespace()
}

fn begins_with_domain(text: &str, domain: &str) -> bool {
    let end = text.find(|c: char| !is_of_domain(c)).unwrap_or(text.len());
    let found = text[..end].trim_end_matches(['.', '-', '_']);
    found == domain || (!found.is_ascii() && ascii_domain(found) == domain)
}

fn ends_with_local(text: &str, person: &Person) -> bool {
    let local: String = person.local().nfkc().collect();
    if ends_with_whole(text, &local) {
        return true;
    }
    if person.has_tag() {
        // A form without encoding.
        return ends_with_whole(text, &local.replace('+', " "));
    }
    for (plus, _) in text.rmatch_indices('+') {
        if !text[plus + 1..].chars().all(is_of_local) {
            return false;
        }
        if ends_with_whole(&text[..plus], &local) {
            return true;
        }
    }
    false
}

/// Whether a text ends with a local part that is not the end of a longer one.
fn ends_with_whole(text: &str, local: &str) -> bool {
    let Some(rest) = text.strip_suffix(local) else { return false };
    let mut before = rest.chars().rev();
    match before.next() {
        None => true,
        // An opening quote, or part of a name such as o'neil.
        Some('\'') => !before.next().is_some_and(char::is_alphanumeric),
        Some(c) => !is_of_local(c),
    }
}

fn is_of_local(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '.' | '_' | '-' | '+')
}

fn is_of_domain(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '.' | '_' | '-')
}

/// Bytes as text: UTF-8; any other byte as in Latin-1. NUL is removed, so that UTF-16 can be searched too.
fn text_of(body: &[u8]) -> String {
    let bytes: Cow<'_, [u8]> = if body.contains(&0) {
        body.iter().copied().filter(|byte| *byte != 0).collect()
    } else {
        body.into()
    };
    latin1_or_utf8(&bytes)
}

fn latin1_or_utf8(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::with_capacity(bytes.len()), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
        text
    })
}

/// Decodes percent-encoding and the escapes of JSON and HTML until none is left, at most [`MAX_NESTING`]
/// times.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_NESTING {
        let bytes: Cow<'_, [u8]> = percent_decode_str(&text).into();
        let next = html_escape::decode_html_entities(&json_unescaped(&latin1_or_utf8(&bytes))).into_owned();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Decodes the escapes of JSON strings anywhere in the text, which need not be valid JSON.
fn json_unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        if at > 0 {
            flush(&mut units, &mut out);
            out.push_str(&rest[..at]);
        }
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else { break };
        let digits = if kind == 'u' { 4 } else { 2 };
        let hex = rest.get(1..=digits).filter(|_| matches!(kind, 'u' | 'x'));
        if let Some(unit) = hex.and_then(|hex| u16::from_str_radix(hex, 16).ok()) {
            units.push(unit);
            rest = &rest[1 + digits..];
            continue;
        }
        flush(&mut units, &mut out);
        out.push(if matches!(kind, 'b' | 'f' | 'n' | 'r' | 't') { ' ' } else { kind });
        rest = &rest[kind.len_utf8()..];
    }
    flush(&mut units, &mut out);
    out.push_str(rest);
    out
}

/// Decodes the UTF-16 units of consecutive escapes: a character may take two.
fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Lower case, in NFKC, without invisible characters.
fn normal(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).filter(|c| !is_invisible(*c)).nfkc().collect()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use lead::EmailAddress;

    use super::*;

    fn found(address: &str, body: impl AsRef<[u8]>) -> bool {
        mentions(body.as_ref(), &Person::of(&EmailAddress::parse(address).unwrap()))
    }

    #[test]
    fn every_spelling_of_an_address_is_found() {
        for (address, bodies) in [
            (
                "eve+tag@example.com",
                &[
                    "{\"email\": \"Eve+Tag@Example.com\", broken",
                    r#"{"email":"eve\u002btag@example.com","company":"Jack & "quoted""}"#,
                    r#"{"email":"eve\u002Btag\u0040example.com","#,
                    r#"{"payload":"{\"email\":\"eve\\u002btag@example.com\"}"#,
                    "email=eve%2Btag%40example.com&name",
                    "email=eve%2btag@example%2Ecom",
                    "email=eve%252Btag%2540example.com",
                    "email=eve+tag%40example.com",
                    "{\"email\":\"eve tag@example.com\"",
                    "<a href=\"mailto:eve&#43;tag&#x40;example.com\">",
                    "eve&plus;tag&commat;example&period;com",
                    "payload=%7B%22email%22%3A%22eve%5Cu002btag%40example.com%22",
                    "eve+tag@@example.com",
                    "eve+tag @ example.com",
                    "Eve <eve+tag@example.com>, more",
                    "eve\u{200b}+tag@exam\u{ad}ple.com",
                ][..],
            ),
            (
                "pat.o'neil@example.com",
                &[
                    r#"{"email":"pat.o\u0027neil@example.com""#,
                    "email=pat.o%27neil%40example.com",
                    "pat.o&#39;neil@example.com",
                    "pat.o&apos;neil@example.com",
                    r"{'email':'pat.o\'neil@example.com'",
                ],
            ),
            (
                "jörg@bücher.example",
                &[
                    r#"{"email":"j\u00f6rg@b\u00fccher.example"#,
                    r#"{"email":"jo\u0308rg@xn--bcher-kva.example"#,
                    "email=j%C3%B6rg%40b%C3%BCcher.example",
                    "email=j%F6rg%40xn--bcher-kva.example",
                    "JÖRG@BÜCHER.EXAMPLE",
                    "j&ouml;rg@b&uuml;cher.example",
                ],
            ),
            (
                "ann@x.io",
                &[
                    "ann+news@x.io",
                    "ann@x.io.",
                    "write to ann@x.io, please",
                    "'ann@x.io'",
                    r"line\nann@x.io\nline",
                    "\u{ff41}nn\u{ff20}x.io",
                    "comments=call+ann%40x.io&email=",
                    "email=ann@x.io&name=Ann",
                ],
            ),
        ] {
            for body in bodies {
                assert!(found(address, body), "{address} in {body}");
            }
        }
        assert!(found("jörg@x.io", b"email=j\xf6rg@x.io"), "Latin-1");
        let utf16: Vec<u8> = "{\"email\":\"ann@x.io\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(found("ann@x.io", utf16), "UTF-16");
    }

    #[test]
    fn an_address_inside_another_one_is_not_found() {
        for body in [
            "susan@x.io",
            "x.an@x.io",
            "x-an@x.io",
            "x_an@x.io",
            "o'an@x.io",
            "{\"email\":\"susan+an@x.io\"",
            "email=susan%2Ban%40x.io",
            r#"{"email":"sus\u0061n@x.io"#,
            r#"{"email":"x\u002ban@x.io"#,
            "%C3%A9an@x.io",
            "&eacute;an@x.io",
            "\u{e9}an@x.io",
            "ann@x.io",
            "an@x.io.example",
            "an@x.iox",
            "an@x.io-y.example",
            "an@mail.x.io",
            "an@x%2Eio%2Eexample",
            "an at x.io",
        ] {
            assert!(!found("an@x.io", body), "{body}");
        }
        assert!(!found("an+a@x.io", "an+b@x.io") && !found("an+a@x.io", "an@x.io"));
    }

    #[test]
    fn arbitrary_bytes_are_searched_without_panic() {
        for body in [
            &b"\\"[..],
            b"\\u",
            b"\\ud800",
            b"\\u12",
            b"%",
            b"%4",
            b"&#;@",
            b"@",
            b"\xff@\xfe",
            b"\\\xc3\xa9@",
        ] {
            assert!(!found("ann@x.io", body), "{body:?}");
        }
    }
}
