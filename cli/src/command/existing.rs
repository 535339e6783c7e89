//! The database as it is: commands that only look neither create nor change one.

use std::path::PathBuf;

use database::{Database, DatabaseError, sqlite_file};
use runtime::Config;

use crate::app::App;
use crate::output::Advice;

/// Puts everything together on a database that is there and up to date. A missing SQLite file or an old
/// schema is an error here: whoever asks for a lead in the wrong folder should hear so, and not get an empty
/// list and an empty file.
pub(crate) async fn app(config: &Config) -> anyhow::Result<App> {
    if let Some(file) = missing_file(&config.database_url) {
        return Err(Advice::new(
            format!("DATABASE_URL: there is no database at {}", file.display()),
            "`revenueflow` creates it when it starts, `revenueflow migrate` without starting; is this the right folder?",
        )
        .into());
    }
    let database = Database::connect(&config.database_url, 1)
        .await
        .map_err(|error| cannot_open(&error, &config.database_url))?;
    let is_migrated = database.is_migrated().await?;
    database.close().await;
    if !is_migrated {
        return Err(Advice::new(
            "the database's schema is older than this program",
            "`revenueflow migrate` brings it up to date",
        )
        .into());
    }
    App::assemble(config).await
}

/// Why a database could not be opened. The URL is not repeated: it may hold a password.
pub(crate) fn cannot_open(error: &DatabaseError, url: &str) -> Advice {
    let hint = if url.starts_with("sqlite:") {
        "is the file an SQLite database, and may it and its folder be written?"
    } else {
        "is the database server running, and does DATABASE_URL hold its host, port, user and password?"
    };
    Advice::new(format!("DATABASE_URL: cannot open the database: {error}"), hint)
}

/// The file of an SQLite database that does not exist. None for one that does, and for every other database.
pub(crate) fn missing_file(url: &str) -> Option<PathBuf> {
    sqlite_file(url).filter(|file| !file.exists())
}
