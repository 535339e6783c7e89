//! Messages that are not ours, or not consistent with themselves: given up with a reason, and kept.

use lead::FailureClass;
use queue::{LeadHandler as _, settle_failed};
use serde_json::{Value, json};

use crate::support::{World, hot, message, raw_message};

async fn is_given_up(world: &World, body: &str, code: &str) {
    world.clock.advance(std::time::Duration::from_secs(1)); // the newest letter is this one
    let (pipeline, message) = (world.pipeline().await, raw_message(body, 1));
    let failure = pipeline.handle(&message).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Permanent, code), "{body}");
    assert!(!failure.message.contains("ann"), "nothing personal: {}", failure.message);
    pipeline.record(&message, &settle_failed(1, failure)).await.unwrap();
    let letter = world.store.dead_letters(None, 1).await.unwrap().swap_remove(0);
    assert_eq!((letter.failure.code.as_ref(), &letter.lead_id), (code, &None), "{body}");
    assert_eq!(world.store.dead_letter(&letter.id).await.unwrap().unwrap().body, body);
    pipeline.store.database().close().await;
}

async fn a_message_that_cannot_be_read_is_given_up_and_kept(world: World) {
    let mut wrong_type = json!(hot("ann", "CTO", 0));
    wrong_type["received_at"] = json!("ann@stripe.com yesterday");
    for body in ["", "hello ann", "[]", "{\"version\":1}", &wrong_type.to_string()] {
        is_given_up(&world, body, "unreadable_message").await;
    }
    assert!(world.crm().await.is_empty());
}

async fn a_message_whose_ids_are_not_those_of_its_content_is_given_up_and_kept(world: World) {
    let (victim, attacker) = (hot("bob", "CEO", 0), hot("ann", "CTO", 1));
    world.pipeline().await.handle(&message(&victim, 1)).await.unwrap();
    let before = world.everything(&victim.lead_id).await;
    let changed = |key: &str, value: Value| {
        let mut event = json!(attacker);
        event[key] = value;
        event.to_string()
    };
    for body in [
        changed("lead_id", json!(victim.lead_id)),
        changed("content_hash", json!(victim.content_hash)),
        changed("version", json!(2)),
    ] {
        is_given_up(&world, &body, "inconsistent_message").await;
        let letter = world.store.dead_letters(None, 1).await.unwrap().swap_remove(0);
        world.store.remove_dead_letter(&letter.id).await.unwrap();
    }
    assert_eq!(world.everything(&victim.lead_id).await, before);
    assert!(world.store.lead(&attacker.lead_id).await.unwrap().is_none());
}

on_both!(
    a_message_that_cannot_be_read_is_given_up_and_kept,
    a_message_whose_ids_are_not_those_of_its_content_is_given_up_and_kept,
);
