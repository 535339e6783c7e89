//! The senders of leads: how each proves itself, what its payload means, and what it may use.
//!
//! A sources file (TOML) has a `[[source]]` for each sender; `docs/senders.md` describes its keys.
//! [`Sources`] is the validated file. [`Senders`] adds the secrets and finds the source of a request;
//! [`Source::read`] makes a lead of its body. A preset is a source's keys for a known sender, in `presets/`.
//!
//! This crate does no I/O: the caller reads the file and the secrets.

mod error;
mod file;
mod mapping;
mod policy;
mod preset;
mod selector;
mod senders;
mod signature;
mod source;

use std::collections::BTreeMap;

pub use error::SourcesError;
use file::File;
use lead::SenderName;
pub use policy::{CallNeed, Limits, Policy};
pub use preset::presets;
pub use selector::{Selector, SelectorError};
pub use senders::{Authenticated, Refusal, Senders};
pub use source::{Received, Source, Traced};

/// The validated senders of a sources file.
#[derive(Clone, Debug)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// The only sender of a product without a sources file.
    pub fn unnamed() -> Self {
        Self(vec![Source::unnamed()])
    }

    /// Parses and validates the text of a sources file.
    ///
    /// # Errors
    /// When the text is not valid. Names the line and the source.
    pub fn parse(text: &str) -> Result<Self, SourcesError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            SourcesError::at(text, error.span(), problem)
        })?;
        if file.source.is_empty() {
            return Err(SourcesError::at(text, None, "the file has no [[source]]"));
        }
        let mut sources: Vec<Source> = Vec::with_capacity(file.source.len());
        let mut lines = BTreeMap::new();
        for block in file.source {
            let source = Source::build(block, text)?;
            if let Some(first) = lines.insert(source.name.clone(), source.line) {
                let problem = format!("the name is taken by the source at line {first}");
                let error = SourcesError { line: source.line, source_name: None, problem };
                return Err(error.of(source.name.as_str()));
            }
            sources.push(source);
        }
        Ok(Self(sources))
    }

    /// The same sources and the unnamed one, unless the file has one of that name.
    #[must_use]
    pub fn with_unnamed(mut self) -> Self {
        if self.get(&SenderName::unnamed()).is_none() {
            self.0.push(Source::unnamed());
        }
        self
    }

    /// Whether there is no sources file.
    pub fn is_unnamed(&self) -> bool {
        self.0.iter().all(Source::is_unnamed)
    }

    /// The sources, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The source with a name.
    pub fn get(&self, name: &SenderName) -> Option<&Source> {
        self.0.iter().find(|source| source.name == *name)
    }
}
