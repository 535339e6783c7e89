//! The grounding contract: every claim of a model checked against the facts it was given.
//!
//! A model gets a [`FactSheet`] and returns an [`Answer`]; [`check`] turns the two into a [`Verdict`]. A claim that is
//! not true rejects the answer; a conclusion that the true claims do not carry is lowered to what they do. The
//! model's prose goes no further: what the CRM shows is the [`summary`] of the claims that passed.
//!
//! Nothing here does I/O, and nothing depends on time or chance: the same facts and answer give the same verdict.
//! `docs/grounding.md` explains every rule.

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
