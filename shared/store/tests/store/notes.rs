//! Fields that intake dropped or truncated are in the audit trail of their delivery.

use lead::{FieldIssue, FieldNote, LeadEvent};
use on_both::on_both;
use serde_json::json;
use store::Accept;

use crate::support::{Fixture, audit, event};

#[on_both]
async fn dropped_fields_are_in_the_audit_trail(fixture: Fixture) {
    let store = fixture.store().await;
    let note = FieldNote { field: "attributes.comments".into(), issue: FieldIssue::Cut };
    let noted = event("ann", "a", 0).with_notes(vec![note]);
    // As received from a queue.
    let noted: LeadEvent = serde_json::from_str(&serde_json::to_string(&noted).unwrap()).unwrap();
    assert_eq!(store.accept(&noted).await.unwrap(), Accept::New);
    let again = event("ann", "a", 1);
    assert_eq!(store.accept(&again).await.unwrap(), Accept::Duplicate { open: true }, "notes are no content");
    assert_eq!(store.accept(&event("ann", "b", 2)).await.unwrap(), Accept::Revision);
    let audit = audit(&store, &noted.lead_id).await;
    let fields: Vec<_> = audit.iter().map(|event| event.detail.get("fields").cloned()).collect();
    assert_eq!(fields, [Some(json!([{"field": "attributes.comments", "issue": "cut"}])), None, None]);
}
