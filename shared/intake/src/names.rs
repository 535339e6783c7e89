//! Names and spellings of the known top-level fields.

/// A known top-level field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name in answers and in the audit trail.
    pub(crate) name: &'static str,
    /// The documented spellings, in order of precedence. Letter case and separators do not matter, but an
    /// exact spelling takes precedence over others.
    spellings: &'static [&'static str],
}

pub(crate) const EMAIL: Field =
    Field { name: "email", spellings: &["email", "emailAddress", "email_address"] };
pub(crate) const CAMPAIGN: Field = Field { name: "campaign_id", spellings: &["campaign_id", "campaignId"] };
pub(crate) const NAME: Field = Field { name: "name", spellings: &["name"] };
pub(crate) const FIRST_NAME: Field = Field { name: "first_name", spellings: &["first_name", "firstName"] };
pub(crate) const LAST_NAME: Field = Field { name: "last_name", spellings: &["last_name", "lastName"] };
pub(crate) const COMPANY: Field = Field { name: "company", spellings: &["company"] };
pub(crate) const TITLE: Field = Field { name: "title", spellings: &["title", "jobTitle"] };
pub(crate) const PHONE: Field = Field { name: "phone", spellings: &["phone"] };
pub(crate) const MARKETO: Field = Field { name: "marketo", spellings: &["marketo"] };
pub(crate) const PRODUCT: Field = Field { name: "product", spellings: &["product"] };
pub(crate) const SALESFORCE: Field = Field { name: "salesforce", spellings: &["salesforce"] };

const FIELDS: [&Field; 11] = [
    &EMAIL,
    &CAMPAIGN,
    &NAME,
    &FIRST_NAME,
    &LAST_NAME,
    &COMPANY,
    &TITLE,
    &PHONE,
    &MARKETO,
    &PRODUCT,
    &SALESFORCE,
];

/// The fields that hold objects.
pub(crate) const NAMESPACES: [&Field; 3] = [&MARKETO, &PRODUCT, &SALESFORCE];

/// The known field that a top-level name denotes. Answers may quote only the field's own name: the sender's
/// spelling may hold personal data.
pub(crate) fn known_field(name: &str) -> Option<&'static Field> {
    FIELDS.into_iter().find(|field| field.rank(name).is_some())
}

/// The name of the known top-level field that a spelling denotes, such as `email` for `E-Mail`.
pub fn field_named(spelling: &str) -> Option<&'static str> {
    known_field(spelling).map(|field| field.name)
}

/// Whether two field names differ only in letter case and separators.
pub fn is_same_name(a: &str, b: &str) -> bool {
    fold(a).eq(fold(b))
}

impl Field {
    /// The rank of a spelling of this field, 0 for the highest precedence. `None` if the name does not denote
    /// this field.
    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        let exact = self.spellings.iter().position(|spelling| *spelling == name);
        exact.or_else(|| {
            let is_like = |spelling: &&str| fold(spelling).eq(fold(name));
            self.spellings.iter().any(is_like).then_some(self.spellings.len())
        })
    }
}

/// Folds letter case and removes separators. Dots and brackets are kept, since they form the paths of a form
/// body.
fn fold(name: &str) -> impl Iterator<Item = char> {
    let is_separator =
        |c: &char| c.is_whitespace() || matches!(c, '_' | '-' | '\u{2010}' | '\u{2011}' | '*' | ':');
    name.chars().filter(move |c| !is_separator(c)).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_and_separators_of_a_name_are_ignored() {
        for (name, field) in [
            ("email", "email"),
            ("Email", "email"),
            ("E-Mail", "email"),
            ("E-mail*", "email"),
            ("EMAIL ADDRESS", "email"),
            ("Campaign ID", "campaign_id"),
            ("campaign-id", "campaign_id"),
            ("FirstName", "first_name"),
            ("first name", "first_name"),
            ("Job Title", "title"),
            ("Company:", "company"),
            ("Marketo", "marketo"),
        ] {
            assert_eq!(known_field(name).unwrap().name, field, "{name}");
        }
        for name in ["emails", "marketo.", "marketo[]", "mail", "", "first", "names", "Ä"] {
            assert_eq!(known_field(name), None, "{name}");
        }
        assert!(EMAIL.rank("email") < EMAIL.rank("emailAddress"));
        assert!(EMAIL.rank("email_address") < EMAIL.rank("Email"));
    }
}
