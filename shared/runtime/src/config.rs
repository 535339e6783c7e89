mod ai;
mod crm;
#[cfg(test)]
mod documented;
mod enrichment;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use self::ai::{AiConfig, AiProvider, BedrockConfig, GeminiConfig};
pub use self::crm::{
    CrmConfig, CrmMode, CrmProvider, HubSpotConfig, HubSpotLogin, Limits, RejectedLeads, SalesforceConfig,
    SalesforceLogin,
};
pub use self::enrichment::{EnrichmentConfig, EnrichmentSource, KeyedConfig, ZoomInfoConfig};
use crate::{ConfigError, LogFormat, Variables};

/// As few as a webhook's token may have.
const MIN_ADMIN_TOKEN_CHARS: usize = 16;

/// Everything that can be configured. `.env.example` documents each variable.
#[derive(Debug)]
pub struct Config {
    /// `HOST` and `PORT`: where the HTTP server listens.
    pub listen: SocketAddr,
    /// `READ_TIMEOUT_SECONDS`: how long a client may take for the head of a request, again for its body, and again to take
    /// an answer.
    pub read_timeout: Duration,
    /// `MAX_CONNECTIONS`: connections of clients at once.
    pub max_connections: usize,
    /// `STOP_TIMEOUT_SECONDS`: how long what is running may take once the process is told to stop.
    pub stop_timeout: Duration,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `DATABASE_POOL`: connections at most.
    pub database_pool: u32,
    /// `DATABASE_TIMEOUT_SECONDS`: how long a statement may take on PostgreSQL before its connection is given up.
    pub database_timeout: Duration,
    /// `RETRY_WINDOW_SECONDS`: within which an older content of a lead counts as a retry of its sender.
    pub retry_window: Duration,
    /// `QUEUE`.
    pub queue: QueueKind,
    /// `REDIS_URL`: where the queue is, when it is in Redis. May hold a password.
    pub redis_url: Option<SecretString>,
    /// `REDIS_PREFIX`: what the queue's keys start with.
    pub redis_prefix: String,
    /// `QUEUE_URL` and `DLQ_URL`: the queue and its dead letter queue, when it is in SQS.
    pub sqs: Option<SqsConfig>,
    /// `SPOOL_DIR`: where accepted leads wait while a queue outside the database cannot be reached.
    pub spool_dir: PathBuf,
    /// `SPOOL_MAX_BYTES`: how much of the disk they may take.
    pub spool_max_bytes: u64,
    /// `WORKER_RATE_LIMIT`: messages a second over all workers, with Redis.
    pub worker_rate_limit: Option<u32>,
    /// `VISIBILITY_TIMEOUT_SECONDS`: how long a worker may be silent before its leads go to another.
    pub visibility_timeout: Duration,
    /// `WORKER_CONCURRENCY`: leads worked on at the same time by one process.
    pub worker_concurrency: usize,
    /// `WEBHOOK_SECRETS`: every one of them is valid.
    pub webhook_secrets: Vec<SecretString>,
    /// `ADMIN_TOKEN`.
    pub admin_token: Option<SecretString>,
    /// `ICP_FILE`: the ideal customer; the built-in one where absent.
    pub icp_file: Option<PathBuf>,
    /// `ROUTING_FILE`: who gets a lead; the built-in rules where absent.
    pub routing_file: Option<PathBuf>,
    /// Who judges.
    pub ai: AiConfig,
    /// Who knows companies.
    pub enrichment: EnrichmentConfig,
    /// Which CRM is written to, and how.
    pub crm: CrmConfig,
    /// `QUARANTINE_KEEP_DAYS`: how long a body that was no lead is kept after it came last.
    pub quarantine_keep: Duration,
    /// `QUARANTINE_KEEP_ROWS`: how many of them at most.
    pub quarantine_rows: u32,
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
}

/// Which queue carries the leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// A table of the database.
    Database,
    /// BullMQ on Redis.
    Redis,
    /// Amazon SQS, beside a database that counts the tries.
    Sqs,
}

/// Where the queue is in SQS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsConfig {
    /// `QUEUE_URL`.
    pub queue_url: String,
    /// `DLQ_URL`.
    pub dead_letters_url: String,
}

