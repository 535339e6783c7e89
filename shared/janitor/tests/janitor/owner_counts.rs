//! Wrong counts of open leads are corrected by the janitor.

use on_both::on_both;

use crate::support::{Fixture, only};

#[on_both]
async fn wrong_owner_count_is_corrected_once_an_hour(fixture: Fixture) {
    let database = fixture.store.database();
    for owner in ["005ANN", "005BOB"] {
        sqlx::query("INSERT INTO owner_load (owner, day, today, open) VALUES ($1, 0, 0, $2)")
            .bind(owner)
            .bind(if owner == "005ANN" { 7_i64 } else { 0 })
            .execute(database.pool())
            .await
            .unwrap();
    }
    let janitor = fixture.janitor();
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.recounted = 1));
    let open = "SELECT open FROM owner_load WHERE owner = '005ANN'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(database.pool()).await.unwrap();
    assert_eq!(open, 0);

    sqlx::query("UPDATE owner_load SET open = 3").execute(database.pool()).await.unwrap();
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "both counts are fresh");
    fixture.advance(3_601);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.recounted = 2));
}
