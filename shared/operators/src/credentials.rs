//! The credentials that the HTTP interface accepts.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use lead::Actor;
use secrecy::{ExposeSecret as _, SecretString};

use crate::file::Operators;
use crate::scope::{Scope, Scopes};
use crate::token::TokenHash;

/// `ADMIN_TOKEN` and the operators of the file. Clones share the operators, which can be replaced while
/// requests are answered.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    admin: Option<TokenHash>,
    /// Absent without an operators file.
    operators: Option<Arc<RwLock<Arc<Operators>>>>,
}

/// A caller of the HTTP interface, with the routes that it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    actor: Actor,
    scopes: Scopes,
}

/// The reason that a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request has no bearer token, or several.
    MissingToken,
    /// No operator has the token.
    UnknownToken,
    /// The token has expired.
    ExpiredToken,
}

impl Credentials {
    /// `ADMIN_TOKEN`, and the operators of `OPERATORS_FILE`. With neither, no request needs a token.
    pub fn new(admin: Option<&SecretString>, operators: Option<Operators>) -> Self {
        Self {
            admin: admin.map(|token| TokenHash::of(token.expose_secret())),
            operators: operators.map(|operators| Arc::new(RwLock::new(Arc::new(operators)))),
        }
    }

    /// Whether requests need a token. A file without operators admits none, rather than all.
    pub fn are_required(&self) -> bool {
        self.admin.is_some() || self.operators.is_some()
    }

    /// The operator who has a token. Compares with every token, in constant time.
    ///
    /// # Errors
    ///
    /// When the token is missing, unknown or expired.
    pub fn authenticate(&self, token: Option<&str>, now: Timestamp) -> Result<Identity, Refusal> {
        let hash = TokenHash::of(token.ok_or(Refusal::MissingToken)?);
        let operators = self.operators.as_ref().map(|shared| {
            let operators = shared.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&operators)
        });
        let named = operators.as_ref().and_then(|operators| operators.holder(&hash));
        let is_admin = self.admin.as_ref().is_some_and(|admin| admin.is(&hash));
        match named {
            Some((operator, token)) if operator.end_of(token).is_none_or(|end| now < end) => {
                Ok(Identity { actor: operator.name.to_actor(), scopes: operator.scopes })
            }
            Some(_) => Err(Refusal::ExpiredToken),
            None if is_admin => Ok(Identity { actor: Actor::admin(), scopes: Scopes::all() }),
            None => Err(Refusal::UnknownToken),
        }
    }

    /// Replaces the operators of the file, if there is one.
    pub fn replace(&self, operators: Operators) {
        if let Some(shared) = &self.operators {
            *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(operators);
        }
    }
}

impl Identity {
    /// A client on this machine, of a server without credentials. It may use every route.
    pub fn local() -> Self {
        Self { actor: Actor::local("http"), scopes: Scopes::all() }
    }

    /// The authenticated actor: the operator, or `admin` for the holder of `ADMIN_TOKEN`.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether the caller may use a route with this scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }
}

impl Refusal {
    /// The code, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::UnknownToken => "unknown_token",
            Self::ExpiredToken => "expired_token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::NewToken;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn ann(token: &NewToken, rest: &str) -> Operators {
        let hash = token.hash();
        Operators::parse(&format!(
            "[[operator]]\nname = \"ann\"\nscopes = [\"respond\"]\ntoken_sha256 = [\"{hash}\"]\n{rest}"
        ))
        .unwrap()
    }

    #[test]
    fn token_has_the_scopes_of_its_operator_until_it_expires() {
        let token = NewToken::random();
        let admin = SecretString::from("an-admin-token-of-some-length");
        let credentials = Credentials::new(Some(&admin), Some(ann(&token, "expires = 2027-01-01")));
        let before = at("2026-12-31T23:59:59Z");
        let identity = credentials.authenticate(Some(token.expose()), before).unwrap();
        assert_eq!(identity.actor().as_str(), "ann");
        assert!(identity.may(Scope::Respond) && !identity.may(Scope::Read));
        let expired = credentials.authenticate(Some(token.expose()), at("2027-01-01T00:00:00Z"));
        assert_eq!(expired, Err(Refusal::ExpiredToken));
        let admin = credentials.authenticate(Some(admin.expose_secret()), before).unwrap();
        assert!(*admin.actor() == Actor::admin() && Scope::ALL.iter().all(|scope| admin.may(*scope)));
        for (wrong, refusal) in [
            (None, Refusal::MissingToken),
            (Some(""), Refusal::UnknownToken),
            (Some("rfop_"), Refusal::UnknownToken),
            (Some(&*token.hash().to_string()), Refusal::UnknownToken),
        ] {
            assert_eq!(credentials.authenticate(wrong, before), Err(refusal), "{wrong:?}");
        }
    }

    #[test]
    fn replaced_operators_are_in_force_for_every_clone() {
        let (old, new) = (NewToken::random(), NewToken::random());
        let credentials = Credentials::new(None, Some(ann(&old, "")));
        let clone = credentials.clone();
        credentials.replace(ann(&new, ""));
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(clone.authenticate(Some(old.expose()), now), Err(Refusal::UnknownToken));
        assert!(clone.authenticate(Some(new.expose()), now).is_ok());
    }

    #[test]
    fn empty_file_admits_nobody() {
        let credentials = Credentials::new(None, Some(Operators::default()));
        assert!(credentials.are_required());
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(credentials.authenticate(Some("x"), now), Err(Refusal::UnknownToken));
        assert!(!Credentials::default().are_required());
    }
}
