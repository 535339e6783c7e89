//! Unreadable and inconsistent messages are dead-lettered with a reason, and their bodies are stored.

use lead::FailureClass;
use on_both::on_both;
use queue::{LeadHandler as _, settle_failed};
use serde_json::{Value, json};

use crate::support::{Fixture, hot, message, raw_message};

async fn assert_dead_lettered(fixture: &Fixture, body: &str, code: &str) {
    fixture.clock.advance(std::time::Duration::from_secs(1)); // makes this dead letter the newest one
    let (pipeline, message) = (fixture.pipeline().await, raw_message(body, 1));
    let failure = pipeline.handle(&message).await.unwrap_err();
    assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Permanent, code), "{body}");
    assert!(!failure.message.contains("ann"), "nothing personal: {}", failure.message);
    pipeline.record(&message, &settle_failed(1, failure)).await.unwrap();
    let letter = fixture.store.dead_letters(None, 1).await.unwrap().swap_remove(0);
    assert_eq!((letter.failure.code.as_ref(), &letter.lead_id), (code, &None), "{body}");
    assert_eq!(fixture.store.dead_letter(&letter.id).await.unwrap().unwrap().body, body);
    pipeline.store.database().close().await;
}

#[on_both]
async fn unreadable_message_is_dead_lettered_and_stored(fixture: Fixture) {
    let mut wrong_type = json!(hot("ann", "CTO", 0));
    wrong_type["received_at"] = json!("ann@stripe.com yesterday");
    for body in ["", "hello ann", "[]", "{\"version\":1}", &wrong_type.to_string()] {
        assert_dead_lettered(&fixture, body, "unreadable_message").await;
    }
    assert!(fixture.crm().await.is_empty());
}

#[on_both]
async fn inconsistent_message_is_dead_lettered_and_stored(fixture: Fixture) {
    let (victim, attacker) = (hot("bob", "CEO", 0), hot("ann", "CTO", 1));
    fixture.pipeline().await.handle(&message(&victim, 1)).await.unwrap();
    let before = fixture.snapshot(&victim.lead_id).await;
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
        assert_dead_lettered(&fixture, &body, "inconsistent_message").await;
        let letter = fixture.store.dead_letters(None, 1).await.unwrap().swap_remove(0);
        fixture.store.remove_dead_letter(&letter.id).await.unwrap();
    }
    assert_eq!(fixture.snapshot(&victim.lead_id).await, before);
    assert!(fixture.store.lead(&attacker.lead_id).await.unwrap().is_none());
}
