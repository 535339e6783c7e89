use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use bytes::Bytes;
use ingest::SinkError;
use runtime::aws::AwsConfig;
use runtime::{ConfigError, Variables};

/// A bucket of S3 to put objects into: `PutObject` and nothing else, signed here. S3's own client would be a third of the
/// binary.
pub(crate) struct Bucket {
    put: Operation<Put, (), Refused>,
    aws: AwsConfig,
}

struct Put {
    key: String,
    body: Bytes,
    credentials: Credentials,
}

/// S3's answer, where that is not a success. Its text holds the code that S3 gives, and nothing of the object.
#[derive(Debug, thiserror::Error)]
#[error("the bucket answered {status} {code}")]
struct Refused {
    status: u16,
    code: String,
}

impl Bucket {
    /// The bucket that a variable names. Objects put into it are encrypted as it says itself.
    pub(crate) fn named(
        variable: &'static str,
        variables: &Variables<'_>,
        aws: &AwsConfig,
    ) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| ConfigError::new(variable, problem);
        let name = variables.text(variable).ok_or_else(|| wrong("must be set to take in leads"))?;
        let region = aws.region().ok_or_else(|| wrong("is in no region"))?.to_string();
        let url = match aws.endpoint_url() {
            // An emulator knows a bucket by its path, since its host has no other names.
            Some(endpoint) => format!("{}/{name}", endpoint.trim_end_matches('/')),
            None => format!("https://{name}.s3.{region}.amazonaws.com"),
        };
        let mut put = Operation::builder()
            .service_name("s3")
            .operation_name("PutObject")
            .endpoint_url(&url)
            .no_auth() // signed below
            .http_client(aws.http_client().ok_or_else(|| wrong("there is no HTTP client"))?)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .with_connection_poisoning();
        if let (Some(timeouts), Some(retries), Some(sleep)) =
            (aws.timeout_config(), aws.retry_config(), aws.sleep_impl())
        {
            put = put.timeout_config(timeouts.clone()).standard_retry(retries).sleep_impl(sleep);
        }
        let put = put
            .serializer(move |put: Put| put.signed(&url, &region, SystemTime::now()))
            .deserializer(understood)
            .build();
        Ok(Self { put, aws: aws.clone() })
    }

    /// Puts an object. `key` holds only characters that a URL can hold as they are.
    pub(crate) async fn put(&self, key: String, body: Vec<u8>) -> Result<(), SinkError> {
        let provider = self.aws.credentials_provider().ok_or_else(|| SinkError::new("no credentials"))?;
        let credentials = provider.provide_credentials().await.map_err(SinkError::new)?;
        let put = self.put.invoke(Put { key, body: body.into(), credentials }).await;
        put.map_err(|error| SinkError::new(DisplayErrorContext(error).to_string()))
    }
}

impl Put {
    fn signed(self, url: &str, region: &str, now: SystemTime) -> Result<HttpRequest, BoxError> {
        // As S3 wants it: the path as it is, and the hash of the body in a header.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let whole = format!("{url}/{}", self.key);
        let body = SignableBody::Bytes(&self.body);
        let (signed, _) =
            sign(SignableRequest::new("PUT", &whole, std::iter::empty(), body)?, &parameters)?.into_parts();
        let (headers, _) = signed.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(self.body));
        request.set_method("PUT")?;
        request.set_uri(format!("/{}", self.key))?;
        for header in headers {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }
}

/// Without the lead, and without the credentials.
impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("key", &self.key).finish_non_exhaustive()
    }
}

fn understood(answer: &HttpResponse) -> Result<(), OrchestratorError<Refused>> {
    if answer.status().is_success() {
        return Ok(());
    }
    let body = answer.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or_else(String::new, |(code, _)| code.chars().take(64).collect());
    Err(OrchestratorError::operation(Refused { status: answer.status().as_u16(), code }))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// What `S3SigV4Auth` of botocore 1.43 makes of the same request at 2026-01-01T00:00:00Z.
    #[test]
    fn a_request_is_signed_as_amazons_own_client_signs_it() {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "hush", Some("session/+=".to_owned()), None, "test");
        let put = Put { key: "leads/ab12.json".into(), body: Bytes::from_static(b"{\"a\":1}"), credentials };
        assert!(!format!("{put:?}").contains("hush"));
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let url = "https://overflow.s3.eu-central-1.amazonaws.com";
        let request = put.signed(url, "eu-central-1", now).unwrap();
        assert_eq!((request.method(), request.uri()), ("PUT", "/leads/ab12.json"));
        let header = |name| request.headers().get(name);
        assert_eq!(header("x-amz-date"), Some("20260101T000000Z"));
        assert_eq!(header("x-amz-security-token"), Some("session/+="));
        assert_eq!(
            header("x-amz-content-sha256"),
            Some("015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862")
        );
        assert_eq!(
            header("authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
                 Signature=bb75ac1402fddfcb47c0588dbcb423b2ff1e54da8f556524e92aec2eb1d48afa"
            )
        );
    }
}
