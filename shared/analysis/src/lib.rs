//! Judges the fit and the intent of a lead from its fact sheet.
//!
//! - [`Icp`] is the ideal customer profile: a versioned TOML file with scores for companies and for signs of
//!   interest, and with the thresholds of the grounding contract.
//! - [`fact_sheet`] collects everything that an analyst may know about a lead: bounded facts without personal
//!   data, and the results of the profile under `computed.*`.
//! - An [`Analyst`] turns a fact sheet into an answer. The `grounding` crate checks every answer.
//! - [`ModelAnalyst`] calls an AI [`Service`] ([`Gemini`] or `Bedrock`) with a versioned [`Prompt`], behind a
//!   circuit breaker and within a budget. [`Models`] lists the capabilities and prices of the models.
//!   [`FallbackAnalyst`] calls a second analyst if the first gives no answer. `docs/ai.md` describes the
//!   effect of each failure.
//! - [`Rules`] is the analyst without network and key: its answer consists of the scores of the profile and
//!   of claims copied from facts.

mod analyst;
#[cfg(feature = "bedrock")]
mod bedrock;
mod bounds;
mod codes;
mod computed;
mod dialect;
mod domain;
mod evidence;
mod facts;
mod fallback;
mod gemini;
mod icp;
mod label;
mod model_analyst;
mod models;
mod opt_out;
mod personal;
mod prompt;
mod quoted;
mod rules;
mod service;
mod settings;
mod text;
mod visible_facts;

pub use analyst::{Analysis, AnalysisError, Analyst, Objection, Usage};
#[cfg(feature = "bedrock")]
pub use bedrock::Bedrock;
pub use facts::{fact_sheet, sent_facts};
pub use fallback::FallbackAnalyst;
pub use gemini::Gemini;
pub use icp::{Icp, IcpError};
pub use model_analyst::{AI_BREAKER, Guards, ModelAnalyst};
pub use models::{Model, Models, ModelsError, OutputMode, Price};
pub use opt_out::opt_outs;
pub use prompt::{Prompt, PromptError, Question};
pub use rules::Rules;
pub use service::{Outcome, Reply, Service, Tokens};
pub use settings::{AiProvider, BedrockSettings, GeminiSettings, Settings};
