use lead::text::is_unseen;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_compatible;

/// Brings a text to the form in which it is compared: letters of one case, one space for a run of white space, none at
/// the ends, and one Unicode form (NFKC), in which for example full-width and styled letters are plain ones.
///
/// Two departures from NFKC and from simple case mapping, each because a lie would pass otherwise:
/// - Digits that mean something else by their place or frame stay themselves: `10²` is not `102`, nor `½` `1/2`.
/// - The dotless `ı` stays itself: it has the capital `I`, but is another letter than `i`.
///
/// Letters that only look alike (a Cyrillic `а` in a Latin word) stay different, and invisible characters are kept:
/// who writes one into a claim is not copying a fact.
pub(crate) fn comparable(text: &str) -> String {
    let folded: String = compatible(text).chars().flat_map(fold).collect();
    compatible(&folded).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether nothing can be seen of a text.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_unseen)
}

/// The hyphen, and the dashes that are written for it.
pub(crate) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// NFKC, but for numbers that are more than a styled digit.
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

/// Full-width, mathematical and segmented digits: the same digits in another type face.
fn is_styled_digit(c: char) -> bool {
    matches!(c, '\u{ff10}'..='\u{ff19}' | '\u{1d7ce}'..='\u{1d7ff}' | '\u{1fbf0}'..='\u{1fbf9}')
}

/// Folds the case by way of the capital, so that `ß`, `ẞ` and `SS`, or `ς` and `σ`, become the same.
fn fold(c: char) -> impl Iterator<Item = char> {
    let (kept, folded) = if c == 'ı' { (Some(c), None) } else { (None, Some(c)) };
    let folded = folded.into_iter().flat_map(char::to_lowercase);
    kept.into_iter().chain(folded.flat_map(char::to_uppercase).flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_in_another_dress_is_the_same() {
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
    fn another_text_stays_another() {
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
    fn the_comparable_form_is_its_own_for_every_letter() {
        for c in '\0'..='\u{1ffff}' {
            let once = comparable(&c.to_string());
            assert_eq!(comparable(&once), once, "{c:?}");
        }
    }

    #[test]
    fn a_letter_equals_its_capital() {
        for c in ('\0'..='\u{1ffff}').filter(|c| c.is_lowercase() && *c != 'ı') {
            let capital: String = c.to_uppercase().collect();
            assert_eq!(comparable(&c.to_string()), comparable(&capital), "{c:?}");
        }
    }

    #[test]
    fn blank_is_what_cannot_be_seen() {
        for text in ["", " \t\n", "\u{200b}", "\u{feff}\u{a0}\u{2060}", "\u{0}"] {
            assert!(is_blank(text), "{text:?}");
        }
        assert!(!is_blank("\u{200b}x"));
    }
}
