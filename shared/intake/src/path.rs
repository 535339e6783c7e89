//! Paths of values in a body, shown without personal data.

use std::fmt;

use crate::names::known_field;

/// Maximum length of a shown name, in bytes.
const MAX_SHOWN_BYTES: usize = 40;

/// Maximum number of digits in a shown name. More may be a telephone number.
const MAX_SHOWN_DIGITS: usize = 4;

/// Maximum number of shown steps.
const MAX_SHOWN_STEPS: usize = 8;

/// The path of a value in a body. `Display` shows a name of the sender only if it looks like an identifier,
/// since a name can hold personal data, and paths are written to the audit trail and to answers.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    /// A known top-level field.
    Field(&'static str),
    /// A member of an object.
    Member(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

/// The field that holds unknown top-level fields.
pub(crate) const ATTRIBUTES: Path<'static> = Path::Field("attributes");

impl<'a> Path<'a> {
    /// The path of a top-level name, in any spelling.
    pub(crate) fn top(name: &'a str) -> Self {
        known_field(name).map_or(Path::Member(&ATTRIBUTES, name), |field| Path::Field(field.name))
    }

    /// The path in the sent body, in which unknown fields are at the top level.
    pub(crate) fn as_sent(self) -> String {
        let shown = self.to_string();
        shown.strip_prefix("attributes.").map(str::to_owned).unwrap_or(shown)
    }

    fn steps(&self) -> usize {
        match self {
            Self::Field(_) => 1,
            Self::Member(parent, _) | Self::Item(parent, _) => parent.steps() + 1,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Member(parent, _) | Self::Item(parent, _) if self.steps() > MAX_SHOWN_STEPS => {
                parent.fmt(f)
            }
            Self::Member(parent, name) => write!(f, "{parent}.{}", shown(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn shown(name: &str) -> &str {
    let is_short =
        name.len() <= MAX_SHOWN_BYTES && name.bytes().filter(u8::is_ascii_digit).count() <= MAX_SHOWN_DIGITS;
    // A label such as `Your email` shows the sender which field to map.
    let is_label = ["email", "e-mail"].iter().any(|word| name.to_lowercase().contains(word));
    let is_identifier = name.chars().all(|c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']') || (is_label && c == ' ')
    });
    if is_short && is_identifier { name } else { "*" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_hides_names_that_may_be_personal() {
        for (name, shown) in [
            ("utm_source", "attributes.utm_source"),
            ("fields[email][value]", "attributes.fields[email][value]"),
            ("E-Mail", "email"),
            ("ann@example.com", "attributes.*"),
            ("Ann Lee", "attributes.*"),
            ("Your email", "attributes.Your email"),
            ("call-15550000000", "attributes.*"),
        ] {
            assert_eq!(Path::top(name).to_string(), shown);
        }
        let payload = Path::top("payload");
        assert_eq!(Path::Item(&Path::Member(&payload, "emails"), 0).as_sent(), "payload.emails[0]");
    }
}
