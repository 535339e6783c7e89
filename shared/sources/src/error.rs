use std::ops::Range;

/// An error in a sources file. Displays as one line that names the line of the file and the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sources file, line {line}{}: {problem}", about(.source_name.as_deref()))]
pub struct SourcesError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The name of the source that has the error.
    pub source_name: Option<String>,
    /// The problem, with the key or value.
    pub problem: String,
}

impl SourcesError {
    /// An error at a span of the text.
    pub(crate) fn at(text: &str, span: Option<Range<usize>>, problem: impl Into<String>) -> Self {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        Self { line, source_name: None, problem: problem.into() }
    }

    pub(crate) fn of(self, name: &str) -> Self {
        Self { source_name: Some(name.to_owned()), ..self }
    }
}

fn about(name: Option<&str>) -> String {
    name.map(|name| format!(", source {name:?}")).unwrap_or_default()
}
