use std::borrow::Cow;
use std::fmt;

use lead::text::{visible, visible_lines};
use serde::{Deserialize, Serialize};

/// A text for a CRM field: not empty, at most `MAX` characters, none of them hidden ([`lead::text`]).
///
/// The checks never depend on the words: `Drop Table Ltd` and `<3 Studio` are names. Hidden characters are
/// refused because they make a text read differently to people and to programs. Line feeds and tabs are kept
/// if `LINES` is true. During deserialization hidden characters are removed, because rows written by older
/// versions contain them. Its `Debug` shows only the length, since many texts are personal.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize, const LINES: bool = false>(String);

/// A text of several lines, for people to read.
pub type Prose = Text<8000, true>;

/// The reason that a text cannot be written to a CRM field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// Longer than the field.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// Holds a hidden character.
    #[error("must not contain control or invisible characters")]
    Control,
}

impl<const MAX: usize, const LINES: bool> Text<MAX, LINES> {
    /// Accepts or refuses a text. White space at both ends is trimmed.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() {
            Err(TextError::Empty)
        } else if Self::clean(text) != text {
            Err(TextError::Control)
        } else if text.chars().nth(MAX).is_some() {
            Err(TextError::TooLong(MAX))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Makes a text fit: hidden characters are removed or replaced by blanks, and an overlong text is cut.
    /// None if no text remains.
    pub fn fit(text: &str) -> Option<Self> {
        let cut: String = Self::clean(text).trim().chars().take(MAX).collect();
        let text = cut.trim_end();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// Joins as many whole items as fit, in their order, separated by `; `.
    pub fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut list = String::new();
        for item in items.into_iter().filter_map(Self::fit) {
            let separator = if list.is_empty() { "" } else { "; " };
            if list.chars().count() + separator.len() + item.0.chars().count() > MAX {
                break;
            }
            list.push_str(separator);
            list.push_str(&item.0);
        }
        (!list.is_empty()).then_some(Self(list))
    }

    /// The plain text. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn clean(text: &str) -> Cow<'_, str> {
        if LINES { visible_lines(text) } else { visible(text) }
    }
}

impl<const MAX: usize, const LINES: bool> fmt::Debug for Text<MAX, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} characters]", self.0.chars().count())
    }
}

impl<const MAX: usize, const LINES: bool> TryFrom<String> for Text<MAX, LINES> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        // No version stored control characters, so a text with one was not stored by us.
        if text.chars().any(|c| c.is_control() && !(LINES && matches!(c, '\n' | '\t'))) {
            return Err(TextError::Control);
        }
        Self::parse(&Self::clean(&text))
    }
}

impl<const MAX: usize, const LINES: bool> From<Text<MAX, LINES>> for String {
    fn from(text: Text<MAX, LINES>) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_read_as_code() {
        for name in [
            "Constructor.io",
            "Prototype",
            "__proto__",
            "Drop Table Ltd",
            "O'Brien; DROP TABLE lead;--",
            "<3 Studio",
            "<script>alert(1)</script>",
            "{{system.dateTime}}",
            "=1+1",
            "Null",
            "株式会社",
            "👩\u{200d}🚀 Rockets",
        ] {
            assert_eq!(Text::<80>::parse(name).unwrap().expose(), name);
            assert_eq!(Text::<80>::fit(name).unwrap().expose(), name);
        }
    }

    #[test]
    fn hidden_characters_are_refused_or_removed() {
        for text in ["a\u{0}b", "a\nb", "a\u{1b}b", "a\u{7f}b", "a\u{85}b", "a\u{2028}b"] {
            assert_eq!(Text::<80>::parse(text), Err(TextError::Control), "{text:?}");
            assert_eq!(Text::<80>::fit(text).unwrap().expose(), "a b", "{text:?}");
        }
        for hidden in
            ['\u{202e}', '\u{2066}', '\u{200b}', '\u{200d}', '\u{e0041}', '\u{fe0f}', '\u{3164}', '\u{e000}']
        {
            let text = format!("a{hidden}b");
            assert_eq!(Text::<80>::parse(&text), Err(TextError::Control), "{text:?}");
            assert_eq!(Text::<80>::fit(&text).unwrap().expose(), "ab", "{text:?}");
            assert_eq!(Prose::fit(&text).unwrap().expose(), "ab", "{text:?}");
            let read: Text<80> = serde_json::from_value(text.clone().into()).unwrap();
            assert_eq!(read.expose(), "ab", "a row of an older version: {text:?}");
        }
        assert_eq!(Prose::parse("a\n\tb").unwrap().expose(), "a\n\tb");
        assert_eq!(Prose::parse("a\rb"), Err(TextError::Control));
    }

    #[test]
    fn overlong_text_is_refused_or_cut_between_characters() {
        assert_eq!(Text::<3>::parse("éééé"), Err(TextError::TooLong(3)));
        assert_eq!(Text::<3>::parse(" ééé ").unwrap().expose(), "ééé");
        assert_eq!(Text::<3>::fit("éé éé").unwrap().expose(), "éé");
    }

    #[test]
    fn blank_text_is_refused() {
        assert_eq!(Text::<3>::parse(" \t "), Err(TextError::Empty));
        assert_eq!(Text::<3>::fit("\u{0}\u{202e}"), None);
        assert_eq!(Text::<3>::list([" ", ""]), None);
    }

    #[test]
    fn a_list_holds_whole_items_only() {
        assert_eq!(Text::<10>::list(["AWS", "", "Go", "Rust"]).unwrap().expose(), "AWS; Go");
    }

    #[test]
    fn bounds_hold_when_reading_json() {
        assert!(serde_json::from_str::<Text<3>>("\"abc\"").is_ok());
        assert!(serde_json::from_str::<Text<3>>("\"abcd\"").is_err());
        assert!(serde_json::from_str::<Text<3>>("\"a\\u0000\"").is_err());
    }

    #[test]
    fn debug_output_holds_no_text() {
        assert_eq!(format!("{:?}", Text::<9>::parse("Ann").unwrap()), "[3 characters]");
    }
}
