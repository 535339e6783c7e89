//! Changes of an operators file that keep its comments and its order.
//!
//! Each change edits the text, parses the result, and compares it with the intended operators. A text that
//! the edit does not understand is therefore refused, and never damaged.

use jiff::Timestamp;

use crate::error::Mistake;
use crate::file::{self, Operator, Operators, Token};
use crate::name::OperatorName;
use crate::scope::Scopes;
use crate::token::TokenHash;

/// An operator to be added.
#[derive(Clone, Debug)]
pub struct NewOperator {
    /// The name.
    pub name: OperatorName,
    /// The permissions.
    pub scopes: Scopes,
    /// The end of all tokens, if there is one.
    pub expires: Option<Timestamp>,
    /// The hash of the first token.
    pub hash: TokenHash,
}

/// The reason that a file cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file has a mistake already.
    #[error("the file has a mistake, {0}")]
    Mistake(#[from] Mistake),
    /// The file has an operator with this name.
    #[error("the file has an operator {0} already")]
    Known(OperatorName),
    /// The file has no operator with this name.
    #[error("the file has no operator {0}")]
    Unknown(OperatorName),
    /// The file is written in a way that cannot be changed automatically.
    #[error("the file is written in a way that this command cannot change; nothing was changed")]
    Unusual,
}

impl NewOperator {
    /// The block of the file.
    pub fn block(&self) -> String {
        let scopes: Vec<_> = self.scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
        let expires = self.expires.map(|end| format!("expires = {}\n", second(end))).unwrap_or_default();
        format!(
            "[[operator]]\nname = \"{}\"\nscopes = [{}]\n{expires}token_sha256 = [\"{}\"]\n",
            self.name,
            scopes.join(", "),
            self.hash
        )
    }
}

/// The text with another operator at its end.
///
/// # Errors
///
/// When the name is in the file already, or the text cannot be changed.
pub fn add(text: &str, new: &NewOperator) -> Result<String, EditError> {
    let operators = Operators::parse(text)?;
    if operators.find(&new.name).is_some() {
        return Err(EditError::Known(new.name.clone()));
    }
    let separator = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let expected = operators.with(Operator {
        name: new.name.clone(),
        scopes: new.scopes,
        expires: new.expires.map(whole_seconds),
        tokens: vec![Token { hash: new.hash.clone(), expires: None }],
    });
    checked(format!("{text}{separator}{}", new.block()), &expected)
}

/// The text without an operator. Comments above its block stay.
///
/// # Errors
///
/// When the name is not in the file, or the text cannot be changed.
pub fn revoke(text: &str, name: &OperatorName) -> Result<String, EditError> {
    let operators = Operators::parse(text)?;
    let entry = entry(text, name)?;
    let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let is_header = |line: &&str| line.trim_start().starts_with('[');
    let first = lines[..=line(entry.name.span().start)].iter().rposition(is_header);
    let first = first.ok_or(EditError::Unusual)?;
    let rest = &lines[first + 1..];
    let next = rest.iter().position(is_header).unwrap_or(rest.len());
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    // Comments and blank lines before the next block belong to that block.
    let length = rest[..next].iter().rposition(is_content).map_or(0, |last| last + 1);
    let kept = [&lines[..first], &rest[length..]].concat().concat();
    checked(kept, &operators.without(name))
}

/// The text with another token of an operator. Its present tokens end at `until`, or earlier if they do so
/// already.
///
/// # Errors
///
/// When the name is not in the file, or the text cannot be changed.
pub fn rotate(
    text: &str,
    name: &OperatorName,
    hash: &TokenHash,
    until: Timestamp,
) -> Result<String, EditError> {
    let operators = Operators::parse(text)?;
    let operator = operators.find(name).ok_or_else(|| EditError::Unknown(name.clone()))?;
    let list = entry(text, name)?.token_sha256.span();
    let until = whole_seconds(until);
    let end = |token: &Token| token.expires.map_or(until, |end| end.min(until));
    let old = operator.tokens.iter().map(|token| Token { expires: Some(end(token)), ..token.clone() });
    let tokens: Vec<_> = [Token { hash: hash.clone(), expires: None }].into_iter().chain(old).collect();
    let lines: String = tokens
        .iter()
        .map(|Token { hash, expires }| match expires {
            None => format!("    \"{hash}\",\n"),
            Some(end) => format!("    {{ sha256 = \"{hash}\", expires = {} }},\n", second(*end)),
        })
        .collect();
    let (before, after) = (text.get(..list.start), text.get(list.end..));
    let (Some(before), Some(after)) = (before, after) else { return Err(EditError::Unusual) };
    checked(format!("{before}[\n{lines}]{after}"), &operators.with_tokens(name, &tokens))
}

