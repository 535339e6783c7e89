use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use variables::{ConfigError, Variables};

/// The settings of the queue and of its workers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `QUEUE`: the backend.
    pub backend: Backend,
    /// `VISIBILITY_TIMEOUT_SECONDS`: the time without a heartbeat after which another worker receives a
    /// worker's leads.
    pub visibility_timeout: Duration,
    /// `WORKER_CONCURRENCY`: the number of leads that one process works on at the same time.
    pub worker_concurrency: usize,
    /// `SPOOL_DIR`: the folder of accepted leads that wait while a queue outside the database is unavailable.
    pub spool_dir: PathBuf,
    /// `SPOOL_MAX_BYTES`: the maximum size of the spool.
    pub spool_max_bytes: u64,
}

/// The backend of the queue, with its address.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A table of the database.
    Database,
    /// BullMQ on Redis.
    Redis(RedisSettings),
    /// Amazon SQS, with a database that counts the attempts.
    Sqs(SqsSettings),
}

/// The settings of the queue on Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `REDIS_URL`: the address. May contain a password.
    pub url: SecretString,
    /// `REDIS_PREFIX`: the prefix of the queue's keys.
    pub prefix: String,
    /// `WORKER_RATE_LIMIT`: messages per second over all workers. `None` is no limit.
    pub rate_limit: Option<u32>,
}

/// The settings of the queue on SQS.
#[derive(Clone, Debug)]
pub struct SqsSettings {
    /// `QUEUE_URL`.
    pub queue_url: String,
    /// `DLQ_URL`: the dead letter queue.
    pub dead_letters_url: String,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// When a variable is invalid, or one that the backend needs is missing.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let visibility = variables.number("VISIBILITY_TIMEOUT_SECONDS", 30, 3..=43_200)?;
        Ok(Self {
            backend: Backend::read(variables)?,
            visibility_timeout: Duration::from_secs(visibility),
            worker_concurrency: variables.number("WORKER_CONCURRENCY", 256, 1..=1_000)?,
            spool_dir: variables.text("SPOOL_DIR").unwrap_or_else(|| "spool".to_owned()).into(),
            spool_max_bytes: variables.number("SPOOL_MAX_BYTES", 1 << 30, 1 << 20..=1 << 50)?,
        })
    }
}

impl Backend {
    /// Whether the queue is a table of the database.
    pub fn is_database(&self) -> bool {
        matches!(self, Self::Database)
    }

    /// `QUEUE` takes precedence. Without it, a `REDIS_URL` selects Redis. SQS has to be selected explicitly,
    /// since the functions set `QUEUE_URL` too.
    fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let redis = RedisSettings::read(variables)?;
        let default = if redis.is_some() { "redis" } else { "database" };
        let choices = ["database", "redis", "sqs"].map(|name| (name, name));
        match variables.choice("QUEUE", &choices, default)? {
            "redis" => redis
                .map(Self::Redis)
                .ok_or_else(|| ConfigError::new("REDIS_URL", "must be set when QUEUE=redis")),
            "sqs" => {
                let needed = |name| {
                    let missing = || ConfigError::new(name, "must be set when QUEUE=sqs");
                    variables.text(name).ok_or_else(missing)
                };
                Ok(Self::Sqs(SqsSettings {
                    queue_url: needed("QUEUE_URL")?,
                    dead_letters_url: needed("DLQ_URL")?,
                }))
            }
            _ => Ok(Self::Database),
        }
    }
}

impl RedisSettings {
    /// `None` without `REDIS_URL`. The other variables are checked in any case.
    fn read(variables: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        // The `prefix` of the BullMQ application that shares the queue.
        let prefix = variables.text("REDIS_PREFIX").unwrap_or_else(|| "bull".to_owned());
        if prefix.len() > 100 || prefix.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ConfigError::new("REDIS_PREFIX", "must be at most 100 characters without spaces"));
        }
        let rate_limit =
            Some(variables.number("WORKER_RATE_LIMIT", 0, 0..=1_000_000)?).filter(|limit| *limit > 0);
        Ok(variables.secret("REDIS_URL").map(|url| Self { url, prefix, rate_limit }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::read(&Variables::from_pairs(pairs))
    }

    #[test]
    fn redis_url_selects_redis() {
        let redis = ("REDIS_URL", "redis://:hush@127.0.0.1");
        let settings = read(&[redis]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        let Backend::Redis(settings) = settings.backend else { panic!("{settings:?}") };
        assert_eq!(settings.prefix, "bull", "BullMQ's own");
        assert!(matches!(read(&[redis, ("QUEUE", "database")]).unwrap().backend, Backend::Database));
    }

    #[test]
    fn backend_without_its_address_is_refused() {
        for (pairs, line) in [
            (&[("QUEUE", "redis")][..], "REDIS_URL: must be set when QUEUE=redis"),
            (&[("REDIS_PREFIX", "my app")], "REDIS_PREFIX: must be at most 100 characters without spaces"),
            (&[("QUEUE", "sqs")], "QUEUE_URL: must be set when QUEUE=sqs"),
            (&[("QUEUE", "sqs"), ("QUEUE_URL", "q")], "DLQ_URL: must be set when QUEUE=sqs"),
            (&[("QUEUE", "kafka")], "QUEUE: must be one of database, redis, sqs, not \"kafka\""),
        ] {
            assert_eq!(read(pairs).unwrap_err().to_string(), line);
        }
    }
}
