//! Bodies that could not be accepted.

use on_both::on_both;
use store::{Cursor, QuarantineItem};

use crate::support::{Fixture, at, rejected_body};

fn item<'a>(id: &'a str, body: &'a [u8], received: i64) -> QuarantineItem<'a> {
    rejected_body(id, body, at(received))
}

#[on_both]
async fn the_same_body_again_increases_its_counter(fixture: Fixture) {
    let store = fixture.store().await;
    let id = "ab".repeat(32);
    store.quarantine(&item(&id, b"{", 0)).await.unwrap();
    store.quarantine(&item(&id, b"{", 60)).await.unwrap();
    let kept = store.quarantined(None, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].times, kept[0].first_at, kept[0].last_at), (2, at(0), at(60)));
}

#[on_both]
async fn a_body_is_stored_unchanged(fixture: Fixture) {
    let store = fixture.store().await;
    let id = "cd".repeat(32);
    let body: Vec<u8> = (0..=255).collect();
    let hostile = QuarantineItem {
        field: Some("em\u{0}ail"),
        message: "a\u{0}b",
        content_type: Some("text/\u{0}😀'; --"),
        ..item(&id, &body, 0)
    };
    store.quarantine(&hostile).await.unwrap();
    let kept = store.quarantined_body(&id).await.unwrap().unwrap();
    assert_eq!(kept.body, body);
    assert_eq!(kept.field.as_deref(), Some("em\u{fffd}ail"));
    assert_eq!(kept.content_type.as_deref(), Some("text/\u{fffd}😀'; --"));
    assert!(!serde_json::to_string(&kept).unwrap().contains("body"), "lists leave the body out");
}

#[on_both]
async fn a_body_is_found_by_an_unambiguous_prefix_of_its_id(fixture: Fixture) {
    let store = fixture.store().await;
    for id in ["aaaaaaaa11", "aaaaaaaa22", "bbbbbbbb33"] {
        store.quarantine(&item(id, b"x", 0)).await.unwrap();
    }
    let found = async |id: &str| store.quarantined_body(id).await.unwrap().map(|kept| kept.id);
    assert_eq!(found("BBBBBBBB").await.as_deref(), Some("bbbbbbbb33"));
    assert_eq!(found("aaaaaaaa1").await.as_deref(), Some("aaaaaaaa11"));
    for id in ["aaaaaaaa", "bbbbbbb", "cccccccc", "bbbbbbb%", "bbbbbbb\u{0}", ""] {
        assert_eq!(found(id).await, None, "{id:?}");
    }
}

#[on_both]
async fn bodies_are_paged_newest_first(fixture: Fixture) {
    let store = fixture.store().await;
    for (n, id) in ["a1", "b2", "c3", "d4", "e5"].into_iter().enumerate() {
        store.quarantine(&item(id, b"x", i64::try_from(n / 2).unwrap())).await.unwrap();
    }
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.quarantined(cursor.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor::at(last.last_at, last.id.clone()));
        ids.extend(page.into_iter().map(|kept| kept.id));
    }
    assert_eq!(ids, ["e5", "d4", "c3", "b2", "a1"]);
}

#[on_both]
async fn a_body_is_removed_by_its_id(fixture: Fixture) {
    let store = fixture.store().await;
    for id in ["aaaaaaaa11", "bbbbbbbb22"] {
        store.quarantine(&item(id, b"x", 0)).await.unwrap();
    }
    assert!(store.remove_quarantined(&lead::Actor::admin(), "aaaaaaaa11").await.unwrap());
    assert!(
        !store.remove_quarantined(&lead::Actor::admin(), "aaaaaaaa11").await.unwrap(),
        "it is already removed"
    );
    assert!(
        !store.remove_quarantined(&lead::Actor::admin(), "bbbbbbbb").await.unwrap(),
        "a prefix of an id removes nothing"
    );
    assert_eq!(store.quarantined(None, 10).await.unwrap().len(), 1);
}

#[on_both]
async fn old_and_excess_bodies_are_removed_oldest_first(fixture: Fixture) {
    let store = fixture.store().await;
    for (n, id) in ["a1", "b2", "c3", "d4", "e5"].into_iter().enumerate() {
        store.quarantine(&item(id, b"x", i64::try_from(n / 2).unwrap())).await.unwrap();
    }
    // Received first of all, and again last.
    store.quarantine(&item("a1", b"x", 9)).await.unwrap();
    let left = async || -> Vec<_> {
        store.quarantined(None, 10).await.unwrap().into_iter().map(|kept| kept.id).collect()
    };
    assert_eq!(store.prune_quarantine(at(0), 5).await.unwrap(), 0);
    assert_eq!(store.prune_quarantine(at(1), 5).await.unwrap(), 1);
    assert_eq!(left().await, ["a1", "e5", "d4", "c3"]);
    assert_eq!(store.prune_quarantine(at(1), 2).await.unwrap(), 2);
    assert_eq!(left().await, ["a1", "e5"]);
    assert_eq!(store.prune_quarantine(at(0), 0).await.unwrap(), 2);
    assert_eq!(left().await, [""; 0]);
}
