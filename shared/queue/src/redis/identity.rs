//! The lead and the delivery of a job from another producer.

use jiff::Timestamp;

/// The lead and the delivery of a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The lead id. For a job whose data cannot be read, the job's own id, so that it waits for no other job.
    pub(super) lead: String,
    /// The delivery id, by which the store knows the job. Empty if it equals the job's id or is not known.
    pub(super) delivery: String,
}

impl Identity {
    /// The identity of the job `id` with its data, which is read as the workers read it.
    pub(super) fn new(data: &str, id: &str) -> Self {
        let Ok(event) = intake::read_event(data, Timestamp::UNIX_EPOCH) else {
            return Self { lead: id.to_owned(), delivery: String::new() };
        };
        let delivery = String::from(event.delivery_id());
        Self {
            lead: event.lead_id.as_str().to_owned(),
            delivery: if delivery == id { String::new() } else { delivery },
        }
    }
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, EmailAddress, Lead, LeadEvent};

    use super::*;

    #[test]
    fn job_is_identified_by_its_lead_and_delivery() {
        let email = EmailAddress::parse("lead@stripe.com").unwrap();
        let event = LeadEvent::new(Lead::new(email, CampaignId::parse("c").unwrap()), Timestamp::UNIX_EPOCH);
        let (lead, delivery) = (event.lead_id.as_str().to_owned(), String::from(event.delivery_id()));
        let data = serde_json::to_string(&event).unwrap();
        let ours = Identity::new(&data, &delivery);
        assert_eq!(ours, Identity { lead: lead.clone(), delivery: String::new() });
        assert_eq!(Identity::new(&data, "7"), Identity { lead, delivery });
    }

    #[test]
    fn unreadable_job_forms_its_own_lead() {
        assert_eq!(Identity::new("not a lead", "7"), Identity { lead: "7".into(), delivery: String::new() });
    }
}