impl Config {
    /// Reads and checks the configuration.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let host = variables.text("HOST").unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
        let host: IpAddr = match host.as_str() {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            text => text.parse().map_err(|_| {
                ConfigError::new("HOST", format!("must be an IP address or localhost, not {text:?}"))
            })?,
        };
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
            queue: queue_kind(variables)?,
            redis_url: variables.secret("REDIS_URL"),
            redis_prefix: redis_prefix(variables)?,
            sqs: variables
                .text("QUEUE_URL")
                .zip(variables.text("DLQ_URL"))
                .map(|(queue_url, dead_letters_url)| SqsConfig { queue_url, dead_letters_url }),
            spool_dir: variables.text("SPOOL_DIR").unwrap_or_else(|| "spool".to_owned()).into(),
            spool_max_bytes: variables.number("SPOOL_MAX_BYTES", 1 << 30, 1 << 20..=1 << 50)?,
            worker_rate_limit: match variables.number("WORKER_RATE_LIMIT", 0, 0..=1_000_000)? {
                0 => None,
                limit => Some(limit),
            },
            visibility_timeout: Duration::from_secs(variables.number(
                "VISIBILITY_TIMEOUT_SECONDS",
                30,
                3..=43_200,
            )?),
            worker_concurrency: variables.number("WORKER_CONCURRENCY", 8, 1..=1_000)?,
            webhook_secrets: variables.list("WEBHOOK_SECRETS").into_iter().map(SecretString::from).collect(),
            admin_token: variables.secret("ADMIN_TOKEN"),
            icp_file: variables.text("ICP_FILE").map(PathBuf::from),
            routing_file: variables.text("ROUTING_FILE").map(PathBuf::from),
            ai: AiConfig::read(variables)?,
            enrichment: EnrichmentConfig::read(variables)?,
            crm: CrmConfig::read(variables)?,
            quarantine_keep: Duration::from_secs(
                variables.number("QUARANTINE_KEEP_DAYS", 30, 1..=3_650)? * 24 * 60 * 60,
            ),
            quarantine_rows: variables.number("QUARANTINE_KEEP_ROWS", 10_000, 0..=10_000_000)?,
            log_format: variables.choice(
                "LOG_FORMAT",
                &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
                LogFormat::Pretty,
            )?,
        };
        // The subscriber reads it again; here it is refused before anything is done.
        crate::telemetry::log_filter(variables)?;
        config.check_exposure()?;
        Ok(config)
    }

    /// The same configuration on another address; refused where it would be open to the network.
    pub fn listening_on(mut self, listen: SocketAddr) -> Result<Self, ConfigError> {
        self.listen = listen;
        self.check_exposure()?;
        Ok(self)
    }

    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// A server that others can reach must know who they are; and no secret may be short, or open two doors.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        if let Some(token) = self.admin_token.as_ref().map(ExposeSecret::expose_secret) {
            if token.chars().count() < MIN_ADMIN_TOKEN_CHARS {
                let problem = format!("must have at least {MIN_ADMIN_TOKEN_CHARS} characters");
                return Err(ConfigError::new("ADMIN_TOKEN", problem));
            }
            if self.webhook_secrets.iter().any(|secret| secret.expose_secret() == token) {
                let problem = "must not be one of WEBHOOK_SECRETS: whoever posts leads could read them";
                return Err(ConfigError::new("ADMIN_TOKEN", problem));
            }
        }
        let needed = |variable, what| {
            let problem =
                format!("must be set to listen on {}: without it anyone could {what}", self.listen.ip());
            Err(ConfigError::new(variable, problem))
        };
        if self.is_loopback() {
            Ok(())
        } else if self.webhook_secrets.is_empty() {
            needed("WEBHOOK_SECRETS", "post leads")
        } else if self.admin_token.is_none() {
            needed("ADMIN_TOKEN", "read leads")
        } else {
            Ok(())
        }
    }
}

