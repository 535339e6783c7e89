//! Judging a lead again without writing anything.

use lead::Failure;
use queue::LeadHandler as _;
use serde_json::json;

use crate::support::{Say, World, hot, message};

async fn a_replay_gives_the_same_verdict_byte_for_byte_and_writes_nothing(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let before = world.everything(&event.lead_id).await;
    world.clock.advance(std::time::Duration::from_hours(1));
    let replay = world.pipeline().await.replay(&event.lead_id).await.unwrap().unwrap();
    assert!(replay.reproducible);
    assert_eq!(serde_json::to_string(&replay.now).unwrap(), serde_json::to_string(&replay.stored).unwrap());
    assert_eq!((&replay.not_now, &replay.changes[..]), (&None, &[][..]));
    assert_eq!(world.everything(&event.lead_id).await, before);
    assert_eq!(world.provider.asked(), 1, "what enrichment found is not asked for again");
}

async fn a_replay_says_what_would_change_and_writes_nothing(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let before = world.everything(&event.lead_id).await;
    world.analyst.will([Say::Changed(|answer| {
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
    assert_eq!(world.everything(&event.lead_id).await, before);
}

async fn a_stored_verdict_that_its_own_answer_does_not_give_is_not_reproducible(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let mut transaction = world.store.database().begin().await.unwrap();
    sqlx::query("UPDATE analysis SET verdict = REPLACE(verdict, '\"fit_score\":100', '\"fit_score\":99')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert!(!replay.reproducible);
    assert_eq!(replay.changes.len(), 1);
}

async fn a_lead_that_was_not_judged_cannot_be_replayed(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    assert!(pipeline.replay(&event.lead_id).await.unwrap().is_none());
    world.store.accept(&event).await.unwrap();
    assert!(pipeline.replay(&event.lead_id).await.unwrap().is_none());
}

async fn a_revision_that_was_not_judged_yet_is_what_a_replay_judges(world: World) {
    let pipeline = world.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    world.store.accept(&second).await.unwrap();
    let replay = pipeline.replay(&first.lead_id).await.unwrap().unwrap();
    assert!(replay.reproducible, "what was judged is judged on what it was");
    let [evidence] = &replay.changes[..] else { panic!("{:?}", replay.changes) };
    let title = "computed.title_level";
    assert!(!evidence.from.to_string().contains(title) && evidence.to.to_string().contains(title));
}

async fn what_is_stored_is_replayed_while_the_ai_is_away(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    world.analyst.will([Say::Fail(Failure::transient("ai_unavailable", "busy"))]);
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert!(replay.reproducible);
    assert_eq!(replay.now, None);
    assert_eq!(replay.not_now.unwrap().code, "ai_unavailable");
    assert_eq!(replay.changes, []);
}

on_both!(
    what_is_stored_is_replayed_while_the_ai_is_away,
    a_replay_gives_the_same_verdict_byte_for_byte_and_writes_nothing,
    a_replay_says_what_would_change_and_writes_nothing,
    a_stored_verdict_that_its_own_answer_does_not_give_is_not_reproducible,
    a_lead_that_was_not_judged_cannot_be_replayed,
    a_revision_that_was_not_judged_yet_is_what_a_replay_judges,
);
