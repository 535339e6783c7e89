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
use aws_types::SdkConfig;

use crate::ConfigError;

/// Signed calls to one AWS service, for functions that make a single kind of call. The service's client crate
/// would be up to a third of their binary. Timeouts and retries are those of the configuration.
pub struct SignedCalls {
    operation: Operation<Signable, Vec<u8>, Refused>,
    config: SdkConfig,
}

/// One call. The body may contain personal data or secrets.
pub struct Call {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, which must need no URL encoding.
    pub path: String,
    /// Additional headers. They are signed too.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub body: Vec<u8>,
}

/// A call failed. The text contains the problem and AWS's error code, and nothing of the body.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallError(String);

/// An error response of the service.
#[derive(Debug, thiserror::Error)]
#[error("answered {status} {code}")]
struct Refused {
    status: u16,
    code: String,
}

struct Signable {
    call: Call,
    credentials: Credentials,
}

impl SignedCalls {
    /// Calls to the service `service`, the first label of its host names. Uses `url` if it is given, else the
    /// configuration's endpoint URL, else the service's host in the region.
    pub fn new(service: &'static str, url: Option<String>, config: &SdkConfig) -> Result<Self, ConfigError> {
        let needed = |missing| ConfigError::new("AWS_REGION", format!("{missing} is needed to call AWS"));
        let region = config.region().ok_or_else(|| needed("a region"))?.to_string();
        let url = url.or_else(|| config.endpoint_url().map(str::to_owned));
        let url = url.unwrap_or_else(|| format!("https://{service}.{region}.amazonaws.com"));
        let url = url.trim_end_matches('/').to_owned();
        let mut operation = Operation::builder()
            .service_name(service)
            .operation_name("call")
            .endpoint_url(&url)
            .no_auth() // signed below
            .http_client(config.http_client().ok_or_else(|| needed("an HTTP client"))?)
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .with_connection_poisoning();
        if let (Some(timeouts), Some(retries), Some(sleep)) =
            (config.timeout_config(), config.retry_config(), config.sleep_impl())
        {
            operation = operation.timeout_config(timeouts.clone()).standard_retry(retries).sleep_impl(sleep);
        }
        let operation = operation
            .serializer(move |call: Signable| call.signed(service, &url, &region, SystemTime::now()))
            .deserializer(success_body)
            .build();
        Ok(Self { operation, config: config.clone() })
    }

    /// Makes a call and returns the body of the response.
    pub async fn call(&self, call: Call) -> Result<Vec<u8>, CallError> {
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| CallError("there are no credentials".to_owned()))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| CallError(error.to_string()))?;
        let answer = self.operation.invoke(Signable { call, credentials }).await;
        answer.map_err(|error| CallError(DisplayErrorContext(error).to_string()))
    }
}

impl Signable {
    fn signed(
        self,
        service: &str,
        url: &str,
        region: &str,
        now: SystemTime,
    ) -> Result<HttpRequest, BoxError> {
        let Call { method, path, headers, body } = self.call;
        let mut settings = SigningSettings::default();
        if service == "s3" {
            // S3 requires an unnormalised path and the hash of the body in a header.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = self.credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let whole = format!("{url}{path}");
        let signable =
            SignableRequest::new(method, &whole, headers.iter().copied(), SignableBody::Bytes(&body))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let (signatures, _) = instructions.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(method)?;
        request.set_uri(path)?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, *value);
        }
        for header in signatures {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }
}

/// Omits the body and the credentials.
impl fmt::Debug for Signable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signable").field("path", &self.call.path).finish_non_exhaustive()
    }
}

fn success_body(answer: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<Refused>> {
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        return Ok(body.to_vec());
    }
    Err(OrchestratorError::operation(Refused { status: answer.status().as_u16(), code: code(body) }))
}

/// The error code: in S3's XML the content of `<Code>`, in JSON the part of `__type` after the `#`.
fn code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let between = |start, end| text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    let in_json =
        || serde_json::from_slice::<serde_json::Value>(body).ok()?["__type"].as_str().map(str::to_owned);
    let code = between("<Code>", "</Code>").map(|(code, _)| code.to_owned()).or_else(in_json);
    let code = code.unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// A request signed at 2026-01-01T00:00:00Z.
    fn signed(service: &str, url: &str, call: Call) -> HttpRequest {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "hush", Some("session/+=".to_owned()), None, "test");
        let call = Signable { call, credentials };
        assert!(!format!("{call:?}").contains("hush"));
        call.signed(service, url, "eu-central-1", UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap()
    }

    /// The expected signature is that of `S3SigV4Auth` in botocore 1.43.
    #[test]
    fn s3_signature_equals_the_one_of_botocore() {
        let call = Call {
            method: "PUT",
            path: "/leads/ab12.json".into(),
            headers: &[],
            body: b"{\"a\":1}".to_vec(),
        };
        let request = signed("s3", "https://overflow.s3.eu-central-1.amazonaws.com", call);
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

    /// The expected signature is that of `SigV4Auth` in botocore 1.43.
    #[test]
    fn secrets_manager_signature_equals_the_one_of_botocore() {
        let call = Call {
            method: "POST",
            path: "/".into(),
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "secretsmanager.GetSecretValue"),
            ],
            body: b"{\"SecretId\":\"webhook\"}".to_vec(),
        };
        let request = signed("secretsmanager", "https://secretsmanager.eu-central-1.amazonaws.com", call);
        let header = |name| request.headers().get(name);
        assert_eq!(header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
        assert_eq!(
            header("authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/secretsmanager/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
                 Signature=2c00e86bc88feb9dc2d51ae7f1d46cb8ca8e208f67373a9a4fad44f769806613"
            )
        );
    }

    #[test]
    fn error_contains_only_the_error_code() {
        assert_eq!(code(b"<Error><Code>SlowDown</Code><Message>of ann</Message></Error>"), "SlowDown");
        assert_eq!(
            code(br#"{"__type":"com.amazonaws#ResourceNotFoundException","Message":"ann"}"#),
            "ResourceNotFoundException"
        );
        assert_eq!(code(b"ann@example.com"), "");
    }
}
