//! What the functions behind the queue share: the parts of the pipeline, made in the cloud.
//!
//! [`Cloud::start`] reads the environment at the start of an execution environment; [`Cloud::parts`] gives the parts that
//! need the database, made at first use and made anew now and then, so that a rotated password, an IAM token that ends
//! after 15 minutes and a changed secret need nobody's attention.

mod alerts;
mod database_url;
mod deadline;
mod mapping;
mod overflow;
mod parts;
mod refused;
mod xray;

pub use alerts::Alerts;
pub use deadline::ends_at;
pub use mapping::Mapping;
pub use overflow::{Overflow, OverflowObject};
pub use parts::{Cloud, Parts};
pub use refused::Refused;
pub use xray::XRay;
