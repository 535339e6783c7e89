//! Stored answers of enrichment providers, through `enrichment::Cache`.

use enrichment::{Answer, Cache as _, Firmographics, Kept};
use on_both::on_both;
use tokio::task::JoinSet;

use crate::support::{Fixture, at};

fn known(domain: &str, fetched: i64, expires: i64) -> Kept {
    let company = Firmographics { name: Some("Example".into()), ..Firmographics::of(domain) };
    Kept { answer: Answer::Known(Box::new(company)), fetched_at: at(fetched), expires_at: at(expires) }
}

#[on_both]
async fn an_answer_is_loaded_as_it_was_saved(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.load("apollo", "example.com").await.unwrap(), None);
    for answer in [
        known("example.com", 0, 10),
        Kept { answer: Answer::Unknown, ..known("", 5, 20) },
        Kept { answer: Answer::NotYet, ..known("", 6, 7) },
    ] {
        store.keep("apollo", "example.com", &answer).await.unwrap();
        assert_eq!(fixture.store().await.load("apollo", "example.com").await.unwrap(), Some(answer));
    }
    assert_eq!(store.load("pdl", "example.com").await.unwrap(), None, "each provider has its own");
    assert_eq!(store.load("apollo", "example.org").await.unwrap(), None);
}

#[on_both]
async fn only_one_process_gets_the_claim(fixture: Fixture) {
    let stores = [fixture.store().await, fixture.store().await];
    let mut running = JoinSet::new();
    for n in 0..20 {
        let store = stores[n % 2].clone();
        running.spawn(async move { store.claim("apollo", "example.com", at(0), at(30)).await.unwrap() });
    }
    let claims = running.join_all().await;
    assert_eq!(claims.iter().filter(|claimed| **claimed).count(), 1);
    let [store, other] = &stores;
    assert_eq!(store.load("apollo", "example.com").await.unwrap(), None, "a claim is no answer");
    assert!(!other.claim("apollo", "example.com", at(29), at(60)).await.unwrap());
    assert!(other.claim("apollo", "example.com", at(30), at(60)).await.unwrap(), "the claim has expired");
    store.release("apollo", "example.com").await.unwrap();
    assert!(store.claim("apollo", "example.com", at(31), at(60)).await.unwrap(), "it was released");
    store.keep("apollo", "example.com", &known("example.com", 32, 99)).await.unwrap();
    assert!(other.claim("apollo", "example.com", at(33), at(60)).await.unwrap(), "an answer releases it");
    assert!(
        store.load("apollo", "example.com").await.unwrap().is_some(),
        "and remains during the next request"
    );
}

#[on_both]
async fn new_answers_evict_expired_ones(fixture: Fixture) {
    let store = fixture.store().await;
    for n in 0..10 {
        let domain = format!("old{n}.example");
        store.keep("apollo", &domain, &known(&domain, 0, 10)).await.unwrap();
    }
    assert!(store.claim("apollo", "dead.example", at(0), at(10)).await.unwrap());
    assert!(store.claim("apollo", "old9.example", at(0), at(1_000)).await.unwrap());
    for n in 0..4 {
        let domain = format!("new{n}.example");
        store.keep("apollo", &domain, &known(&domain, 20, 99)).await.unwrap();
    }
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM enrichment_answer WHERE answer IS NOT NULL");
    let count: i64 = count.fetch_one(store.database().pool()).await.unwrap();
    assert_eq!(count, 5, "the new ones, and a claimed one");
    assert!(store.load("apollo", "old9.example").await.unwrap().is_some());
}
