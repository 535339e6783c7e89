#[cfg(test)]
mod documented;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pipeline::{FloodLimits, Rejected};
use runtime::{ConfigError, LogFormat, Variables};
use secrecy::{ExposeSecret, SecretString};
use sources::{Senders, Source, Sources, SourcesError};
use store::Retention;
use variables::ConfigFile;

/// Minimum length of the admin token, the same as for a webhook token.
const MIN_ADMIN_TOKEN_CHARS: usize = 16;

/// The complete configuration. `.env.example` documents each variable.
#[derive(Debug)]
pub struct Config {
    /// `HOST` and `PORT`: the address of the HTTP server.
    pub listen: SocketAddr,
    /// `READ_TIMEOUT_SECONDS`: time limit for a client to send the head of a request, to send its body, and
    /// to receive a response. The limit applies to each of the three.
    pub read_timeout: Duration,
    /// `MAX_CONNECTIONS`: maximum number of client connections.
    pub max_connections: usize,
    /// `STOP_TIMEOUT_SECONDS`: time for work in progress to finish after a shutdown signal.
    pub stop_timeout: Duration,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `DATABASE_POOL`: maximum number of database connections.
    pub database_pool: u32,
    /// `DATABASE_TIMEOUT_SECONDS`: time limit of a statement on PostgreSQL, after which its connection is
    /// dropped.
    pub database_timeout: Duration,
    /// `RETRY_WINDOW_SECONDS`: time in which an older content of a lead counts as a retry by its sender.
    pub retry_window: Duration,
    /// The queue and its workers.
    pub queue: queue::Settings,
    /// `SOURCES_FILE`: the senders of leads. Without the file there is one, and with `WEBHOOK_SECRETS` it is
    /// added to those of the file.
    pub sources: Sources,
    /// The variables with the secrets of the senders, as far as they are set: one or several, separated by
    /// commas.
    pub source_secrets: BTreeMap<String, SecretString>,
    /// `ADMIN_TOKEN`.
    pub admin_token: Option<SecretString>,
    /// `OPERATORS_FILE`: the named operators.
    pub operators_file: Option<ConfigFile>,
    /// `ICP_FILE`: the ideal customer profile. `None` selects the built-in one.
    pub icp_file: Option<ConfigFile>,
    /// `ROUTING_FILE`: the routing rules. `None` selects the built-in ones.
    pub routing_file: Option<ConfigFile>,
    /// The analyst.
    pub ai: analysis::Settings,
    /// The enrichment providers.
    pub enrichment: enrichment::Settings,
    /// The CRM.
    pub crm: crm::Settings,
    /// `FLOOD_DOMAIN_PER_HOUR` and `FLOOD_ADDRESS_PER_HOUR`.
    pub floods: FloodLimits,
    /// `REJECTED_LEADS`.
    pub rejected: Rejected,
    /// `QUARANTINE_KEEP_DAYS`: retention of a quarantined body after it was last received.
    pub quarantine_keep: Duration,
    /// `QUARANTINE_KEEP_ROWS`: maximum number of quarantined bodies.
    pub quarantine_rows: u32,
    /// `RETAIN_LEADS_DAYS`, `RETAIN_HELD_DAYS`, `RETAIN_CONTENT_DAYS`, `RETAIN_DEAD_LETTERS_DAYS`: how long
    /// data is kept; 0 keeps it until it is erased.
    pub retention: Retention,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
}

