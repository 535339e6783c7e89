//! Escalation of leads without a response in time.

use std::sync::Arc;

use analysis::Analyst;
use lead::{Actor, Stage};
use on_both::on_both;
use pipeline::Pipeline;
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

/// A pipeline whose rule gives every lead ten minutes, and then another owner.
pub(crate) fn team(fixture: &Fixture) -> Pipeline {
    let pipeline = fixture.pipeline(Arc::clone(&fixture.ai) as Arc<dyn Analyst>);
    Pipeline { routing: Arc::new(Routing::parse(TEAM).unwrap()), ..pipeline }
}

#[on_both]
async fn round_escalates_leads_without_a_response(fixture: Fixture) {
    let (ann, bob) = (event(&fixture, "ann"), event(&fixture, "bob"));
    fixture.post(&[ann.clone(), bob.clone()], &[]).await;
    fixture.work_with(&team(&fixture)).await;
    let janitor = fixture.janitor().with_pipeline(Arc::new(team(&fixture)));
    assert_eq!(janitor.round().await.unwrap(), only(|_| {}), "not yet due");

    fixture.store.record_response(&Actor::admin(), &bob.lead_id, Some("bob")).await.unwrap();
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

#[on_both]
async fn failing_escalation_does_not_stop_other_chores(fixture: Fixture) {
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    let pipeline = fixture.broken_pipeline().await;
    let janitor = fixture.janitor().with_pipeline(Arc::new(pipeline));
    assert_eq!(janitor.round().await.unwrap_err().stage, Stage::Storage);
    assert!(fixture.queue.pauses().await.unwrap().is_empty(), "the CRM answers, so consumption resumes");
}
