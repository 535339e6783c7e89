use std::time::Duration;

use lead::Clock as _;
use on_both::on_both;
use testkit::fixtures::rejected_body;

use crate::support::Fixture;

const DAY: Duration = Duration::from_hours(24);

#[on_both]
async fn quarantined_body_is_kept_for_the_retention_only(fixture: Fixture) {
    let janitor = fixture.janitor().with_quarantine_retention(30 * DAY, 2);
    let keep = async |id: &str| {
        let item = rejected_body(id, b"{", fixture.clock.now());
        fixture.store.quarantine(&item).await.unwrap();
    };
    let left = async || fixture.store.quarantined(None, 10).await.unwrap().len();
    for id in ["aaaaaaaa", "bbbbbbbb", "cccccccc"] {
        keep(id).await;
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (1, 2), "no more than two");
    keep("dddddddd").await;
    assert_eq!(
        (janitor.round().await.unwrap().forgotten, left().await),
        (0, 3),
        "pruned less than a minute ago"
    );
    fixture.clock.advance(Duration::from_mins(1));
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (1, 2));
    fixture.clock.advance(31 * DAY);
    assert_eq!((janitor.round().await.unwrap().forgotten, left().await), (2, 0), "no longer than 30 days");
}
