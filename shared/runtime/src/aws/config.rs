use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::{ConfigError, Variables};

/// The roots that all AWS endpoints chain to: Amazon Root CA 1 to 4 and Starfield G2, valid to 2037 at least
/// (<https://www.amazontrust.com/repository>). Loading the system's trust store would add 4 to 10 ms to every
/// cold start.
const ROOTS: &[u8] = include_bytes!("roots.pem");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Timeout of one attempt. Clients with a time budget of their own set a shorter one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of a call including its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration of AWS clients, only from the environment: [`aws_region`], `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and the settings of [`aws_settings`].
///
/// For the functions: the credentials of a Lambda execution environment are valid for its lifetime, so they
/// are read once.
pub fn aws_config(variables: &Variables<'_>) -> Result<SdkConfig, ConfigError> {
    let needed = |name| {
        variables.text(name).ok_or_else(|| ConfigError::new(name, "must be set to call AWS; Lambda sets it"))
    };
    let region = match aws_region(variables) {
        Some(region) => region,
        None => Region::new(needed("AWS_REGION")?),
    };
    let credentials = Credentials::new(
        needed("AWS_ACCESS_KEY_ID")?,
        needed("AWS_SECRET_ACCESS_KEY")?,
        variables.text("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let settings = aws_settings(variables)?.into_builder().region(region);
    Ok(settings.credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

/// The region from `AWS_REGION`, or else from `AWS_DEFAULT_REGION`.
pub fn aws_region(variables: &Variables<'_>) -> Option<Region> {
    variables.text("AWS_REGION").or_else(|| variables.text("AWS_DEFAULT_REGION")).map(Region::new)
}

/// The settings of AWS clients other than region and credentials: the HTTP client, timeouts, retries,
/// `AWS_ENDPOINT_URL`, and `AWS_CA_BUNDLE` for additional root certificates.
pub fn aws_settings(variables: &Variables<'_>) -> Result<SdkConfig, ConfigError> {
    let mut trusted = TrustStore::empty().with_pem_certificate(ROOTS);
    if let Some(file) = variables.text("AWS_CA_BUNDLE") {
        let bundle = std::fs::read(&file)
            .map_err(|error| ConfigError::new("AWS_CA_BUNDLE", format!("{file} cannot be read: {error}")))?;
        trusted.add_pem_certificate(bundle);
    }
    let tls = TlsContext::builder()
        .with_trust_store(trusted)
        .build()
        .map_err(|error| ConfigError::new("AWS_CA_BUNDLE", error.to_string()))?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts);
    config.set_endpoint_url(variables.text("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

/// The same configuration for callers with little time: a shorter timeout of each attempt and a shorter
/// initial backoff.
pub fn with_short_timeouts(config: &SdkConfig, each_try: Duration, backoff: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(each_try))
        .operation_attempt_timeout(each_try)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let retries = RetryConfig::standard().with_initial_backoff(backoff);
    config.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 3] =
        [("AWS_REGION", "eu-central-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];

    fn read(pairs: &[(&str, &str)]) -> Result<SdkConfig, ConfigError> {
        aws_config(&Variables::from_pairs(pairs))
    }

    #[test]
    fn variables_of_lambda_are_enough() {
        let config = read(&COMPLETE).unwrap();
        assert_eq!(config.region().unwrap().as_ref(), "eu-central-1");
        assert_eq!(config.endpoint_url(), None);
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn endpoint_url_selects_an_emulator() {
        let pairs = [&COMPLETE[..], &[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]].concat();
        assert_eq!(read(&pairs).unwrap().endpoint_url(), Some("http://127.0.0.1:4566"));
    }

    #[test]
    fn missing_variable_is_named() {
        for missing in 0..COMPLETE.len() {
            let mut pairs = COMPLETE.to_vec();
            let (name, _) = pairs.remove(missing);
            assert_eq!(read(&pairs).unwrap_err().variable, name);
        }
    }
}
