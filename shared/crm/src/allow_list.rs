use std::collections::{BTreeMap, BTreeSet};

use lead::Failure;
use serde::{Deserialize, Serialize};

use crate::{Action, Object, Plan};

/// The allowed actions, and the fields that they may write.
///
/// The default is the file `allow-list.toml` of this crate: every action that the product takes on its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowList {
    actions: BTreeSet<String>,
    fields: BTreeMap<Object, BTreeSet<String>>,
}

/// The reason that a text is not a valid allow-list.
#[derive(Debug, thiserror::Error)]
pub enum AllowListError {
    /// The text is not TOML, or has the wrong structure.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// It names an action or a field that does not exist, which is a typing error that would otherwise have
    /// no visible effect.
    #[error("`{0}` is not the name of an action or of a field of that object")]
    Unknown(String),
}

impl AllowList {
    /// Parses an allow-list in the format of the default one.
    pub fn parse(text: &str) -> Result<Self, AllowListError> {
        let list: Self = toml::from_str(text)?;
        let known = Self::default();
        if let Some(action) = list.actions.iter().find(|name| !Action::KINDS.contains(&name.as_str())) {
            return Err(AllowListError::Unknown(action.clone()));
        }
        for (object, fields) in &list.fields {
            if let Some(field) = fields.iter().find(|field| !known.allows_field(*object, field)) {
                return Err(AllowListError::Unknown(format!("{}.{field}", object.as_str())));
            }
        }
        Ok(list)
    }

    /// Checks an action and all of its fields.
    pub(crate) fn check(&self, action: &Action) -> Result<(), Failure> {
        let kind = action.kind();
        if !self.actions.contains(kind) {
            return Err(Failure::permanent(
                "action_not_allowed",
                format!("the allow-list does not name `{kind}`"),
            ));
        }
        let object = action.object();
        match action.fields().keys().find(|field| !self.allows_field(object, field)) {
            None => Ok(()),
            Some(field) => Err(Failure::permanent(
                "field_not_allowed",
                format!("`{kind}` writes {}.{field}, which the allow-list does not name", object.as_str()),
            )),
        }
    }

    /// A fact has a dot in its path, and is allowed by its namespace: `marketo.*`.
    fn allows_field(&self, object: Object, field: &str) -> bool {
        let name = field.split_once('.').map(|(namespace, _)| format!("{namespace}.*"));
        self.fields.get(&object).is_some_and(|fields| fields.contains(name.as_deref().unwrap_or(field)))
    }
}

impl Default for AllowList {
    fn default() -> Self {
        toml::from_str(include_str!("../allow-list.toml")).expect("the built-in allow-list is tested")
    }
}

/// The guard's review of one action of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Review {
    /// The action's position in the plan.
    pub position: u32,
    /// The action's kind.
    pub kind: String,
    /// The refusal. Absent if the action is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Failure>,
}

/// Reviews every action of a plan, without executing any.
pub(crate) fn review(plan: &Plan, allow: &AllowList, largest_plan: u32) -> Vec<Review> {
    let mut ids = BTreeSet::new();
    plan.actions
        .iter()
        .map(|planned| {
            let verdict = if planned.position >= largest_plan {
                // A deferral would never end, since the plan can never fit the limit.
                Err(Failure::permanent(
                    "plan_too_large",
                    format!("a plan may have at most {largest_plan} actions"),
                ))
            } else if ids.insert(&planned.action_id) {
                allow.check(&planned.action)
            } else {
                Err(Failure::permanent(
                    "duplicate_action",
                    format!("the plan has `{}` twice for the same effect", planned.action.kind()),
                ))
            };
            Review {
                position: planned.position,
                kind: planned.action.kind().to_owned(),
                refusal: verdict.err(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::full_plan;

    fn refusals(allow: &AllowList, largest_plan: u32) -> Vec<(String, String)> {
        let reviews = review(&full_plan(), allow, largest_plan);
        reviews.into_iter().filter_map(|r| Some((r.kind, r.refusal?.code.into_owned()))).collect()
    }

    #[test]
    fn default_list_allows_all_actions_except_irreversible_ones() {
        assert_eq!(
            refusals(&AllowList::default(), 100),
            [("convert_lead".to_owned(), "action_not_allowed".to_owned())]
        );
    }

    #[test]
    fn default_list_names_exactly_the_existing_fields() {
        let mut written: BTreeMap<Object, BTreeSet<String>> = BTreeMap::new();
        for planned in full_plan().actions {
            let fields = planned.action.fields();
            let names = fields.keys().filter(|name| !name.contains('.')).cloned();
            written.entry(planned.action.object()).or_default().extend(names);
        }
        let facts = ["computed", "enrichment", "marketo", "product", "salesforce"];
        written.entry(Object::Lead).or_default().extend(facts.map(|namespace| format!("{namespace}.*")));
        assert_eq!(AllowList::default().fields, written);
        assert!(AllowList::parse(include_str!("../allow-list.toml")).is_ok());
    }

    #[test]
    fn action_with_a_disallowed_field_is_refused() {
        let text = include_str!("../allow-list.toml").replace("\"phone\",\n", "");
        let refused = refusals(&AllowList::parse(&text).unwrap(), 100);
        let kinds: Vec<_> = refused
            .iter()
            .filter(|(_, code)| code == "field_not_allowed")
            .map(|(kind, _)| kind.as_str())
            .collect();
        assert_eq!(kinds, ["upsert_lead", "create_lead"]);
    }

    #[test]
    fn unknown_names_in_a_list_are_errors() {
        let of = |text: &str| AllowList::parse(text).unwrap_err().to_string();
        assert!(of("actions = ['upsert_leed']\n[fields]").contains("`upsert_leed`"));
        assert!(of("actions = []\n[fields]\nlead = ['emial']").contains("`lead.emial`"));
        assert!(AllowList::parse("actions = []\n[fields]\nleads = []").is_err());
        assert!(AllowList::parse("actions = []\n[feilds]").is_err());
    }

    #[test]
    fn plan_larger_than_the_limits_is_refused_not_deferred() {
        let refused = refusals(&AllowList::default(), 10);
        assert_eq!(refused.last().unwrap(), &("reassign_task".to_owned(), "plan_too_large".to_owned()));
        assert_eq!(refused.iter().filter(|(_, code)| code == "plan_too_large").count(), 3);
    }

    #[test]
    fn the_same_effect_twice_in_a_plan_is_refused() {
        let plan = full_plan();
        let task = plan.actions[7].action.clone();
        let twice = Plan::new(plan.lead_id, plan.delivery_id, 1, None, vec![task.clone(), task]);
        let reviews = review(&twice, &AllowList::default(), 100);
        assert_eq!(reviews[0].refusal, None);
        assert_eq!(reviews[1].refusal.as_ref().unwrap().code, "duplicate_action");
    }
}
