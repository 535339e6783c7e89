//! The lead and the delivery of a job from another producer.

use lead::LeadEvent;

/// The lead and the delivery of a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The lead id. For a job whose data cannot be read, the job's own id, so that it waits for no other job.
    pub(super) lead: String,
    /// The delivery id, by which the store knows the job. Empty if it equals the job's id or is not known.
    pub(super) delivery: String,
}

impl Identity {
    /// The identity of the job `id`, whose data parses as `event`.
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
    fn job_is_identified_by_its_lead_and_delivery() {
        let email = EmailAddress::parse("lead@stripe.com").unwrap();
        let event = LeadEvent::new(Lead::new(email, CampaignId::parse("c").unwrap()), Timestamp::UNIX_EPOCH);
        let (lead, delivery) = (event.lead_id.as_str().to_owned(), String::from(event.delivery_id()));
        let ours = Identity::new(Some(&event), &delivery);
        assert_eq!(ours, Identity { lead: lead.clone(), delivery: String::new() });
        assert_eq!(Identity::new(Some(&event), "7"), Identity { lead, delivery });
    }

    #[test]
    fn unreadable_job_forms_its_own_lead() {
        assert_eq!(Identity::new(None, "7"), Identity { lead: "7".into(), delivery: String::new() });
    }
}
