//! Splitting of full names into given and family name.

/// Words that belong to the family name after them, in any case.
const PARTICLES: [&str; 34] = [
    "af", "al", "av", "bin", "bint", "da", "das", "de", "del", "della", "den", "der", "di", "dos", "du",
    "el", "het", "ibn", "op", "'t", "ten", "ter", "tot", "van", "vd", "v.d.", "vom", "von", "zu", "zum",
    "zur", "d'", "degli", "dei",
];

/// Words that are also names. They are particles only in lower case or after another particle.
const AMBIGUOUS: [&str; 15] =
    ["abu", "ben", "do", "e", "la", "las", "le", "les", "los", "lo", "san", "santa", "st", "st.", "te"];

/// Words that follow a family name.
const SUFFIXES: [&str; 9] = ["jr", "jr.", "sr", "sr.", "ii", "iii", "iv", "phd", "md"];

/// Splits a full name into given and family name. A single word is a family name.
///
/// The family name is the last word with the particles before it (`Mary Ann Van Der Berg`) and a suffix after
/// it (`Martin Luther King Jr.`). A name of particles and one word (`Van Der Berg`, `de Gaulle`) is only a
/// family name.
pub(crate) fn split(name: &str) -> (Option<String>, Option<String>) {
    let words: Vec<&str> = name.split_whitespace().collect();
    let Some(mut start) = words.len().checked_sub(1) else { return (None, None) };
    if start > 1 && SUFFIXES.contains(&words[start].to_lowercase().as_str()) {
        start -= 1;
    }
    let run = particles_before(&words[..start]);
    start -= run;
    let is_given_name = || {
        let first = words[0].to_lowercase();
        words[0] != first && (run == 1 || !["van", "von", "de"].contains(&first.as_str()))
    };
    if start == 0 && run > 0 && is_given_name() {
        start = 1; // `Van Nguyen`, `Al De Niro`
    }
    let join = |words: &[&str]| (!words.is_empty()).then(|| words.join(" "));
    (join(&words[..start]), join(&words[start..]))
}

/// The number of particles at the end of `words`.
fn particles_before(words: &[&str]) -> usize {
    let is_any = |word: &&&str| {
        let word = word.to_lowercase();
        PARTICLES.contains(&word.as_str()) || AMBIGUOUS.contains(&word.as_str())
    };
    let run = words.iter().rev().take_while(is_any).count();
    // An ambiguous word with a capital letter does not start a family name.
    let begins = |word: &&&str| {
        let lower = word.to_lowercase();
        PARTICLES.contains(&lower.as_str()) || lower == **word
    };
    let start = words.len() - run;
    let skipped = words[start..].iter().take_while(|word| !begins(word)).count();
    run - skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_name_keeps_its_particles() {
        for (name, first, last) in [
            ("Ann Mary Smith", Some("Ann Mary"), "Smith"),
            ("Mary Ann Van Der Berg", Some("Mary Ann"), "Van Der Berg"),
            ("Ludwig van Beethoven", Some("Ludwig"), "van Beethoven"),
            ("Juan de la Cruz", Some("Juan"), "de la Cruz"),
            ("Juan De La Cruz", Some("Juan"), "De La Cruz"),
            ("Maria del Carmen Lopez", Some("Maria del Carmen"), "Lopez"),
            ("Osama bin Said", Some("Osama"), "bin Said"),
            ("Omar Al Rashid", Some("Omar"), "Al Rashid"),
            ("Omar al-Rashid", Some("Omar"), "al-Rashid"),
            ("Jan ter Horst", Some("Jan"), "ter Horst"),
            ("Gerard 't Hooft", Some("Gerard"), "'t Hooft"),
            ("Leonardo da Vinci Jr.", Some("Leonardo"), "da Vinci Jr."),
            ("Martin Luther King Jr", Some("Martin Luther"), "King Jr"),
            ("David ben Gurion", Some("David"), "ben Gurion"),
            ("John Ben Smith", Some("John Ben"), "Smith"),
            ("Van Nguyen", Some("Van"), "Nguyen"),
            ("Al Gore", Some("Al"), "Gore"),
            ("Al De Niro", Some("Al"), "De Niro"),
            ("Van Der Berg", None, "Van Der Berg"),
            ("de Gaulle", None, "de Gaulle"),
            ("Madonna", None, "Madonna"),
            ("Van", None, "Van"),
            ("Suharto Jr", Some("Suharto"), "Jr"),
        ] {
            let expected = (first.map(str::to_owned), Some(last.to_owned()));
            assert_eq!(split(name), expected, "{name}");
        }
        assert_eq!(split(" "), (None, None));
    }
}
