use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The files of `migrations`, oldest first: number, description, text. Listed here because sqlx's macro would
/// compile both database drivers a second time, for the compiler.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "initial", include_str!("../migrations/0001_initial.sql"))];

/// Ignores migrations that only a newer version knows: migrations only add to the schema, so that older code
/// works with a newer one. Without this, a release that had a migration could not be rolled back.
pub(crate) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let all = MIGRATIONS.map(|(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    let mut migrator = Migrator::with_migrations(all.into());
    migrator.set_ignore_missing(true);
    migrator
});

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
        let listed = MIGRATIONS
            .map(|(version, description, _)| format!("{version:04}_{}.sql", description.replace(' ', "_")));
        assert_eq!(files, listed);
    }
}
