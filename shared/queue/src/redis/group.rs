//! Which lead a job of another producer is about.

use lead::{CampaignId, EmailAddress, LeadId};
use serde::Deserialize;

/// The fields that say it. A producer of lead events names the lead; others give what it is derived from.
#[derive(Deserialize)]
struct Fields {
    lead_id: Option<String>,
    email: Option<String>,
    campaign_id: Option<String>,
}

/// The lead that `data` is about, or the job's own id: one that nobody can read waits for no other.
pub(super) fn group(data: &str, job_id: &str) -> String {
    lead_of(data).map_or_else(|| job_id.to_owned(), |lead| lead.as_str().to_owned())
}

fn lead_of(data: &str) -> Option<LeadId> {
    let fields: Fields = serde_json::from_str(data).ok()?;
    if let Some(lead) = fields.lead_id.and_then(|id| id.parse().ok()) {
        return Some(lead);
    }
    let email = EmailAddress::parse(&fields.email?).ok()?;
    let campaign = CampaignId::parse(&fields.campaign_id?).ok()?;
    Some(LeadId::derive(&email, &campaign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "841c48b1853396143bdcf7ab8e9a504b584cd9aca6dc83e2cfe2d421d5490e3a";

    #[test]
    fn a_job_says_which_lead_it_is_about() {
        let named = format!(r#"{{"lead_id":"{ID}","lead":{{}}}}"#);
        for data in [
            named.as_str(),
            r#"{"email":" LEAD@stripe.com","campaign_id":"launch_2024 ","name":"A"}"#,
            r#"{"lead_id":"00Q5","email":"lead@stripe.com","campaign_id":"launch_2024"}"#,
        ] {
            assert_eq!(group(data, "7"), ID, "{data}");
        }
    }

    #[test]
    fn a_job_that_does_not_say_it_is_a_group_of_its_own() {
        for data in
            ["", "null", "[]", "{", r#"{"email":"lead@stripe.com"}"#, r#"{"email":1,"campaign_id":"a"}"#]
        {
            assert_eq!(group(data, "7"), "7", "{data}");
        }
    }
}
