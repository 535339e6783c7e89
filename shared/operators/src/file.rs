//! The format of an operators file.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::error::Mistake;
use crate::name::OperatorName;
use crate::scope::{Scope, Scopes};
use crate::token::{HashError, TokenHash, contains_token};

const SYNTAX: &str = "docs/security.md has an example of the file";
const NO_TOKEN: &str = "the file holds the SHA-256 of each token and never the token: \
                        `revenueflow operators add` makes both";
const SHA256: &str = "the SHA-256 has 64 hexadecimal digits; `revenueflow operators add` prints it";
const TIME: &str = "write a time without quotes and with its zone, such as 2027-01-31T00:00:00Z, or a day, such as \
     2027-01-31, which is its beginning in UTC";

/// The operators of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operators(Vec<Operator>);

/// A person or a program that uses the HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name; unique in the file.
    pub name: OperatorName,
    /// The permissions.
    pub scopes: Scopes,
    /// The end of all tokens, if there is one.
    pub expires: Option<Timestamp>,
    /// The tokens, each of which is valid; none if the operator has no access.
    pub tokens: Vec<Token>,
}

/// A token of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 of the token.
    pub hash: TokenHash,
    /// The end of this token, if it has one of its own.
    pub expires: Option<Timestamp>,
}

impl Operator {
    /// The end of a token: its own or the operator's, the earlier of the two.
    pub fn end_of(&self, token: &Token) -> Option<Timestamp> {
        token.expires.into_iter().chain(self.expires).min()
    }
}

impl Operators {
    /// Parses and checks the text of an operators file.
    ///
    /// # Errors
    ///
    /// Names the line of the first mistake.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut operators: Vec<Operator> = Vec::new();
        let mut hashes = BTreeSet::new();
        for entry in read(text)?.operator {
            let name_at = entry.name.span();
            let operator = entry.checked(text, &mut hashes)?;
            if operators.iter().any(|earlier| earlier.name == operator.name) {
                let problem = format!("a second operator is named {}", operator.name);
                let hint = "an operator may have several tokens: token_sha256 is a list";
                return Err(Mistake::at(text, Some(name_at), problem, hint));
            }
            operators.push(operator);
        }
        Ok(Self(operators))
    }

    /// The operators, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Operator> {
        self.0.iter()
    }

    /// The operator with this name.
    pub fn find(&self, name: &OperatorName) -> Option<&Operator> {
        self.iter().find(|operator| operator.name == *name)
    }

    /// The same operators without one of them.
    pub(crate) fn without(&self, name: &OperatorName) -> Self {
        Self(self.iter().filter(|operator| operator.name != *name).cloned().collect())
    }

    /// The same operators and another one.
    pub(crate) fn with(&self, operator: Operator) -> Self {
        Self(self.iter().cloned().chain([operator]).collect())
    }

    /// The same operators, one of them with other tokens.
    pub(crate) fn with_tokens(&self, name: &OperatorName, tokens: &[Token]) -> Self {
        let mut operators = self.clone();
        for operator in operators.0.iter_mut().filter(|operator| operator.name == *name) {
            operator.tokens = tokens.to_vec();
        }
        operators
    }

    /// The operator whose token has this hash. Compares with every token, in constant time.
    pub(crate) fn holder(&self, hash: &TokenHash) -> Option<(&Operator, &Token)> {
        let mut found = None;
        for operator in &self.0 {
            for token in &operator.tokens {
                if token.hash.is(hash) {
                    found = Some((operator, token));
                }
            }
        }
        found
    }

    /// The operator who has this token.
    pub fn holder_of(&self, token: &str) -> Option<&OperatorName> {
        self.holder(&TokenHash::of(token)).map(|(operator, _)| &operator.name)
    }
}

/// The text, as TOML with the places of its values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) operator: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: Spanned<String>,
    scopes: Spanned<Vec<Spanned<String>>>,
    expires: Option<Spanned<Value>>,
    pub(crate) token_sha256: Spanned<Vec<Spanned<Value>>>,
}

/// Parses the text without checking the values.
pub(crate) fn read(text: &str) -> Result<File, Mistake> {
    toml::from_str(text).map_err(|error| {
        // The parser quotes values of a wrong type.
        if contains_token(error.message()) {
            return Mistake::at(text, error.span(), "a token is in the file", NO_TOKEN);
        }
        let problem = error.message().lines().collect::<Vec<_>>().join(" ");
        Mistake::at(text, error.span(), problem, SYNTAX)
    })
}

impl Entry {
    fn checked(self, text: &str, hashes: &mut BTreeSet<String>) -> Result<Operator, Mistake> {
        let name: OperatorName = self.name.get_ref().parse().map_err(|error: crate::NameError| {
            Mistake::at(text, Some(self.name.span()), error.to_string(), SYNTAX)
        })?;
        let scopes = scopes(text, &self.scopes)?;
        let expires =
            self.expires.as_ref().map(|value| time(text, value.get_ref(), value.span())).transpose()?;
        let mut tokens = Vec::new();
        for value in self.token_sha256.get_ref() {
            let token = token(text, value)?;
            if !hashes.insert(token.hash.to_string()) {
                let hint =
                    "each operator needs a token of its own, so that the audit trail names the right one";
                return Err(Mistake::at(text, Some(value.span()), "a second token has this hash", hint));
            }
            tokens.push(token);
        }
        Ok(Operator { name, scopes, expires, tokens })
    }
}

