//! Removal of invisible characters from text. The only list of such characters in the product, and the only
//! sanitiser of outgoing text: CRM fields, the command line, explanations, the prompt.
//!
//! A text can use invisible characters to show a program instructions that people do not see, or directional
//! characters to display as a different text. Sources: Unicode 16 general categories Cc, Cf, Co, Zl and Zp,
//! the property `Default_Ignorable_Code_Point`, and Unicode Technical Report 36 (2.10, "Text Comparison" and
//! bidirectional spoofing).

use std::borrow::Cow;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Whether a character is invisible in every context: control and format characters, zero width, direction,
/// tags, variation selectors, fillers, line and paragraph separators, private use.
///
/// Ordinary blanks are not hidden, see [`is_unseen`]. Arabic number signs are format characters, but visible.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// Whether a character is hidden or a blank.
pub fn is_unseen(c: char) -> bool {
    c.is_whitespace() || is_hidden(c)
}

/// A text without hidden characters. Control characters and line separators become blanks, others are
/// removed.
///
/// Joiners with a visible effect are kept, see [`replace_hidden`].
pub fn visible(text: &str) -> Cow<'_, str> {
    replace_hidden(text, |c| is_break(c).then_some(' '))
}

/// Like [`visible`], but keeps line feeds and tabs.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    replace_hidden(text, |c| match c {
        '\n' | '\t' => Some(c),
        c => is_break(c).then_some(' '),
    })
}

/// Replaces each hidden character by the result of `replacement`, or removes it if the result is `None`.
///
/// A joiner (U+200C, U+200D) is kept inside a word of a script that uses joiners (Arabic, Syriac, the scripts
/// of India and its neighbours), and U+200D also between two emoji: in these places it has a visible effect.
pub fn replace_hidden(text: &str, mut replacement: impl FnMut(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let kept =
            if is_hidden(c) && !joins(c, before, rest.clone().next()) { replacement(c) } else { Some(c) };
        if let Some(kept) = kept {
            clean.push(kept);
            before = Some(kept);
        }
    }
    Cow::Owned(clean)
}

/// Removes the `.0` of a whole number, which spreadsheets and some JSON writers add. Other texts are
/// unchanged.
pub fn without_zero_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some((digits, fraction))
            if !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !fraction.is_empty()
                && fraction.bytes().all(|b| b == b'0') =>
        {
            digits
        }
        _ => text,
    }
}

/// Whether a hidden character separates the texts around it.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2800}')
}

fn joins(c: char, before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    let in_word = is_written_joined(before) && (after.is_some_and(is_written_joined) || is_virama(before));
    match c {
        ZERO_WIDTH_NON_JOINER => in_word,
        ZERO_WIDTH_JOINER => in_word || (is_pictograph(before) && after.is_some_and(is_pictograph)),
        _ => false,
    }
}

/// Whether a character is a letter or mark of a script in which joiners select letter forms (Unicode Standard
/// 9.2, 12, 13).
fn is_written_joined(c: char) -> bool {
    matches!(c,
        '\u{620}'..='\u{74f}' | '\u{750}'..='\u{77f}' | '\u{840}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{f00}'..='\u{109f}'
        | '\u{1780}'..='\u{17b3}' | '\u{17b6}'..='\u{17d3}' | '\u{1820}'..='\u{18aa}' | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefc}')
}

/// Whether a character is a virama, the sign that suppresses a vowel. A joiner may follow a virama at the end
/// of a word (Malayalam, Bengali).
fn is_virama(c: char) -> bool {
    matches!(u32::from(c), 0x94d | 0x9cd | 0xa4d | 0xacd | 0xb4d | 0xbcd | 0xc4d | 0xccd | 0xd4d | 0xdca)
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}'
        | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_removed_or_become_blanks() {
        for (text, clean) in [
            ("launch\u{202e}gnp.exe\u{202c}", "launchgnp.exe"),
            ("Fin\u{200b}tech\u{feff}", "Fintech"),
            ("a\u{0}b\u{1b}c\u{2028}d", "a b c d"),
            ("x\u{e0041}\u{e007f}y", "xy"),
            ("\u{3164}\u{115f}z\u{fe0f}", "z"),
            ("\u{f8ff} Inc", " Inc"),
            ("a\u{200d}b\u{200c}c", "abc"),
            ("Ann\u{a0}Lee", "Ann\u{a0}Lee"),
        ] {
            assert_eq!(visible(text), clean, "{text:?}");
            assert_eq!(visible(clean), clean);
        }
        assert_eq!(visible_lines("a\n\tb\rc"), "a\n\tb c");
    }

    #[test]
    fn joiners_with_a_visible_effect_are_kept() {
        for text in [
            "👩\u{200d}🚀 Rockets",
            "👩🏽\u{200d}💻",
            "می\u{200c}خواهم",
            "ක්\u{200d}ෂ",
            "നമ്മുടെ അവന്\u{200d}",
            "क्\u{200d}ष",
        ] {
            assert_eq!(visible(text), text);
        }
        assert_eq!(visible("🏳\u{fe0f}\u{200d}🌈"), "🏳\u{200d}🌈");
        assert_eq!(visible("👩\u{200d}\u{200d}🚀"), "👩\u{200d}🚀");
        assert_eq!(visible("می\u{200c} \u{200c}"), "می ");
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        for c in ('\0'..=char::MAX).filter(|c| is_hidden(*c)) {
            for text in [format!("a{c}b"), format!("{c}"), format!("👩{c}🚀"), format!("م{c}{c}ی")] {
                let once = visible(&text).into_owned();
                assert_eq!(visible(&once), once, "{text:?}");
            }
        }
    }
}
