//! A lead that returns to an earlier content, whatever carries it.

use e2e::{Emulator, Redis, Server, eventually};
use serde_json::json;

use crate::support::Place;

fn a_lead_returns_to_what_it_was(server: &Server) {
    let mut id = String::new();
    for (title, revision) in [("CTO", 1), ("Intern", 2), ("CTO", 3)] {
        let body = json!({"email": "ann@stripe.com", "campaign_id": "c", "title": title});
        let answer = server.post_lead(&body).unwrap();
        assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("accepted")), "{title}");
        answer.json()["lead_id"].as_str().unwrap().clone_into(&mut id);
        eventually("the revision is synced", || {
            let lead = server.get(&format!("/leads/{id}")).unwrap().json();
            lead["revision"] == revision && lead["status"] == "synced"
        });
    }
    let body = json!({"email": "ann@stripe.com", "campaign_id": "c", "title": "CTO"});
    assert_eq!(server.post_lead(&body).unwrap().status, 202);
    let lead = server.get(&format!("/leads/{id}")).unwrap().json();
    assert_eq!((lead["title"].as_str(), lead["revision"].as_i64()), (Some("CTO"), Some(3)));
}

#[test]
fn a_return_wins_on_the_database_queue() {
    for place in [Place::sqlite(), Place::postgres()] {
        a_lead_returns_to_what_it_was(&place.serve(&[], &[]));
    }
}

#[test]
fn a_return_wins_on_redis() {
    let (place, data) = (Place::sqlite(), tempfile::tempdir().unwrap());
    let redis = Redis::start(data.path()).unwrap();
    let url = redis.url();
    a_lead_returns_to_what_it_was(&place.serve(&[], &[("REDIS_URL", url.as_str())]));
}

#[test]
fn a_return_wins_on_sqs() {
    let (place, emulator) = (Place::sqlite(), Emulator::shared().unwrap());
    let aws: Vec<_> = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
    let (leads, dead_letters) = (emulator.create_queue().unwrap(), emulator.create_queue().unwrap());
    let mut variables: Vec<_> = aws.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    variables.extend([("QUEUE", "sqs"), ("QUEUE_URL", &leads), ("DLQ_URL", &dead_letters)]);
    a_lead_returns_to_what_it_was(&place.serve(&[], &variables));
}
