use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::RoutingError;
use crate::condition::Condition;
use crate::owner::Owner;
use crate::pool::Pool;

/// The rules that assign leads to owners. Parsed once at start-up.
#[derive(Clone, Debug)]
pub struct Routing {
    pub(crate) version: String,
    pub(crate) owners: BTreeMap<String, Owner>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) fallback: Option<Fallback>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) to: Target,
    pub(crate) timer: Option<ResponseTimer>,
}

/// The recipient of the leads that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// A single owner.
    Owner(String),
    /// The member of the pool with the next turn.
    Pool(String),
    /// The CRM's owner of the person or the company.
    ExistingOwner,
    /// No owner: the CRM's own assignment decides.
    Crm,
}

/// The response deadline of a rule, and the reaction to a missed deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseTimer {
    pub(crate) respond_within: Duration,
    pub(crate) on_breach: OnBreach,
    pub(crate) max_reassignments: u32,
}

/// The reaction to a missed response deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// Raise an alert.
    #[default]
    Alert,
    /// Raise an alert and assign the lead to the next member of the pool.
    Reassign,
}

impl OnBreach {
    /// The value in the routing file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reassign => "reassign",
        }
    }

    /// Parses a value of the routing file.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Alert, Self::Reassign].into_iter().find(|on_breach| on_breach.as_str() == word)
    }
}

/// The owner of the leads that no rule assigns.
#[derive(Clone, Debug)]
pub(crate) struct Fallback {
    pub(crate) owner: String,
    pub(crate) timer: Option<ResponseTimer>,
}

impl Routing {
    /// Minimum of `respond_within`.
    pub const MIN_RESPONSE: Duration = Duration::from_mins(1);
    /// Maximum of `respond_within`.
    pub const MAX_RESPONSE: Duration = Duration::from_hours(30 * 24);

    /// Parses and validates the text of a routing file.
    ///
    /// # Errors
    ///
    /// When the text is not valid. Names the line and the rule.
    pub fn parse(text: &str) -> Result<Self, RoutingError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            RoutingError::at(text, error.span(), problem)
        })?;
        file.checked(text)
    }

    /// The built-in routing, `config/routing.toml`.
    ///
    /// # Panics
    ///
    /// Never: a test parses the same text.
    pub fn default_config() -> Self {
        Self::parse(include_str!("../../../config/routing.toml"))
            .expect("the built-in routing is checked by a test")
    }

    /// The `version` of the routing file.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The routing file before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) version: Spanned<String>,
    pub(crate) fallback: Option<Spanned<FallbackEntry>>,
    #[serde(default)]
    pub(crate) owners: BTreeMap<String, Spanned<Owner>>,
    #[serde(default)]
    pub(crate) pools: BTreeMap<String, Spanned<Pool>>,
    #[serde(default)]
    pub(crate) rules: Vec<Spanned<RuleEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FallbackEntry {
    pub(crate) owner: String,
    pub(crate) respond_within: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleEntry {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) when: Condition,
    pub(crate) to: Target,
    pub(crate) respond_within: Option<String>,
    pub(crate) on_breach: Option<OnBreach>,
    pub(crate) max_reassignments: Option<u32>,
}
