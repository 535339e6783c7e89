//! Facts that a CRM holds about a person and their company before we write to it.

use std::fmt;

use lead::{EmailAddress, LeadId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The person and company to look up in a CRM. Its `Debug` hides the address.
#[derive(Clone, PartialEq, Eq)]
pub struct About {
    /// The lead, which is the external id of the record that we wrote, if any.
    pub lead_id: LeadId,
    /// The person's e-mail address.
    pub email: EmailAddress,
    /// The domain of the person's employer, lower case. None for a private mailbox.
    pub company_domain: Option<String>,
}

/// The facts that a CRM holds. It has no personal fields, and only its contents reach the fact sheet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The person as a lead. Always absent in a CRM without leads (`HubSpot`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<KnownLead>,
    /// The record that we wrote for this lead, by its external id, if the CRM keeps the person's leads apart.
    /// Used to follow up on that record; no fact is derived from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<KnownLead>>,
    /// The person as a contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<KnownContact>,
    /// The person's company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<KnownAccount>,
    /// The search for the company timed out: the existence of an account is unknown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub account_unread: bool,
    /// Open opportunities (`HubSpot`: deals) of the account and of the contact, most recently changed first;
    /// at most [`Known::MAX_OPPORTUNITIES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_opportunities: Vec<KnownOpportunity>,
}

/// A lead in the CRM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownLead {
    /// The status, as the CRM spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The CRM's id of the owner. None if the integration user owns the record, as it does for records that
    /// it created until a person takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Whether the lead was converted to a contact.
    pub converted: bool,
}

/// A contact in the CRM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownContact {
    /// The CRM's id of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The lifecycle stage, as the CRM spells it. None if the CRM has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// An account in the CRM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownAccount {
    /// The CRM's id of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The type of the account (customer, partner, ...), as the CRM spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// An open opportunity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownOpportunity {
    /// The stage, as the CRM spells it.
    pub stage: String,
    /// The expected amount, in the CRM's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<f64>,
}

impl Known {
    /// The maximum number of opportunities.
    pub const MAX_OPPORTUNITIES: usize = 20;

    /// The maximum length of a text, in characters.
    pub const MAX_CHARS: usize = 200;

