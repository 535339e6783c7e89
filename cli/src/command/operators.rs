//! `revenueflow operators`: named operators of the HTTP interface, and their tokens.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::{Span, SpanRelativeTo, Timestamp};
use operators::{EditError, NewOperator, NewToken, Operator, OperatorName, Operators, Scope};
use runtime::Variables;

use super::format::utc;
use super::table;
use crate::output::{self, Advice};

#[derive(Subcommand)]
pub(crate) enum OperatorsCommand {
    /// Add an operator to OPERATORS_FILE, and print the token once
    ///
    /// Prints the token to standard output and everything else to standard error. A running server reads the
    /// file again within two seconds. Without OPERATORS_FILE, prints the lines for the file; on AWS they
    /// belong into the secret revenueflow/STAGE/operators.
    #[command(after_long_help = "Examples:\n  \
        revenueflow operators add ann --scope read --scope review --expires 90d\n  \
        revenueflow operators add salesforce-flow --scope respond\n  \
        revenueflow operators add prometheus --scope metrics")]
    Add {
        /// The name, which the audit trail shows: lower-case letters, digits, `.`, `_` and `-`
        name: OperatorName,
        /// A permission; repeat it for several: read, respond, review, redrive, suppress, crm, erase,
        /// metrics, agents
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// The end of the token: a period such as 90d, or a time such as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "WHEN", value_parser = end)]
        expires: Option<Timestamp>,
    },
    /// List the operators of OPERATORS_FILE with their scopes and the ends of their tokens
    List,
    /// Add another token to an operator, print it once, and end the present tokens
    #[command(after_long_help = "Example:\n  revenueflow operators rotate ann --keep 7d")]
    Rotate {
        /// The operator's name
        name: OperatorName,
        /// How long the present tokens stay valid, such as 7d
        #[arg(long, value_name = "PERIOD", default_value = "1d", value_parser = end)]
        keep: Timestamp,
    },
    /// Remove an operator with all tokens
    Revoke {
        /// The operator's name
        name: OperatorName,
    },
}

