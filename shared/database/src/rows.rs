//! Statements over many rows at once, in SQL that both databases accept.

use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::{Connection, DatabaseError};

/// The maximum number of rows in one statement. More rows are split into several statements.
const MAX_ROWS: usize = 64;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A `TEXT`.
    Text(Option<String>),
    /// A `BIGINT`.
    Number(Option<i64>),
}

impl Cell {
    /// NULL in a column of this cell's type.
    fn null(&self) -> Self {
        match self {
            Self::Text(_) => Self::Text(None),
            Self::Number(_) => Self::Number(None),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// Rows that a statement reads as the table `given`. Their first column is a key: never NULL.
///
/// The text of a statement depends on the number of its rows, and each connection keeps the texts that it has
/// prepared. The rows are therefore padded to a power of two with rows of NULLs, which `given` leaves out.
#[derive(Clone, Debug)]
pub struct Rows<const N: usize> {
    columns: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Rows<N> {
    /// No rows yet, with columns of these names.
    pub fn new(columns: [&'static str; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The keys: the texts of the first column.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| match row.first() {
            Some(Cell::Text(key)) => key.as_deref(),
            _ => None,
        })
    }

    /// Runs a statement that reads the rows from `given`. Returns the number of rows that it changed. Without
    /// rows it does nothing.
    pub async fn execute(
        self,
        connection: &mut Connection,
        statement: &'static str,
    ) -> Result<u64, DatabaseError> {
        let mut changed = 0;
        for part in self.parts() {
            let text = part.text(statement);
            changed += connection.execute(part.query(text)).await?.rows_affected();
        }
        Ok(changed)
    }

    /// Runs a statement that reads the rows from `given`, and returns its rows. Without rows it does nothing.
    pub async fn fetch_all(
        self,
        connection: &mut Connection,
        statement: &'static str,
    ) -> Result<Vec<AnyRow>, DatabaseError> {
        let mut found = Vec::new();
        for part in self.parts() {
            let text = part.text(statement);
            found.append(&mut connection.fetch_all(part.query(text)).await?);
        }
        Ok(found)
    }

    /// The same rows, in parts of a size that one statement takes.
    fn parts(self) -> impl Iterator<Item = Self> {
        let columns = self.columns;
        let mut rows = self.rows.into_iter();
        std::iter::from_fn(move || {
            let rows: Vec<_> = rows.by_ref().take(MAX_ROWS).collect();
            (!rows.is_empty()).then_some(Self { columns, rows })
        })
    }

    /// The statement with its rows as placeholders. Safe to run: column names and statements are constants,
    /// and every value is bound.
    fn text(&self, statement: &'static str) -> String {
        let columns = self.columns.join(", ");
        let mut number = 0;
        let mut row = || {
            let placeholders: Vec<_> = (0..N)
                .map(|_| {
                    number += 1;
                    format!("${number}")
                })
                .collect();
            format!("({})", placeholders.join(","))
        };
        let rows: Vec<_> = (0..self.padded()).map(|_| row()).collect();
        format!(
            "WITH padded ({columns}) AS (VALUES {}), given AS (SELECT * FROM padded WHERE {} IS NOT NULL) {statement}",
            rows.join(","),
            self.columns.first().unwrap_or(&"1"),
        )
    }

    fn padded(&self) -> usize {
        self.rows.len().next_power_of_two()
    }

    fn query(self, text: String) -> Query<'static, Any, AnyArguments> {
        let padding = self.padded() - self.rows.len();
        let nulls = self.rows.first().map(|row| row.each_ref().map(Cell::null));
        let padding = std::iter::repeat_n(nulls, padding).flatten();
        let mut query = sqlx::query(AssertSqlSafe(text));
        for cell in self.rows.into_iter().chain(padding).flatten() {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Number(number) => query.bind(number),
            };
        }
        query
    }
}
