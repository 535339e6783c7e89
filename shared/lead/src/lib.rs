//! The domain: leads, their identity and their states.
//!
//! This crate does no I/O. Time is read through [`Clock`], so that every rule that depends on it can be
//! tested exactly.
//!
//! - [`Lead`] is the parsed, normalised content of one webhook. [`LeadEvent`] is its message on a queue.
//! - [`LeadId`] identifies a lead permanently, [`DeliveryId`] one accepted content of it.
//! - [`Sender`] is the configured sender of a delivery.
//! - [`FieldNote`] names a field of an accepted lead that was dropped or cut.
//! - [`Failure`] classifies every failure in the system.
//! - [`Actor`] is the author of an act in the audit trail.
//! - [`TraceContext`] is the trace of a delivery.
//! - [`LeadId::is_synthetic`] recognises the lead that a deployment posts to itself.
//! - [`text`] removes invisible characters from texts.
//! - [`Personal`] is a type that keeps personal data out of logs.

extern crate self as lead; // `vocabulary!` names this crate

mod actor;
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
mod sender;
mod status;
mod synthetic;
pub mod text;
mod trace;
mod vocabulary;

pub use actor::{Actor, ActorError};
pub use arrival::{Arrival, ArrivalError};
pub use campaign::{CampaignId, CampaignIdError};
pub use canonical::canonical_json;
pub use clock::{Clock, ManualClock, SystemClock};
pub use email::{EmailAddress, EmailError};
pub use event::{EVENT_VERSION, LeadEvent};
pub use failure::{Cause, Dependency, Failure, FailureClass, FailureKind, Scope, Stage, Until};
pub use id::{ContentHash, DeliveryId, IdError, LeadId};
pub use judgement::{Decision, Fit, FitScore, Intent};
pub use note::{FieldIssue, FieldNote};
pub use personal::Personal;
pub use record::Lead;
pub use sender::{Sender, SenderName, SenderNameError};
#[doc(hidden)]
pub use serde;
pub use status::LeadStatus;
pub use synthetic::{SYNTHETIC_CAMPAIGN, SYNTHETIC_EMAIL, SYNTHETIC_LEAD_ID};
pub use trace::{TraceContext, TraceContextError};
