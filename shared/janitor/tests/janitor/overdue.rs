//! Leads that nobody responded to in time.

use std::sync::Arc;

use analysis::Analyst;
use async_trait::async_trait;
use janitor::{Chase, Overdue};
use lead::Failure;
use pipeline::{Chased, Pipeline};
use queue::{LeadHandler as _, Settlement};
use routing::Routing;

use crate::support::{CRM, House, event, only};

const TEAM: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
[owners.bob]
id = "005BOB"
[pools.team]
members = [{ owner = "ann" }, { owner = "bob" }]
[[rules]]
name = "everybody"
to = { pool = "team" }
respond_within = "10m"
on_breach = "reassign"
"#;

/// As the function and the local binary have it.
struct Chaser(Pipeline);

#[async_trait]
impl Chase for Chaser {
    async fn chase(&self, limit: u32) -> Result<Overdue, Failure> {
        let Chased { overdue, reassigned, responded } = self.0.chase(limit).await?;
        Ok(Overdue { overdue, reassigned, responded })
    }
}

fn team(house: &House) -> Pipeline {
    let pipeline = house.pipeline(Arc::clone(&house.ai) as Arc<dyn Analyst>);
    Pipeline { routing: Routing::parse(TEAM).unwrap(), ..pipeline }
}

async fn a_round_looks_after_leads_that_nobody_responded_to(house: House) {
    let (ann, bob) = (event(&house, "ann"), event(&house, "bob"));
    house.post(&[ann.clone(), bob.clone()], &[]).await;
    let worker = team(&house);
    for message in house.queue.receive(10).await.unwrap() {
        worker.handle(&message).await.unwrap();
        house.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    let janitor = house.janitor().chasing(Arc::new(Chaser(team(&house))));
    assert_eq!(janitor.round().await.unwrap(), only(|_| {}), "it is not time yet");

    house.store.record_response(&bob.lead_id, "bob").await.unwrap();
    house.advance(600);
    let round = janitor.round().await.unwrap();
    assert_eq!(round, only(|round| (round.overdue, round.reassigned) = (1, 1)));
    assert_eq!(janitor.round().await.unwrap(), only(|_| {}), "once");
    house.advance(600);
    let round = janitor.round().await.unwrap();
    assert_eq!(round, only(|round| round.overdue = 1), "everybody of the pool has had it");
    let kept = house.store.assignment(&bob.lead_id).await.unwrap().unwrap();
    assert_eq!(kept.reassignments, 0, "somebody had responded to this one");
}

struct Broken;

#[async_trait]
impl Chase for Broken {
    async fn chase(&self, _: u32) -> Result<Overdue, Failure> {
        Err(Failure::transient("crm_reset", "connection reset"))
    }
}

async fn a_chase_that_fails_does_not_keep_the_other_chores_from_being_done(house: House) {
    house.queue.pause(&CRM, "down", house.in_seconds(0)).await.unwrap();
    let janitor = house.janitor().chasing(Arc::new(Broken));
    assert_eq!(janitor.round().await.unwrap_err().code, "crm_reset");
    assert!(house.queue.pauses().await.unwrap().is_empty(), "the CRM answers, so consumption goes on");
}

on_both!(
    a_round_looks_after_leads_that_nobody_responded_to,
    a_chase_that_fails_does_not_keep_the_other_chores_from_being_done,
);
