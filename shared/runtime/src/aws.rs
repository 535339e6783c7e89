//! Amazon Web Services, for functions that have to start fast.
//!
//! [`aws_config`] reads the variables that Lambda sets, and nothing else: no profile files, no metadata service, no
//! probing. The binary takes [`aws_settings`] and finds its credentials itself. `AWS_ENDPOINT_URL` sends every call to
//! an emulator.

mod config;
mod metrics;
mod secrets;
mod signed;

pub use aws_types::SdkConfig as AwsConfig;
pub use aws_types::region::Region as AwsRegion;
pub use config::{aws_config, aws_region, aws_settings, hurried};
pub use metrics::{EmbeddedMetrics, init_embedded_metrics};
pub use secrets::{SecretError, Secrets};
pub use signed::{Call, CallError, SignedCalls};
