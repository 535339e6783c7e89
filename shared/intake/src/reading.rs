//! The state of parsing one body: remaining allowances, and notes on malformed fields.

use lead::{FieldIssue, FieldNote};

use crate::limits::{MAX_FIELDS, MAX_ITEMS, MAX_NOTES};
use crate::path::Path;
use crate::rejection::Rejection;

/// The remaining allowances of a body while it is parsed, and the notes on its fields.
pub(crate) struct Reading {
    names: usize,
    items: usize,
    notes: Vec<FieldNote>,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self { names: MAX_FIELDS, items: MAX_ITEMS, notes: Vec::new() }
    }

    /// Uses up the allowance for one name.
    ///
    /// # Errors
    ///
    /// Fails when the body has more than [`MAX_FIELDS`] names.
    pub(crate) fn take_name(&mut self) -> Result<(), Rejection> {
        self.names = self.names.checked_sub(1).ok_or_else(Rejection::too_many_fields)?;
        Ok(())
    }

    /// Uses up the allowance for one list item. Returns `false` if none is left.
    pub(crate) fn take_item(&mut self) -> bool {
        let left = self.items.checked_sub(1);
        self.items = left.unwrap_or(0);
        left.is_some()
    }

    /// Records an issue with a field, once for each field and issue. Keeps at most [`MAX_NOTES`] notes.
    pub(crate) fn note(&mut self, path: &Path<'_>, issue: FieldIssue) {
        if self.notes.len() < MAX_NOTES {
            let note = FieldNote { field: path.to_string(), issue };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Whether a known top-level field was dropped because its number cannot be represented exactly.
    pub(crate) fn dropped_number(&self, field: &str) -> bool {
        self.notes.iter().any(|note| note.field == field && note.issue == FieldIssue::InexactNumber)
    }

    pub(crate) fn into_notes(self) -> Vec<FieldNote> {
        self.notes
    }
}
