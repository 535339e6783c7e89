//! The queue in Redis, as a team that moves over from BullMQ meets it.

use e2e::{Redis, eventually};
use serde_json::json;

use crate::support::{Place, settled};

#[test]
fn a_lead_that_comes_while_redis_is_away_is_acknowledged_and_worked_on_later() {
    let (place, data) = (Place::sqlite(), tempfile::tempdir().unwrap());
    let mut redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let server = place.serve(&[], &[("REDIS_URL", url.as_str())]);
    let post = |email: &str| {
        let answer = server.post_lead(&json!({"email": email, "campaign_id": "c"})).unwrap();
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("accepted")));
        answer.json()["lead_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(settled(&server, &post("one@stripe.com"))["status"], "synced");
    redis.kill();
    let spooled = post("two@stripe.com");
    assert_eq!(server.get("/readyz").unwrap().status, 503, "the queue is away, and it says so");
    redis.run().unwrap();
    assert_eq!(settled(&server, &spooled)["status"], "synced");
    assert_eq!(server.get("/readyz").unwrap().status, 200);
}

#[test]
fn a_redis_that_lost_everything_is_filled_again_from_the_database() {
    let (place, data) = (Place::sqlite(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    let front = place.serve(&["serve", "--api-only"], &[("REDIS_URL", url.as_str())]);
    let answer = front.post_lead(&json!({"email": "ann@stripe.com", "campaign_id": "c"})).unwrap();
    let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
    eventually("the lead is noted", || front.get(&format!("/leads/{id}")).unwrap().status == 200);
    drop((front, redis));

    let empty = tempfile::tempdir().unwrap();
    let redis = Redis::start(empty.path()).unwrap();
    let url = redis.url();
    let reconciled = std::process::Command::new(crate::support::BINARY)
        .arg("reconcile")
        .current_dir(place.folder.path())
        .env_clear()
        .envs([("REDIS_URL", url.as_str()), ("DATABASE_URL", place.database.url())])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&reconciled.stderr);
    assert!(reconciled.status.success() && said.contains("1 lead in no queue sent again"), "{said}");
    let server = place.serve(&[], &[("REDIS_URL", url.as_str())]);
    assert_eq!(settled(&server, &id)["status"], "synced");
}
