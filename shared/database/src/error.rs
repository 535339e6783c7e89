use std::fmt;
use std::sync::Arc;

use batcher::Interrupted;
use lead::{Dependency, Failure, Stage};
use sqlx::error::ErrorKind;

/// The database could not be reached, refused a statement, or holds data that cannot be read.
///
/// Neither `Display` nor `Debug` shows values: both omit the server's detail about a row.
#[derive(thiserror::Error)]
pub enum DatabaseError {
    /// The URL names no kind of database that this build supports.
    #[error("DATABASE_URL must start with {0}")]
    Url(&'static str),
    /// A statement or a connection failed.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("database migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value has a form that this version does not write.
    #[error("stored {what} cannot be read: {why}")]
    Corrupt {
        /// The column.
        what: &'static str,
        /// The defect, without the value.
        why: String,
    },
    /// The call that this one shared with others failed.
    #[error("{0}")]
    Shared(Arc<DatabaseError>),
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseError({self})")
    }
}

impl DatabaseError {
    /// The dependency name of the database, on which every lead depends.
    pub const DEPENDENCY: Dependency = Dependency::new("database");

    /// The failure of a batch of calls, as the result of each of them.
    pub fn for_each<R>(self, calls: usize) -> Vec<Result<R, Self>> {
        let error = Arc::new(self);
        (0..calls).map(|_| Err(Self::Shared(Arc::clone(&error)))).collect()
    }

    /// The error itself, if several writes share it.
    fn cause(&self) -> &Self {
        match self {
            Self::Shared(error) => error.cause(),
            error => error,
        }
    }

    /// Whether the error may concern one of several writes alone.
    pub(crate) fn concerns_a_row(&self) -> bool {
        matches!(self.cause(), Self::Sql(sqlx::Error::Database(_)) | Self::Corrupt { .. })
    }

    /// Whether the database is available but refuses the written data: a constraint is violated, or a value
    /// is invalid (`SQLSTATE` class 22). Such a failure counts as an attempt of the lead; an unavailable
    /// database does not.
    fn is_data_error(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self.cause() else { return false };
        !matches!(error.kind(), ErrorKind::Other) || error.code().is_some_and(|code| code.starts_with("22"))
    }
}

impl From<Interrupted> for DatabaseError {
    fn from(_: Interrupted) -> Self {
        Self::Sql(sqlx::Error::WorkerCrashed)
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let failure = match error.cause() {
            DatabaseError::Corrupt { .. } => {
                Failure::permanent("stored_data_unreadable", error.to_string()).at(Stage::Storage)
            }
            _ if error.is_data_error() => Failure::transient("database_error", error.to_string()),
            _ => Failure::transient("database_error", error.to_string()).at(Stage::Storage),
        };
        failure.on(DatabaseError::DEPENDENCY)
    }
}
