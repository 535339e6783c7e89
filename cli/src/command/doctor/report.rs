//! Printing and counting of check results.

use std::fmt::Display;

use crate::output;

/// The number of checks and failures so far. Prints each result at once.
#[derive(Default)]
pub(super) struct Report {
    pub(super) checks: usize,
    pub(super) failed: usize,
}

impl Report {
    pub(super) fn ok(&mut self, check: &str, found: impl AsRef<str>) {
        self.print(&console::style("ok  ").green(), check, found.as_ref());
    }

    /// Reports a working part that needs attention.
    pub(super) fn warn(&mut self, check: &str, found: impl AsRef<str>, hint: &str) {
        let found = format!("{}; hint: {hint}", found.as_ref());
        self.print(&console::style("warn").yellow(), check, &found);
    }

    pub(super) fn fail(&mut self, check: &str, error: impl Into<anyhow::Error>) {
        self.failed += 1;
        let error = error.into();
        let hint = output::hint_of(&error).map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        let found = format!("{}{hint}", output::one_line(&error));
        self.print(&console::style("FAIL").red().bold(), check, &found);
    }

    /// Reports the error of a check that reports its success itself. Returns the value, or its default.
    pub(super) fn attempt<T: Default>(&mut self, check: &str, result: anyhow::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.fail(check, error);
            T::default()
        })
    }

    pub(super) fn skip(&mut self, check: &str, why: &str) {
        self.print(&console::style("skip").dim(), check, why);
    }

    /// Prints one result. `console` colours `outcome` if the terminal supports colours.
    fn print(&mut self, outcome: &impl Display, check: &str, found: &str) {
        self.checks += 1;
        output::line(&format!("{outcome}  {check:<14} {found}"));
    }
}
