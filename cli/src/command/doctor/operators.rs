//! The check of the named operators.

use assembly::Config;
use jiff::{SignedDuration, Timestamp};
use operators::OperatorsFile;

use super::report::Report;
use crate::command::format::{count, utc};

const CHECK: &str = "operators";

/// A token that ends within this time is reported.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Checks the operators file, its permissions, and the ends of the tokens in it.
pub(super) fn operators(report: &mut Report, config: &Config) {
    let Some(file) = &config.operators_file else {
        let found = if config.admin_token.is_some() {
            "no OPERATORS_FILE: everyone shares ADMIN_TOKEN, which has every scope"
        } else {
            "no OPERATORS_FILE"
        };
        return report.ok(CHECK, found);
    };
    // Also checks that no token has a second purpose.
    if let Err(error) = assembly::credentials(config) {
        return report.fail(CHECK, error);
    }
    let Ok((_, operators)) = OperatorsFile::open(file.path()) else { return };
    let now = Timestamp::now();
    let (mut tokens, mut warnings) = (0, 0);
    let mut warn = |report: &mut Report, found: String, hint: &str| {
        warnings += 1;
        report.warn(CHECK, found, hint);
    };
    for operator in operators.iter() {
        let name = &operator.name;
        tokens += operator.tokens.len();
        // The end of the last token; absent if one has no end.
        let ends: Option<Vec<_>> = operator.tokens.iter().map(|token| operator.end_of(token)).collect();
        let Some(ends) = ends else { continue };
        match ends.into_iter().max().filter(|end| now < *end) {
            None => {
                let hint = "`revenueflow operators rotate NAME` draws a token, `revoke` removes the operator";
                warn(report, format!("{name}: no token is valid"), hint);
            }
            Some(end) if end.duration_since(now) < SOON => {
                let hint = "`revenueflow operators rotate NAME` draws another token";
                warn(report, format!("{name}: the last token ends at {}", utc(end)), hint);
            }
            Some(_) => {}
        }
    }
    if config.admin_token.is_some() && operators.iter().next().is_some() {
        let hint =
            "remove ADMIN_TOKEN once every caller has a token of its own: it has every scope and no end";
        warn(report, "ADMIN_TOKEN is valid beside the operators".to_owned(), hint);
    }
    let path = file.path().display().to_string();
    if is_widely_readable(file.path()) {
        let found = format!("other users of this machine can open {path}");
        warn(report, found, &format!("chmod 600 {path}"));
    }
    if warnings == 0 {
        let operators = count(operators.iter().count(), "operator", "operators");
        report.ok(CHECK, format!("{operators}, {}", count(tokens, "token", "tokens")));
    }
}

#[cfg(unix)]
fn is_widely_readable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_widely_readable(_path: &std::path::Path) -> bool {
    false
}
