//! The checks of the listening address and the secrets.

use std::collections::BTreeSet;

use assembly::Config;
use secrecy::ExposeSecret as _;

use super::report::Report;
use crate::command::format::count;
use crate::output::Advice;

/// A secret with fewer distinct characters than this is not random.
const MIN_DISTINCT_CHARS: usize = 8;

/// Checks the exposure of the listening address. The configuration itself already enforces that a public
/// address has secrets, and that `ADMIN_TOKEN` is long enough and differs from the webhook secrets.
pub(super) fn exposure(report: &mut Report, config: &Config) {
    const CHECK: &str = "exposure";
    let listen = config.listen;
    let is_open = config.accepts_any_sender() || !config.has_operators();
    match (config.is_loopback(), is_open) {
        (true, true) => report.warn(
            CHECK,
            format!(
                "{listen}, this machine only: whoever can reach it needs no secret to post or to read leads"
            ),
            "behind a proxy or tunnel set WEBHOOK_SECRETS, and ADMIN_TOKEN or OPERATORS_FILE, first: docs/security.md",
        ),
        (true, false) => report.ok(CHECK, format!("{listen}, this machine only")),
        (false, _) => report.warn(
            CHECK,
            format!("{listen}, open to the network in clear text, secrets are required"),
            "put a proxy that speaks TLS in front and listen on 127.0.0.1: docs/security.md",
        ),
    }
}

/// Checks the length and randomness of the secrets.
pub(super) fn secrets(report: &mut Report, config: &Config) {
    const CHECK: &str = "secrets";
    const DRAW: &str = "`openssl rand -hex 32` draws a good one";
    let admin = config.admin_token.as_ref();
    if config.accepts_any_sender() && admin.is_none() {
        return report.ok(CHECK, "none set, and none needed on this machine");
    }
    if let Err(error) = config.senders() {
        return report.fail(CHECK, Advice::new(error.to_string(), DRAW));
    }
    for (variable, secrets) in &config.source_secrets {
        let items = secrets.expose_secret().split(',').map(str::trim).filter(|item| !item.is_empty());
        if let Some((position, _)) = (1..).zip(items).find(|(_, secret)| can_be_guessed(secret)) {
            return report.warn(CHECK, format!("{variable}: secret {position} can be guessed"), DRAW);
        }
    }
    if admin.is_some_and(|token| can_be_guessed(token.expose_secret())) {
        return report.warn(CHECK, "ADMIN_TOKEN can be guessed", DRAW);
    }
    let webhook = count(config.webhook_secrets().count(), "webhook secret", "webhook secrets");
    let sources = count(config.sources.iter().count(), "source", "sources");
    let admin = if admin.is_some() { "an admin token" } else { "no admin token" };
    report.ok(CHECK, format!("{webhook} of {sources}, {admin}, long enough"));
}

/// Checks that each sender has a name and a scope of its own.
pub(super) fn sources(report: &mut Report, config: &Config) {
    const CHECK: &str = "sources";
    if config.accepts_any_sender() {
        return report.ok(CHECK, "no proof needed on this machine");
    }
    if config.sources.is_unnamed() {
        return report.warn(
            CHECK,
            "one secret speaks for every sender, and what any of them sends under marketo counts as a fact",
            "name the senders in SOURCES_FILE: docs/senders.md",
        );
    }
    let paths: Vec<_> =
        config.sources.iter().map(|source| format!("{} at {}", source.name(), source.path())).collect();
    report.ok(CHECK, paths.join(", "));
}

fn can_be_guessed(secret: &str) -> bool {
    secret.chars().collect::<BTreeSet<_>>().len() < MIN_DISTINCT_CHARS
}
