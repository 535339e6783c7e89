//! The cloud environment of the functions behind the queue: secrets, SQS, the overflow bucket, alerts, and
//! the components of the pipeline.
//!
//! [`Cloud::start`] reads the environment at the start of an execution environment. [`Cloud::parts`] returns
//! the components that need the database. It makes them at first use and renews them regularly, so that a
//! rotated password, an IAM token that expires after 15 minutes and a changed secret need no restart.

mod alerts;
mod database_url;
mod deadline;
mod mapping;
mod overflow;
mod parts;
mod refused_credentials;
mod xray;

pub use alerts::Alerts;
pub use deadline::ends_at;
pub use mapping::Mapping;
pub use overflow::{Overflow, OverflowObject};
pub use parts::{Cloud, Parts};
pub use refused_credentials::RefusedCredentials;
pub use xray::XRay;
