//! Amazon Bedrock: `Converse`, which is the same for every model that is offered there
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

const DEPENDENCY: Dependency = Dependency::new("ai.bedrock");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first use of a schema may take.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(5);

/// How to reach the service.
#[derive(Clone, Debug)]
pub struct BedrockSettings {
    /// In place of the region's own address.
    pub base_url: Option<String>,
    /// From the request to the whole answer.
    pub timeout: Duration,
}

/// The service, asked for one model. It says yes or no for itself: the SDK's own retries are off, since the pipeline's
/// know what is worth another attempt.
pub struct Bedrock {
    client: Client,
    model: Model,
}

impl Bedrock {
    /// Asks with these credentials and this region.
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

    /// With the schema of an answer, which Bedrock compiles when it sees it for the first time, and then keeps for a day.
    async fn try_out(&self) -> Result<(), Failure> {
        let request = request::trial(&self.client, &self.model)?;
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
