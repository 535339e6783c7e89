use lead::{FieldIssue, FieldNote};

use crate::limits::{MAX_FIELDS, MAX_ITEMS, MAX_NOTES};
use crate::path::Path;
use crate::rejection::Rejection;

/// What is left of a body's allowances while it is read, and what was noted about its fields.
pub(crate) struct Reading {
    names: usize,
    items: usize,
    notes: Vec<FieldNote>,
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self { names: MAX_FIELDS, items: MAX_ITEMS, notes: Vec::new() }
    }

    /// Takes one name.
    pub(crate) fn take_name(&mut self) -> Result<(), Rejection> {
        self.names = self.names.checked_sub(1).ok_or_else(Rejection::too_many_fields)?;
        Ok(())
    }

    /// Takes one list item, and says whether there was one left.
    pub(crate) fn take_item(&mut self) -> bool {
        let left = self.items.checked_sub(1);
        self.items = left.unwrap_or(0);
        left.is_some()
    }

    /// Notes what is wrong with a field, once, and at most [`MAX_NOTES`] times.
    pub(crate) fn note(&mut self, path: &Path<'_>, issue: FieldIssue) {
        if self.notes.len() < MAX_NOTES {
            let note = FieldNote { field: path.to_string(), issue };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Whether a top-level field of ours was dropped as a number that cannot be kept exactly.
    pub(crate) fn dropped_number(&self, field: &str) -> bool {
        self.notes.iter().any(|note| note.field == field && note.issue == FieldIssue::InexactNumber)
    }

    pub(crate) fn into_notes(self) -> Vec<FieldNote> {
        self.notes
    }
}
