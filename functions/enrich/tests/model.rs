//! Random batches through a model of SQS, Lambda's poller, and processes that die: no lead that never failed is ever
//! given up, none is lost, and order holds.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use world::{Behaviour, Settings, World};

/// Batches at least, over all runs.
const BATCHES: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn in_ten_thousand_random_batches_no_bystander_is_given_up_none_is_lost_and_order_holds() {
    let (mut batches, mut copies, mut crashes, mut dead, mut hangs) = (0, 0, 0, 0, 0);
    let mut seed = 0;
    while batches < BATCHES {
        seed += 1;
        let mut random = StdRng::seed_from_u64(seed);
        let settings = Settings {
            lost_answers: if random.random_bool(0.3) { 0.2 } else { 0.0 },
            failing_sends: if random.random_bool(0.3) { 0.03 } else { 0.0 },
            twice: if random.random_bool(0.2) { 0.1 } else { 0.0 },
            ledger_outages: if random.random_bool(0.2) { 0.2 } else { 0.0 },
            hangs: random.random_bool(0.5),
        };
        let crashing = random.random_bool(0.3);
        let world = World::new(seed, settings);
        for group in 0..random.random_range(1..=6) {
            for _ in 0..random.random_range(1..=5) {
                world.send(group, behaviour(&mut random, crashing));
            }
        }
        batches += world.run().await;
        world.assert_all_is_well();
        copies += world.copies();
        crashes += world.crashes();
        dead += world.given_up();
        hangs += world.hangs();
    }
    // The generator reaches what it is for.
    assert!(
        copies > 100 && crashes > 100 && dead > 100 && hangs > 50,
        "{copies} copies, {crashes} crashes, {dead} given up, {hangs} calls of the ledger without an answer"
    );
}

fn behaviour(random: &mut StdRng, crashing: bool) -> Behaviour {
    match random.random_range(0..100) {
        0..60 => Behaviour::Works,
        60..70 => Behaviour::FailsFirst(random.random_range(1..=2)),
        70..78 => Behaviour::FailsAlways,
        78..81 => Behaviour::PanicsAlways,
        81..86 => Behaviour::IsRefused,
        86..89 => Behaviour::IsDeferred(random.random_range(1..=8)),
        // Longer than the redrive policy allows.
        89..92 => Behaviour::IsDeferred(random.random_range(20..=40)),
        92..94 => Behaviour::TakesTooLongFirst,
        94..96 => Behaviour::FailsAtTwoStages,
        _ if crashing => Behaviour::KillsTheProcess,
        _ => Behaviour::Works,
    }
}

#[tokio::test(start_paused = true)]
async fn neighbours_of_a_poisoned_lead_are_not_given_up_with_it() {
    // The trap: ok1, poison, after in one group and ok2 in another; five receives for everyone.
    let world = World::new(1, Settings::default());
    world.send(1, Behaviour::Works);
    let poison = world.send(1, Behaviour::FailsAlways);
    world.send(1, Behaviour::Works);
    world.send(2, Behaviour::Works);
    world.run().await;
    world.assert_all_is_well();
    assert_eq!(world.given_up(), 1);
    assert_eq!(world.tries_of(poison), 5);
    assert_eq!(world.waits_of(poison), [2, 4, 8, 16].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_kills_its_process_is_given_up_alone() {
    let world = World::new(2, Settings::default());
    let killer = world.send(1, Behaviour::KillsTheProcess);
    for group in 2..=8 {
        world.send(group, Behaviour::Works);
    }
    world.run().await;
    world.assert_all_is_well();
    assert_eq!((world.given_up(), world.tries_of(killer)), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_is_deferred_for_ever_is_never_given_up() {
    let world = World::new(3, Settings::default());
    let deferred = world.send(1, Behaviour::IsDeferred(60));
    world.send(2, Behaviour::Works);
    world.run().await;
    world.assert_all_is_well();
    assert_eq!((world.given_up(), world.tries_of(deferred)), (0, 61));
    assert!(world.copies() >= 3, "it was put back before the queue could take it away");
}

#[tokio::test(start_paused = true)]
async fn each_stage_of_a_lead_has_attempts_of_its_own() {
    let world = World::new(4, Settings::default());
    let lead = world.send(1, Behaviour::FailsAtTwoStages);
    world.send(2, Behaviour::Works);
    world.run().await;
    world.assert_all_is_well();
    assert_eq!((world.given_up(), world.tries_of(lead)), (0, 9));
    assert_eq!(world.copies(), 0, "the redrive policy allows for all stages together");
    let waits = world.waits_of(lead);
    for (wait, backoff) in waits.iter().zip([2, 4, 8, 16, 2, 4, 8, 16]) {
        // The try itself and the poll take up to 1.4 s.
        assert!((backoff..=backoff + 1).contains(&wait.as_secs()), "{waits:?}");
    }
}
