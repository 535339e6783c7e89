use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::Backend;

/// A number, a description, and the text on SQLite and on PostgreSQL.
type File = (i64, &'static str, &'static str, &'static str);

/// The files of `migrations`, oldest first. Listed here because sqlx's macro would compile both database
/// drivers a second time, for the compiler.
const MIGRATIONS: [File; 2] = [
    (
        1,
        "initial",
        include_str!("../migrations/0001_initial.sql"),
        include_str!("../migrations/0001_initial.sql"),
    ),
    (
        2,
        "protect audit",
        include_str!("../migrations/0002_protect_audit.sqlite.sql"),
        include_str!("../migrations/0002_protect_audit.postgres.sql"),
    ),
];

static SQLITE: LazyLock<Migrator> =
    LazyLock::new(|| all(MIGRATIONS.map(|(version, description, sqlite, _)| (version, description, sqlite))));

static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| {
    all(MIGRATIONS.map(|(version, description, _, postgres)| (version, description, postgres)))
});

/// The migrations of a kind of database.
pub(crate) fn migrator(backend: Backend) -> &'static Migrator {
    match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    }
}

/// Ignores migrations that only a newer version knows: migrations only add to the schema, so that older code
/// works with a newer one. Without this, a release that had a migration could not be rolled back.
fn all<const N: usize>(files: [(i64, &'static str, &'static str); N]) -> Migrator {
    let all = files.map(|(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    let mut migrator = Migrator::with_migrations(all.into());
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed_by_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        files.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "sql"));
        files.sort();
        let mut listed = Vec::new();
        for (version, description, sqlite, postgres) in MIGRATIONS {
            let name = format!("{version:04}_{}", description.replace(' ', "_"));
            if sqlite == postgres {
                listed.push(format!("{name}.sql"));
            } else {
                listed.extend([format!("{name}.postgres.sql"), format!("{name}.sqlite.sql")]);
            }
        }
        assert_eq!(files, listed);
    }
}
