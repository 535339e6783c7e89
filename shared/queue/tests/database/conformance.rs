//! The suite that every backend passes.

mod sqlite {
    queue::conformance_tests!(crate::support::Fixture::sqlite());
}

mod postgres {
    queue::conformance_tests!(crate::support::Fixture::postgres());
}