/// `QUEUE` wins; a `REDIS_URL` alone means Redis. SQS is never a guess: functions have a `QUEUE_URL` as well.
fn queue_kind(variables: &Variables<'_>) -> Result<QueueKind, ConfigError> {
    let has_redis = variables.text("REDIS_URL").is_some();
    let default = if has_redis { QueueKind::Redis } else { QueueKind::Database };
    let choices = [("database", QueueKind::Database), ("redis", QueueKind::Redis), ("sqs", QueueKind::Sqs)];
    let queue = variables.choice("QUEUE", &choices, default)?;
    if queue == QueueKind::Redis && !has_redis {
        return Err(ConfigError::new("REDIS_URL", "must be set when QUEUE=redis"));
    }
    if queue == QueueKind::Sqs {
        let missing = ["QUEUE_URL", "DLQ_URL"].into_iter().find(|name| variables.text(name).is_none());
        if let Some(missing) = missing {
            return Err(ConfigError::new(missing, "must be set when QUEUE=sqs"));
        }
    }
    Ok(queue)
}

/// What the application on the other side has as its `prefix`.
fn redis_prefix(variables: &Variables<'_>) -> Result<String, ConfigError> {
    let prefix = variables.text("REDIS_PREFIX").unwrap_or_else(|| "bull".to_owned());
    if prefix.len() > 100 || prefix.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ConfigError::new("REDIS_PREFIX", "must be at most 100 characters without spaces"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(&Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn nothing_needs_to_be_configured() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database_url, "sqlite://revenueflow.db");
        assert!(read(&[("PORT", ""), ("HOST", "localhost"), ("ENV", "mock")]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_that_names_the_variable() {
        for (pairs, line) in [
            (&[("PORT", "http")][..], "PORT: must be a number from 0 to 65535, not \"http\""),
            (&[("HOST", "example.com")], "HOST: must be an IP address or localhost, not \"example.com\""),
            (
                &[("AI_PROVIDER", "oracle")],
                "AI_PROVIDER: must be one of rules, gemini, bedrock, not \"oracle\"",
            ),
            (&[("QUEUE", "redis")], "REDIS_URL: must be set when QUEUE=redis"),
            (&[("REDIS_PREFIX", "my app")], "REDIS_PREFIX: must be at most 100 characters without spaces"),
            (&[("QUEUE", "sqs")], "QUEUE_URL: must be set when QUEUE=sqs"),
            (&[("QUEUE", "sqs"), ("QUEUE_URL", "q")], "DLQ_URL: must be set when QUEUE=sqs"),
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
    fn a_redis_url_is_enough_to_use_redis() {
        let redis = ("REDIS_URL", "redis://:hush@127.0.0.1");
        assert_eq!(read(&[redis]).unwrap().queue, QueueKind::Redis);
        assert_eq!(read(&[redis, ("QUEUE", "database")]).unwrap().queue, QueueKind::Database);
        assert!(!format!("{:?}", read(&[redis]).unwrap()).contains("hush"));
        assert_eq!(read(&[redis]).unwrap().redis_prefix, "bull", "BullMQ's own");
    }

    #[test]
    fn a_public_address_needs_both_secrets() {
        let public = ("HOST", "0.0.0.0");
        assert_eq!(read(&[public]).unwrap_err().variable, "WEBHOOK_SECRETS");
        let webhook = ("WEBHOOK_SECRETS", "0123456789abcdef0123456789abcdef");
        assert_eq!(read(&[public, webhook]).unwrap_err().variable, "ADMIN_TOKEN");
        assert!(read(&[public, webhook, ("ADMIN_TOKEN", "fedcba9876543210")]).is_ok());
        assert!(read(&[]).unwrap().listening_on("0.0.0.0:80".parse().unwrap()).is_err());
    }

    #[test]
    fn an_admin_token_that_is_short_or_opens_the_webhook_too_is_refused_everywhere() {
        let webhook = ("WEBHOOK_SECRETS", "0123456789abcdef,fedcba9876543210");
        for wrong in ["fifteen-letters", "fedcba9876543210"] {
            let error = read(&[webhook, ("ADMIN_TOKEN", wrong)]).unwrap_err();
            assert_eq!(error.variable, "ADMIN_TOKEN");
            assert!(!error.to_string().contains(wrong), "{error}");
        }
        assert!(read(&[webhook, ("ADMIN_TOKEN", "sixteen-letters!")]).is_ok());
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
