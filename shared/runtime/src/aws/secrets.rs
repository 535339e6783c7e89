use std::collections::HashMap;
use std::time::Duration;

use aws_types::SdkConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::signed::{Call, SignedCalls};
use crate::ConfigError;

/// Cache lifetime of a secret.
const TTL: Duration = Duration::from_mins(5);

/// Minimum time between two refreshes of a refused secret, so that senders of bad signatures cannot use up
/// our quota.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// Time limit of a refresh, after which the cached secret is used.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// A secret could not be read. The text names the secret and contains nothing of its value.
#[derive(Debug, thiserror::Error)]
#[error("secret {arn}: {problem}")]
pub struct SecretError {
    arn: String,
    problem: String,
}

/// Secrets from AWS Secrets Manager, cached in memory for five minutes, and longer while Secrets Manager is
/// unavailable or slow. The first read of a secret has the timeout of the configuration, each later one a
/// timeout of one second.
pub struct Secrets {
    manager: SignedCalls,
    cache: Mutex<HashMap<String, CachedSecret>>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SecretString")]
    text: Option<String>,
}

struct CachedSecret {
    value: SecretString,
    read_at: Instant,
}

impl Secrets {
    /// Secrets read with the credentials of this configuration.
    pub fn new(config: &SdkConfig) -> Result<Self, ConfigError> {
        Ok(Self { manager: SignedCalls::new("secretsmanager", None, config)?, cache: Mutex::default() })
    }

    /// The text of a secret, at most five minutes old.
    pub async fn get(&self, arn: &str) -> Result<SecretString, SecretError> {
        self.not_older_than(TTL, arn).await
    }

    /// The text of a secret after the cached one was refused, since it may have been rotated. At most ten
    /// seconds old.
    pub async fn force_refresh(&self, arn: &str) -> Result<SecretString, SecretError> {
        self.not_older_than(MIN_REFRESH_INTERVAL, arn).await
    }

    async fn not_older_than(&self, age: Duration, arn: &str) -> Result<SecretString, SecretError> {
        // The lock is held during the read, so that a burst of requests reads once.
        let mut cache = self.cache.lock().await;
        if let Some(cached) = cache.get(arn).filter(|cached| cached.read_at.elapsed() < age) {
            return Ok(cached.value.clone());
        }
        let read = if cache.contains_key(arn) {
            let late = |_| Err(SecretError { arn: arn.to_owned(), problem: "no answer in time".to_owned() });
            timeout(REFRESH_TIMEOUT, self.read(arn)).await.unwrap_or_else(late)
        } else {
            self.read(arn).await
        };
        match read {
            Ok(value) => {
                cache.insert(arn.to_owned(), CachedSecret { value: value.clone(), read_at: Instant::now() });
                Ok(value)
            }
            Err(error) => match cache.get_mut(arn) {
                Some(cached) => {
                    tracing::warn!(%error, "secret refresh failed: using the cached secret");
                    cached.read_at = Instant::now();
                    Ok(cached.value.clone())
                }
                None => Err(error),
            },
        }
    }

    async fn read(&self, arn: &str) -> Result<SecretString, SecretError> {
        let problem = |problem| SecretError { arn: arn.to_owned(), problem };
        let call = Call {
            method: "POST",
            path: "/".to_owned(),
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "secretsmanager.GetSecretValue"),
            ],
            body: json!({ "SecretId": arn }).to_string().into_bytes(),
        };
        let answer = self.manager.call(call).await.map_err(|error| problem(error.to_string()))?;
        // The parse error is dropped, because it could quote the secret.
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| problem("the answer cannot be read".to_owned()))?;
        answer
            .text
            .map(SecretString::from)
            .filter(|secret| !secret.expose_secret().trim().is_empty())
            .ok_or_else(|| problem("holds no text".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::Variables;

    /// Secrets from a server that answers once, and then accepts connections without answering.
    async fn answering_once() -> (Secrets, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            answer(listener.accept().await.unwrap().0).await;
            let mut silent = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                silent.push(connection);
            }
        });
        let config = crate::aws::aws_config(&Variables::from_fn(|name| match name {
            "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
            "AWS_REGION" | "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            _ => None,
        }));
        (Secrets::new(&config.unwrap()).unwrap(), serving)
    }

    async fn answer(mut connection: TcpStream) {
        let mut read = Vec::new();
        while !read.ends_with(b"}") {
            connection.read_buf(&mut read).await.unwrap();
        }
        let body = r#"{"SecretString":"hush"}"#;
        let answer =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn cached_secret_is_used_while_secrets_manager_hangs() {
        let (secrets, serving) = answering_once().await;
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        tokio::time::pause();
        tokio::time::advance(TTL).await;
        let start = Instant::now();
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        assert_eq!(start.elapsed().as_secs(), REFRESH_TIMEOUT.as_secs());
        let start = Instant::now();
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        assert_eq!(start.elapsed(), Duration::ZERO, "not every request reads the secret");
        serving.abort();
    }
}
