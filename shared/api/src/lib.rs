//! The HTTP interface to the [`operations`], and its OpenAPI description.

mod http;

pub use http::{ApiState, local_only, openapi, router, router_without_database};
