//! The conformance suite on SQLite and PostgreSQL.

mod sqlite {
    queue::conformance_tests!(crate::support::Fixture::sqlite());
}

mod postgres {
    queue::conformance_tests!(crate::support::Fixture::postgres());
}
