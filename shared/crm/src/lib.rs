//! Guarded CRM actions and the systems that execute them.
//!
//! The pipeline never talks to a CRM. It submits a [`Plan`] of typed [`Action`]s to the [`Guard`], and the guard decides:
//! an [`AllowList`] of actions and fields, [`Limits`] on how much is sent, and a [`Breaker`] that leaves a CRM alone that
//! is down. What passes goes to an [`Executor`], one for each CRM; [`MockCrm`] is the one that needs no other system.
//!
//! # One effect, once
//!
//! Four things together make every effect happen once, seen from outside, wherever a process dies:
//! - an effect has an id that is derived from what it is for ([`ActionId`] says what "once" means for each);
//! - its row in the [`Ledger`] is written before and after it, so that what is done is known and not done again;
//! - what may have been done, because the process died or the reply was lost, is first looked for by external id
//!   ([`Executor::find`]);
//! - every write goes by external id, so that even a request that arrives after it was given up changes nothing.
//!
//! # Values
//!
//! What a lead brings is checked by type and length and never by its words ([`Text`]): `Constructor.io` and `Drop Table Ltd`
//! are companies.

mod action;
mod action_id;
mod address;
mod allow_list;
mod calls;
mod executor;
mod facts;
mod gate;
mod guard;
mod hubspot;
mod known;
mod ledger;
mod limits;
pub mod mapping;
mod mock;
mod omission;
mod owner;
pub mod parameters;
mod plan;
mod progress;
mod salesforce;
mod schema;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod write;

pub use action::{Action, Mode, Object, PlannedAction};
pub use action_id::ActionId;
pub use allow_list::{AllowList, AllowListError, Review};
pub use breaker::{Breaker, BreakerSettings, Health, HealthChange, HealthRecord, Open, Passage};
pub use executor::{Effect, Executor, Followed, Foreseen};
pub use facts::{Facts, FactsError};
pub use gate::OUTAGE;
pub use guard::{CrmMode, Guard, GuardSettings, PlanOutcome, Preview};
pub use hubspot::{HubSpotCredentials, HubSpotCrm, HubSpotSettings, NewProperty};
pub use known::{About, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity};
pub use ledger::{Ledger, LedgerState, Outcome};
pub use limits::{Exceeded, LimitError, LimitSettings, Limits, Reservation, Scope, SlidingWindow};
pub use mapping::{Adopted, Customers, MappedField, Mapping, MappingError, ObjectMapping, Rule, Write};
pub use mock::{MockCrm, MockRecord};
pub use omission::Omission;
pub use owner::OwnerStanding;
pub use plan::Plan;
pub use salesforce::{AutoAssign, Salesforce, SalesforceCredentials, SalesforceSettings};
pub use schema::{
    Control, FieldKind, FieldOption, FieldSchema, Fitted, ObjectSchema, Problem, SchemaProblem, truncate,
};
pub use text::{Prose, Text, TextError};
pub use write::{FieldChange, LeftOut, PresentRecord, RecordWrite, Restored};
