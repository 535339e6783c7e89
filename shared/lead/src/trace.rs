use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A trace context in the sense of W3C's `traceparent`
/// (<https://www.w3.org/TR/trace-context-2/#traceparent-header>): a trace id, the id of the parent span, and
/// whether the trace is recorded. It contains no personal data, as both ids are random numbers.
///
/// X-Ray's header contains the same information in another format
/// (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// A text is not a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct TraceContextError;

/// The length of version 00 in bytes, and of the part of later versions that is read.
const LENGTH: usize = 55;

/// Maximum length of an X-Ray header, in bytes.
const MAX_XRAY_BYTES: usize = 512;

impl TraceContext {
    /// A context with these ids. `None` if one of them is 0, which means no id.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, sampled })
    }

    /// The id of the trace, never 0.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the span, never 0.
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// The same context with another value of `sampled`.
    #[must_use]
    pub fn with_sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// Parses X-Ray's header, `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
    /// The fields may be in any order and mixed with others. `None` if the root or the parent is missing or
    /// malformed.
    pub fn from_xray(header: &str) -> Option<Self> {
        if header.len() > MAX_XRAY_BYTES {
            return None;
        }
        let field = |name: &str| {
            let fields = header.split(';').filter_map(|field| field.trim().split_once('='));
            fields.into_iter().find_map(|(key, value)| (key == name).then_some(value))
        };
        let (time, rest) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let trace_id = hex(time, 8)? << 96 | hex(rest, 24)?;
        let span_id = u64::try_from(hex(field("Parent")?, 16)?).ok()?;
        Self::new(trace_id, span_id, field("Sampled") == Some("1"))
    }

    /// The trace id in X-Ray's format: `1-5759e988-bd862e3fe1be46a994272793`.
    pub fn xray_trace_id(&self) -> String {
        format!("1-{:08x}-{:024x}", self.trace_id >> 96, self.trace_id & ((1 << 96) - 1))
    }

    /// The span id as 16 hexadecimal digits, the format of both standards.
    pub fn span_id_text(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

/// Parses a number with exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    /// For versions after 00, the fields of version 00 are read and the rest after a dash is ignored. Only
    /// the first flag is supported.
    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let read = || {
            let (known, rest) = text.split_at_checked(LENGTH)?;
            let mut fields = known.split('-');
            let version = hex(fields.next()?, 2)?;
            let trace_id = hex(fields.next()?, 32)?;
            let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
            let flags = hex(fields.next()?, 2)?;
            let may_be_longer = version > 0 && rest.starts_with('-');
            if version == 0xff || !(rest.is_empty() || may_be_longer) {
                return None;
            }
            Self::new(trace_id, span_id, flags & 1 == 1)
        };
        read().ok_or(TraceContextError)
    }
}

/// Formats the context as a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Deserialises an optional context of a queue message. An invalid context is read as absent, so that it does
/// not make the message unreadable.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(source: D) -> Result<Option<TraceContext>, D::Error> {
    let value = serde_json::Value::deserialize(source)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<TraceContext> {
        text.parse().ok()
    }

    #[test]
    fn traceparent_survives_a_round_trip() {
        let context = read(TEXT).unwrap();
        assert_eq!((context.trace_id(), context.sampled), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, true));
        assert_eq!(context.span_id_text(), "b7ad6b7169203331");
        assert_eq!(context.to_string(), TEXT);
        let unsampled = TEXT.replace("-01", "-00");
        assert_eq!(read(&unsampled).unwrap().to_string(), unsampled);
    }

    #[test]
    fn unknown_flags_are_dropped() {
        assert_eq!(read(&TEXT.replace("-01", "-ff")).unwrap().to_string(), TEXT);
        assert!(!read(&TEXT.replace("-01", "-fe")).unwrap().sampled);
    }

    #[test]
    fn malformed_traceparent_is_refused() {
        let wrong = [
            String::new(),
            TEXT[..54].to_owned(),
            format!("{TEXT}-"),
            format!("{TEXT} "),
            format!(" {TEXT}"),
            TEXT.to_uppercase(),
            TEXT.replace('-', "_"),
            TEXT.replace("-01", "-0g"),
            TEXT.replace("-01", "-+1"),
            TEXT.replacen("00-", "ff-", 1),
            TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
            TEXT.replace("b7ad6b7169203331-", "b7ad6b716920333-1"),
            TEXT.replace("0af", "0\u{e4}"),
        ];
        for text in wrong {
            assert_eq!(read(&text), None, "{text:?}");
        }
    }

    #[test]
    fn known_fields_of_a_later_version_are_read() {
        let later = TEXT.replacen("00-", "cc-", 1);
        for text in [later.clone(), format!("{later}-what-the-future-will-be-like")] {
            assert_eq!(read(&text).unwrap().to_string(), TEXT, "{text}");
        }
        assert_eq!(read(&format!("{later}.what")), None);
    }

    #[test]
    fn xray_header_gives_the_same_context() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let context = TraceContext::from_xray(header).unwrap();
        assert_eq!(context.to_string(), "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01");
        assert_eq!(context.xray_trace_id(), "1-5759e988-bd862e3fe1be46a994272793");
        let more = "Self=1-67891234-12456789abcdef012345678;Sampled=0;Parent=53995c3f42cd8ad8; \
            Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1|68fd508a:5";
        let other = TraceContext::from_xray(more).unwrap();
        assert_eq!((other.trace_id(), other.sampled), (context.trace_id(), false));
    }

    #[test]
    fn malformed_xray_header_gives_no_context() {
        for header in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8;Sampled=1",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=1-5759E988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(TraceContext::from_xray(header), None, "{header}");
        }
        let long = format!(
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;{}",
            "x".repeat(MAX_XRAY_BYTES)
        );
        assert_eq!(TraceContext::from_xray(&long), None);
    }
}
