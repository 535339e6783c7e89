//! Judges fit and intent from a fact sheet.
//!
//! - [`Icp`] is the ideal customer profile: a versioned TOML file of what makes a company ours and a person ready. It also
//!   sets the thresholds of the grounding contract.
//! - [`fact_sheet`] puts together what an analyst may know about a lead: what the sources said, within bounds and without
//!   personal data, and what the profile makes of it under `computed.*`.
//! - An [`Analyst`] turns a fact sheet into an answer. Whatever it says is checked by the `grounding` crate.
//! - [`ModelAnalyst`] asks an AI [`Service`], [`Gemini`] or `Bedrock`, by a versioned [`Prompt`], for a model whose
//!   capabilities and prices are in [`Models`]; it leaves the service alone while that is away, and within a budget. [`Relay`] asks a
//!   second analyst where the first gives no answer. `docs/ai.md` says what becomes of each failure.
//! - [`Rules`] is the analyst that needs neither a network nor a key: its answer is the profile's own arithmetic, and each
//!   of its claims is copied from a fact.

mod analyst;
#[cfg(feature = "bedrock")]
mod bedrock;
mod bounds;
mod codes;
mod computed;
mod dialect;
mod evidence;
mod facts;
mod gemini;
mod icp;
mod label;
mod model_analyst;
mod models;
mod opt_out;
mod personal;
mod prompt;
mod relay;
mod rules;
mod service;
mod shown;
mod text;

pub use analyst::{Analysis, Analyst, NoAnalysis, Objection, Usage};
#[cfg(feature = "bedrock")]
pub use bedrock::{Bedrock, BedrockSettings};
pub use facts::{fact_sheet, sent_facts};
pub use gemini::{Gemini, GeminiSettings};
pub use icp::{Icp, IcpError};
pub use model_analyst::{AI_BREAKER, Guards, ModelAnalyst};
pub use models::{Model, Models, ModelsError, OutputMode, Price};
pub use opt_out::opt_outs;
pub use prompt::{Prompt, PromptError, Question};
pub use relay::Relay;
pub use rules::Rules;
pub use service::{Outcome, Reply, Service, Tokens};
