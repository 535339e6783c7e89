//! Amazon Bedrock: the `Converse` API, which is the same for every model
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>).

mod answer;
mod document;
mod error;
mod request;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::Builder;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use lead::{Dependency, Failure};

use crate::models::Model;
use crate::prompt::Question;
use crate::service::{Reply, Service};
use crate::settings::BedrockSettings;

const DEPENDENCY: Dependency = Dependency::new("ai.bedrock");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for the first use of a schema.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(5);

/// Client of Bedrock for one model. The SDK's retries are off: the pipeline decides which failures are worth
/// another attempt.
pub struct Bedrock {
    client: Client,
    model: Model,
}

impl Bedrock {
    /// A client with the credentials and the region of `aws`.
    pub fn new(aws: &SdkConfig, settings: &BedrockSettings, model: Model) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(settings.timeout)
            .operation_attempt_timeout(settings.timeout)
            .operation_timeout(settings.timeout)
            .build();
        let mut config = Builder::from(aws).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        if let Some(url) = &settings.base_url {
            config = config.endpoint_url(url);
        }
        Self { client: Client::from_conf(config.build()), model }
    }
}

#[async_trait]
impl Service for Bedrock {
    fn provider(&self) -> &'static str {
        "bedrock"
    }

    async fn ask(&self, question: &Question) -> Result<Reply, Failure> {
        let request = request::judgement(&self.client, &self.model, question)?;
        match request.send().await {
            Ok(output) => Ok(answer::read(output)),
            Err(error) => Err(error::failure(&error)),
        }
    }

    async fn probe(&self) -> Result<(), Failure> {
        let request = request::probe(&self.client, &self.model)?;
        request.send().await.map(drop).map_err(|error| error::failure(&error))
    }

    /// Includes the schema of an answer: Bedrock compiles a schema on first use and keeps it for a day.
    async fn self_test(&self) -> Result<(), Failure> {
        let request = request::schema_probe(&self.client, &self.model)?;
        let patient = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(COMPILE_TIMEOUT)
            .operation_attempt_timeout(COMPILE_TIMEOUT)
            .operation_timeout(COMPILE_TIMEOUT)
            .build();
        let request = request.customize().config_override(Builder::new().timeout_config(patient));
        request.send().await.map(drop).map_err(|error| error::failure(&error))
    }
}
