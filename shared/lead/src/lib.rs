//! The domain: what a lead is, how it is identified, and the states it goes through.
//!
//! Nothing here does I/O. Time comes in through [`Clock`], so every rule that depends on it can be
//! tested exactly.
//!
//! - [`Lead`] is the parsed, normalised content of one webhook; [`LeadEvent`] is what travels on a queue.
//! - [`LeadId`] identifies a lead for ever, [`DeliveryId`] one accepted content of it.
//! - [`FieldNote`] says which field of an accepted lead was dropped or cut.
//! - [`Failure`] says how every failure in the system is to be treated.
//! - [`TraceContext`] is the trace that a delivery belongs to.
//! - [`LeadId::is_synthetic`] tells the lead that a deployment posts to itself.
//! - [`text`] cleans texts of characters that cannot be seen.
//! - [`Personal`] keeps personal data out of logs by its type.

mod arrival;
mod campaign;
mod canonical;
mod clock;
mod email;
mod event;
mod failure;
mod id;
mod judgement;
mod name;
mod note;
mod personal;
mod record;
mod status;
mod synthetic;
pub mod text;
mod trace;

pub use arrival::{Arrival, ArrivalError};
pub use campaign::{CampaignId, CampaignIdError};
pub use canonical::canonical_json;
pub use clock::{Clock, ManualClock, SystemClock};
pub use email::{EmailAddress, EmailError};
pub use event::{EVENT_VERSION, LeadEvent};
pub use failure::{Dependency, Failure, FailureClass, Stage};
pub use id::{ContentHash, DeliveryId, IdError, LeadId};
pub use judgement::{Decision, Fit, FitScore, Intent};
pub use note::{FieldIssue, FieldNote};
pub use personal::Personal;
pub use record::Lead;
pub use status::LeadStatus;
pub use synthetic::{SYNTHETIC_CAMPAIGN, SYNTHETIC_EMAIL, SYNTHETIC_LEAD_ID};
pub use trace::{TraceContext, TraceContextError};
