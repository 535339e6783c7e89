//! The suite that every backend passes.

queue::conformance_tests!(crate::support::Fixture::start());
