//! The clients of the AI services against fakes: requests, the classification of every answer, and the
//! guards.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod bedrock;
mod concurrency;
mod foreign;
mod gemini;
mod guards;
mod support;
