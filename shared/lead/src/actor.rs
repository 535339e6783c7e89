use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The author of an act: an operator, a user of the command line, or a part of the system. It is in the audit
/// trail.
///
/// - An operator is its authenticated name, such as `ann` or `salesforce-flow`.
/// - A user of the command line, which works on the database directly, is `local:` and the user's name.
/// - A part of the system that acts by itself is `system:` and its name.
///
/// No operator can take the name of a local user or of a part of the system: a name has no colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 64, pattern = r"^((local|system):)?[A-Za-z0-9._-]{1,58}$")]
pub struct Actor(Cow<'static, str>);

/// The text is not the name of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 64 characters, each a letter (a-z, A-Z), a digit, `.`, `_` or `-`")]
pub struct ActorError;

const LOCAL: &str = "local:";
const SYSTEM: &str = "system:";

impl Actor {
    /// The longest text of an actor, in characters, with its prefix.
    pub const MAX_CHARS: usize = 64;

    /// The operator with all rights.
    pub const fn admin() -> Self {
        Self(Cow::Borrowed("admin"))
    }

    /// The janitor.
    pub const fn janitor() -> Self {
        Self(Cow::Borrowed("system:janitor"))
    }

    /// An operator with this name.
    pub fn operator(name: &str) -> Result<Self, ActorError> {
        if name.len() <= Self::MAX_CHARS && is_name(name) {
            Ok(Self(Cow::Owned(name.to_owned())))
        } else {
            Err(ActorError)
        }
    }

    /// The user of the command line with this name on the machine. Characters that a name may not have become
    /// `_`.
    pub fn local(user: &str) -> Self {
        let name = user.trim().chars().map(|c| if is_allowed(c) { c } else { '_' });
        let name: String = name.take(Self::MAX_CHARS - LOCAL.len()).collect();
        Self(Cow::Owned(format!("{LOCAL}{}", if name.is_empty() { "unknown" } else { &name })))
    }

    /// The actor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_allowed)
}

/// Reads any form, as it is stored.
impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        let name = text.strip_prefix(LOCAL).or_else(|| text.strip_prefix(SYSTEM)).unwrap_or(text);
        if text.len() <= Self::MAX_CHARS && is_name(name) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(ActorError)
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = ActorError;

    fn try_from(text: String) -> Result<Self, ActorError> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.0.into_owned()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_cannot_pose_as_a_user_or_the_system() {
        for name in ["local:ann", "system:janitor", "", "ann smith", "ann@example.com", "ann\n", "\u{e4}nn"] {
            assert_eq!(Actor::operator(name), Err(ActorError), "{name:?}");
        }
        assert_eq!(Actor::operator(&"a".repeat(65)), Err(ActorError));
        for name in ["ann", "admin", "Salesforce_flow-2.1", &"a".repeat(64)] {
            assert_eq!(Actor::operator(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn any_name_of_a_user_becomes_a_valid_actor() {
        for (user, actor) in [
            ("ann", "local:ann"),
            ("ACME\\ann smith", "local:ACME_ann_smith"),
            ("system:x\n", "local:system_x"),
            ("", "local:unknown"),
        ] {
            assert_eq!(Actor::local(user).as_str(), actor);
        }
        assert_eq!(Actor::local(&"\u{fc}".repeat(200)).as_str().len(), Actor::MAX_CHARS);
    }

    #[test]
    fn every_actor_is_read_from_its_text() {
        let ann = Actor::operator("ann").unwrap();
        for actor in [Actor::admin(), Actor::janitor(), Actor::local("a b"), ann] {
            assert_eq!(actor.as_str().parse(), Ok(actor.clone()));
            let json = serde_json::to_string(&actor).unwrap();
            assert_eq!(serde_json::from_str::<Actor>(&json).unwrap(), actor);
        }
        for text in ["local:", "other:ann", "local:local:ann", "system:a b"] {
            assert!(serde_json::from_value::<Actor>(text.into()).is_err(), "{text}");
        }
    }
}
