//! Statements over many rows at once, in SQL that both databases accept.

use serde::{Serialize, Serializer};
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::{Backend, Connection, DatabaseError};

/// The maximum number of rows in one statement. More rows are split into several statements.
const MAX_ROWS: usize = 512;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A `TEXT`.
    Text(Option<String>),
    /// A `BIGINT`.
    Number(Option<i64>),
}

impl Cell {
    fn column_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "TEXT",
            Self::Number(_) => "BIGINT",
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
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

/// Rows that a statement reads as the table `given`. Their first column is a key: a text, never NULL.
///
/// They are one parameter, in JSON, so that the text of a statement does not depend on their number: each
/// connection prepares it once.
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
        self.execute_composed(connection, statement).await
    }

    /// As [`execute`](Self::execute), for a statement that is composed of constants.
    pub(crate) async fn execute_composed(
        self,
        connection: &mut Connection,
        statement: &str,
    ) -> Result<u64, DatabaseError> {
        let mut changed = 0;
        for part in self.rows.chunks(MAX_ROWS) {
            let query = self.query(part, connection.backend(), statement);
            changed += connection.execute(query).await?.rows_affected();
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
        for part in self.rows.chunks(MAX_ROWS) {
            let query = self.query(part, connection.backend(), statement);
            found.append(&mut connection.fetch_all(query).await?);
        }
        Ok(found)
    }

    fn query(
        &self,
        rows: &[[Cell; N]],
        backend: Backend,
        statement: &str,
    ) -> Query<'static, Any, AnyArguments> {
        let rows: Vec<_> = rows.iter().map(|cells| Row { columns: &self.columns, cells }).collect();
        // A list of maps of texts and numbers has a form in JSON.
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        sqlx::query(AssertSqlSafe(self.text(backend, statement))).bind(rows)
    }

    /// The statement with `given` in front. Safe to run: column names and statements are constants, and the
    /// values are bound.
    ///
    /// PostgreSQL expects 100 rows from JSON. For so many it reads a whole table if it takes it for small, as
    /// it does while the table has no statistics, and keeps that plan while the table grows. The condition on
    /// the key is true, and PostgreSQL expects one row in 200 to meet it: it then finds every row by an
    /// index.
    fn text(&self, backend: Backend, statement: &str) -> String {
        let given = match backend {
            Backend::Sqlite => {
                let columns =
                    self.columns.map(|column| format!("json_extract(value, '$.{column}') AS {column}"));
                format!("SELECT {} FROM json_each($1)", columns.join(", "))
            }
            Backend::Postgres => {
                let first = self.rows.first().into_iter().flatten();
                let columns = self.columns.iter().zip(first);
                let columns = columns.map(|(column, cell)| format!("{column} {}", cell.column_type()));
                let columns: Vec<_> = columns.collect();
                let key = self.columns.first().unwrap_or(&"");
                format!(
                    "SELECT * FROM json_to_recordset(CAST($1 AS JSON)) AS given ({}) WHERE {key} = {key} || ''",
                    columns.join(", ")
                )
            }
        };
        format!("WITH given AS MATERIALIZED ({given}) {statement}")
    }
}

/// A row as a map, by the names of its columns.
struct Row<'a, const N: usize> {
    columns: &'a [&'static str; N],
    cells: &'a [Cell; N],
}

impl<const N: usize> Serialize for Row<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.cells))
    }
}