fn scopes(text: &str, given: &Spanned<Vec<Spanned<String>>>) -> Result<Scopes, Mistake> {
    let mut scopes = Vec::new();
    for word in given.get_ref() {
        let scope = word.get_ref().parse::<Scope>().map_err(|error| {
            Mistake::at(text, Some(word.span()), format!("scope {:?}: {error}", word.get_ref()), SYNTAX)
        })?;
        scopes.push(scope);
    }
    if scopes.is_empty() {
        let hint = "name at least one scope, or remove the operator";
        return Err(Mistake::at(text, Some(given.span()), "scopes is empty", hint));
    }
    Ok(scopes.into_iter().collect())
}

/// A token is a hash, or a table of its hash and its end.
fn token(text: &str, value: &Spanned<Value>) -> Result<Token, Mistake> {
    let refused = |problem: &str, hint| Mistake::at(text, Some(value.span()), problem, hint);
    let (hash, expires) = match value.get_ref() {
        Value::String(hash) => (hash, None),
        Value::Table(table) => {
            let Some(Value::String(hash)) = table.get("sha256") else {
                return Err(refused("the token has no sha256", SHA256));
            };
            if table.keys().any(|key| !matches!(key.as_str(), "sha256" | "expires")) {
                return Err(refused("a token has sha256 and expires, and nothing else", SYNTAX));
            }
            (hash, table.get("expires"))
        }
        _ => return Err(refused("a token is a text, or a table of sha256 and expires", SHA256)),
    };
    let hash = TokenHash::parse(hash).map_err(|error| match error {
        HashError::IsToken => refused("a token is in the file", NO_TOKEN),
        HashError::Malformed => refused("the text is no SHA-256", SHA256),
    })?;
    let expires = expires.map(|expires| time(text, expires, value.span())).transpose()?;
    Ok(Token { hash, expires })
}

/// A time with its zone, or the beginning of a day in UTC.
fn time(text: &str, value: &Value, at: Range<usize>) -> Result<Timestamp, Mistake> {
    let written = match value {
        Value::Datetime(time) if time.offset.is_some() => time.to_string(),
        Value::Datetime(day) if day.time.is_none() => format!("{day}T00:00:00Z"),
        _ => return Err(Mistake::at(text, Some(at), "expires is no time", TIME)),
    };
    written.parse().map_err(|_| Mistake::at(text, Some(at), "expires is no time", TIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::NewToken;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn operator_may_have_several_tokens_with_ends() {
        let text = format!(
            "# the team\n[[operator]]\nname = \"ann\"\nscopes = [\"read\", \"review\"]\nexpires = 2027-03-01\n\
             token_sha256 = [\n  \"{A}\", # laptop\n  {{ sha256 = \"{B}\", expires = 2027-02-01T12:00:00+02:00 }},\n]\n"
        );
        let operators = Operators::parse(&text).unwrap();
        let ann = operators.find(&"ann".parse().unwrap()).unwrap();
        assert_eq!(ann.scopes.iter().collect::<Vec<_>>(), [Scope::Read, Scope::Review]);
        let ends: Vec<_> = ann.tokens.iter().map(|token| ann.end_of(token).unwrap().to_string()).collect();
        assert_eq!(ends, ["2027-03-01T00:00:00Z", "2027-02-01T10:00:00Z"]);
        assert_eq!(Operators::parse("# nobody yet\n").unwrap(), Operators::default());
    }

    #[test]
    fn documented_example_is_valid() {
        let page = include_str!("../../../docs/security.md");
        let (_, example) = page.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        assert_eq!(Operators::parse(example).unwrap().iter().map(|ann| ann.tokens.len()).sum::<usize>(), 2);
    }

    #[test]
    fn mistake_has_its_line_and_a_hint() {
        let ann = |name: &str, scopes: &str, rest: &str| {
            format!("\n[[operator]]\nname = \"{name}\"\nscopes = {scopes}\n{rest}\n")
        };
        let good = format!("token_sha256 = [\"{A}\"]");
        let token = NewToken::random();
        for (text, line, problem) in [
            (ann("Ann", "[\"read\"]", &good), 3, "lower-case"),
            (ann("admin", "[\"read\"]", &good), 3, "reserved"),
            (ann("ann", "[\"raed\"]", &good), 4, "scope \"raed\": must be one of read,"),
            (ann("ann", "[]", &good), 4, "empty"),
            (ann("ann", "[\"read\"]", "token_sha256 = [\"abc\"]"), 5, "no SHA-256"),
            (ann("ann", "[\"read\"]", "token_sha256 = [7]"), 5, "a token is a text"),
            (ann("ann", "[\"read\"]", &format!("token_sha256 = [\"{A}\", \"{A}\"]")), 5, "a second token"),
            (ann("ann", "[\"read\"]", &format!("{good}\nexpires = \"2027-01-01\"")), 6, "expires is no time"),
            (ann("ann", "[\"read\"]", &format!("{good}\nexpires = 2027-01-01T00:00:00")), 6, "no time"),
            (ann("ann", "[\"read\"]", &format!("{good}\nscope = 1")), 6, "unknown field `scope`"),
            (ann("ann", "[\"read\"]", ""), 2, "missing field `token_sha256`"),
            (
                format!(
                    "{}{}",
                    ann("ann", "[\"read\"]", &good),
                    ann("ann", "[\"read\"]", "token_sha256 = []")
                ),
                8,
                "a second operator is named ann",
            ),
            (
                ann("ann", "[\"read\"]", &format!("token_sha256 = [\"{}\"]", token.expose())),
                5,
                "a token is in",
            ),
            (ann("ann", "[\"read\"]", &format!("token_sha256 = \"{}\"", token.expose())), 5, "a token is in"),
            ("[[operator]\n".to_owned(), 1, ""),
        ] {
            let mistake = Operators::parse(&text).unwrap_err();
            assert!(mistake.line == line && mistake.problem.contains(problem), "{mistake}\n{text}");
            assert!(!mistake.hint.is_empty() && !mistake.problem.contains(token.expose()), "{mistake}");
        }
    }
}
