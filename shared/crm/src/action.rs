use lead::LeadId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::parameters::{
    ContactDetails, ConvertLead, CreateOpportunity, CreateTask, LeadDetails, LogActivity, MatchAccount,
    ReassignTask, SetLeadScore, SyncFirmographics, UpdateLeadStatus, UpdateOpportunityStage,
};
use crate::{ActionId, Text};

/// An operation on a CRM. The CRM can be changed in no other way.
///
/// In JSON its parameters stand beside `"kind": "upsert_lead"`. Unknown, overlong or mistyped parameters are
/// refused during deserialization. Its `Debug` holds no text of the lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Creates the lead's record, or updates it with the person's present data.
    UpsertLead(LeadDetails),
    /// Creates the lead's record. An existing record does not change.
    CreateLead(LeadDetails),
    /// Writes the judgement to the lead's record.
    SetLeadScore(SetLeadScore),
    /// Writes the company's firmographics to the lead's record.
    SyncFirmographics(SyncFirmographics),
    /// Moves the lead's record through the sales process.
    UpdateLeadStatus(UpdateLeadStatus),
    /// Links the lead's record to the account of its company, if the CRM has one.
    MatchAccount(MatchAccount),
    /// Converts the lead's record to a contact. Cannot be undone.
    ConvertLead(ConvertLead),
    /// Creates a task about the lead for a person.
    CreateTask(CreateTask),
    /// Logs an activity on the lead's record.
    LogActivity(LogActivity),
    /// Creates a contact for the person.
    CreateContact(ContactDetails),
    /// Creates an opportunity for the lead.
    CreateOpportunity(CreateOpportunity),
    /// Moves an opportunity that we created to another stage.
    UpdateOpportunityStage(UpdateOpportunityStage),
    /// Assigns a task that we created to another person.
    ReassignTask(ReassignTask),
}

/// The kinds of record that actions write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A lead.
    Lead,
    /// A task.
    Task,
    /// A logged activity: a completed task or a note.
    Activity,
    /// A contact.
    Contact,
    /// An opportunity (`HubSpot`: a deal).
    Opportunity,
    /// A company, if the CRM keeps firmographics on a record of its own (`HubSpot`). No action writes only
    /// this object.
    Company,
}

/// How an action treats the record it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Creates the record. An existing record does not change.
    Create,
    /// Creates the record, or changes the given fields.
    Upsert,
    /// Changes the given fields. Fails permanently if there is no record.
    Update,
}

impl Object {
    /// Every kind of record.
    pub const ALL: &[Self] =
        &[Self::Lead, Self::Task, Self::Activity, Self::Contact, Self::Opportunity, Self::Company];

    /// The object's name in the allow-list and in the mock CRM.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Task => "task",
            Self::Activity => "activity",
            Self::Contact => "contact",
            Self::Opportunity => "opportunity",
            Self::Company => "company",
        }
    }
}

impl Action {
    /// The names of all actions.
    pub const KINDS: &[&str] = &[
        "upsert_lead",
        "create_lead",
        "set_lead_score",
        "sync_firmographics",
        "update_lead_status",
        "match_account",
        "convert_lead",
        "create_task",
        "log_activity",
        "create_contact",
        "create_opportunity",
        "update_opportunity_stage",
        "reassign_task",
    ];

