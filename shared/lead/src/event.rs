use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Arrival, ContentHash, DeliveryId, FieldNote, Lead, LeadId, Sender, TraceContext, trace};

/// The version of the wire format of [`LeadEvent`]. Readers refuse any other version.
pub const EVENT_VERSION: u32 = 1;

/// One accepted delivery of a lead: the JSON message on a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeadEvent {
    /// [`EVENT_VERSION`] in every event that we write.
    pub version: u32,
    /// The lead of the delivery. Also the message group.
    pub lead_id: LeadId,
    /// The hash of the lead's canonical content.
    pub content_hash: ContentHash,
    /// The time at which the webhook was accepted. The latest delivery of a lead is the newest one and takes
    /// precedence.
    pub received_at: Timestamp,
    /// The kind of identity that distinguishes this delivery from the lead's other deliveries.
    #[serde(default, skip_serializing_if = "Arrival::is_content")]
    pub arrival: Arrival,
    /// The parsed content.
    pub lead: Lead,
    /// Fields of the webhook that were dropped or cut, for the audit trail. Not part of the content:
    /// deliveries that differ only here are equal. Absent in events of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<FieldNote>,
    /// The sender, by its proof. Not part of the content or of any id. Absent in events of older versions and
    /// of the unnamed sender.
    #[serde(default, skip_serializing_if = "Sender::is_unnamed")]
    pub sender: Sender,
    /// The span that accepted the webhook. Not part of the content or of any id. Absent in events of older
    /// versions, and in events rebuilt from the database, which start a new trace. A malformed value is read
    /// as absent.
    #[serde(default, deserialize_with = "trace::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
}

impl LeadEvent {
    /// The event for a lead received at `received_at`. Always a new delivery, also if its content equals an
    /// earlier one.
    pub fn new(lead: Lead, received_at: Timestamp) -> Self {
        Self {
            version: EVENT_VERSION,
            lead_id: lead.id(),
            content_hash: lead.content_hash(),
            received_at,
            arrival: Arrival::Time,
            lead,
            notes: Vec::new(),
            sender: Sender::unnamed(),
            traceparent: None,
        }
    }

    /// The same event with notes on the fields that were dropped or cut.
    #[must_use]
    pub fn with_notes(self, notes: Vec<FieldNote>) -> Self {
        Self { notes, ..self }
    }

    /// The same event with its sender.
    #[must_use]
    pub fn sent_by(self, sender: Sender) -> Self {
        Self { sender, ..self }
    }

    /// The same event as part of a trace.
    #[must_use]
    pub fn traced(self, traceparent: Option<TraceContext>) -> Self {
        Self { traceparent, ..self }
    }

    /// The same event with another kind of identity.
    #[must_use]
    pub fn with_arrival(self, arrival: Arrival) -> Self {
        Self { arrival, ..self }
    }

    /// The globally unique id of the delivery.
    pub fn delivery_id(&self) -> DeliveryId {
        self.arrival.delivery_id(&self.lead_id, &self.content_hash, self.received_at)
    }

