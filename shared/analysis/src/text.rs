use serde::Deserialize;

/// Brings text to the form in which it is compared: lower case, words of letters, digits, `+` and `#` with one blank between.
///
/// `+` and `#` stay because C, C++ and C# are different things.
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

/// Whether folded text holds a folded phrase as whole words.
pub(crate) fn holds_phrase(text: &str, phrase: &str) -> bool {
    !phrase.is_empty() && format!(" {text} ").contains(&format!(" {phrase} "))
}

/// Whether every place of a phrase in folded text follows a word that makes it another person's: `assistant to the ceo`.
pub(crate) fn is_another_persons(text: &str, phrase: &str) -> bool {
    const BEFORE: [&str; 11] = ["the", "a", "an", "to", "of", "by", "from", "with", "for", "like", "as"];
    let (text, phrase) = (format!(" {text} "), format!(" {phrase} "));
    text.match_indices(&phrase)
        .all(|(at, _)| text[..at].rsplit(' ').next().is_some_and(|word| BEFORE.contains(&word)))
}

/// A word or phrase of the configuration, folded once when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Term {
    text: String,
    folded: String,
}

impl Term {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As it is compared; never empty.
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

/// A campaign id, or the beginning of one with a `*` after it. Case does not count; spaces and punctuation do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    text: String,
    open: bool,
}

impl Pattern {
    /// Whether it stands for every id.
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
    fn case_spaces_and_punctuation_do_not_count() {
        assert_eq!(fold("  Internet Software & Services\n"), "internet software services");
        assert_eq!(fold("E-Commerce"), "e commerce");
        assert_eq!(fold("C++"), "c++");
        assert_eq!(fold(" --\u{200b}- "), "");
    }

    #[test]
    fn a_phrase_is_found_as_whole_words_only() {
        assert!(holds_phrase("senior vice president sales", "vice president"));
        assert!(holds_phrase("cto", "cto"));
        assert!(!holds_phrase("director", "cto"));
        assert!(!holds_phrase("anything", ""));
    }

    #[test]
    fn a_phrase_after_the_belongs_to_another_person() {
        for text in ["assistant to the ceo", "office of ceo", "a ceo"] {
            assert!(is_another_persons(text, "ceo"), "{text}");
        }
        assert!(
            !is_another_persons("ceo", "ceo") && !is_another_persons("ceo and advisor to the ceo", "ceo")
        );
    }

    #[test]
    fn a_pattern_is_an_id_or_its_beginning() {
        let pattern = |text: &str| Pattern::try_from(text.to_owned());
        assert!(pattern("launch_*").unwrap().matches("Launch_2024"));
        assert!(!pattern("launch_*").unwrap().matches("relaunch_2024"));
        assert!(pattern("*").unwrap().matches("anything"));
        assert!(pattern("Spring").unwrap().matches("spring"));
        assert!(!pattern("spring").unwrap().matches("spring2"));
        assert!(pattern("a*b").is_err() && pattern("").is_err());
    }
}
