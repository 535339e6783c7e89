//! Random batches through a model of SQS, Lambda's poller, and processes that die. Only leads that fail are
//! dead-lettered, no lead is lost, and order holds.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod simulation;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use simulation::{Behaviour, Settings, Simulation};

/// The minimum number of batches over all runs.
const BATCHES: usize = 10_000;

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_batches_keep_all_invariants() {
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
        let with_crashes = random.random_bool(0.3);
        let simulation = Simulation::new(seed, settings);
        for group in 0..random.random_range(1..=6) {
            for _ in 0..random.random_range(1..=5) {
                simulation.send(group, behaviour(&mut random, with_crashes));
            }
        }
        batches += simulation.run().await;
        simulation.assert_invariants();
        copies += simulation.copies();
        crashes += simulation.crashes();
        dead += simulation.dead_lettered();
        hangs += simulation.hangs();
    }
    // The generator reaches the cases that it is for.
    assert!(
        copies > 100 && crashes > 100 && dead > 100 && hangs > 50,
        "{copies} copies, {crashes} crashes, {dead} given up, {hangs} calls of the ledger without an answer"
    );
}

fn behaviour(random: &mut StdRng, with_crashes: bool) -> Behaviour {
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
        _ if with_crashes => Behaviour::KillsTheProcess,
        _ => Behaviour::Works,
    }
}

#[tokio::test(start_paused = true)]
async fn neighbours_of_a_poisoned_lead_are_not_dead_lettered() {
    // One group with a healthy, a poisoned and another healthy lead, and a second group; five receives for
    // all.
    let simulation = Simulation::new(1, Settings::default());
    simulation.send(1, Behaviour::Works);
    let poison = simulation.send(1, Behaviour::FailsAlways);
    simulation.send(1, Behaviour::Works);
    simulation.send(2, Behaviour::Works);
    simulation.run().await;
    simulation.assert_invariants();
    assert_eq!(simulation.dead_lettered(), 1);
    assert_eq!(simulation.tries_of(poison), 5);
    assert_eq!(simulation.waits_of(poison), [2, 4, 8, 16].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn only_the_lead_that_kills_its_process_is_dead_lettered() {
    let simulation = Simulation::new(2, Settings::default());
    let killer = simulation.send(1, Behaviour::KillsTheProcess);
    for group in 2..=8 {
        simulation.send(group, Behaviour::Works);
    }
    simulation.run().await;
    simulation.assert_invariants();
    assert_eq!((simulation.dead_lettered(), simulation.tries_of(killer)), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn deferred_lead_is_never_dead_lettered() {
    let simulation = Simulation::new(3, Settings::default());
    let deferred = simulation.send(1, Behaviour::IsDeferred(60));
    simulation.send(2, Behaviour::Works);
    simulation.run().await;
    simulation.assert_invariants();
    assert_eq!((simulation.dead_lettered(), simulation.tries_of(deferred)), (0, 61));
    assert!(simulation.copies() >= 3, "replaced by copies before the redrive policy applies");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_for_each_stage() {
    let simulation = Simulation::new(4, Settings::default());
    let lead = simulation.send(1, Behaviour::FailsAtTwoStages);
    simulation.send(2, Behaviour::Works);
    simulation.run().await;
    simulation.assert_invariants();
    assert_eq!((simulation.dead_lettered(), simulation.tries_of(lead)), (0, 9));
    assert_eq!(simulation.copies(), 0, "the redrive policy allows for all stages together");
    let waits = simulation.waits_of(lead);
    for (wait, backoff) in waits.iter().zip([2, 4, 8, 16, 2, 4, 8, 16]) {
        // The attempt itself and the poll take up to 1.4 s.
        assert!((backoff..=backoff + 1).contains(&wait.as_secs()), "{waits:?}");
    }
}
