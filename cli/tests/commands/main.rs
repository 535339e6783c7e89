//! Tests of the binary's command line: its output, error messages and exit codes.

mod configuration;
mod crm;
mod evaluation;
mod operators;
mod parked;
mod people;
mod simulation;
mod sources;
mod support;
