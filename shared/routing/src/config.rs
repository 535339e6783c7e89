use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::condition::Condition;
use crate::pool::Pool;
use crate::{OwnerId, RoutingError};

/// The rules by which leads are given to people, read once at the start.
#[derive(Clone, Debug)]
pub struct Routing {
    pub(crate) version: String,
    pub(crate) owners: BTreeMap<String, Owner>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) fallback: Option<Fallback>,
}

/// Somebody who may be given leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) id: OwnerId,
    pub(crate) max_per_day: Option<u64>,
    pub(crate) max_open: Option<u64>,
}

impl Owner {
    pub(crate) fn is_capped(&self) -> bool {
        self.max_per_day.is_some() || self.max_open.is_some()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) to: Target,
    pub(crate) timer: Option<Clockwork>,
}

/// Who gets what a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// One person.
    Owner(String),
    /// Whoever's turn it is.
    Pool(String),
    /// Who has the person or the company in the CRM already.
    ExistingOwner,
    /// Nobody: its owner is left to the CRM.
    Crm,
}

/// How soon somebody is to respond, and what happens when nobody does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clockwork {
    pub(crate) respond_within: Duration,
    pub(crate) on_breach: OnBreach,
    pub(crate) max_reassignments: u32,
}

/// What happens when nobody responds in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// An alert.
    #[default]
    Alert,
    /// An alert, and the lead goes to the next member of the pool.
    Reassign,
}

impl OnBreach {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reassign => "reassign",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Alert, Self::Reassign].into_iter().find(|on_breach| on_breach.as_str() == word)
    }
}

/// Who gets what no rule takes.
#[derive(Clone, Debug)]
pub(crate) struct Fallback {
    pub(crate) owner: String,
    pub(crate) timer: Option<Clockwork>,
}

impl Routing {
    /// The shortest time to respond that a rule may give.
    pub const MIN_RESPONSE: Duration = Duration::from_mins(1);
    /// The longest.
    pub const MAX_RESPONSE: Duration = Duration::from_hours(30 * 24);

    /// Reads and checks a file's text.
    pub fn parse(text: &str) -> Result<Self, RoutingError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            RoutingError::at(text, error.span(), problem)
        })?;
        file.checked(text)
    }

    /// The routing that is part of the program: `config/routing.toml`.
    ///
    /// # Panics
    ///
    /// Never: a test reads the same text.
    pub fn default_config() -> Self {
        Self::parse(include_str!("../../../config/routing.toml"))
            .expect("the built-in routing is checked by a test")
    }

    /// The version the file gives itself.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The file as it is written.
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
