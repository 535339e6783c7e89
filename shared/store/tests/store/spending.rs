//! A budget shared by many concurrent workers, each with its own connections.

use std::sync::Arc;

use breaker::{Budget, Day};
use lead::{Clock as _, Dependency};
use on_both::on_both;
use store::Store;

use crate::support::Fixture;

const AI: Dependency = Dependency::new("ai.budget");
const LIMIT: u64 = 1_000;
const WORKERS: u64 = 8;

/// The amounts that are spent and held on a day.
async fn spent_in(store: &Store, day: Day) -> (u64, u64) {
    let sql = "SELECT spent, held FROM spending WHERE dependency = $1 AND day = $2";
    let row = sqlx::query_as(sql).bind(AI.as_str()).bind(day.0).fetch_one(store.database().pool()).await;
    let (spent, held): (i64, i64) = row.unwrap();
    (spent.unsigned_abs(), held.unsigned_abs())
}

#[on_both]
async fn many_workers_never_spend_more_than_the_budget(fixture: Fixture) {
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let (store, clock) = (fixture.store().await, Arc::new(fixture.clock.clone()));
        workers.spawn(async move {
            let budget = Budget::new(AI, LIMIT, Arc::new(store.clone()), clock.clone());
            let (mut spent, mut refused_for_the_day) = (0, false);
            while !refused_for_the_day {
                // Each call may cost 50, and costs between 10 and 45.
                match budget.hold(50).await {
                    Ok(hold) => {
                        let (so_far, in_progress) = spent_in(&store, Day::of(clock.now())).await;
                        assert!(so_far + in_progress <= LIMIT, "{so_far} + {in_progress}");
                        let cost = 10 + 5 * worker;
                        budget.settle(hold, cost).await.unwrap();
                        spent += cost;
                    }
                    Err(refusal) => {
                        // Calls in progress may leave part of the budget; a wait until the end of the day
                        // means that it is spent.
                        refused_for_the_day = refusal.retry_after().unwrap().as_secs() > 60;
                        tokio::task::yield_now().await;
                    }
                }
            }
            spent
        });
    }
    let spent: u64 = workers.join_all().await.into_iter().sum();
    let day = Day::of(fixture.clock.now());
    assert_eq!(spent_in(&fixture.store().await, day).await, (spent, 0));
    assert!((LIMIT - 50 + 1..=LIMIT).contains(&spent), "all that can be used is used: {spent}");
}

#[on_both]
async fn an_amount_held_by_a_dead_worker_stays_held(fixture: Fixture) {
    let (store, clock) = (fixture.store().await, Arc::new(fixture.clock.clone()));
    let budget = Budget::new(AI, LIMIT, Arc::new(store.clone()), clock.clone());
    drop(budget.hold(LIMIT).await.unwrap());
    assert_eq!(budget.hold(1).await.unwrap_err().code, "budget_spent");
    let other = Budget::new(Dependency::new("enrichment.budget"), LIMIT, Arc::new(store), clock);
    assert!(other.hold(LIMIT).await.is_ok(), "each kind of system has a budget of its own");
}
