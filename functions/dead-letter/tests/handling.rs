//! Handles dead letters as the queue delivers them.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use database::testing::TestDatabase;
use dead_letter::{DeadLetters, Notify};
use lead::{LeadEvent, LeadStatus, SystemClock};
use queue::{Ended, Ledger as _, MemoryLedger};
use serde_json::{Value, json};
use store::{Begun, Finish, Steps, Store};

#[derive(Default)]
struct RecordedAlerts(Mutex<Vec<String>>);

#[async_trait]
impl Notify for RecordedAlerts {
    async fn notify(&self, subject: &str, text: &str) {
        self.0.lock().unwrap().push(format!("{subject}\n{text}"));
    }
}

struct Fixture {
    _database: TestDatabase,
    store: Store,
    ledger: MemoryLedger,
    alerts: Arc<RecordedAlerts>,
}

impl Fixture {
    async fn new() -> Self {
        let test = TestDatabase::sqlite().await;
        let clock = Arc::new(SystemClock);
        let store = Store::new(test.connect().await, clock.clone());
        Self { _database: test, store, ledger: MemoryLedger::new(clock), alerts: Arc::default() }
    }

    async fn take(&self, event: Value) -> Vec<String> {
        let (ledger, alerts) = (Arc::new(self.ledger.clone()), Arc::clone(&self.alerts));
        DeadLetters::new(self.store.clone(), ledger, alerts)
            .take(serde_json::from_value(event).unwrap())
            .await
    }
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../events/dead-letter.json")).unwrap()
}

fn lead_event(sample: &Value) -> LeadEvent {
    serde_json::from_str(sample["Records"][0]["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn lead_is_marked_and_alerts_contain_no_personal_data() {
    let fixture = Fixture::new().await;
    let event = lead_event(&sample());
    let key = event.delivery_id();
    fixture.ledger.begin(key.as_str(), "lease").await.unwrap();
    fixture.ledger.end(key.as_str(), "lease", Ended::Failed).await.unwrap();
    for _ in 0..2 {
        assert!(fixture.take(sample()).await.is_empty());
    }
    let lead = fixture.store.lead(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(lead.status, LeadStatus::PermanentlyFailed);
    let letters = fixture.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1, "a repeated message is the same dead letter");
    assert_eq!((letters[0].attempts, &*letters[0].failure.code), (5, "crm_timeout"));
    assert!(fixture.ledger.look(&[key.as_str()]).await.unwrap().is_empty(), "a redrive has all its attempts");
    let alerts = fixture.alerts.0.lock().unwrap();
    assert!(
        alerts[0].contains(event.lead_id.as_str()) && alerts[0].contains("crm_timeout after 5 attempt(s)")
    );
    assert!(!alerts[0].contains(event.lead.email.expose()));
}

#[tokio::test]
async fn synthetic_lead_causes_no_alert_and_no_dead_letter() {
    let fixture = Fixture::new().await;
    let mut lead = lead_event(&sample()).lead;
    lead.email = lead::EmailAddress::parse(lead::SYNTHETIC_EMAIL).unwrap();
    lead.campaign_id = lead::CampaignId::parse(lead::SYNTHETIC_CAMPAIGN).unwrap();
    let event = LeadEvent::new(lead, lead_event(&sample()).received_at);
    let mut sample = sample();
    sample["Records"][0]["body"] = json!(json!(event).to_string());
    assert!(fixture.take(sample).await.is_empty());
    let lead = fixture.store.lead(&event.lead_id).await.unwrap().unwrap();
    assert_eq!((lead.status, &*lead.failure.unwrap().code), (LeadStatus::PermanentlyFailed, "crm_timeout"));
    assert!(fixture.store.dead_letters(None, 10).await.unwrap().is_empty());
    assert!(fixture.alerts.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn copy_of_a_settled_delivery_causes_no_alert() {
    let fixture = Fixture::new().await;
    let event = lead_event(&sample());
    let Begun::Work(mut work) = fixture.store.begin_work(&event, 1).await.unwrap() else {
        panic!("new work")
    };
    Steps::new(fixture.store.clone()).end(&mut work, Finish::Held, json!([]), None).await.unwrap();
    assert!(fixture.take(sample()).await.is_empty());
    assert_eq!(fixture.store.lead(&event.lead_id).await.unwrap().unwrap().status, LeadStatus::Held);
    assert!(fixture.store.dead_letters(None, 10).await.unwrap().is_empty());
    assert!(fixture.alerts.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn message_of_the_redrive_policy_is_kept_and_alerted() {
    let fixture = Fixture::new().await;
    let mut sample = sample();
    sample["Records"][0]["messageAttributes"] = json!({});
    assert!(fixture.take(sample).await.is_empty());
    let letters = fixture.store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letters[0].failure.code, "received_too_often");
}

#[tokio::test]
async fn unreadable_message_is_kept_unchanged() {
    let fixture = Fixture::new().await;
    let mut sample = sample();
    sample["Records"][0]["body"] = json!("no json \u{0} at all");
    sample["Records"][0]["messageAttributes"]["key"]["stringValue"] = json!("foreign");
    assert!(fixture.take(sample).await.is_empty());
    let letter = fixture.store.dead_letter("foreign").await.unwrap().unwrap();
    assert!(letter.body.starts_with("no json"));
}

#[tokio::test]
async fn message_that_cannot_be_stored_is_returned() {
    let fixture = Fixture::new().await;
    fixture.store.database().close().await;
    let id = sample()["Records"][0]["messageId"].as_str().unwrap().to_owned();
    assert_eq!(fixture.take(sample()).await, [id]);
    assert!(fixture.alerts.0.lock().unwrap().is_empty());
}
