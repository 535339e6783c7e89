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

/// How long a secret is used before it is read again.
const TTL: Duration = Duration::from_mins(5);

/// How often a secret that was refused is read again at most: whoever sends bad signatures must not spend our quota.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long reading a secret again may take before the known one is used.
const READ_AGAIN_LIMIT: Duration = Duration::from_secs(1);

/// A secret could not be read. Its text names the secret, and holds nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("secret {arn}: {problem}")]
pub struct SecretError {
    arn: String,
    problem: String,
}

/// Secrets in AWS Secrets Manager, kept in memory for five minutes, and for longer while Secrets Manager is away or slow. The
/// first read of a secret takes as long as the configuration allows, each later one a second.
pub struct Secrets {
    manager: SignedCalls,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SecretString")]
    text: Option<String>,
}

struct Known {
    value: SecretString,
    read_at: Instant,
}

impl Secrets {
    /// Reads with these credentials.
    pub fn new(config: &SdkConfig) -> Result<Self, ConfigError> {
        Ok(Self { manager: SignedCalls::new("secretsmanager", None, config)?, known: Mutex::default() })
    }

    /// A secret's text.
    pub async fn get(&self, arn: &str) -> Result<SecretString, SecretError> {
        self.not_older_than(TTL, arn).await
    }

    /// A secret's text after it was refused: somebody may have rotated it since.
    pub async fn get_anew(&self, arn: &str) -> Result<SecretString, SecretError> {
        self.not_older_than(REFUSED_AGAIN_AFTER, arn).await
    }

    async fn not_older_than(&self, age: Duration, arn: &str) -> Result<SecretString, SecretError> {
        // Held while reading, so that a burst of requests reads once.
        let mut known = self.known.lock().await;
        if let Some(known) = known.get(arn).filter(|known| known.read_at.elapsed() < age) {
            return Ok(known.value.clone());
        }
        let read = if known.contains_key(arn) {
            let late = |_| Err(SecretError { arn: arn.to_owned(), problem: "no answer in time".to_owned() });
            timeout(READ_AGAIN_LIMIT, self.read(arn)).await.unwrap_or_else(late)
        } else {
            self.read(arn).await
        };
        match read {
            Ok(value) => {
                known.insert(arn.to_owned(), Known { value: value.clone(), read_at: Instant::now() });
                Ok(value)
            }
            Err(error) => match known.get_mut(arn) {
                Some(known) => {
                    tracing::warn!(%error, "a secret could not be read again: the known one is used");
                    known.read_at = Instant::now();
                    Ok(known.value.clone())
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
        // What is wrong with it would be said by quoting it.
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

    /// A secret's text, from a Secrets Manager that answers once and then takes connections without a word.
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
    async fn a_known_secret_is_used_while_its_manager_hangs() {
        let (secrets, serving) = answering_once().await;
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        tokio::time::pause();
        tokio::time::advance(TTL).await;
        let asked = Instant::now();
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        assert_eq!(asked.elapsed().as_secs(), READ_AGAIN_LIMIT.as_secs());
        let asked = Instant::now();
        assert_eq!(secrets.get("arn").await.unwrap().expose_secret(), "hush");
        assert_eq!(asked.elapsed(), Duration::ZERO, "not asked again by every request");
        serving.abort();
    }
}
