//! The HTTP interface to the [`operations`], and its OpenAPI description.

mod http;
mod openapi;

pub use http::{ApiState, local_only, router, router_without_database};
pub use openapi::openapi;
