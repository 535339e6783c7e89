//! The earlier leads of a person. Each campaign creates a separate lead, and a salesperson should see that
//! they belong to the same person.

use crm::Text;
use lead::Failure;
use store::{Cursor, LeadFilter, LeadRecord, Work};

use crate::Pipeline;

/// Maximum number of earlier leads to list, newest first.
const MAX_LISTED: u32 = 3;

/// Maximum length of a listed campaign id, in characters.
const MAX_CAMPAIGN_CHARS: usize = 80;

/// A text that lists the earlier leads of a person, one per line.
pub(crate) type Earlier = Text<1000, true>;

impl Pipeline {
    /// The leads with the same e-mail address that are older than this one. `None` if there are none.
    pub(crate) async fn earlier_leads(&self, work: &Work) -> Result<Option<Earlier>, Failure> {
        if !work.known.same_address {
            return Ok(None);
        }
        let Some(record) = self.store.lead(&work.lead_id).await? else { return Ok(None) };
        let before = Cursor::at(record.created_at, work.lead_id.as_str());
        let filter = LeadFilter { email: Some(work.lead.email.clone()), ..LeadFilter::default() };
        let leads = self.store.leads(&filter, Some(&before), MAX_LISTED).await?;
        let lines: Vec<String> = leads.iter().map(|lead| self.line_for(lead)).collect();
        Ok(Earlier::fit(&lines.join("\n")))
    }

    /// One line for a salesperson: the campaign and the CRM record, if any.
    fn line_for(&self, lead: &LeadRecord) -> String {
        let provider = self.guard.provider();
        let record_id = lead.crm_record_id.as_ref();
        let record_id = record_id.filter(|_| lead.crm_provider.as_deref() == Some(provider));
        let reference = match record_id.map(|id| (id, self.guard.record_url(id))) {
            Some((id, Some(url))) => format!("record {id}, {url}"),
            Some((id, None)) => format!("record {id}"),
            // The future CRM record will have this id, so people can find it.
            None => format!("RevenueFlow id {}, not in the CRM yet", lead.lead_id),
        };
        let campaign = plain_campaign(lead.content.campaign_id.as_str());
        format!("This person has an earlier lead: campaign {campaign}, {reference}.")
    }
}

/// A campaign id reduced to letters, digits, blanks and `.`, `-`, `_`, `+`, so that it cannot contain a line
/// break, a link or markup.
fn plain_campaign(campaign: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let text: String =
        lead::text::visible(campaign).chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_CAMPAIGN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaign_cannot_be_a_link_or_markup() {
        assert_eq!(plain_campaign("launch_2024"), "launch_2024");
        assert_eq!(
            plain_campaign("x <a href=\"https://evil.example/\">y</a>"),
            "x a href https evil.example y a"
        );
        assert_eq!(plain_campaign("a\nb"), "a b");
        assert_eq!(plain_campaign(&"x".repeat(200)).len(), MAX_CAMPAIGN_CHARS);
    }
}
