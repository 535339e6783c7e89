//! The deployed stack: the real binaries and templates on a private AWS emulator and PostgreSQL.
//!
//! Leads are posted to the deployed API over HTTP and read back from it. Deploying takes longer than all the
//! checks, so one test runs them in sequence on one stack. Each of them leaves the queues empty.
#![allow(clippy::unwrap_used, reason = "a test")]

mod batch;
mod janitor;
mod stack;
mod synthetic;
mod trace;

use stack::Stack;

#[test]
fn the_deployed_stack_works_end_to_end() {
    let stack = Stack::deploy();
    batch::a_poisoned_lead_does_not_affect_its_batch(&stack);
    synthetic::the_synthetic_lead_is_measured_and_not_written(&stack);
    janitor::overflow_is_processed_dead_lettered_or_quarantined(&stack);
    janitor::a_pause_stops_consumption_until_it_is_over(&stack);
    trace::a_lead_is_one_trace_from_the_webhook_to_the_crm(&stack);
    stack.nothing_personal_was_logged();
}
