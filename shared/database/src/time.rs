use jiff::Timestamp;

/// A time in the form stored in the database: milliseconds since 1970 UTC.
pub fn to_millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A time read from the database. A number outside the calendar reads as 1970, because this product cannot
/// have written it.
pub fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
