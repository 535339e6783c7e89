use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseError;
use lead::Failure;

use super::DEPENDENCY;
use crate::codes;

/// Bedrock never says how long; its limits go by the minute.
const RATE_WAIT: Duration = Duration::from_secs(15);
/// A day's quota begins anew at an hour that is not documented: it is asked for every hour.
const QUOTA_WAIT: Duration = Duration::from_hours(1);

/// What a call that gave no answer means. The service's text decides where its codes do not, and is never repeated.
pub(super) fn failure<R>(error: &SdkError<ConverseError, R>) -> Failure {
    let failure = match error {
        SdkError::ServiceError(answer) => {
            let error = answer.err();
            refused(error.code().unwrap_or_default(), error.message().unwrap_or_default())
        }
        SdkError::TimeoutError(_) => lost("http_timeout", "did not answer in time"),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) if error.is_timeout() => lost("http_timeout", "did not answer in time"),
            Some(error) if was_never_sent(error) => lost("http_connect", "cannot be reached"),
            _ => lost("http_reply_lost", "was lost on the way"),
        },
        SdkError::ResponseError(_) => lost("http_reply_lost", "broke off its answer"),
        _ => permanent(codes::REQUEST_REFUSED, "cannot be asked like this"),
    };
    failure.on(DEPENDENCY)
}

/// A failure by the name of its exception, as the API's model lists them for `Converse`, and the ones that every AWS service
/// has for bad credentials.
fn refused(code: &str, message: &str) -> Failure {
    let message = message.to_lowercase();
    match code {
        "ThrottlingException" | "TooManyRequestsException" if !message.contains("per day") => {
            let problem = "ai.bedrock is asked more than it allows in a minute";
            Failure::deferral(DEPENDENCY, codes::RATE_LIMITED, problem, Some(RATE_WAIT))
        }
        "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
            let problem = "ai.bedrock has used up a quota";
            Failure::deferral(DEPENDENCY, codes::QUOTA_EXHAUSTED, problem, Some(QUOTA_WAIT))
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
        }
        "ResourceNotFoundException" => {
            permanent(codes::MODEL_RETIRED, "has no such model in this region, or has it no more")
        }
        "ValidationException" if message.contains("on-demand throughput") => permanent(
            codes::MODEL_RETIRED,
            "offers this model through inference profiles only: put us., eu., apac. or global. before its id",
        ),
        "ValidationException" if message.contains("model identifier is invalid") => {
            permanent(codes::MODEL_RETIRED, "has no such model")
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
        // Not from Bedrock: something on the way.
        _ => Failure::transient(codes::UNAVAILABLE, "ai.bedrock answered with an error it does not document"),
    }
}

fn permanent(code: &'static str, what: &str) -> Failure {
    Failure::permanent(code, format!("{DEPENDENCY} {what}"))
}

fn lost(code: &'static str, what: &str) -> Failure {
    Failure::transient(code, format!("{DEPENDENCY} {what}"))
}

/// Whether the connection was never made: what was not sent is not charged for.
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
            assert_eq!((failure.class, failure.code.as_ref()), (class, code), "{exception} {message}");
            assert!(!failure.message.contains("ann@"));
        }
    }
}
