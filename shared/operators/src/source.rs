//! Reading an operators file at the start, and again when it changes.

use std::path::PathBuf;
use std::time::Duration;

use metrics::counter;

use crate::credentials::Credentials;
use crate::error::FileError;
use crate::file::Operators;

/// The interval between two looks at the file. A revoked token is valid for this long at most.
const INTERVAL: Duration = Duration::from_secs(2);

/// The largest file, in bytes: several thousand operators.
const MAX_BYTES: u64 = 1024 * 1024;

/// The file of `OPERATORS_FILE`.
#[derive(Clone, Debug)]
pub struct OperatorsFile {
    path: PathBuf,
    /// The last read text, or the last reported error, so that each is treated once.
    seen: Result<String, String>,
}

/// The result of a look at the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The file has not changed since the last look.
    Unchanged,
    /// The new operators are in force.
    Replaced,
    /// The file cannot be used; the former operators stay in force.
    Refused,
}

impl OperatorsFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has a mistake.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Operators), FileError> {
        let mut file = Self { path: path.into(), seen: Ok(String::new()) };
        let text = file.read()?;
        let operators = file.parse(&text)?;
        file.seen = Ok(text);
        Ok((file, operators))
    }

    /// Reads the file again, and puts its operators into force if it has changed. A file with a mistake, or a
    /// missing one, leaves the former operators in force, so that no accident locks all operators out.
    pub fn reload(&mut self, credentials: &Credentials) -> Reloaded {
        let read = self.read();
        if let (Ok(text), Ok(seen)) = (&read, &self.seen)
            && text == seen
        {
            return Reloaded::Unchanged;
        }
        match read.and_then(|text| self.parse(&text).map(|operators| (text, operators))) {
            Ok((text, operators)) => {
                tracing::info!(operators = operators.iter().count(), "operators file read again");
                credentials.replace(operators);
                self.seen = Ok(text);
                Reloaded::Replaced
            }
            Err(error) => {
                let text = error.to_string();
                if self.seen.as_ref().err() == Some(&text) {
                    return Reloaded::Unchanged;
                }
                counter!("revenueflow_operators_file_failures_total").increment(1);
                tracing::error!(
                    error = text,
                    hint = error.hint(),
                    "operators file not read again; the former operators stay in force"
                );
                self.seen = Err(text);
                Reloaded::Refused
            }
        }
    }

    /// Looks at the file at intervals, until the future is dropped.
    pub async fn watch(mut self, credentials: Credentials) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let credentials = credentials.clone();
            // Reading may block, on a network file system for long.
            let looked = tokio::task::spawn_blocking(move || {
                self.reload(&credentials);
                self
            });
            match looked.await {
                Ok(file) => self = file,
                Err(_) => return,
            }
        }
    }

    fn read(&self) -> Result<String, FileError> {
        let unreadable = |source| FileError::Unreadable { path: self.path.clone(), source };
        let file = std::fs::File::open(&self.path).map_err(unreadable)?;
        let mut text = String::new();
        let mut bounded = std::io::Read::take(file, MAX_BYTES + 1);
        std::io::Read::read_to_string(&mut bounded, &mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
        }
        Ok(text)
    }

    fn parse(&self, text: &str) -> Result<Operators, FileError> {
        Operators::parse(text).map_err(|mistake| FileError::Mistake { path: self.path.clone(), mistake })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::token::NewToken;

    #[test]
    fn changed_file_is_in_force_and_a_mistake_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operators.toml");
        assert!(matches!(OperatorsFile::open(&path), Err(FileError::Unreadable { .. })));
        let token = NewToken::random();
        let written = format!(
            "[[operator]]\nname = \"ann\"\nscopes = [\"read\"]\ntoken_sha256 = [\"{}\"]\n",
            token.hash()
        );
        std::fs::write(&path, "").unwrap();
        let (mut file, operators) = OperatorsFile::open(&path).unwrap();
        let credentials = Credentials::new(None, Some(operators));
        let is_known = || credentials.authenticate(Some(token.expose()), Timestamp::UNIX_EPOCH).is_ok();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Unchanged, false));

        std::fs::write(&path, &written).unwrap();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Replaced, true));
        std::fs::write(&path, written.replace("read", "raed")).unwrap();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Refused, true));
        assert_eq!(file.reload(&credentials), Reloaded::Unchanged, "it is reported once");
        std::fs::remove_file(&path).unwrap();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Refused, true));
        std::fs::write(&path, &written).unwrap();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Replaced, true));
        std::fs::write(&path, "# all tokens are revoked\n").unwrap();
        assert_eq!((file.reload(&credentials), is_known()), (Reloaded::Replaced, false));
    }

    #[test]
    fn error_names_the_file_and_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operators.toml");
        std::fs::write(&path, "\n[[operator]]\nname = 1\n").unwrap();
        let error = OperatorsFile::open(&path).unwrap_err();
        let start = format!("OPERATORS_FILE: {}:3: ", path.display());
        assert!(error.to_string().starts_with(&start) && !error.hint().is_empty(), "{error}");
    }
}