    /// The action's name, which is also its tag in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UpsertLead(_) => "upsert_lead",
            Self::CreateLead(_) => "create_lead",
            Self::SetLeadScore(_) => "set_lead_score",
            Self::SyncFirmographics(_) => "sync_firmographics",
            Self::UpdateLeadStatus(_) => "update_lead_status",
            Self::MatchAccount(_) => "match_account",
            Self::ConvertLead(_) => "convert_lead",
            Self::CreateTask(_) => "create_task",
            Self::LogActivity(_) => "log_activity",
            Self::CreateContact(_) => "create_contact",
            Self::CreateOpportunity(_) => "create_opportunity",
            Self::UpdateOpportunityStage(_) => "update_opportunity_stage",
            Self::ReassignTask(_) => "reassign_task",
        }
    }

    /// The kind of record that the action writes.
    pub fn object(&self) -> Object {
        match self {
            Self::UpsertLead(_)
            | Self::CreateLead(_)
            | Self::SetLeadScore(_)
            | Self::SyncFirmographics(_)
            | Self::UpdateLeadStatus(_)
            | Self::MatchAccount(_)
            | Self::ConvertLead(_) => Object::Lead,
            Self::CreateTask(_) | Self::ReassignTask(_) => Object::Task,
            Self::LogActivity(_) => Object::Activity,
            Self::CreateContact(_) => Object::Contact,
            Self::CreateOpportunity(_) | Self::UpdateOpportunityStage(_) => Object::Opportunity,
        }
    }

    /// How the action treats that record.
    pub fn mode(&self) -> Mode {
        match self {
            Self::UpsertLead(_) => Mode::Upsert,
            Self::CreateLead(_)
            | Self::CreateTask(_)
            | Self::LogActivity(_)
            | Self::CreateContact(_)
            | Self::CreateOpportunity(_) => Mode::Create,
            Self::SetLeadScore(_)
            | Self::SyncFirmographics(_)
            | Self::UpdateLeadStatus(_)
            | Self::MatchAccount(_)
            | Self::ConvertLead(_)
            | Self::UpdateOpportunityStage(_)
            | Self::ReassignTask(_) => Mode::Update,
        }
    }

    /// The owner that the action sets on its record, as the CRM's user id. None if the action sets no owner.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::UpsertLead(details) | Self::CreateLead(details) => details.owner.as_ref().map(Text::expose),
            Self::CreateTask(task) => task.owner.as_ref().map(Text::expose),
            Self::ReassignTask(task) => Some(task.owner.expose()),
            _ => None,
        }
    }

    /// The fields that the action writes, by our names, and the facts it carries, by their paths. The
    /// record's external id is not included.
    pub fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut fields)) => {
                fields.remove("kind");
                // This parameter identifies the record and is not a field of it.
                match self {
                    Self::UpdateOpportunityStage(_) => fields.remove("opportunity"),
                    Self::ReassignTask(_) => fields.remove("task"),
                    _ => None,
                };
                if let Some(Value::Object(facts)) = fields.remove("facts") {
                    fields.extend(facts);
                }
                fields
            }
            _ => Map::new(), // texts and numbers in a struct always serialise, as an object
        }
    }
}

/// An action with its position in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlannedAction {
    /// The permanent id of the effect.
    pub action_id: ActionId,
    /// The action's position in the plan, from 0.
    pub position: u32,
    /// The action.
    pub action: Action,
}

impl PlannedAction {
    /// The external id of the record that this action writes: the lead's id for the lead's own record, the
    /// action's id for any other record it creates.
    pub fn external_id<'a>(&'a self, lead: &'a LeadId) -> &'a str {
        match &self.action {
            Action::UpdateOpportunityStage(update) => update.opportunity.as_str(),
            Action::ReassignTask(update) => update.task.as_str(),
            action if action.object() == Object::Lead => lead.as_str(),
            _ => self.action_id.as_str(),
        }
    }

    pub(crate) fn new(action_id: ActionId, position: u32, action: Action) -> Self {
        Self { action_id, position, action }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::full_plan;

    fn actions() -> Vec<Action> {
        full_plan().actions.into_iter().map(|planned| planned.action).collect()
    }

    #[test]
    fn actions_round_trip_through_json_with_their_kind_as_tag() {
        let mut kinds = Vec::new();
        for action in actions() {
            let json = serde_json::to_value(&action).unwrap();
            assert_eq!(json["kind"], action.kind());
            assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action);
            kinds.push(action.kind());
        }
        assert_eq!(kinds, Action::KINDS);
    }

    #[test]
    fn unknown_or_out_of_bounds_parameters_are_refused() {
        let long = format!(r#"{{"kind":"convert_lead","converted_status":"{}"}}"#, "x".repeat(41));
        for json in [
            r#"{"kind":"delete_lead"}"#,
            r#"{"kind":"update_lead_status","status":"working","owner":"me"}"#,
            r#"{"kind":"update_lead_status","status":"Working'; --"}"#,
            r#"{"kind":"convert_lead","converted_status":"a\u0000b"}"#,
            r#"{"kind":"match_account","account_domain":7}"#,
            r#"{"kind":"update_opportunity_stage","opportunity":"../Account/1","stage":"Closed"}"#,
            &long,
        ] {
            assert!(serde_json::from_str::<Action>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn hidden_characters_of_a_campaign_are_not_written() {
        // A lead stored by an older version, which accepted hidden characters.
        let stored = json!({"email": "ann@example.com", "campaign_id": "launch\u{202e}gnp.exe\u{202c}"});
        let lead: lead::Lead = serde_json::from_value(stored).unwrap();
        let Action::UpsertLead(details) = actions().swap_remove(0) else { panic!("the first action") };
        let action = Action::UpsertLead(LeadDetails { campaign_id: lead.campaign_id, ..details });
        assert_eq!(action.fields()["campaign_id"], "launchgnp.exe");
    }

    #[test]
    fn debug_output_holds_nothing_personal() {
        let text = format!("{:?}", actions());
        for personal in ["ann@", "Ann", "O'Brien", "555", "Head of", "Drop Table"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
}
