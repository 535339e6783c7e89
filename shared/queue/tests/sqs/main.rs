//! The queue on SQS, on the emulator at `AWS_ENDPOINT_URL` (`localstack/with-ministack` starts one).

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod copies;
mod ledger;
mod resending;
mod support;
