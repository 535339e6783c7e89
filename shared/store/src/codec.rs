//! Conversion of domain values to and from columns.

use database::DatabaseError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::Result;

/// A value as JSON text. Domain values always serialise: they hold strings, numbers and JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Replaces NUL, which PostgreSQL cannot store in text. JSON text needs no replacement: it escapes NUL.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Parses a value from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| corrupt(what, classify(&error)))
}

/// The value parsed from a word or an id, or an error if there is none.
pub(crate) fn parsed<T>(what: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| corrupt(what, "not a known value".to_owned()))
}

fn corrupt(what: &'static str, why: String) -> DatabaseError {
    DatabaseError::Corrupt { what, why }
}

/// The kind and position of a JSON error, without `serde_json`'s own message, which may quote the value.
fn classify(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// Typed access to the columns of a row.
pub(crate) trait Columns {
    fn text(&self, column: &'static str) -> Result<String>;
    fn optional_text(&self, column: &'static str) -> Result<Option<String>>;
    fn number(&self, column: &'static str) -> Result<i64>;
    fn optional_number(&self, column: &'static str) -> Result<Option<i64>>;

    fn time(&self, column: &'static str) -> Result<jiff::Timestamp> {
        Ok(database::from_millis(self.number(column)?))
    }

    fn id<T: TryFrom<String>>(&self, column: &'static str) -> Result<T> {
        parsed(column, T::try_from(self.text(column)?).ok())
    }

    fn optional_id<T: TryFrom<String>>(&self, column: &'static str) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| parsed(column, T::try_from(text).ok())).transpose()
    }

    fn word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>) -> Result<T> {
        parsed(column, parse(&self.text(column)?))
    }

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.number(column)? == 1)
    }

    fn optional_time(&self, column: &'static str) -> Result<Option<jiff::Timestamp>> {
        Ok(self.optional_number(column)?.map(database::from_millis))
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        from_json(column, &self.text(column)?)
    }

    fn optional_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| from_json(column, &text)).transpose()
    }

    fn optional_word<T>(&self, column: &'static str, parse: fn(&str) -> Option<T>) -> Result<Option<T>> {
        self.optional_text(column)?.map(|text| parsed(column, parse(&text))).transpose()
    }
}

impl Columns for AnyRow {
    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn optional_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn number(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn optional_number(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }
}
