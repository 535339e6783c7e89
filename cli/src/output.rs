//! All writes to the terminal: data to standard output, everything else to standard error.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use assembly::OperatorsError;
use lead::text::replace_hidden;
use operations::OperationError;
use runtime::ConfigError;

/// An error with a hint about its remedy.
#[derive(Debug)]
pub(crate) struct Advice {
    problem: String,
    hint: String,
}

impl Advice {
    /// `problem` is printed as the error line, `hint` as the line below it.
    pub(crate) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Advice {}

/// Prints data. A closed pipe (`| head`) is not an error.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// Prints bytes unchanged. On a terminal, control characters are replaced.
pub(crate) fn bytes(bytes: &[u8]) {
    if io::stdout().is_terminal() {
        let text = String::from_utf8_lossy(bytes);
        for row in text.lines() {
            line(&visible(row));
        }
    } else {
        let mut out = io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }
}

/// Prints JSON for programs.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a message for people, which is not data.
pub(crate) fn note(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Prints the reason of a failed command on one line, and its hint, if any, on a second line.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("error: {}", one_line(error)));
    if let Some(hint) = hint_of(error) {
        note(&format!("hint: {hint}"));
    }
}

/// An error with its causes on one line. A cause that an earlier text contains is left out: many errors
/// repeat their cause in their own text.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    visible(&line)
}

/// The hint for an error, if there is one.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(advice) = cause.downcast_ref::<Advice>() {
            return Some(advice.hint.clone());
        }
        if let Some(error) = cause.downcast_ref::<OperatorsError>() {
            return Some(error.hint().to_owned());
        }
        if let Some(error) = cause.downcast_ref::<ConfigError>() {
            return Some(format!(".env.example documents {}", error.variable));
        }
        match cause.downcast_ref::<OperationError>()? {
            OperationError::NotFound("lead") => Some("`revenueflow leads list` shows the ids".to_owned()),
            OperationError::NotFound("dead letter") => {
                Some("`revenueflow dead-letters list` shows the ids".to_owned())
            }
            OperationError::NotFound("quarantined body") => Some(
                "`revenueflow quarantine list` shows the ids; give at least 8 characters of one".to_owned(),
            ),
            OperationError::NotJudged { id, .. } => {
                Some(format!("`revenueflow leads explain {:.12}` shows its state", id.as_str()))
            }
            OperationError::CrmHeld => Some("`revenueflow crm status` says why".to_owned()),
            _ => None,
        }
    })
}

/// Makes untrusted text safe for a terminal. Each hidden character except a tab becomes U+FFFD, so that its
/// presence is visible.
pub(crate) fn visible(text: &str) -> String {
    let replaced = replace_hidden(text, |c| Some(if c == '\t' { c } else { char::REPLACEMENT_CHARACTER }));
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use lead::{LeadId, LeadStatus};

    use super::*;

    #[test]
    fn an_error_line_names_each_cause_once() {
        let cause: Result<(), _> = Err(io::Error::other("disk\nfull"));
        let wrapped = cause.context("cannot write: disk full").context("leads").unwrap_err();
        assert_eq!(one_line(&wrapped), "leads: cannot write: disk full");
    }

    #[test]
    fn a_hint_is_found_below_added_context() {
        let error =
            anyhow::Error::new(Advice::new("the file is missing", "name another file")).context("leads");
        assert_eq!(hint_of(&error).as_deref(), Some("name another file"));
        let error = anyhow::Error::new(ConfigError::new("PORT", "must be a number"));
        assert!(hint_of(&error).is_some_and(|hint| hint.contains("PORT")));
    }

    #[test]
    fn unjudged_lead_is_explained_by_its_id() {
        let id: LeadId = "841c".repeat(16).parse().unwrap();
        let error = anyhow::Error::new(OperationError::NotJudged { id, status: LeadStatus::Queued });
        assert_eq!(one_line(&error), "the lead has not been judged yet: it is queued");
        let hint = "`revenueflow leads explain 841c841c841c` shows its state";
        assert_eq!(hint_of(&error).as_deref(), Some(hint));
    }

    #[test]
    fn untrusted_text_cannot_control_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(visible("a\u{200b}b\u{e0041}\tc 👩\u{200d}🚀"), "a\u{fffd}b\u{fffd}\tc 👩\u{200d}🚀");
    }
}
