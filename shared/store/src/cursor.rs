use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use jiff::Timestamp;

/// The id of a cursor, without the rule that unused bits are zero: a pattern cannot say that.
const BASE64: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The digits of the longest time in a cursor: milliseconds until the year 5138.
const MAX_TIME_DIGITS: usize = 14;

/// The longest id in a cursor, as base64: ids have at most 255 bytes.
const MAX_CODED_ID: usize = 343;

/// A place in a list that is ordered by time and id. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: i64,
    id: String,
}

impl Cursor {
    /// The place of a row.
    pub fn at(time: Timestamp, id: impl Into<String>) -> Self {
        Self { at: database::to_millis(time), id: id.into() }
    }

    /// Its time and id, as rows are compared with it.
    pub(crate) fn place(&self) -> (i64, &str) {
        (self.at, &self.id)
    }

    /// What the rows of a list that goes backwards must come before; without a cursor, everything does.
    pub(crate) fn before(cursor: Option<&Self>) -> (i64, &str) {
        cursor.map_or((i64::MAX, ""), Self::place)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, BASE64.encode(&self.id))
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    /// Takes every text of a cursor's form, which the API description gives: a place between rows is as good as one at a row.
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
