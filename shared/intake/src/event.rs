use jiff::Timestamp;
use lead::{Arrival, Failure, LeadEvent};

use crate::parse::parse_webhook;

/// Reads the body of a queue message: a [`LeadEvent`] as this product writes it, or a lead in the fields of a
/// webhook as another producer on the same queue writes it, received at `sent_at`.
///
/// # Errors
/// Permanent ones: `unreadable_message` for a body that is neither, `inconsistent_message` for an event whose
/// ids or version do not match its content.
pub fn read_event(body: &str, sent_at: Timestamp) -> Result<LeadEvent, Failure> {
    let Ok(event) = serde_json::from_str::<LeadEvent>(body) else {
        let parsed = parse_webhook(body.as_bytes(), None).map_err(|rejection| {
            let problem =
                format!("neither a lead event nor a lead ({}): {}", rejection.error, rejection.message);
            Failure::permanent("unreadable_message", problem)
        })?;
        // A job keeps its id, but not its time, through retries and redrives: its content identifies the
        // delivery.
        return Ok(LeadEvent::new(parsed.lead, sent_at)
            .with_notes(parsed.notes)
            .with_arrival(Arrival::Content));
    };
    if event.is_consistent() {
        Ok(event)
    } else {
        let problem = "the ids or the version of the message do not match its content";
        Err(Failure::permanent("inconsistent_message", problem))
    }
}

#[cfg(test)]
mod tests {
    use lead::FieldIssue;

    use super::*;

    #[test]
    fn malformed_fields_of_another_producer_are_noted() {
        let body = r#"{"email":"ann@stripe.com","campaign_id":"launch","company":["Acme"]}"#;
        let event = read_event(body, Timestamp::UNIX_EPOCH).unwrap();
        let notes: Vec<_> = event.notes.iter().map(|note| (note.field.as_str(), note.issue)).collect();
        assert_eq!(notes, [("company", FieldIssue::WrongType)]);
    }
}
