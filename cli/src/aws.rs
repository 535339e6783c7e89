//! The AWS configuration of the binary. The SDK's default chain finds the credentials (environment, profile
//! and SSO, web identity, container, instance metadata) and refreshes them before they expire.
//!
//! The Lambda functions do not use the chain: their credentials outlive a process, and the chain makes a cold
//! start longer.

use std::time::Duration;

use analysis::AiProvider;
use anyhow::Context as _;
use assembly::{Backend, Config};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::identity::IdentityCache;
use aws_config::imds;
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use runtime::aws::{AwsConfig, aws_region, aws_settings};
use runtime::{ConfigError, Variables};

use crate::output::Advice;

/// Limit for finding credentials at start, over all sources together.
const START_LIMIT: Duration = Duration::from_secs(15);

/// Limit for finding or refreshing credentials later. A call to AWS waits for it; the SDK's own limit is 5 s.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);

/// Limit for each connection attempt to the instance metadata service, and for each of its answers. The
/// service exists only on EC2.
const METADATA_LIMIT: Duration = Duration::from_secs(1);

const METADATA_TRIES: u32 = 2;

/// The AWS configuration, if the queue or an AI provider needs one.
///
/// # Errors
///
/// Fails when no region is configured, or when no source of the default chain has credentials. The error
/// names the variable to set.
pub(crate) async fn config(config: &Config) -> anyhow::Result<Option<AwsConfig>> {
    let uses_bedrock = config.ai.asks(AiProvider::Bedrock);
    if !matches!(config.queue.backend, Backend::Sqs(_)) && !uses_bedrock {
        return Ok(None);
    }
    load(&Variables::of_process()).await.map(Some)
}

async fn load(variables: &Variables<'_>) -> anyhow::Result<AwsConfig> {
    let settings = aws_settings(variables)?;
    let http = settings.http_client().context("AWS settings without an HTTP client")?;
    let sources = ProviderConfig::without_region().with_http_client(http);
    let region = match aws_region(variables) {
        Some(region) => Some(region),
        None => ProfileFileRegionProvider::builder().configure(&sources).build().region().await,
    };
    let region = region.ok_or_else(|| {
        ConfigError::new("AWS_REGION", "must be set to call AWS, here or as `region` in the profile")
    })?;
    static_pair_is_complete(variables)?;
    let metadata = imds::Client::builder()
        .configure(&sources)
        .connect_timeout(METADATA_LIMIT)
        .read_timeout(METADATA_LIMIT)
        .max_attempts(METADATA_TRIES)
        .build();
    let chain = DefaultCredentialsChain::builder()
        .configure(sources)
        .region(region.clone())
        .imds_client(metadata)
        .build()
        .await;
    let credentials = SharedCredentialsProvider::new(chain);
    let found = tokio::time::timeout(START_LIMIT, credentials.provide_credentials()).await;
    let problem = match found {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{:#}", anyhow::Error::new(error))),
        Err(_) => Some(format!("no answer within {} s", START_LIMIT.as_secs())),
    };
    if let Some(problem) = problem {
        let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the container or the \
                    instance a role";
        return Err(Advice::new(format!("AWS_ACCESS_KEY_ID: no credentials for AWS: {problem}"), hint).into());
    }
    let settings = settings
        .into_builder()
        .region(region)
        .credentials_provider(credentials)
        // All clients share one cache. Otherwise, each would keep and refresh credentials of its own.
        .identity_cache(IdentityCache::lazy().load_timeout(REFRESH_LIMIT).build());
    Ok(settings.build())
}

/// Checks that both static credentials are set or neither. The chain ignores an incomplete pair, and its
/// error would claim that there are no credentials at all.
fn static_pair_is_complete(variables: &Variables<'_>) -> Result<(), ConfigError> {
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    match names.map(|name| variables.text(name).is_some()) {
        [true, false] => Err(ConfigError::new(names[1], "must be set beside AWS_ACCESS_KEY_ID")),
        [false, true] => Err(ConfigError::new(names[0], "must be set beside AWS_SECRET_ACCESS_KEY")),
        [true, true] | [false, false] => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_static_credentials_name_the_missing_variable() {
        let missing = |set: &'static str| {
            static_pair_is_complete(&Variables::from_fn(|name| (name == set).then(|| "x".to_owned())))
                .unwrap_err()
                .variable
        };
        assert_eq!(missing("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY");
        assert_eq!(missing("AWS_SECRET_ACCESS_KEY"), "AWS_ACCESS_KEY_ID");
    }
}
