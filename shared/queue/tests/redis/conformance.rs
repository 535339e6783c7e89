//! The conformance suite on Redis.

queue::conformance_tests!(crate::support::Fixture::start());
