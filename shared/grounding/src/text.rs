//! Text comparison for claims: Unicode normalisation and case folding.

use lead::text::is_unseen;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_compatible;

/// The form of a text for comparison: one letter case, single spaces for runs of white space, trimmed, and
/// one Unicode form (NFKC), in which for example full-width and styled letters are plain ones.
///
/// Two deviations from NFKC and from simple case mapping prevent false equality:
/// - Digits with another meaning by their position or frame stay distinct: `10²` is not `102`, and `½` is not
///   `1/2`.
/// - The dotless `ı` stays distinct: it shares the capital `I` with `i`, but is another letter.
///
/// Letters that look alike (a Cyrillic `а` in a Latin word) stay different. Invisible characters are kept: a
/// claim that contains one is not a copy of a fact.
pub(crate) fn comparable(text: &str) -> String {
    let folded: String = compatible(text).chars().flat_map(fold).collect();
    compatible(&folded).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has no visible character.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_unseen)
}

/// Whether a character is a hyphen or a dash in its place.
pub(crate) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// NFKC, except for numbers that are more than a styled digit.
fn compatible(text: &str) -> String {
    let mut decomposed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_numeric() && !is_styled_digit(c) {
            decomposed.push(c);
        } else {
            decompose_compatible(c, |part| decomposed.push(part));
        }
    }
    decomposed.nfc().collect()
}

/// Whether a character is a full-width, mathematical or segmented digit: the same digit in another style.
fn is_styled_digit(c: char) -> bool {
    matches!(c, '\u{ff10}'..='\u{ff19}' | '\u{1d7ce}'..='\u{1d7ff}' | '\u{1fbf0}'..='\u{1fbf9}')
}

/// Folds the case through the capital, so that `ß`, `ẞ` and `SS`, or `ς` and `σ`, become equal.
fn fold(c: char) -> impl Iterator<Item = char> {
    let (kept, folded) = if c == 'ı' { (Some(c), None) } else { (None, Some(c)) };
    let folded = folded.into_iter().flat_map(char::to_lowercase);
    kept.into_iter().chain(folded.flat_map(char::to_uppercase).flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_texts_are_equal() {
        for (a, b) in [
            ("Fintech", "FINTECH"),
            ("  Real \t Estate\n", "real estate"),
            ("Real\u{a0}Estate", "Real Estate"),
            ("Caf\u{e9}", "Cafe\u{301}"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "Strasse"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
            ("Ｆｉｎｔｅｃｈ", "Fintech"),
            ("𝐅𝐢𝐧tech", "Fintech"),
            ("oﬃce", "office"),
            ("１２", "12"),
            ("𝟏𝟐", "12"),
            ("İzmir", "i\u{307}zmir"),
            ("\u{1c4}", "\u{1c6}"),
        ] {
            assert_eq!(comparable(a), comparable(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn different_texts_stay_different() {
        for (a, b) in [
            ("Fintech", "Fintеch"), // a Cyrillic е
            ("PayPal", "ΡayPal"),   // a Greek capital rho
            ("Fintech", "Fın\u{74}ech"),
            ("Fintech", "Fin\u{200b}tech"),
            ("Fintech", "Fintech\u{feff}"),
            ("Fintech", "Fin tech"),
            ("Fintech", "Fintéch"),
            ("102", "10²"),
            ("12", "1₂"),
            ("1", "①"),
            ("1/2", "½"),
            ("IV", "Ⅳ"),
        ] {
            assert_ne!(comparable(a), comparable(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn comparable_form_is_idempotent() {
        for c in '\0'..='\u{1ffff}' {
            let once = comparable(&c.to_string());
            assert_eq!(comparable(&once), once, "{c:?}");
        }
    }

    #[test]
    fn letter_equals_its_capital() {
        for c in ('\0'..='\u{1ffff}').filter(|c| c.is_lowercase() && *c != 'ı') {
            let capital: String = c.to_uppercase().collect();
            assert_eq!(comparable(&c.to_string()), comparable(&capital), "{c:?}");
        }
    }

    #[test]
    fn blank_text_has_no_visible_character() {
        for text in ["", " \t\n", "\u{200b}", "\u{feff}\u{a0}\u{2060}", "\u{0}"] {
            assert!(is_blank(text), "{text:?}");
        }
        assert!(!is_blank("\u{200b}x"));
    }
}