impl Config {
    /// Reads and validates the configuration.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let host = variables.text("HOST").unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
        let host: IpAddr = match host.as_str() {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            text => text.parse().map_err(|_| {
                ConfigError::new("HOST", format!("must be an IP address or localhost, not {text:?}"))
            })?,
        };
        let sources = sources(variables)?;
        let config = Self {
            listen: SocketAddr::new(host, variables.number("PORT", 3000, 0..=u16::MAX)?),
            read_timeout: Duration::from_secs(variables.number("READ_TIMEOUT_SECONDS", 30, 1..=600)?),
            max_connections: variables.number("MAX_CONNECTIONS", 1_000, 1..=100_000)?,
            stop_timeout: Duration::from_secs(variables.number("STOP_TIMEOUT_SECONDS", 25, 1..=600)?),
            database_url: variables
                .text("DATABASE_URL")
                .unwrap_or_else(|| "sqlite://revenueflow.db".to_owned()),
            database_pool: variables.number("DATABASE_POOL", 16, 2..=500)?,
            database_timeout: Duration::from_secs(variables.number(
                "DATABASE_TIMEOUT_SECONDS",
                30,
                1..=3_600,
            )?),
            retry_window: Duration::from_secs(variables.number("RETRY_WINDOW_SECONDS", 0, 0..=2_592_000)?),
            queue: queue::Settings::read(variables)?,
            source_secrets: source_secrets(&sources, variables),
            sources,
            admin_token: variables.secret("ADMIN_TOKEN"),
            operators_file: variables.file("OPERATORS_FILE"),
            icp_file: variables.file("ICP_FILE"),
            routing_file: variables.file("ROUTING_FILE"),
            ai: analysis::Settings::read(variables)?,
            enrichment: enrichment::Settings::read(variables)?,
            crm: crm::Settings::read(variables)?,
            floods: FloodLimits::read(variables)?,
            rejected: Rejected::read(variables)?,
            quarantine_keep: Duration::from_secs(
                variables.number("QUARANTINE_KEEP_DAYS", 30, 1..=3_650)? * 24 * 60 * 60,
            ),
            quarantine_rows: variables.number("QUARANTINE_KEEP_ROWS", 10_000, 0..=10_000_000)?,
            retention: Retention {
                leads: days(variables, "RETAIN_LEADS_DAYS")?,
                held: days(variables, "RETAIN_HELD_DAYS")?,
                content: days(variables, "RETAIN_CONTENT_DAYS")?,
                dead_letters: days(variables, "RETAIN_DEAD_LETTERS_DAYS")?,
            },
            log_format: variables.choice(
                "LOG_FORMAT",
                &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
                LogFormat::Pretty,
            )?,
        };
        // The log subscriber reads the filter again. Checking it here refuses an invalid one at once.
        runtime::check_log_filter(variables)?;
        config.check_exposure()?;
        Ok(config)
    }

    /// The same configuration with another address. Refused if the server would be open to the network
    /// without authentication.
    pub fn listening_on(mut self, listen: SocketAddr) -> Result<Self, ConfigError> {
        self.listen = listen;
        self.check_exposure()?;
        Ok(self)
    }

    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether leads are accepted without a proof of their sender: there is no sources file and no
    /// `WEBHOOK_SECRETS`.
    pub fn accepts_any_sender(&self) -> bool {
        self.source_secrets.is_empty() && self.sources.is_unnamed()
    }

    /// The senders with their secrets.
    ///
    /// # Errors
    /// When the secrets of a sender are missing, too short or not valid. Names the line of the sources file.
    pub fn senders(&self) -> Result<Senders, SourcesError> {
        if self.accepts_any_sender() {
            return Ok(Senders::open());
        }
        Senders::new(&self.sources, |variable| self.source_secrets.get(variable).cloned())
    }

    /// Every secret of a sender.
    pub fn webhook_secrets(&self) -> impl Iterator<Item = &str> {
        let texts = self.source_secrets.values().map(ExposeSecret::expose_secret);
        texts.flat_map(|text| text.split(',')).map(str::trim).filter(|secret| !secret.is_empty())
    }

    /// Whether requests of operators need a token.
    pub fn has_operators(&self) -> bool {
        self.admin_token.is_some() || self.operators_file.is_some()
    }

    /// A server that is reachable from the network must authenticate its clients. The admin token must not be
    /// short and must differ from the webhook secrets.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        if let Some(token) = self.admin_token.as_ref().map(ExposeSecret::expose_secret) {
            if token.chars().count() < MIN_ADMIN_TOKEN_CHARS {
                let problem = format!("must have at least {MIN_ADMIN_TOKEN_CHARS} characters");
                return Err(ConfigError::new("ADMIN_TOKEN", problem));
            }
            if self.webhook_secrets().any(|secret| secret == token) {
                let problem = "must not be a webhook secret: senders of leads could read all leads";
                return Err(ConfigError::new("ADMIN_TOKEN", problem));
            }
        }
        let needed = |variable, or, exposed| {
            let ip = self.listen.ip();
            let problem = format!("must be set{or} to listen on {ip}: without it anyone could {exposed}");
            Err(ConfigError::new(variable, problem))
        };
        if self.is_loopback() {
            Ok(())
        } else if self.accepts_any_sender() {
            needed("WEBHOOK_SECRETS", "", "post leads")
        } else if !self.has_operators() {
            needed("ADMIN_TOKEN", ", or OPERATORS_FILE,", "read leads")
        } else {
            Ok(())
        }
    }
}

