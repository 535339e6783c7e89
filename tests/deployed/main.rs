//! The deployed stack: the real binaries, by the real templates, on an AWS emulator of the test's own and PostgreSQL.
//!
//! Leads go in by HTTP at the deployed API and are looked at there again. One stack serves all, because to deploy it takes
//! longer than all the rest; so this is one test with chapters, each of which leaves nothing behind in a queue.
#![allow(clippy::unwrap_used, reason = "a test")]

mod batch;
mod janitor;
mod stack;
mod synthetic;
mod trace;

use stack::Stack;

#[test]
fn the_deployed_stack_keeps_its_promises() {
    let stack = Stack::deploy();
    batch::a_poisoned_lead_harms_nobody_else_in_its_batch(&stack);
    synthetic::the_synthetic_lead_ends_measured_and_unwritten(&stack);
    janitor::what_overflowed_is_worked_on_or_parked_with_a_reason(&stack);
    janitor::a_pause_stops_consumption_until_it_is_over(&stack);
    trace::a_lead_is_one_trace_from_the_webhook_to_the_crm(&stack);
    stack.nothing_personal_was_logged();
}
