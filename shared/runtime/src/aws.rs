//! Amazon Web Services, for functions that have to start fast.
//!
//! [`aws_config`] reads what Lambda puts into the environment, and nothing else: no profile files, no metadata
//! service, no probing. Outside Lambda the same variables are set by hand. `AWS_ENDPOINT_URL` sends every call to an
//! emulator.

mod config;
mod metrics;
mod secrets;
mod signed;

pub use aws_types::SdkConfig as AwsConfig;
pub use config::{aws_config, hurried};
pub use metrics::{EmbeddedMetrics, init_embedded_metrics};
pub use secrets::{SecretError, Secrets};
pub use signed::{Call, CallError, SignedCalls};
