//! The earlier leads of a person. Each campaign makes a lead of its own; who sells to the person should see that they
//! belong together.

use crm::Text;
use lead::Failure;
use store::{Cursor, LeadFilter, LeadRecord, Work};

use crate::Pipeline;

/// The most earlier leads that are named, the newest first.
const MAX_NAMED: u32 = 3;

/// The longest campaign that is shown, in characters.
const MAX_CAMPAIGN_CHARS: usize = 80;

/// The earlier leads of a person, in words.
pub(crate) type Earlier = Text<1000, true>;

impl Pipeline {
    /// The leads that the person sent before this one, by their address. None where this is the first.
    pub(crate) async fn earlier_leads(&self, work: &Work) -> Result<Option<Earlier>, Failure> {
        let Some(record) = self.store.lead(&work.lead_id).await? else { return Ok(None) };
        let before = Cursor::at(record.created_at, work.lead_id.as_str());
        let filter = LeadFilter { email: Some(work.lead.email.clone()), ..LeadFilter::default() };
        let leads = self.store.leads(&filter, Some(&before), MAX_NAMED).await?;
        let lines: Vec<String> = leads.iter().map(|lead| self.named(lead)).collect();
        Ok(Earlier::fit(&lines.join("\n")))
    }

    /// One line for a salesperson: the campaign, and the record where the CRM has one.
    fn named(&self, lead: &LeadRecord) -> String {
        let provider = self.guard.provider();
        let record_id = lead.crm_record_id.as_ref();
        let record_id = record_id.filter(|_| lead.crm_provider.as_deref() == Some(provider));
        let place = match record_id.map(|id| (id, self.guard.record_url(id))) {
            Some((id, Some(url))) => format!("record {id}, {url}"),
            Some((id, None)) => format!("record {id}"),
            // Its record will have this id: people find it by it.
            None => format!("RevenueFlow id {}, not in the CRM yet", lead.lead_id),
        };
        let campaign = plain(lead.content.campaign_id.as_str());
        format!("This person has an earlier lead: campaign {campaign}, {place}.")
    }
}

/// A campaign as text that can be no line, link or markup of its own: letters, digits, blanks and what joins words.
fn plain(campaign: &str) -> String {
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
        assert_eq!(plain("launch_2024"), "launch_2024");
        assert_eq!(plain("x <a href=\"https://evil.example/\">y</a>"), "x a href https evil.example y a");
        assert_eq!(plain("a\nb"), "a b");
        assert_eq!(plain(&"x".repeat(200)).len(), MAX_CAMPAIGN_CHARS);
    }
}