fn entry(text: &str, name: &OperatorName) -> Result<file::Entry, EditError> {
    let entries = file::read(text)?.operator;
    let found = entries.into_iter().find(|entry| entry.name.get_ref() == name.as_str());
    found.ok_or_else(|| EditError::Unknown(name.clone()))
}

fn checked(text: String, expected: &Operators) -> Result<String, EditError> {
    match Operators::parse(&text) {
        Ok(operators) if operators == *expected => Ok(text),
        _ => Err(EditError::Unusual),
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn second(time: Timestamp) -> String {
    whole_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Scope;

    fn hash(token: &str) -> TokenHash {
        TokenHash::of(token)
    }

    fn name(name: &str) -> OperatorName {
        name.parse().unwrap()
    }

    fn new(operator: &str) -> NewOperator {
        NewOperator {
            name: name(operator),
            scopes: [Scope::Read].into_iter().collect(),
            expires: Some("2027-01-31T12:00:00.5Z".parse().unwrap()),
            hash: hash(operator),
        }
    }

    /// Three operators, the second with comments and a list on several lines.
    fn three() -> String {
        let [ann, bob, bob2, cy] = ["ann", "bob", "bob2", "cy"].map(hash);
        format!(
            "# the team\n\n# Ann, sales\n[[operator]]\nname = \"ann\"\nscopes = [\"read\"]\ntoken_sha256 = [\"{ann}\"]\n\n\
             # Bob, second line\n[[operator]]\nscopes = [\"review\"] # and no more\nname = \"bob\"\ntoken_sha256 = [\n  \
             \"{bob}\",\n  {{ sha256 = \"{bob2}\", expires = 2026-02-01 }},\n]\n\n\
             # the flow\n[[operator]]\nname = \"cy\"\nscopes = [\"respond\"]\ntoken_sha256 = [\"{cy}\"]\n"
        )
    }

    #[test]
    fn added_operator_is_at_the_end_of_the_file() {
        let first = add("", &new("ann")).unwrap();
        assert!(first.starts_with("[[operator]]\n") && first.contains("expires = 2027-01-31T12:00:00Z"));
        let text = three();
        let added = add(&text, &new("dee")).unwrap();
        assert!(added.starts_with(&text) && added.contains("\n\n[[operator]]\nname = \"dee\"\n"));
        assert_eq!(add(text.trim_end(), &new("dee")).unwrap(), added);
        assert_eq!(add(&text, &new("bob")), Err(EditError::Known(name("bob"))));
        assert_eq!(add("operator = []\n", &new("ann")), Err(EditError::Unusual));
        assert!(matches!(add("[[operator]]\n", &new("ann")), Err(EditError::Mistake(_))));
    }

    #[test]
    fn revoked_operator_is_removed_and_the_rest_stays() {
        let text = three();
        let left = revoke(&text, &name("bob")).unwrap();
        let (before, after) =
            (text.split("[[operator]]\nscopes").next().unwrap(), "\n# the flow\n[[operator]]");
        assert!(left.starts_with(&format!("{before}{after}")), "{left}");
        for operator in ["ann", "bob", "cy"] {
            let left = revoke(&text, &name(operator)).unwrap();
            assert!(
                !left.contains(&format!("\"{operator}\"")) && left.contains("# Bob, second line"),
                "{left}"
            );
        }
        assert_eq!(revoke(&text, &name("dee")), Err(EditError::Unknown(name("dee"))));
    }

    #[test]
    fn rotation_ends_the_old_tokens_and_adds_one() {
        let until: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let text = rotate(&three(), &name("bob"), &hash("bob3"), until).unwrap();
        assert!(text.contains("# and no more\n") && text.contains("# the flow\n"), "{text}");
        let operators = Operators::parse(&text).unwrap();
        let bob = operators.find(&name("bob")).unwrap();
        let ends: Vec<_> = bob.tokens.iter().map(|token| token.expires.map(|end| end.to_string())).collect();
        let expected = [None, Some("2026-03-01T00:00:00Z"), Some("2026-02-01T00:00:00Z")];
        assert_eq!(ends, expected.map(|end| end.map(str::to_owned)));
        assert_eq!(bob.tokens[0].hash, hash("bob3"));
    }
}
