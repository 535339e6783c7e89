use std::fmt;

use lead::{Dependency, Failure, Stage};
use sqlx::error::ErrorKind;

/// The database could not be reached, refused a statement, or holds something that we cannot read.
///
/// Its text holds no values, and its `Debug` is its text: what a server says about a row goes into a detail that is
/// not shown.
#[derive(thiserror::Error)]
pub enum DatabaseError {
    /// The URL names no database that this build knows.
    #[error("DATABASE_URL must start with {0}")]
    Url(&'static str),
    /// A statement or a connection failed.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("database migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not what this version writes.
    #[error("stored {what} cannot be read: {why}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What is wrong with it, without the value.
        why: String,
    },
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseError({self})")
    }
}

impl DatabaseError {
    /// The database that every lead depends on.
    pub const DEPENDENCY: Dependency = Dependency::new("database");

    /// Whether the database works and refuses what is written: a constraint is violated, or a value is invalid (`SQLSTATE`
    /// class 22). Trying again is then an attempt of the lead, while a database that is away costs none.
    fn is_of_the_content(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        !matches!(error.kind(), ErrorKind::Other) || error.code().is_some_and(|code| code.starts_with("22"))
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let failure = match &error {
            DatabaseError::Corrupt { .. } => {
                Failure::permanent("stored_data_unreadable", error.to_string()).at(Stage::Storage)
            }
            _ if error.is_of_the_content() => Failure::transient("database_error", error.to_string()),
            _ => Failure::transient("database_error", error.to_string()).at(Stage::Storage),
        };
        failure.on(DatabaseError::DEPENDENCY)
    }
}
