use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{CampaignId, ContentHash, EmailAddress, LeadId, Personal, canonical_json, name};

/// The parsed, normalised content of one webhook. Missing values are absent, never empty.
///
/// Its `Debug` shows only the lead id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// The person's e-mail address.
    #[serde(deserialize_with = "stored_email")]
    pub email: EmailAddress,
    /// The campaign of the lead.
    #[serde(deserialize_with = "stored_campaign")]
    pub campaign_id: CampaignId,
    /// The full name, if the sender gives it in one field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    /// The given name, if the sender gives it in a separate field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Personal<String>>,
    /// The family name, if the sender gives it in a separate field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Personal<String>>,
    /// The company as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The job title as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The telephone number as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<String>>,
    /// Facts from Marketo: `lead_id`, `engagement_score`, `program`, `activity`, ...
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub marketo: Map<String, Value>,
    /// Facts from our product: `usage_signals`, `activation_state`, ...
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub product: Map<String, Value>,
    /// Facts from the CRM as reported by the sender: `deal_stage`, `owner`, ...
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub salesforce: Map<String, Value>,
    /// Unknown top-level fields. Stored, and never shown to a model.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

fn stored_email<'de, D: Deserializer<'de>>(source: D) -> Result<EmailAddress, D::Error> {
    EmailAddress::stored(&String::deserialize(source)?).map_err(D::Error::custom)
}

fn stored_campaign<'de, D: Deserializer<'de>>(source: D) -> Result<CampaignId, D::Error> {
    CampaignId::stored(String::deserialize(source)?).map_err(D::Error::custom)
}

impl Lead {
    /// A lead with only the required fields.
    pub fn new(email: EmailAddress, campaign_id: CampaignId) -> Self {
        Self {
            email,
            campaign_id,
            name: None,
            first_name: None,
            last_name: None,
            company: None,
            title: None,
            phone: None,
            marketo: Map::new(),
            product: Map::new(),
            salesforce: Map::new(),
            attributes: Map::new(),
        }
    }

    /// The id of the lead, derived from the address and the campaign.
    pub fn id(&self) -> LeadId {
        LeadId::derive(&self.email, &self.campaign_id)
    }

    /// The hash of the canonical content. Independent of key order and white space.
    pub fn content_hash(&self) -> ContentHash {
        let content = serde_json::to_value(self).unwrap_or_default(); // strings and JSON values always serialise
        ContentHash::of(&canonical_json(&content))
    }

    /// The full name: as given, or joined from its parts.
    pub fn full_name(&self) -> Option<Personal<String>> {
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        let parts: Vec<&str> = [&self.first_name, &self.last_name]
            .into_iter()
            .flatten()
            .map(|part| part.expose().as_str())
            .collect();
        (!parts.is_empty()).then(|| parts.join(" ").into())
    }

    /// The given name and the family name. If the sender gave only a full name, it is split: particles
    /// (`van der`) and suffixes (`Jr.`) belong to the family name, and a single word is a family name.
    pub fn name_parts(&self) -> (Option<Personal<String>>, Option<Personal<String>>) {
        if self.first_name.is_some() || self.last_name.is_some() {
            return (self.first_name.clone(), self.last_name.clone());
        }
        let Some(name) = &self.name else { return (None, None) };
        let (first, last) = name::split(name.expose());
        (first.map(Personal::new), last.map(Personal::new))
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("id", &self.id().as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead() -> Lead {
        Lead::new(EmailAddress::parse("ann@example.com").unwrap(), CampaignId::parse("c1").unwrap())
    }

    #[test]
    fn content_hash_ignores_key_order_but_not_values() {
        let mut a = lead();
        a.marketo = serde_json::from_str(r#"{"x":1,"y":{"b":2,"a":1}}"#).unwrap();
        let mut b = lead();
        b.marketo = serde_json::from_str(r#"{"y":{"a":1,"b":2},"x":1}"#).unwrap();
        assert_eq!(a.content_hash(), b.content_hash());
        b.title = Some("CTO".into());
        assert_ne!(a.content_hash(), b.content_hash());
        assert_eq!(a.id(), b.id());
    }

    #[test]
    fn name_parts_are_joined_and_full_names_split() {
        let mut one = lead();
        one.name = Some("Ann Mary Smith".to_owned().into());
        let (first, last) = one.name_parts();
        assert_eq!(
            (first.unwrap().expose().as_str(), last.unwrap().expose().as_str()),
            ("Ann Mary", "Smith")
        );
        let mut two = lead();
        two.first_name = Some("Ann".to_owned().into());
        two.last_name = Some("Smith".to_owned().into());
        assert_eq!(two.full_name().unwrap().expose(), "Ann Smith");
    }

    #[test]
    fn debug_output_contains_no_personal_data() {
        let mut lead = lead();
        lead.name = Some("Ann Smith".to_owned().into());
        lead.attributes.insert("note".into(), "call 555-0100".into());
        let text = format!("{lead:?}");
        assert!(!text.contains("ann") && !text.contains("Ann") && !text.contains("555"), "{text}");
    }
}
