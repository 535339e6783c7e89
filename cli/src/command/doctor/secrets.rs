//! The checks of the listening address and the secrets.

use std::collections::BTreeSet;

use assembly::Config;
use intake::Authenticator;
use secrecy::{ExposeSecret as _, SecretString};

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
    let is_open = config.webhook_secrets.is_empty() || config.admin_token.is_none();
    match (config.is_loopback(), is_open) {
        (true, true) => report.warn(
            CHECK,
            format!(
                "{listen}, this machine only: whoever can reach it needs no secret to post or to read leads"
            ),
            "behind a proxy or tunnel set WEBHOOK_SECRETS and ADMIN_TOKEN first: docs/security.md",
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
    let (webhook, admin) = (&config.webhook_secrets, config.admin_token.as_ref());
    if webhook.is_empty() && admin.is_none() {
        return report.ok(CHECK, "none set, and none needed on this machine");
    }
    let (tokens, keys) = match Authenticator::new(webhook.iter().cloned()) {
        Ok(authenticator) => authenticator.counts(),
        Err(_) if webhook.is_empty() => (0, 0),
        Err(error) => return report.fail(CHECK, Advice::new(error.to_string(), DRAW)),
    };
    let guessable = (1..).zip(webhook).find(|(_, secret)| can_be_guessed(secret));
    if let Some((position, _)) = guessable {
        return report.warn(CHECK, format!("WEBHOOK_SECRETS: secret {position} can be guessed"), DRAW);
    }
    if admin.is_some_and(can_be_guessed) {
        return report.warn(CHECK, "ADMIN_TOKEN can be guessed", DRAW);
    }
    let webhook = count(webhook.len(), "webhook secret", "webhook secrets");
    let admin = if admin.is_some() { "an admin token" } else { "no admin token" };
    let (tokens, keys) = (count(tokens, "token", "tokens"), count(keys, "signing key", "signing keys"));
    let kinds = format!("{keys}, {tokens}: a secret without whsec_ checks no signature");
    report.ok(CHECK, format!("{webhook} ({kinds}), {admin}, long enough"));
}

fn can_be_guessed(secret: &SecretString) -> bool {
    secret.expose_secret().chars().collect::<BTreeSet<_>>().len() < MIN_DISTINCT_CHARS
}
