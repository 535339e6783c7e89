use std::fmt;
use std::str::FromStr;

/// A permission of an operator. Each route of the HTTP interface requires one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read leads, audit trails, lists, plans and rejected bodies.
    Read,
    /// Record a response to a lead, and nothing else: for a flow of the CRM.
    Respond,
    /// Decide about held leads, and have leads judged again.
    Review,
    /// Queue dead letters again, and end pauses of consumption.
    Redrive,
    /// Change the suppression list.
    Suppress,
    /// Promote planned leads, stop and resume writes to the CRM.
    Crm,
    /// Erase a person.
    Erase,
    /// Read the metrics, and nothing else: for a scraper.
    Metrics,
    /// Act through an agent.
    Agents,
}

/// The text is not the name of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of read, respond, review, redrive, suppress, crm, erase, metrics, agents")]
pub struct UnknownScope;

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Respond,
        Self::Review,
        Self::Redrive,
        Self::Suppress,
        Self::Crm,
        Self::Erase,
        Self::Metrics,
        Self::Agents,
    ];

    /// The name of the scope, as in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Respond => "respond",
            Self::Review => "review",
            Self::Redrive => "redrive",
            Self::Suppress => "suppress",
            Self::Crm => "crm",
            Self::Erase => "erase",
            Self::Metrics => "metrics",
            Self::Agents => "agents",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// The set of all scopes.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether the set contains a scope.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes of the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            assert!(UnknownScope.to_string().contains(scope.as_str()));
            let page = include_str!("../../../docs/security.md");
            assert!(page.contains(&format!("\n| `{scope}` |")), "docs/security.md does not describe {scope}");
        }
        assert_eq!("Read".parse::<Scope>(), Err(UnknownScope));
    }

    #[test]
    fn set_has_the_collected_scopes_only() {
        let set: Scopes = [Scope::Metrics, Scope::Read, Scope::Read].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Scope::Read, Scope::Metrics]);
        assert_eq!(Scopes::all().iter().count(), Scope::ALL.len());
        assert_eq!(Scopes::default().iter().count(), 0);
    }
}
