//! Guarded CRM actions and the systems that execute them.
//!
//! The pipeline never calls a CRM directly. It submits a [`Plan`] of typed [`Action`]s to the [`Guard`],
//! which enforces an [`AllowList`] of actions and fields, [`Limits`] on the number of actions, and a circuit
//! breaker for each CRM ([`CircuitBreaker`]). Accepted plans are handed to an [`Executor`]. There is one for
//! each CRM; [`MockCrm`] is the only one that needs no outside system.
//!
//! # One effect, once
//!
//! Four rules together make every effect happen exactly once, as seen from the CRM, wherever a process dies:
//! - an effect has a derived id ([`ActionId`] defines "once" for each kind of action);
//! - its row in the [`Ledger`] is written before and after the effect, so that a completed effect is not
//!   repeated;
//! - an effect whose outcome is unknown, because the process died or the reply was lost, is looked up by
//!   external id before it is repeated ([`Executor::find`]);
//! - every write goes by external id, so that even a request that arrives after its timeout changes nothing.
//!
//! # Values
//!
//! A lead's values are checked by type and length and never by their words ([`Text`]): `Constructor.io` and
//! `Drop Table Ltd` are companies.

mod action;
mod action_id;
mod address;
mod allow_list;
mod call_count;
mod circuit_breaker;
mod dropped_calls;
mod executor;
mod facts;
mod guard;
mod hubspot;
mod known;
mod lanes;
mod ledger;
mod limits;
pub mod mapping;
mod mock;
mod omission;
mod owner;
pub mod parameters;
mod plan;
mod progress;
mod recent;
mod salesforce;
mod schema;
mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod write;

pub use action::{Action, Mode, Object, PlannedAction};
pub use action_id::{ActionId, Round};
pub use allow_list::{AllowList, AllowListError, Review};
pub use breaker::{BreakerSettings, CircuitBreaker, Health, HealthChange, HealthRecord, Open, OpenCause};
pub use executor::{Effect, Executor, Followed, RecordPreview};
pub use facts::{Facts, FactsError};
pub use guard::{CrmMode, Guard, GuardSettings, NotExecuted, PlanOutcome, Preview};
pub use hubspot::{HubSpotCredentials, HubSpotCrm, HubSpotSettings, NewProperty};
pub use known::{About, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity};
pub use ledger::{ActionState, Authority, BegunPlan, Ledger, LedgerState, Outcome};
pub use limits::{Exceeded, LimitError, LimitSettings, Limits, Reservation, Scope};
pub use mapping::{Adopted, Customers, MappedField, Mapping, MappingError, ObjectMapping, Rule, Write};
pub use mock::{LEAD_ROWS, MockCrm, MockRecord};
pub use omission::Omission;
pub use owner::OwnerStatus;
pub use plan::Plan;
pub use salesforce::{AutoAssign, Salesforce, SalesforceCredentials, SalesforceSettings};
pub use schema::{
    Control, FieldKind, FieldOption, FieldSchema, Fitted, ObjectSchema, Problem, SchemaProblem, truncate,
};
pub use settings::{CrmProvider, Settings};
pub use text::{Prose, Text, TextError};
pub use write::{FieldChange, LeftOut, PresentRecord, RecordWrite, Restored};
