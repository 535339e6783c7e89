//! Which lead, and which delivery of it, a job of another producer is about.

use lead::LeadEvent;

/// What a job is to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The lead; the job's own id where nobody can read it, so that it waits for no other.
    pub(super) lead: String,
    /// What the store knows it by; empty where that is the job's own id, or nobody knows.
    pub(super) delivery: String,
}

impl Identity {
    /// The identity of the job `id`, whose data reads as `event`.
    pub(super) fn new(event: Option<&LeadEvent>, id: &str) -> Self {
        let Some(event) = event else { return Self { lead: id.to_owned(), delivery: String::new() } };
        let delivery = String::from(event.delivery_id());
        Self {
            lead: event.lead_id.as_str().to_owned(),
            delivery: if delivery == id { String::new() } else { delivery },
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lead::{CampaignId, EmailAddress, Lead};

    use super::*;

    #[test]
    fn a_job_is_known_by_its_lead_and_its_delivery() {
        let email = EmailAddress::parse("lead@stripe.com").unwrap();
        let event = LeadEvent::new(Lead::new(email, CampaignId::parse("c").unwrap()), Timestamp::UNIX_EPOCH);
        let (lead, delivery) = (event.lead_id.as_str().to_owned(), String::from(event.delivery_id()));
        let ours = Identity::new(Some(&event), &delivery);
        assert_eq!(ours, Identity { lead: lead.clone(), delivery: String::new() });
        assert_eq!(Identity::new(Some(&event), "7"), Identity { lead, delivery });
    }

    #[test]
    fn a_job_that_nobody_can_read_is_a_lead_of_its_own() {
        assert_eq!(Identity::new(None, "7"), Identity { lead: "7".into(), delivery: String::new() });
    }
}
