//! The check for unencrypted connections to other machines.

use analysis::AiProvider;
use assembly::{Backend, Config};
use enrichment::ProviderAccess;
use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::report::Report;

const CHECK: &str = "transport";

/// Checks that connections to other machines are encrypted. URLs are not printed: they may hold passwords.
pub(super) fn transport(report: &mut Report, config: &Config) {
    let mut is_sound = true;
    if let Some(problem) = problem_of_postgres(&config.database_url) {
        is_sound = false;
        report.warn(CHECK, format!("DATABASE_URL: {problem}"), "add ?sslmode=verify-full");
    }
    for (variable, url) in other_urls(config) {
        if let Some(secure) = alternative_to_clear_text(&url) {
            is_sound = false;
            let found = format!("{variable}: goes to another machine in clear text");
            report.warn(CHECK, found, &format!("use {secure}, or a tunnel"));
        }
    }
    if is_sound {
        report.ok(CHECK, "nothing goes to another machine in clear text");
    }
}

/// The weakness of a connection to PostgreSQL, if it has one. The driver's default is `sslmode=prefer`, which
/// encrypts only if the server offers it and never verifies the server.
fn problem_of_postgres(url: &str) -> Option<&'static str> {
    if !url.starts_with("postgres") {
        return None;
    }
    let url = Url::parse(url).ok()?;
    let value = |names: &[&str]| {
        url.query_pairs().find(|(name, _)| names.contains(&&**name)).map(|(_, value)| value.into_owned())
    };
    let host = value(&["host", "hostaddr"]).or_else(|| url.host_str().map(str::to_owned));
    if host.is_none_or(|host| host.starts_with('/') || host.starts_with("%2F") || is_loopback(&host)) {
        return None;
    }
    let mode = value(&["sslmode", "ssl-mode"]).or_else(|| std::env::var("PGSSLMODE").ok());
    match mode.as_deref() {
        Some("verify-full" | "verify-ca") => None,
        Some("require") => Some("is encrypted, but the server is not verified"),
        _ => Some("goes to another machine, in clear text if the server offers no encryption"),
    }
}

/// The other URLs in use, each with its variable.
fn other_urls(config: &Config) -> Vec<(&'static str, String)> {
    let mut urls = Vec::new();
    let mut add = |variable, url: &str| urls.push((variable, url.to_owned()));
    match &config.queue.backend {
        Backend::Database => {}
        Backend::Redis(redis) => add("REDIS_URL", redis.url.expose_secret()),
        Backend::Sqs(sqs) => {
            add("QUEUE_URL", &sqs.queue_url);
            add("DLQ_URL", &sqs.dead_letters_url);
        }
    }
    if let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL") {
        add("AWS_ENDPOINT_URL", &endpoint);
    }
    if let Some(gemini) = config.ai.gemini.as_ref().filter(|_| config.ai.asks(AiProvider::Gemini)) {
        add("GEMINI_BASE_URL", gemini.base_url.as_str());
    }
    if let Some(bedrock) = &config.ai.bedrock.base_url {
        add("BEDROCK_BASE_URL", bedrock);
    }
    for provider in &config.enrichment.providers {
        match &provider.source {
            ProviderAccess::Fixtures => {}
            ProviderAccess::ZoomInfo(zoominfo) => {
                add("ZOOMINFO_BASE_URL", zoominfo.base_url.as_str());
                add("ZOOMINFO_TOKEN_URL", zoominfo.token_url.as_str());
            }
            ProviderAccess::Apollo(access) => add("APOLLO_BASE_URL", access.base_url.as_str()),
            ProviderAccess::PeopleDataLabs { access, .. } => add("PDL_BASE_URL", access.base_url.as_str()),
            ProviderAccess::Hunter(access) => add("HUNTER_BASE_URL", access.base_url.as_str()),
            ProviderAccess::Clearbit(access) => add("CLEARBIT_BASE_URL", access.base_url.as_str()),
        }
    }
    urls
}

/// The encrypted scheme for a URL that leads to another machine in clear text.
fn alternative_to_clear_text(url: &str) -> Option<&'static str> {
    let url = Url::parse(url).ok().filter(|url| !url.host_str().is_some_and(is_loopback))?;
    match url.scheme() {
        "http" => Some("https://"),
        "redis" => Some("rediss://"),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_postgres_needs_a_verified_connection() {
        for (url, is_sound) in [
            ("sqlite://revenueflow.db", true),
            ("postgres://localhost/rf", true),
            ("postgres://u:p@127.0.0.1:5432/rf", true),
            ("postgres://u:p@[::1]/rf", true),
            ("postgresql:///rf?host=/var/run/postgresql", true),
            ("postgres://u:p@db.internal/rf", false),
            ("postgres://u:p@10.0.0.5/rf?sslmode=prefer", false),
            ("postgres://u:p@10.0.0.5/rf?sslmode=require", false),
            ("postgres://u:p@10.0.0.5/rf?sslmode=verify-full", true),
            ("postgresql://u:p@10.0.0.5/rf?sslmode=verify-ca&x=y", true),
        ] {
            assert_eq!(problem_of_postgres(url).is_none(), is_sound, "{url}");
        }
    }

    #[test]
    fn clear_text_is_accepted_only_on_this_machine() {
        for (url, alternative) in [
            ("redis://127.0.0.1:6379", None),
            ("redis://:hush@localhost", None),
            ("redis://cache.internal:6379", Some("rediss://")),
            ("rediss://cache.internal:6379", None),
            ("http://[::1]:8080", None),
            ("http://gemini.example", Some("https://")),
            ("https://gemini.example", None),
        ] {
            assert_eq!(alternative_to_clear_text(url), alternative, "{url}");
        }
    }
}
