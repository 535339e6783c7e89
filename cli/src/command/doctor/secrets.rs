use std::collections::BTreeSet;

use intake::Authenticator;
use runtime::Config;
use secrecy::{ExposeSecret as _, SecretString};

use super::report::Report;
use crate::command::words::count;
use crate::output::Advice;

/// A secret with fewer different characters than this was not drawn at random.
const MIN_DISTINCT_CHARS: usize = 8;

/// That a public address has its secrets, and that `ADMIN_TOKEN` is long enough and no webhook's, is checked by the
/// configuration itself.
pub(super) fn exposure(report: &mut Report, config: &Config) {
    let listen = config.listen;
    match (config.is_loopback(), config.webhook_secrets.is_empty()) {
        (true, true) => report.ok("exposure", format!("{listen}, this machine only, anyone on it may post")),
        (true, false) => report.ok("exposure", format!("{listen}, this machine only")),
        (false, _) => report.ok("exposure", format!("{listen}, open to the network, secrets are required")),
    }
}

pub(super) fn secrets(report: &mut Report, config: &Config) {
    const CHECK: &str = "secrets";
    const DRAW: &str = "`openssl rand -hex 32` draws a good one";
    let (webhook, admin) = (&config.webhook_secrets, config.admin_token.as_ref());
    if webhook.is_empty() && admin.is_none() {
        return report.ok(CHECK, "none, and none are needed on this machine");
    }
    if !webhook.is_empty()
        && let Err(error) = Authenticator::new(webhook.iter().cloned())
    {
        return report.fail(CHECK, &Advice::new(error.to_string(), DRAW).into());
    }
    let guessable = (1..).zip(webhook).find(|(_, secret)| can_be_guessed(secret));
    if let Some((position, _)) = guessable {
        return report.warn(CHECK, format!("WEBHOOK_SECRETS: secret {position} can be guessed"), DRAW);
    }
    if admin.is_some_and(can_be_guessed) {
        return report.warn(CHECK, "ADMIN_TOKEN can be guessed", DRAW);
    }
    let webhook = count(webhook.len(), "webhook secret", "webhook secrets");
    let admin = if admin.is_some() { "an admin token" } else { "no admin token" };
    report.ok(CHECK, format!("{webhook}, {admin}, long enough"));
}

fn can_be_guessed(secret: &SecretString) -> bool {
    secret.expose_secret().chars().collect::<BTreeSet<_>>().len() < MIN_DISTINCT_CHARS
}
