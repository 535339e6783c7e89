//! Judging a lead again without writing anything.

use lead::Failure;
use on_both::on_both;
use queue::LeadHandler as _;
use serde_json::json;

use crate::support::{Fixture, Reply, execute, hot, message};

#[on_both]
async fn replay_reproduces_the_verdict_and_writes_nothing(fixture: Fixture) {
    let (_, event) = fixture.with_lead().await;
    let before = fixture.snapshot(&event.lead_id).await;
    fixture.clock.advance(std::time::Duration::from_hours(1));
    let replay = fixture.pipeline().await.replay(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(replay.reproducible, Some(true));
    assert_eq!(serde_json::to_string(&replay.now).unwrap(), serde_json::to_string(&replay.stored).unwrap());
    assert_eq!((&replay.not_now, &replay.changes[..]), (&None, &[][..]));
    assert_eq!(fixture.snapshot(&event.lead_id).await, before);
    assert_eq!(fixture.provider.take_calls(), 1, "the stored enrichment is used");
}

#[on_both]
async fn replay_lists_changes_and_writes_nothing(fixture: Fixture) {
    let (pipeline, event) = fixture.with_lead().await;
    let before = fixture.snapshot(&event.lead_id).await;
    fixture.analyst.will([Reply::Changed(|answer| {
        answer["intent"] = json!("LOW");
        answer["decision"] = json!("NURTURE");
    })]);
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    let changes: Vec<_> =
        replay.changes.iter().map(|change| (change.field, &change.from, &change.to)).collect();
    assert_eq!(
        changes,
        [("intent", &json!("HIGH"), &json!("LOW")), ("decision", &json!("ROUTE_TO_SDR"), &json!("NURTURE")),]
    );
    assert_eq!(fixture.snapshot(&event.lead_id).await, before);
}

#[on_both]
async fn altered_verdict_is_not_reproducible(fixture: Fixture) {
    let (pipeline, event) = fixture.with_lead().await;
    execute(
        &fixture.store,
        "UPDATE analysis SET verdict = REPLACE(verdict, '\"fit_score\":100', '\"fit_score\":99')",
    )
    .await;
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(replay.reproducible, Some(false));
    assert_eq!(replay.changes.len(), 1);
}

#[on_both]
async fn lead_without_a_judgement_cannot_be_replayed(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    assert!(pipeline.replay(&event.lead_id).await.unwrap().is_none());
    fixture.store.accept(&event).await.unwrap();
    assert!(pipeline.replay(&event.lead_id).await.unwrap().is_none());
}

#[on_both]
async fn replay_judges_a_pending_revision(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    fixture.store.accept(&second).await.unwrap();
    let replay = pipeline.replay(&first.lead_id).await.unwrap().unwrap();
    assert_eq!(replay.reproducible, Some(true), "the judged content is verified, not the revision");
    let [evidence] = &replay.changes[..] else { panic!("{:?}", replay.changes) };
    let title = "computed.title_level";
    assert!(!evidence.from.to_string().contains(title) && evidence.to.to_string().contains(title));
}

#[on_both]
async fn replay_verifies_stored_data_during_an_ai_outage(fixture: Fixture) {
    let (pipeline, event) = fixture.with_lead().await;
    fixture.analyst.will([Reply::Fail(Failure::transient("ai_unavailable", "busy"))]);
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(replay.reproducible, Some(true));
    assert_eq!(replay.now, None);
    assert_eq!(replay.not_now.unwrap().code, "ai_unavailable");
    assert_eq!(replay.changes, []);
}
