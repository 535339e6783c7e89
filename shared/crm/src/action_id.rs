use std::fmt;
use std::str::FromStr;

use lead::{DeliveryId, IdError, LeadId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Action;

/// The permanent id of one effect on the CRM, and the external id of the record that the effect creates: 64
/// hexadecimal digits.
///
/// The id is derived, never random, so that planning again after a crash gives the same ids. Its inputs
/// define "once" for each kind of action:
///
/// | once per | actions | because |
/// |---|---|---|
/// | lead and decision | `create_task` | a revision or rescore with the same decision must not call the same representative twice |
/// | lead | `create_lead`, `create_contact`, `convert_lead` | there is one person |
/// | lead and name | `create_opportunity` | one person can have two sales |
/// | delivery and [`Round`] | all others | they write the findings, the judgement or the owner of that round; `log_activity` logs that it happened |
///
/// The lead's own record has no id of this type: its external id is the [`LeadId`], in every revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionId(String);

/// The cause of a plan: one delivery may be judged, and its lead reassigned, several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The judgement with this number; 1 is the first.
    Judgement(u32),
    /// The reassignment with this number.
    Reassignment(u32),
}

impl From<u32> for Round {
    fn from(judgement: u32) -> Self {
        Self::Judgement(judgement)
    }
}

impl ActionId {
    /// The id of an action that results from a round of a delivery.
    pub fn derive(action: &Action, lead: &LeadId, delivery: &DeliveryId, round: Round) -> Self {
        let once_per = match action {
            Action::CreateTask(task) => task.decision.to_string(),
            Action::CreateLead(_) | Action::CreateContact(_) | Action::ConvertLead(_) => String::new(),
            Action::CreateOpportunity(opportunity) => opportunity.name.expose().to_owned(),
            Action::UpsertLead(_)
            | Action::SetLeadScore(_)
            | Action::SyncFirmographics(_)
            | Action::UpdateLeadStatus(_)
            | Action::MatchAccount(_)
            | Action::LogActivity(_)
            | Action::UpdateOpportunityStage(_)
            | Action::ReassignTask(_) => match round {
                Round::Judgement(number) => format!("{delivery}:{number}"),
                Round::Reassignment(number) => format!("{delivery}:reassignment:{number}"),
            },
        };
        Self::hash(&format!("{lead}:{}:{once_per}", action.kind()))
    }

    /// The 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hash(text: &str) -> Self {
        use fmt::Write as _;
        Self(Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            hex
        }))
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ActionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for ActionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(is_hex) { Ok(Self(text)) } else { Err(IdError) }
    }
}

impl From<ActionId> for String {
    fn from(id: ActionId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, ContentHash, Decision, EmailAddress};

    use super::*;
    use crate::testing::every_action;

    fn lead(name: &str) -> LeadId {
        let email = EmailAddress::parse(&format!("{name}@example.com")).unwrap();
        LeadId::derive(&email, &CampaignId::parse("c1").unwrap())
    }

    fn delivery(lead: &LeadId, content: &str) -> DeliveryId {
        DeliveryId::derive(lead, &ContentHash::of(content))
    }

    /// The kinds with an id that changes between deliveries or rounds.
    fn kinds_done_again(delivery_b: &str, round_b: Round) -> Vec<&'static str> {
        let lead = lead("ann");
        let (a, b) = (delivery(&lead, "a"), delivery(&lead, delivery_b));
        let actions = every_action(&lead, &a);
        let again = actions.iter().filter(|action| {
            ActionId::derive(action, &lead, &a, 1.into()) != ActionId::derive(action, &lead, &b, round_b)
        });
        again.map(Action::kind).collect()
    }

    #[test]
    fn planning_again_gives_the_same_ids() {
        assert_eq!(kinds_done_again("a", 1.into()), Vec::<&str>::new());
    }

    #[test]
    fn revisions_and_new_rounds_write_again_without_new_tasks() {
        let written_again = [
            "upsert_lead",
            "set_lead_score",
            "sync_firmographics",
            "update_lead_status",
            "match_account",
            "log_activity",
            "update_opportunity_stage",
            "reassign_task",
        ];
        assert_eq!(kinds_done_again("b", 1.into()), written_again);
        assert_eq!(kinds_done_again("a", 2.into()), written_again);
        assert_eq!(kinds_done_again("a", Round::Reassignment(1)), written_again);
    }

    #[test]
    fn each_decision_has_its_own_task_id() {
        let lead = lead("ann");
        let delivery = delivery(&lead, "a");
        let mut ids: Vec<ActionId> = Vec::new();
        for decision in Decision::ALL {
            let mut task = every_action(&lead, &delivery).swap_remove(7);
            if let Action::CreateTask(task) = &mut task {
                task.decision = *decision;
            }
            let id = ActionId::derive(&task, &lead, &delivery, 1.into());
            assert!(!ids.contains(&id), "{decision}");
            ids.push(id);
        }
    }

    #[test]
    fn action_ids_are_unique_within_and_across_leads() {
        let mut ids = std::collections::BTreeSet::new();
        for lead in [lead("ann"), lead("bob")] {
            let delivery = delivery(&lead, "a");
            for action in every_action(&lead, &delivery) {
                assert!(
                    ids.insert(ActionId::derive(&action, &lead, &delivery, 1.into())),
                    "{}",
                    action.kind()
                );
            }
        }
    }

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_an_id() {
        assert!("a".repeat(64).parse::<ActionId>().is_ok());
        for bad in ["", "abc", &"A".repeat(64), &"a".repeat(65), &"../".repeat(22)] {
            assert_eq!(bad.parse::<ActionId>(), Err(IdError), "{bad:?}");
        }
    }
}
