//! The clients of AI services against fakes of these: what is sent, what is made of every answer, and when nothing is sent.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod bedrock;
mod foreign;
mod gemini;
mod guards;
mod support;
