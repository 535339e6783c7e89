use std::time::Duration;

use lead::Clock as _;
use store::QuarantineItem;

use crate::support::House;

const DAY: Duration = Duration::from_hours(24);

async fn a_body_that_was_no_lead_is_kept_for_a_while_and_not_for_ever(house: House) {
    let janitor = house.janitor().keeping_quarantine(30 * DAY, 2);
    let keep = async |id: &str| {
        let item = QuarantineItem {
            id,
            error: "invalid_json",
            field: None,
            message: "is no JSON",
            content_type: None,
            body: b"{",
            received_at: house.clock.now(),
        };
        house.store.quarantine(&item).await.unwrap();
    };
    let left = async || house.store.quarantined(None, 10).await.unwrap().len();
    for id in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
        keep(id).await;
        house.clock.advance(Duration::from_secs(1));
    }
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (1, 2), "no more than two");
    keep("dddddddd").await;
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (0, 3), "it has just looked");
    house.clock.advance(Duration::from_mins(1));
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (1, 2));
    house.clock.advance(31 * DAY);
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (2, 0), "no longer than 30 days");
}

on_both!(a_body_that_was_no_lead_is_kept_for_a_while_and_not_for_ever);
