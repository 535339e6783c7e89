//! Settings from environment variables.
//!
//! Each crate reads its own settings, with [`Variables`]. An invalid or missing one is a [`ConfigError`]: one
//! line that names the variable.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

/// A variable is missing or invalid. Displays as one line that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// The problem and the expected value. Never contains the value of a secret.
    pub problem: String,
}

impl ConfigError {
    /// An error about one variable.
    pub fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

/// A file that a variable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    variable: &'static str,
    path: PathBuf,
}

impl ConfigFile {
    /// The path, as configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and parses its text.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or parsed. Names the variable and the path.
    pub fn parse<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, ConfigError> {
        let refused = |problem: &dyn Display| {
            ConfigError::new(self.variable, format!("{}: {problem}", self.path.display()))
        };
        let text = std::fs::read_to_string(&self.path).map_err(|error| refused(&error))?;
        parse(&text).map_err(|error| refused(&error))
    }
}

/// A source of variables: the environment, or a list in a test. Empty values count as absent.
pub struct Variables<'a>(Box<LookUp<'a>>);

type LookUp<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl<'a> Variables<'a> {
    /// The environment of the process.
    pub fn of_process() -> Self {
        Self::from_fn(|name| std::env::var(name).ok())
    }

    /// The results of a function.
    pub fn from_fn(look_up: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self(Box::new(look_up))
    }

    /// Fixed values. The first pair with a name applies.
    pub fn from_pairs(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self::from_fn(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    /// A text, trimmed.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A secret.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// A value in its usual text form, or the default if the variable is absent.
    pub fn parsed<T>(&self, name: &'static str, default: &str) -> Result<T, ConfigError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(name);
        let value = text.as_deref().unwrap_or(default).parse();
        value.map_err(|error: T::Err| ConfigError::new(name, error.to_string()))
    }

    /// The path of a file.
    pub fn file(&self, name: &'static str) -> Option<ConfigFile> {
        self.text(name).map(|path| ConfigFile { variable: name, path: path.into() })
    }

    /// A comma-separated list, without empty items.
    pub fn list(&self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// A number within bounds, or the default if the variable is absent.
    pub fn number<T>(
        &self,
        name: &'static str,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if bounds.contains(&number) => Ok(number),
            _ => {
                let problem =
                    format!("must be a number from {} to {}, not {text:?}", bounds.start(), bounds.end());
                Err(ConfigError::new(name, problem))
            }
        }
    }

    /// One of the choices, in any case, or the default if the variable is absent.
    pub fn choice<T: Copy>(
        &self,
        name: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> Result<T, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            ConfigError::new(name, format!("must be one of {}, not {text:?}", words.join(", ")))
        })
    }
}
