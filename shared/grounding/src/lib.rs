//! The grounding contract: checks every claim of a model against the facts that the model received.
//!
//! A model receives a [`FactSheet`] and returns an [`Answer`]; [`check`] turns the two into a [`Verdict`]. An
//! untrue claim rejects the answer. A conclusion that the true claims do not support is lowered. The model's
//! prose is not used: the CRM shows the [`summary`] of the claims that passed.
//!
//! The crate does no I/O, and no result depends on time or chance: the same facts and answer give the same
//! verdict. `docs/grounding.md` explains every rule.

mod answer;
mod check;
mod claim;
mod claim_rules;
mod conclusion_rules;
mod contract;
mod countries;
mod decimal;
mod decision;
mod equality;
mod fact_sheet;
mod field_path;
mod matched;
mod namespace;
mod origin;
mod relaxed;
mod schema;
mod summary;
mod text;
mod verdict;

pub use answer::{Answer, AnswerError};
pub use check::check;
pub use claim::{Claim, ClaimType};
pub use contract::{Contract, ContractError};
pub use decision::decide;
pub use fact_sheet::FactSheet;
pub use field_path::{FieldPath, FieldPathError};
pub use namespace::Namespace;
pub use origin::{Origin, Origins};
pub use summary::{Context, summary};
pub use verdict::{Breach, GroundingStatus, ReasonCode, Verdict};
