//! Amazon Web Services, for functions with a fast cold start.
//!
//! [`aws_config`] reads only the variables that Lambda sets: no profile files, no metadata service, no
//! probing. The `revenueflow` binary uses [`aws_settings`] and resolves its credentials itself.
//! `AWS_ENDPOINT_URL` redirects every call to an emulator.

mod config;
mod metrics;
mod secrets;
mod signed;

pub use aws_types::SdkConfig as AwsConfig;
pub use aws_types::region::Region as AwsRegion;
pub use config::{aws_config, aws_region, aws_settings, with_short_timeouts};
pub use metrics::{EmbeddedMetrics, init_embedded_metrics};
pub use secrets::{SecretError, Secrets};
pub use signed::{Call, CallError, SignedCalls};
