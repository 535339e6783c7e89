//! The janitor's round, over a real store and a real queue, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests")]
#![allow(clippy::print_stdout, reason = "figures, for who runs it with --nocapture")]

/// Runs each test on both databases.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test($crate::support::House::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test($crate::support::House::postgres().await).await; })+
        }
    };
}

mod crm_outage;
mod enriched_again;
mod outage;
mod overdue;
mod owner_counts;
mod quarantine;
mod reconcile;
mod resume;
mod second_look;
mod sick_crm;
mod simulation;
mod support;
mod three_hours;
