//! Classification of Bedrock's errors.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseError;
use lead::{Cause, Failure};

use super::DEPENDENCY;
use crate::codes;

/// Wait after a rate limit. Bedrock does not say how long; its limits are per minute.
const RATE_WAIT: Duration = Duration::from_secs(15);
/// Wait after an exhausted quota. The hour at which daily quotas reset is not documented, so each hour brings
/// another attempt.
const QUOTA_WAIT: Duration = Duration::from_hours(1);

/// Classifies a failed call. The message of the service decides where its codes are ambiguous; the failure
/// never repeats it.
pub(super) fn failure<R>(error: &SdkError<ConverseError, R>) -> Failure {
    let failure = match error {
        SdkError::ServiceError(answer) => {
            let error = answer.err();
            refused(error.code().unwrap_or_default(), error.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => lost(Cause::Timeout, "http_timeout", "did not answer in time"),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) if error.is_timeout() => {
                lost(Cause::Timeout, "http_timeout", "did not answer in time")
            }
            Some(error) if was_never_sent(error) => lost(Cause::Other, "http_connect", "cannot be reached"),
            _ => lost(Cause::ReplyLost, "http_reply_lost", "lost the connection before its answer"),
        },
        SdkError::ResponseError(_) => lost(Cause::ReplyLost, "http_reply_lost", "sent an incomplete answer"),
        _ => permanent(codes::REQUEST_REFUSED, "cannot be called: the request could not be built"),
    };
    failure.on(DEPENDENCY)
}

/// Classifies an exception by its name: those of `Converse` in the API model, and those of every AWS service
/// for bad credentials.
fn refused(code: &str, message: &str) -> Failure {
    let message = message.to_lowercase();
    match code {
        "ThrottlingException" | "TooManyRequestsException" if !message.contains("per day") => {
            let problem = "ai.bedrock: rate limit per minute exceeded";
            Failure::deferral(DEPENDENCY, codes::RATE_LIMITED, problem, Some(RATE_WAIT))
                .because(Cause::RateLimited)
        }
        "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
            let problem = "ai.bedrock: quota exhausted";
            Failure::deferral(DEPENDENCY, codes::QUOTA_EXHAUSTED, problem, Some(QUOTA_WAIT))
                .because(Cause::QuotaExhausted)
        }
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "OptInRequired" => {
            permanent(codes::CREDENTIALS_REFUSED, "refuses the credentials, or they may not use this model")
                .because(Cause::CredentialsRefused)
        }
        "ResourceNotFoundException" => retired("does not offer this model in this region, or no longer does"),
        "ValidationException" if message.contains("on-demand throughput") => retired(
            "offers this model through inference profiles only: put us., eu., apac. or global. before its id",
        ),
        "ValidationException" if message.contains("model identifier is invalid") => {
            retired("does not know this model")
        }
        "InternalServerException"
        | "ServiceUnavailableException"
        | "ModelNotReadyException"
        | "ModelTimeoutException"
        | "ModelErrorException"
        | "InternalFailure"
        | "ServiceUnavailable" => {
            Failure::transient(codes::UNAVAILABLE, format!("ai.bedrock answered {code}"))
        }
        "ValidationException" => permanent(codes::REQUEST_REFUSED, "refused the request"),
        // Not an exception of Bedrock: an intermediary answered.
        _ => Failure::transient(codes::UNAVAILABLE, "ai.bedrock answered with an undocumented error"),
    }
}

fn permanent(code: &'static str, problem: &str) -> Failure {
    Failure::permanent(code, format!("{DEPENDENCY} {problem}"))
}

fn retired(problem: &str) -> Failure {
    permanent(codes::MODEL_RETIRED, problem).because(Cause::Misconfigured)
}

fn lost(cause: Cause, code: &'static str, problem: &str) -> Failure {
    Failure::transient(code, format!("{DEPENDENCY} {problem}")).because(cause)
}

/// Whether the connection was never established. A request that was not sent is not charged for.
fn was_never_sent(error: &aws_sdk_bedrockruntime::error::ConnectorError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::NotFound
            );
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use lead::FailureClass::{Deferral, Permanent, Transient};

    use super::*;

    #[test]
    fn every_exception_of_converse_is_classified() {
        for (exception, message, class, code) in [
            ("ThrottlingException", "Too many requests", Deferral, "ai_rate_limited"),
            ("ThrottlingException", "Too many tokens per day", Deferral, "ai_quota_exhausted"),
            ("ServiceQuotaExceededException", "", Deferral, "ai_quota_exhausted"),
            ("AccessDeniedException", "", Permanent, "ai_credentials_refused"),
            ("UnrecognizedClientException", "", Permanent, "ai_credentials_refused"),
            ("ResourceNotFoundException", "end of life", Permanent, "ai_model_retired"),
            (
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn’t supported",
                Permanent,
                "ai_model_retired",
            ),
            (
                "ValidationException",
                "The provided model identifier is invalid.",
                Permanent,
                "ai_model_retired",
            ),
            ("ValidationException", "about ann@example.com", Permanent, "ai_request_refused"),
            ("ModelNotReadyException", "", Transient, "ai_unavailable"),
            ("ModelTimeoutException", "", Transient, "ai_unavailable"),
            ("ModelErrorException", "", Transient, "ai_unavailable"),
            ("InternalServerException", "", Transient, "ai_unavailable"),
            ("ServiceUnavailableException", "", Transient, "ai_unavailable"),
            ("", "<html>", Transient, "ai_unavailable"),
        ] {
            let failure = refused(exception, message);
            assert_eq!((failure.class(), failure.code.as_ref()), (class, code), "{exception} {message}");
            assert!(!failure.message.contains("ann@"));
        }
    }
}
