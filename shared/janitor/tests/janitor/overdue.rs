//! Escalation of leads without a response in time.

use std::sync::Arc;

use analysis::Analyst;
use async_trait::async_trait;
use janitor::{Escalate, EscalationCounts};
use lead::Failure;
use pipeline::{EscalationSummary, Pipeline};
use queue::{LeadHandler as _, Settlement};
use routing::Routing;

use crate::support::{CRM, Fixture, event, only};

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

/// The same adapter as in the function and the local binary.
struct Escalation(Pipeline);

#[async_trait]
impl Escalate for Escalation {
    async fn escalate_overdue(&self, limit: u32) -> Result<EscalationCounts, Failure> {
        let EscalationSummary { overdue, reassigned, responded } = self.0.escalate_overdue(limit).await?;
        Ok(EscalationCounts { overdue, reassigned, responded })
    }
}

fn team(fixture: &Fixture) -> Pipeline {
    let pipeline = fixture.pipeline(Arc::clone(&fixture.ai) as Arc<dyn Analyst>);
    Pipeline { routing: Routing::parse(TEAM).unwrap(), ..pipeline }
}

async fn round_escalates_leads_without_a_response(fixture: Fixture) {
    let (ann, bob) = (event(&fixture, "ann"), event(&fixture, "bob"));
    fixture.post(&[ann.clone(), bob.clone()], &[]).await;
    let worker = team(&fixture);
    for message in fixture.queue.receive(10).await.unwrap() {
        worker.handle(&message).await.unwrap();
        fixture.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
    }
    let janitor = fixture.janitor().with_escalation(Arc::new(Escalation(team(&fixture))));
    assert_eq!(janitor.round().await.unwrap(), only(|_| {}), "not yet due");

    fixture.store.record_response(&bob.lead_id, "bob").await.unwrap();
    fixture.advance(600);
    let round = janitor.round().await.unwrap();
    assert_eq!(round, only(|round| (round.overdue, round.reassigned) = (1, 1)));
    assert_eq!(janitor.round().await.unwrap(), only(|_| {}), "once");
    fixture.advance(600);
    let round = janitor.round().await.unwrap();
    assert_eq!(round, only(|round| round.overdue = 1), "every member of the pool has had it");
    let kept = fixture.store.assignment(&bob.lead_id).await.unwrap().unwrap();
    assert_eq!(kept.reassignments, 0, "this one has a response");
}

struct Broken;

#[async_trait]
impl Escalate for Broken {
    async fn escalate_overdue(&self, _: u32) -> Result<EscalationCounts, Failure> {
        Err(Failure::transient("crm_reset", "connection reset"))
    }
}

async fn failing_escalation_does_not_stop_other_chores(fixture: Fixture) {
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    let janitor = fixture.janitor().with_escalation(Arc::new(Broken));
    assert_eq!(janitor.round().await.unwrap_err().code, "crm_reset");
    assert!(fixture.queue.pauses().await.unwrap().is_empty(), "the CRM answers, so consumption resumes");
}

on_both!(round_escalates_leads_without_a_response, failing_escalation_does_not_stop_other_chores,);