/// Changes or lists the operators. Needs no database and no complete configuration.
pub(crate) fn run(command: OperatorsCommand) -> anyhow::Result<ExitCode> {
    let file = Variables::of_process().file("OPERATORS_FILE");
    let file = file.as_ref().map(variables::ConfigFile::path);
    match command {
        OperatorsCommand::Add { name, scopes, expires } => add(file, name, scopes, expires)?,
        OperatorsCommand::List => list(named(file)?)?,
        OperatorsCommand::Rotate { name, keep } => {
            let token = NewToken::random();
            change(named(file)?, |text| operators::rotate(text, &name, &token.hash(), keep))?;
            output::line(token.expose());
            output::note(&format!("{name} has this token now; the former ones end at {}", utc(keep)));
        }
        OperatorsCommand::Revoke { name } => {
            change(named(file)?, |text| operators::revoke(text, &name))?;
            output::note(&format!(
                "{name} is removed; a running server refuses the tokens within two seconds"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn add(
    file: Option<&Path>,
    name: OperatorName,
    scopes: Vec<Scope>,
    expires: Option<Timestamp>,
) -> anyhow::Result<()> {
    let token = NewToken::random();
    let new = NewOperator { name, scopes: scopes.into_iter().collect(), expires, hash: token.hash() };
    if let Some(path) = file {
        change(path, |text| operators::add(text, &new))?;
        output::note(&format!(
            "added to {}; the token, which is not stored and not shown again:",
            path.display()
        ));
        output::line(token.expose());
    } else {
        output::note("OPERATORS_FILE is not set; the lines for the file:\n");
        output::note(&new.block());
        output::note("the token, which is not stored and not shown again:");
        output::line(token.expose());
    }
    Ok(())
}

fn list(path: &Path) -> anyhow::Result<()> {
    let operators = parse(path, &text_of(path)?)?;
    if operators.iter().next().is_none() {
        output::note("the file has no operator");
        return Ok(());
    }
    let rows = operators.iter().map(|operator| {
        let scopes: Vec<_> = operator.scopes.iter().map(Scope::as_str).collect();
        [operator.name.to_string(), scopes.join(" "), ends(operator)]
    });
    table::print(["NAME", "SCOPES", "TOKENS"], &[], rows.collect());
    Ok(())
}

/// The tokens of an operator by their ends; a token is shown by the first digits of its hash.
fn ends(operator: &Operator) -> String {
    let now = Timestamp::now();
    let of = |token: &operators::Token| {
        let hash = token.hash.to_string();
        let hash = hash.get(..8).unwrap_or_default();
        match operator.end_of(token) {
            None => format!("{hash}.. without end"),
            Some(end) if end <= now => format!("{hash}.. EXPIRED {}", utc(end)),
            Some(end) => format!("{hash}.. until {}", utc(end)),
        }
    };
    operator.tokens.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn named(file: Option<&Path>) -> Result<&Path, Advice> {
    file.ok_or_else(|| {
        Advice::new("OPERATORS_FILE: must be set", "name a file: OPERATORS_FILE=operators.toml in .env")
    })
}

/// Applies an edit to the file, which is replaced as a whole and is readable by its owner only. A lock on the
/// folder keeps two commands from overwriting each other's change.
fn change(path: &Path, edit: impl FnOnce(&str) -> Result<String, EditError>) -> anyhow::Result<()> {
    // A link stays, and the file that it names is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder =
        path.parent().filter(|folder| *folder != Path::new("")).map_or(PathBuf::from("."), PathBuf::from);
    let shown = || path.display().to_string();
    let lock = std::fs::File::open(&folder).with_context(|| folder.display().to_string())?;
    lock.lock().with_context(|| folder.display().to_string())?;
    let text = edit(&text_of(&path)?).map_err(|error| refused(&path, &error))?;
    // Temporary files have the mode 0600.
    let mut new = tempfile::NamedTempFile::new_in(&folder).with_context(shown)?;
    keep_owner(&path, new.as_file()).with_context(shown)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).with_context(shown)?;
    new.persist(&path).with_context(shown)?;
    lock.sync_all().with_context(shown)
}

/// Gives the new file the owner of the old one: root may run this command, and the server as another user has
/// to read the file.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let (Ok(old), present) = (std::fs::metadata(old), new.metadata()?) else { return Ok(()) };
    if (old.uid(), old.gid()) == (present.uid(), present.gid()) {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_old: &Path, _new: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The text of the file; a missing file is empty.
fn text_of(path: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("OPERATORS_FILE: {}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> Result<Operators, Advice> {
    Operators::parse(text).map_err(|mistake| refused(path, &mistake.into()))
}

fn refused(path: &Path, error: &EditError) -> Advice {
    let file = path.display();
    let hint = match error {
        EditError::Mistake(mistake) => {
            let problem = format!("OPERATORS_FILE: {file}:{}: {}", mistake.line, mistake.problem);
            return Advice::new(problem, mistake.hint);
        }
        EditError::Known(_) => "`revenueflow operators rotate NAME` adds a token",
        EditError::Unknown(_) => "`revenueflow operators list` shows the names",
        EditError::Unusual => "change the file by hand: docs/security.md has an example",
    };
    Advice::new(format!("OPERATORS_FILE: {file}: {error}"), hint)
}

/// Parses a time in the future, or a period that begins now.
fn end(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let ahead = |period: Span| {
        let period = period.to_duration(SpanRelativeTo::days_are_24_hours())?;
        now.checked_add(period)
    };
    let end = text.parse().or_else(|_| text.parse().and_then(ahead));
    end.ok().filter(|end| *end > now).ok_or_else(|| {
        "must be a period such as 12h or 90d, or a time in the future such as 2027-01-31T00:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_a_period_or_a_time_in_the_future() {
        let hours = |text: &str| end(text).unwrap().duration_since(Timestamp::now()).as_secs_f64() / 3_600.0;
        assert!((2_159.9..=2_160.0).contains(&hours("90d")), "{}", hours("90d"));
        assert_eq!(end("2999-01-31T00:00:00Z"), Ok("2999-01-31T00:00:00Z".parse().unwrap()));
        for wrong in ["", "90", "2020-01-01T00:00:00Z", "7 days ago", "0d", "2027-01-31"] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }
}
