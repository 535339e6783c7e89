//! Text comparison for the profile: folded texts, phrases and patterns of campaign ids.

use serde::Deserialize;

/// Folds a text for comparison: lower case, with single blanks between words of letters, digits, `+` and `#`.
///
/// `+` and `#` are kept, because C, C++ and C# differ.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() || matches!(c, '+' | '#') {
            folded.push(c);
        } else if !folded.is_empty() && !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Whether a folded text contains a folded phrase as whole words.
pub(crate) fn holds_phrase(text: &str, phrase: &str) -> bool {
    !phrase.is_empty() && format!(" {text} ").contains(&format!(" {phrase} "))
}

/// Whether every occurrence of a phrase in a folded text follows a word that refers to another person:
/// `assistant to the ceo`.
pub(crate) fn is_another_persons(text: &str, phrase: &str) -> bool {
    const BEFORE: [&str; 11] = ["the", "a", "an", "to", "of", "by", "from", "with", "for", "like", "as"];
    let (text, phrase) = (format!(" {text} "), format!(" {phrase} "));
    text.match_indices(&phrase)
        .all(|(at, _)| text[..at].rsplit(' ').next().is_some_and(|word| BEFORE.contains(&word)))
}

/// A word or phrase of the configuration, with its folded form.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Term {
    text: String,
    folded: String,
}

impl Term {
    /// The original text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The folded form; never empty.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }
}

impl TryFrom<String> for Term {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let folded = fold(&text);
        if folded.is_empty() {
            return Err(format!("{text:?} holds no letter or digit to compare by"));
        }
        Ok(Self { text, folded })
    }
}

/// A campaign id, or a prefix followed by `*`. Matching ignores case but not spaces and punctuation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    text: String,
    open: bool,
}

impl Pattern {
    /// Whether the pattern matches every id.
    pub(crate) fn is_any(&self) -> bool {
        self.open && self.text.is_empty()
    }

    pub(crate) fn matches(&self, id: &str) -> bool {
        let id = id.to_lowercase();
        if self.open { id.starts_with(&self.text) } else { id == self.text }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (start, open) = text.strip_suffix('*').map_or((text.as_str(), false), |start| (start, true));
        if text.is_empty() || start.contains('*') {
            return Err(format!("{text:?} is not an id, nor the beginning of one followed by a single `*`"));
        }
        Ok(Self { text: start.to_lowercase(), open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_ignores_case_spaces_and_punctuation() {
        assert_eq!(fold("  Internet Software & Services\n"), "internet software services");
        assert_eq!(fold("E-Commerce"), "e commerce");
        assert_eq!(fold("C++"), "c++");
        assert_eq!(fold(" --\u{200b}- "), "");
    }

    #[test]
    fn phrase_is_found_as_whole_words_only() {
        assert!(holds_phrase("senior vice president sales", "vice president"));
        assert!(holds_phrase("cto", "cto"));
        assert!(!holds_phrase("director", "cto"));
        assert!(!holds_phrase("anything", ""));
    }

    #[test]
    fn phrase_after_the_belongs_to_another_person() {
        for text in ["assistant to the ceo", "office of ceo", "a ceo"] {
            assert!(is_another_persons(text, "ceo"), "{text}");
        }
        assert!(
            !is_another_persons("ceo", "ceo") && !is_another_persons("ceo and advisor to the ceo", "ceo")
        );
    }

    #[test]
    fn pattern_is_an_id_or_its_prefix() {
        let pattern = |text: &str| Pattern::try_from(text.to_owned());
        assert!(pattern("launch_*").unwrap().matches("Launch_2024"));
        assert!(!pattern("launch_*").unwrap().matches("relaunch_2024"));
        assert!(pattern("*").unwrap().matches("anything"));
        assert!(pattern("Spring").unwrap().matches("spring"));
        assert!(!pattern("spring").unwrap().matches("spring2"));
        assert!(pattern("a*b").is_err() && pattern("").is_err());
    }
}
