use std::collections::HashMap;
use std::time::Duration;

use aws_types::SdkConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::signed::{Call, SignedCalls};
use crate::ConfigError;

/// How long a secret is used before it is read again.
const TTL: Duration = Duration::from_mins(5);

/// How often a secret that was refused is read again at most: whoever sends bad signatures must not spend our quota.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A secret could not be read. Its text names the secret, and holds nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("secret {arn}: {problem}")]
pub struct SecretError {
    arn: String,
    problem: String,
}

/// Secrets in AWS Secrets Manager, kept in memory for five minutes, and for longer while Secrets Manager is away.
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
        match self.read(arn).await {
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
