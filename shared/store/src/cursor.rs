use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use jiff::Timestamp;

/// The encoding of a cursor's id. Accepts unused bits that are not zero, because the pattern in the API
/// description cannot exclude them.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The maximum number of digits of a time in a cursor: milliseconds until the year 5138.
const MAX_TIME_DIGITS: usize = 14;

/// The maximum length of an id in a cursor, in base64: ids have at most 255 bytes.
const MAX_CODED_ID: usize = 343;

/// A position in a list that is ordered by time and id. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: i64,
    id: String,
}

impl Cursor {
    /// The position of a row.
    pub fn at(time: Timestamp, id: impl Into<String>) -> Self {
        Self { at: database::to_millis(time), id: id.into() }
    }

    /// Its time and id, for comparison with rows.
    pub(crate) fn position(&self) -> (i64, &str) {
        (self.at, &self.id)
    }

    /// The upper bound for the rows of a list in descending order; without a cursor, no bound.
    pub(crate) fn before(cursor: Option<&Self>) -> (i64, &str) {
        cursor.map_or((i64::MAX, ""), Self::position)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, BASE64.encode(&self.id))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    /// Accepts every text of the form that the API description gives: a position between rows is as good as
    /// one at a row.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let decode = || {
            let (at, id) = text.split_once('.')?;
            let is_time = (1..=MAX_TIME_DIGITS).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            (is_time && id.len() <= MAX_CODED_ID).then_some(())?;
            let id = String::from_utf8_lossy(&BASE64.decode(id).ok()?).replace('\0', "");
            Some(Self { at: at.parse().ok()?, id })
        };
        decode().ok_or("is not a cursor that this API gave out")
    }
}