    /// The facts below `salesforce.*`, for any CRM.
    ///
    /// `owner` is the owner of the contact, else of the lead, else of the account. `deal_stage` is the stage
    /// of the most recently changed open opportunity; `deal_stages` lists every open stage once.
    pub fn facts(&self) -> Map<String, Value> {
        let owner = [
            self.contact.as_ref().and_then(|contact| contact.owner_id.as_ref()),
            self.lead.as_ref().and_then(|lead| lead.owner_id.as_ref()),
            self.account.as_ref().and_then(|account| account.owner_id.as_ref()),
        ];
        let mut stages: Vec<&str> = Vec::new();
        for opportunity in self.open_opportunities.iter().take(Self::MAX_OPPORTUNITIES) {
            if !stages.contains(&opportunity.stage.as_str()) {
                stages.push(&opportunity.stage);
            }
        }
        // An account that was not read is unknown, which differs from one that does not exist.
        let is_account_known = self.account.is_some() || !self.account_unread;
        let are_deals_known = is_account_known || !self.open_opportunities.is_empty();
        let amounts = self.open_opportunities.iter().filter_map(|opportunity| opportunity.amount);
        let facts = [
            ("lead_exists", Some(json!(self.lead.is_some()))),
            ("lead_status", self.lead.as_ref().and_then(|lead| text(lead.status.as_deref()))),
            ("lead_converted", self.lead.as_ref().map(|lead| json!(lead.converted))),
            ("contact_exists", Some(json!(self.contact.is_some()))),
            ("contact_stage", self.contact.as_ref().and_then(|contact| text(contact.stage.as_deref()))),
            ("account_exists", is_account_known.then(|| json!(self.account.is_some()))),
            ("account_type", self.account.as_ref().and_then(|account| text(account.kind.as_deref()))),
            ("owner", owner.into_iter().flatten().next().and_then(|owner| text(Some(owner)))),
            ("open_opportunities", are_deals_known.then(|| json!(self.open_opportunities.len()))),
            ("open_opportunity_amount", amounts.reduce(|a, b| a + b).map(|sum| json!(sum))),
            ("deal_stage", stages.first().and_then(|stage| text(Some(stage)))),
            (
                "deal_stages",
                (!stages.is_empty()).then(|| stages.iter().filter_map(|s| text(Some(s))).collect()),
            ),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The owner of the record that we wrote for the lead, if the CRM reports one: the lead's owner, or in a
    /// CRM without leads the contact's.
    pub fn our_record_owner(&self) -> Option<&str> {
        let lead = self.own.as_deref().or(self.lead.as_ref());
        let contact = || self.contact.as_ref()?.owner_id.as_deref();
        lead.map_or_else(contact, |lead| lead.owner_id.as_deref())
    }

    /// Whether the record that we wrote for the lead was converted.
    pub fn is_our_record_converted(&self) -> bool {
        self.own.as_deref().or(self.lead.as_ref()).is_some_and(|lead| lead.converted)
    }

    /// Replaces all CRM facts that the sender supplied, under whatever names. Once the CRM has answered, only
    /// its own facts stand below `salesforce`, even if it found nothing.
    pub fn overlay(&self, sent: &mut Map<String, Value>) {
        *sent = self.facts();
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn text(text: Option<&str>) -> Option<Value> {
    let cut: String = text?.trim().chars().take(Known::MAX_CHARS).collect();
    (!cut.is_empty()).then_some(Value::String(cut))
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About").field("lead_id", &self.lead_id.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_crm_answer_replaces_the_senders_facts() {
        let mut sent = json!({"deal_stage": "Negotiation", "owner": "005", "territory": "EMEA"});
        for spelling in
            ["deal stage", "Deal_Stage", "dealStage", "deal.stage", "dea\u{4cf}_stage", "opportunity.stage"]
        {
            sent[spelling] = json!("Closed Won");
        }
        Known::default().overlay(sent.as_object_mut().unwrap());
        let expected = json!({
            "lead_exists": false, "contact_exists": false, "account_exists": false,
            "open_opportunities": 0,
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn unread_account_is_unknown_rather_than_absent() {
        let mut known = Known { account_unread: true, ..Known::default() };
        let facts = known.facts();
        assert_eq!((facts.get("account_exists"), facts.get("open_opportunities")), (None, None));
        assert_eq!(facts["contact_exists"], false);
        let deal = KnownOpportunity { stage: "Proposal".into(), amount: None };
        known.open_opportunities.push(deal);
        assert_eq!(known.facts()["open_opportunities"], 1, "of the contact");
        let read: Known = serde_json::from_value(serde_json::to_value(&known).unwrap()).unwrap();
        assert_eq!(read, known);
        assert!(!serde_json::from_str::<Known>("{}").unwrap().account_unread, "as earlier versions kept it");
    }

    #[test]
    fn our_record_is_own_lead_then_lead_then_contact() {
        let lead = |owner: &str, converted| {
            Some(KnownLead { status: None, owner_id: Some(owner.into()), converted })
        };
        let mut known = Known {
            contact: Some(KnownContact { owner_id: Some("contact".into()), stage: None }),
            ..Known::default()
        };
        assert_eq!((known.our_record_owner(), known.is_our_record_converted()), (Some("contact"), false));
        known.lead = lead("lead", true);
        assert_eq!((known.our_record_owner(), known.is_our_record_converted()), (Some("lead"), true));
        known.own = lead("ours", false).map(Box::new);
        assert_eq!((known.our_record_owner(), known.is_our_record_converted()), (Some("ours"), false));
        known.own = Some(Box::default());
        assert_eq!(known.our_record_owner(), None, "no person owns it");
        assert_eq!(known.facts()["owner"], "contact");
    }

    #[test]
    fn every_fact_is_documented() {
        let known = Known {
            lead: Some(KnownLead {
                status: Some("Open".into()),
                owner_id: Some("1".into()),
                converted: true,
            }),
            own: None,
            contact: Some(KnownContact { owner_id: Some("2".into()), stage: Some("customer".into()) }),
            account: Some(KnownAccount { owner_id: Some("3".into()), kind: Some("Customer".into()) }),
            account_unread: false,
            open_opportunities: ["Proposal", "Prospecting", "Proposal"]
                .map(|stage| KnownOpportunity { stage: stage.into(), amount: Some(10.5) })
                .into(),
        };
        let facts = known.facts();
        let names = [
            "account_exists",
            "account_type",
            "contact_exists",
            "contact_stage",
            "deal_stage",
            "deal_stages",
            "lead_converted",
            "lead_exists",
            "lead_status",
            "open_opportunities",
            "open_opportunity_amount",
            "owner",
        ];
        let page = include_str!("../../../docs/crm.md");
        assert!(names.iter().all(|name| page.contains(&format!("`{name}`"))));
        let mut stated: Vec<_> = facts.keys().map(String::as_str).collect();
        stated.sort_unstable();
        assert_eq!(stated, names);
        assert_eq!(facts["owner"], "2");
        assert_eq!(facts["deal_stage"], "Proposal");
        assert_eq!(facts["deal_stages"], json!(["Proposal", "Prospecting"]));
        assert_eq!(facts["open_opportunity_amount"], 31.5);
        let read: Known = serde_json::from_value(serde_json::to_value(&known).unwrap()).unwrap();
        assert_eq!(read, known);
    }
}
