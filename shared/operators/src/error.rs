use std::ops::Range;
use std::path::PathBuf;

/// A mistake in the text of an operators file. It quotes no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
    /// The remedy.
    pub hint: &'static str,
}

impl Mistake {
    pub(crate) fn at(
        text: &str,
        span: Option<Range<usize>>,
        problem: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        Self { line, problem: problem.into(), hint }
    }
}

/// The file of `OPERATORS_FILE` cannot be used. Displays as one line that names the file and its line.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("OPERATORS_FILE: {}: {source}", path.display())]
    Unreadable {
        /// The path, as configured.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file has a mistake.
    #[error("OPERATORS_FILE: {}:{}: {}", path.display(), mistake.line, mistake.problem)]
    Mistake {
        /// The path, as configured.
        path: PathBuf,
        /// The mistake.
        mistake: Mistake,
    },
}

impl FileError {
    /// The remedy.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "`revenueflow operators add NAME --scope read` creates the file",
            Self::Mistake { mistake, .. } => mistake.hint,
        }
    }
}
