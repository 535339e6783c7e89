//! The queue on SQS, as the emulator at `AWS_ENDPOINT_URL` has it (`localstack/with-ministack` starts one).

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod copies;
mod ledger;
mod resending;
mod support;
