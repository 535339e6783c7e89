use std::fmt;
use std::str::FromStr;

use lead::Actor;

/// The longest name, in characters.
const MAX_CHARS: usize = 48;

/// Names with a meaning of their own: the holder of `ADMIN_TOKEN`, and callers without a name.
const RESERVED: [&str; 5] = ["admin", "local", "none", "system", "unknown"];

/// The name of an operator: 1 to 48 lower-case letters, digits, `.`, `_` and `-`, the first of them a letter
/// or a digit. It has no colon, so it differs from the actors `local:USER` and `system:PART`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorName(String);

/// The text cannot name an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has a wrong length or a wrong character.
    #[error(
        "a name has 1 to {MAX_CHARS} lower-case letters, digits, `.`, `_` and `-`, and begins with a letter or a digit"
    )]
    Malformed,
    /// The name has a meaning of its own.
    #[error("the name is reserved; admin is the holder of ADMIN_TOKEN")]
    Reserved,
}

impl OperatorName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The operator as an actor of the audit trail.
    pub(crate) fn to_actor(&self) -> Actor {
        Actor::operator(&self.0).expect("names of operators are a part of the names of actors")
    }
}

impl FromStr for OperatorName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=MAX_CHARS).contains(&text.len())
            && text.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte))
            && text.bytes().next().is_some_and(is_word);
        if !fits {
            Err(NameError::Malformed)
        } else if RESERVED.contains(&text) {
            Err(NameError::Reserved)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_a_restricted_alphabet() {
        for name in ["ann", "salesforce-flow", "2nd.line", "a_b", &"a".repeat(48)] {
            let name: OperatorName = name.parse().unwrap();
            assert_eq!(name.to_actor().as_str(), name.as_str());
        }
        let long = "a".repeat(49);
        for name in ["", "Ann", "-ann", ".ann", "ann smith", "local:ann", "ann@example.com", "é", &long] {
            assert_eq!(name.parse::<OperatorName>(), Err(NameError::Malformed), "{name}");
        }
        assert_eq!("admin".parse::<OperatorName>(), Err(NameError::Reserved));
    }
}
