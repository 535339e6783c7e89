//! How domain values are written to and read from columns.

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

/// A text as PostgreSQL can hold it. JSON needs none of this: it has NUL written out.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// JSON text read back as a value.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| corrupt(what, classify(&error)))
}

/// A word or id read back as a value.
pub(crate) fn parsed<T>(what: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| corrupt(what, "not a known value".to_owned()))
}

fn corrupt(what: &'static str, why: String) -> DatabaseError {
    DatabaseError::Corrupt { what, why }
}

/// Says where JSON is wrong without quoting it: `serde_json`'s own message may hold the value.
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
