//! Opening an existing database. Commands other than `serve` and `migrate` neither create nor migrate one.

use std::path::PathBuf;

use assembly::Config;
use database::{Database, sqlite_file};
use lead::Actor;
use operations::Operations;

use crate::output::Advice;
use crate::serve::App;

/// The operations on an existing, up-to-date database.
///
/// # Errors
///
/// Fails for a missing SQLite file and for an old schema, so that a command in the wrong folder reports the
/// mistake instead of creating an empty database.
pub(crate) async fn operations(config: &Config) -> anyhow::Result<Operations> {
    if let Some(file) = missing_file(&config.database_url) {
        return Err(Advice::new(
            format!("DATABASE_URL: there is no database at {}", file.display()),
            "`revenueflow` creates it when it starts, `revenueflow migrate` without starting; is this the right folder?",
        )
        .into());
    }
    let database = connect(config).await?;
    let is_migrated = database.is_migrated().await?;
    database.close().await;
    if !is_migrated {
        return Err(Advice::new(
            "the database's schema is older than this program",
            "`revenueflow migrate` brings it up to date",
        )
        .into());
    }
    Ok(App::assemble(config).await?.operations)
}

/// The user of the command line. Who may use the database may take any name: the database's own access rules
/// are what protects it.
pub(crate) fn actor() -> Actor {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    Actor::local(&user.unwrap_or_default())
}

/// One connection to the configured database. An error does not quote the URL, which may hold a password.
pub(crate) async fn connect(config: &Config) -> Result<Database, Advice> {
    let url = &config.database_url;
    Database::connect(url, 1).await.map_err(|error| {
        let hint = if sqlite_file(url).is_some() {
            "is the file an SQLite database, and may it and its folder be written?"
        } else {
            "is the database server running, and does DATABASE_URL hold its host, port, user and password?"
        };
        Advice::new(format!("DATABASE_URL: cannot open the database: {error}"), hint)
    })
}

/// The path of a missing SQLite database file. `None` if the file exists, and for other databases.
pub(crate) fn missing_file(url: &str) -> Option<PathBuf> {
    sqlite_file(url).filter(|file| !file.exists())
}
