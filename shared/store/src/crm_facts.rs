use crm::Known;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The result of reading the CRM before a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmFacts {
    /// The CRM answered.
    Known(Known),
    /// The CRM could not be read, for this reason, and the judgement was made without it.
    Unreadable(String),
    /// The CRM holds only our own writes, and was not read.
    NotAsked,
}

/// One reading of the CRM. It belongs to one round of judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrmRead {
    /// The judgement of its delivery, from 1.
    pub round: i64,
    /// The CRM; none in rows written before this field existed.
    #[serde(default)]
    pub provider: Option<String>,
    /// When it was read; none in rows written before this field existed.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The result.
    pub facts: CrmFacts,
}

impl CrmRead {
    /// The detail of the audit event; none if the CRM was not asked.
    pub(crate) fn audited(&self) -> Option<Value> {
        match &self.facts {
            CrmFacts::Known(known) => {
                let mut detail = json!({
                    "lead": known.lead.is_some(), "contact": known.contact.is_some(),
                    "account": known.account.is_some(), "open_opportunities": known.open_opportunities.len(),
                });
                if known.account_unread {
                    detail["account_unread"] = json!(true);
                }
                Some(detail)
            }
            CrmFacts::Unreadable(code) => Some(json!({ "unreadable": code })),
            CrmFacts::NotAsked => None,
        }
    }

    /// Whether the CRM is the source of a fact below `salesforce.*`.
    pub fn states(&self, name: &str) -> bool {
        matches!(&self.facts, CrmFacts::Known(known) if known.facts().contains_key(name))
    }

    /// Overwrites the sender's `salesforce.*` facts with those from the CRM.
    pub fn overlay(&self, salesforce: &mut Map<String, Value>) {
        if let CrmFacts::Known(known) = &self.facts {
            known.overlay(salesforce);
        }
    }
}

impl CrmFacts {
    pub(crate) fn of_round(text: Option<Value>, round: i64) -> Option<Self> {
        let kept: CrmRead = serde_json::from_value(text?).ok()?;
        (kept.round == round).then_some(kept.facts)
    }
}