    /// Whether the event has our version, its ids match its content, and its notes are within their bounds.
    ///
    /// A queue is a trust boundary: a message with a wrong id would write the data of one lead to the record
    /// of another.
    pub fn is_consistent(&self) -> bool {
        self.version == EVENT_VERSION
            && self.lead_id == self.lead.id()
            && self.content_hash == self.lead.content_hash()
            && self.notes.len() <= FieldNote::MAX_NOTES
            && self.notes.iter().all(|note| note.field.len() <= FieldNote::MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CampaignId, EmailAddress, FieldIssue};

    fn event(email: &str) -> LeadEvent {
        let lead = Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("c1").unwrap());
        LeadEvent::new(lead, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn notes_are_transmitted_and_change_no_id() {
        let plain = event("ann@example.com");
        let note = FieldNote { field: "company".into(), issue: FieldIssue::Cut };
        let noted = plain.clone().with_notes(vec![note]);
        assert_eq!(noted.delivery_id(), plain.delivery_id());
        let read: LeadEvent = serde_json::from_str(&serde_json::to_string(&noted).unwrap()).unwrap();
        assert!(read.is_consistent());
        assert_eq!(read, noted);
        assert!(
            !serde_json::to_string(&plain).unwrap().contains("notes"),
            "older readers see only fields that they know"
        );
    }

    #[test]
    fn sender_is_transmitted_and_changes_no_id() {
        let plain = event("ann@example.com");
        let name = crate::SenderName::parse("demo-form").unwrap();
        let sent = plain.clone().sent_by(Sender { name, email_verified: true });
        assert_eq!(sent.delivery_id(), plain.delivery_id());
        let read: LeadEvent = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
        assert!(read.is_consistent());
        assert_eq!(read, sent);
        assert!(!serde_json::to_string(&plain).unwrap().contains("sender"));
    }

    #[test]
    fn trace_is_transmitted_and_changes_no_id() {
        let plain = event("ann@example.com");
        let context = TraceContext::new(1, 2, true);
        let traced = plain.clone().traced(context);
        assert_eq!(
            (traced.delivery_id(), &traced.content_hash, &traced.lead_id),
            (plain.delivery_id(), &plain.content_hash, &plain.lead_id)
        );
        let json = serde_json::to_value(&traced).unwrap();
        assert_eq!(json["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
        let read: LeadEvent = serde_json::from_value(json).unwrap();
        assert!(read.is_consistent());
        assert_eq!(read.traceparent, context);
        assert!(!serde_json::to_string(&plain).unwrap().contains("traceparent"));
    }

    #[test]
    fn event_with_a_malformed_trace_is_read() {
        let plain = event("ann@example.com");
        for wrong in ["x".into(), "".into(), 5.into(), serde_json::Value::Null, serde_json::json!({"a": [1]})]
        {
            let mut json = serde_json::to_value(&plain).unwrap();
            json["traceparent"] = wrong;
            let read: LeadEvent = serde_json::from_str(&json.to_string()).unwrap();
            assert!(read.is_consistent());
            assert_eq!(read, plain, "{json}");
        }
    }

    #[test]
    fn notes_out_of_bounds_are_inconsistent() {
        let note = |bytes: usize| FieldNote { field: "x".repeat(bytes), issue: FieldIssue::Cut };
        let noted = |notes: Vec<FieldNote>| event("ann@example.com").with_notes(notes).is_consistent();
        assert!(noted(vec![note(FieldNote::MAX_BYTES); FieldNote::MAX_NOTES]));
        assert!(!noted(vec![note(FieldNote::MAX_BYTES + 1)]));
        assert!(!noted(vec![note(1); FieldNote::MAX_NOTES + 1]));
    }

    #[test]
    fn event_of_an_older_version_stays_consistent() {
        let old = "info@m\u{fc}nchen.example";
        let mut json = serde_json::to_value(event("ann@example.com")).unwrap();
        json["lead"]["email"] = old.into();
        let lead: Lead = serde_json::from_value(json["lead"].clone()).unwrap();
        assert_eq!(lead.email.expose(), old);
        json["lead_id"] = lead.id().as_str().into();
        json["content_hash"] = lead.content_hash().as_str().into();
        assert!(serde_json::from_value::<LeadEvent>(json).unwrap().is_consistent());
    }

    fn received(millis: i64) -> LeadEvent {
        LeadEvent { received_at: Timestamp::from_millisecond(millis).unwrap(), ..event("ann@example.com") }
    }

    #[test]
    fn same_content_received_later_is_another_delivery() {
        assert_eq!(received(1).delivery_id(), received(1).delivery_id());
        assert_ne!(received(1).delivery_id(), received(2).delivery_id());
    }

    #[test]
    fn webhook_id_identifies_a_delivery_independent_of_time() {
        let signed = |millis, id| received(millis).with_arrival(Arrival::webhook(id)).delivery_id();
        assert_eq!(signed(1, "msg_1"), signed(2, "msg_1"));
        assert_ne!(signed(1, "msg_1"), signed(1, "msg_2"));
    }

    #[test]
    fn event_without_an_arrival_has_the_id_of_its_content() {
        let old = received(1).with_arrival(Arrival::Content);
        let json = serde_json::to_string(&old).unwrap();
        assert!(!json.contains("arrival"), "the format of earlier versions: {json}");
        let read: LeadEvent = serde_json::from_str(&json).unwrap();
        assert_eq!((read.delivery_id(), read.is_consistent()), (old.delivery_id(), true));
        assert_eq!(old.delivery_id(), received(2).with_arrival(Arrival::Content).delivery_id());
    }

    #[test]
    fn arrival_survives_a_round_trip() {
        for arrival in [Arrival::Content, Arrival::Time, Arrival::webhook("msg_\u{1}")] {
            let written = received(5).with_arrival(arrival);
            let json = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<LeadEvent>(&json).unwrap(), written);
        }
        assert_eq!(Arrival::try_from("webhook:x".to_owned()), Err(crate::ArrivalError));
    }
}