fn sources(variables: &Variables<'_>) -> Result<Sources, ConfigError> {
    let Some(file) = variables.file("SOURCES_FILE") else { return Ok(Sources::unnamed()) };
    let sources = file.parse(Sources::parse)?;
    Ok(if variables.text("WEBHOOK_SECRETS").is_some() { sources.with_unnamed() } else { sources })
}

fn source_secrets(sources: &Sources, variables: &Variables<'_>) -> BTreeMap<String, SecretString> {
    let named = sources.iter().map(Source::secrets);
    named.filter_map(|name| Some((name.to_owned(), variables.secret(name)?))).collect()
}

/// A retention in days; none for 0, the default.
fn days(variables: &Variables<'_>, name: &'static str) -> Result<Option<Duration>, ConfigError> {
    let days: u64 = variables.number(name, 0, 0..=36_500)?;
    Ok((days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(&Variables::from_pairs(pairs))
    }

    #[test]
    fn defaults_are_a_valid_configuration() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database_url, "sqlite://revenueflow.db");
        assert!(read(&[("PORT", ""), ("HOST", "localhost"), ("ENV", "mock")]).is_ok());
    }

    #[test]
    fn invalid_value_is_one_line_that_names_the_variable() {
        for (pairs, line) in [
            (&[("PORT", "http")][..], "PORT: must be a number from 0 to 65535, not \"http\""),
            (&[("HOST", "example.com")], "HOST: must be an IP address or localhost, not \"example.com\""),
            (
                &[("AI_PROVIDER", "oracle")],
                "AI_PROVIDER: must be one of rules, gemini, bedrock, not \"oracle\"",
            ),
            (&[("ENV", "REAL")], "CRM_PROVIDER: must be set when ENV=REAL"),
            (
                &[("WORKER_CONCURRENCY", "0")],
                "WORKER_CONCURRENCY: must be a number from 1 to 1000, not \"0\"",
            ),
            (
                &[("RUST_LOG", "inof")],
                "RUST_LOG: must be error, warn, info, debug, trace or off, or a filter such as info,queue=debug, not \"inof\"",
            ),
        ] {
            assert_eq!(read(pairs).unwrap_err().to_string(), line);
        }
    }

    #[test]
    fn public_address_needs_both_secrets() {
        let public = ("HOST", "0.0.0.0");
        assert_eq!(read(&[public]).unwrap_err().variable, "WEBHOOK_SECRETS");
        let webhook = ("WEBHOOK_SECRETS", "0123456789abcdef0123456789abcdef");
        assert_eq!(read(&[public, webhook]).unwrap_err().variable, "ADMIN_TOKEN");
        assert!(read(&[public, webhook, ("ADMIN_TOKEN", "fedcba9876543210")]).is_ok());
        assert!(read(&[public, webhook, ("OPERATORS_FILE", "operators.toml")]).is_ok());
        assert!(read(&[]).unwrap().listening_on("0.0.0.0:80".parse().unwrap()).is_err());
    }

    #[test]
    fn admin_token_that_is_short_or_a_webhook_secret_is_refused() {
        let webhook = ("WEBHOOK_SECRETS", "0123456789abcdef,fedcba9876543210");
        for wrong in ["fifteen-letters", "fedcba9876543210"] {
            let error = read(&[webhook, ("ADMIN_TOKEN", wrong)]).unwrap_err();
            assert_eq!(error.variable, "ADMIN_TOKEN");
            assert!(!error.to_string().contains(wrong), "{error}");
        }
        assert!(read(&[webhook, ("ADMIN_TOKEN", "sixteen-letters!")]).is_ok());
    }

    #[test]
    fn nothing_has_a_retention_by_default() {
        assert_eq!(read(&[]).unwrap().retention, Retention::default());
        let retention =
            read(&[("RETAIN_LEADS_DAYS", "365"), ("RETAIN_CONTENT_DAYS", "0")]).unwrap().retention;
        let leads = Some(Duration::from_hours(365 * 24));
        assert_eq!(retention, Retention { leads, ..Retention::default() });
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secrets =
            [("WEBHOOK_SECRETS", "hush-hush-hush-hush,murmur"), ("ADMIN_TOKEN", "whisper-whisper-whisper")];
        let config = read(&secrets).unwrap();
        let text = format!("{config:?}");
        assert!(!["hush", "murmur", "whisper"].iter().any(|secret| text.contains(secret)), "{text}");
    }
}
