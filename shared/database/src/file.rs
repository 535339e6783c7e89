use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sqlx::sqlite::SqliteConnectOptions;

/// The file that an SQLite URL names, parsed by the driver. None for a database in memory or on a server, and
/// for text that is not a URL.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") {
        return None;
    }
    let options = SqliteConnectOptions::from_str(url).ok()?;
    let file = options.get_filename();
    // The driver's own name for a database in memory.
    let in_memory = url.contains("mode=memory") || file.to_string_lossy().starts_with("file:sqlx-in-memory");
    (!in_memory && file != Path::new("")).then(|| file.to_path_buf())
}

/// Creates a missing file with mode 0600, which its write-ahead log inherits, because it will hold personal
/// data. Leaves it to the driver to report a file that cannot be created.
pub(crate) fn create_private(url: &str) {
    let Some(file) = sqlite_file(url).filter(|_| url.contains("mode=rwc")) else { return };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_file_returns_the_file_of_a_url() {
        for (url, file) in [
            ("sqlite://revenueflow.db", Some("revenueflow.db")),
            ("sqlite:leads.db", Some("leads.db")),
            ("sqlite:///var/lib/leads.db?mode=rwc", Some("/var/lib/leads.db")),
            ("sqlite://my%20leads.db", Some("my leads.db")),
            ("sqlite::memory:", None),
            ("sqlite://shared?mode=memory", None),
            ("postgres://localhost/leads", None),
        ] {
            assert_eq!(sqlite_file(url), file.map(PathBuf::from), "{url}");
        }
    }
}
