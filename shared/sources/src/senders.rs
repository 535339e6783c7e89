use std::fmt;

use http::HeaderMap;
use intake::{AuthError, Authenticator, MIN_SECRET_CHARS, MessageId, Proof};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};

use crate::Sources;
use crate::error::SourcesError;
use crate::signature::{Scheme, Signable};
use crate::source::{ProofKind, Source};

/// The sources with their secrets. Its `Debug` output shows no secret.
pub struct Senders(Vec<Entrance>);

/// A source and the check of its proof.
struct Entrance {
    source: Source,
    check: Check,
}

enum Check {
    Token(Authenticator),
    Query { authenticator: Authenticator, parameter: String },
    Signed { scheme: Box<Scheme>, keys: Vec<SecretString> },
}

/// The source of a request.
#[derive(Debug)]
pub struct Authenticated<'s> {
    /// The source whose secret the request has.
    pub source: &'s Source,
    /// The signed id of the message, equal in every retry.
    pub message_id: Option<MessageId>,
    /// Whether the request proved itself, so that an id in its body can be trusted.
    pub is_proved: bool,
}

/// The reason why a request has no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No source has the path.
    #[error("no source has this path")]
    UnknownPath,
    /// The request has no valid proof of a source at the path.
    #[error(transparent)]
    Unauthorized(#[from] AuthError),
}

impl Senders {
    /// The sources with the secrets that `secrets` returns for the variable of each: one or several,
    /// separated by commas.
    ///
    /// # Errors
    /// When the secrets of a source are missing, too short or not valid.
    pub fn new(
        sources: &Sources,
        secrets: impl Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, SourcesError> {
        let entrance = |source: &Source| {
            let error = |problem: String| SourcesError {
                line: source.line,
                source_name: Some(source.name.as_str().to_owned()),
                problem,
            };
            let text = secrets(&source.secrets)
                .ok_or_else(|| error(format!("{} must be set to its secrets", source.secrets)))?;
            let items = text.expose_secret().split(',').map(str::trim).filter(|item| !item.is_empty());
            let items: Vec<_> = items.map(|item| SecretString::from(item.to_owned())).collect();
            let check = Check::new(source, items)
                .map_err(|problem| error(format!("{}: {problem}", source.secrets)))?;
            Ok(Entrance { source: source.clone(), check })
        };
        sources.iter().map(entrance).collect::<Result<_, _>>().map(Self)
    }

    /// The unnamed source, which accepts every request. Only for a server that listens on loopback, which the
    /// server has to ensure.
    pub fn open() -> Self {
        Self::unnamed(Authenticator::open())
    }

    /// The unnamed source with its secrets.
    pub fn unnamed(authenticator: Authenticator) -> Self {
        Self(vec![Entrance { source: Source::unnamed(), check: Check::Token(authenticator) }])
    }

    /// The sources.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().map(|entrance| &entrance.source)
    }

    /// Checks the head of a request before its body is read. A request that passes may still fail in
    /// [`authenticate`](Self::authenticate).
    ///
    /// # Errors
    /// When no source at the path could have sent the request.
    pub fn precheck(
        &self,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.first(path, |entrance| entrance.check.precheck(query, headers, now))
    }

    /// The source of a request.
    ///
    /// # Errors
    /// When the request has no valid proof of a source at the path.
    pub fn authenticate(
        &self,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Authenticated<'_>, Refusal> {
        self.first(path, |entrance| entrance.authenticate(query, headers, body, now))
    }

    /// The first success of the sources at a path, or the first failure.
    fn first<'s, T>(
        &'s self,
        path: &str,
        check: impl Fn(&'s Entrance) -> Result<T, AuthError>,
    ) -> Result<T, Refusal> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut refusal = Refusal::UnknownPath;
        for entrance in self.0.iter().filter(|entrance| path.ends_with(&entrance.source.path)) {
            match check(entrance) {
                Ok(success) => return Ok(success),
                Err(error) if refusal == Refusal::UnknownPath => refusal = error.into(),
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

impl Entrance {
    fn authenticate<'s>(
        &'s self,
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Authenticated<'s>, AuthError> {
        let (message_id, is_proved) = match &self.check {
            Check::Token(authenticator) => match authenticator.authenticate(headers, body, now)? {
                Proof::None => (None, false),
                Proof::Token => (None, true),
                Proof::Signature(id) => (Some(id), true),
            },
            Check::Query { authenticator, parameter } => {
                check_query(authenticator, parameter, query)?;
                (None, true)
            }
            Check::Signed { scheme, keys } => {
                scheme.verify(keys, Signable { headers, url: &self.source.url, body }, now)?;
                (None, true)
            }
        };
        Ok(Authenticated { source: &self.source, message_id, is_proved })
    }
}

impl Check {
    fn new(source: &Source, secrets: Vec<SecretString>) -> Result<Self, String> {
        let tokens = |secrets| Authenticator::new(secrets).map_err(|error| error.to_string());
        Ok(match &source.proof {
            ProofKind::TokenOrStandard { header } => {
                Self::Token(tokens(secrets)?.with_token_in(header.clone()))
            }
            ProofKind::Query { parameter } => {
                Self::Query { authenticator: tokens(secrets)?, parameter: parameter.clone() }
            }
            ProofKind::Signed(scheme) => {
                if secrets.is_empty() {
                    return Err("holds no secret".to_owned());
                }
                if secrets.iter().any(|secret| secret.expose_secret().chars().count() < MIN_SECRET_CHARS) {
                    return Err(format!("a secret is shorter than {MIN_SECRET_CHARS} characters"));
                }
                Self::Signed { scheme: scheme.clone(), keys: secrets }
            }
        })
    }

    fn precheck(&self, query: Option<&str>, headers: &HeaderMap, now: Timestamp) -> Result<(), AuthError> {
        match self {
            Self::Token(authenticator) => authenticator.precheck(headers, now),
            Self::Query { authenticator, parameter } => check_query(authenticator, parameter, query),
            Self::Signed { scheme, .. } => scheme.precheck(headers, now),
        }
    }
}

fn check_query(authenticator: &Authenticator, parameter: &str, query: Option<&str>) -> Result<(), AuthError> {
    let mut tokens = query.unwrap_or_default().split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == parameter).then_some(value)
    });
    match (tokens.next(), tokens.next()) {
        (None, _) => Err(AuthError::MissingCredentials),
        (Some(token), None)
            if authenticator.accepts_token(&percent_decode_str(token).collect::<Vec<u8>>()) =>
        {
            Ok(())
        }
        (Some(_), _) => Err(AuthError::BadToken),
    }
}

impl fmt::Debug for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Source::name)).finish()
    }
}
