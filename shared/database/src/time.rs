use jiff::Timestamp;

/// A time as the database keeps it: milliseconds since 1970 UTC.
pub fn to_millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A time read back; one that no calendar holds reads as 1970, since it cannot have been written by us.
pub fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
