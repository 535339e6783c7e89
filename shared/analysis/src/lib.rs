//! Judges fit and intent from a fact sheet.
//!
//! - [`Icp`] is the ideal customer profile: a versioned TOML file of what makes a company ours and a person ready. It also
//!   sets the thresholds of the grounding contract.
//! - [`fact_sheet`] puts together what an analyst may know about a lead: what the sources said, within bounds and without
//!   personal data, and what the profile makes of it under `computed.*`.
//! - An [`Analyst`] turns a fact sheet into an answer. Whatever it says is checked by the `grounding` crate.
//! - [`Rules`] is the analyst that needs neither a network nor a key: its answer is the profile's own arithmetic, and each
//!   of its claims is copied from a fact.

mod analyst;
mod computed;
mod evidence;
mod facts;
mod icp;
mod personal;
mod rules;
mod text;

pub use analyst::{Analysis, Analyst, Usage};
pub use facts::fact_sheet;
pub use icp::{Icp, IcpError};
pub use rules::Rules;
