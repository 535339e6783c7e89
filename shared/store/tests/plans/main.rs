//! Query plans of the hot paths on both databases. Each statement must find its rows through an index, so
//! that the cost of a lead does not grow with the number of leads.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod postgres;
mod rows;
mod sqlite;
mod statements;
