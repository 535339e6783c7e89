/// A top-level field that has a meaning here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// As it is called in answers and in the audit trail.
    pub(crate) name: &'static str,
    /// The documented spellings, the first of them counts before the others. Letter case and separators do not matter,
    /// but a spelling that is exactly one of these counts before one that is not.
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

/// The field that a top-level name means. Names are the sender's text: only ours may be repeated.
pub(crate) fn known(name: &str) -> Option<&'static Field> {
    FIELDS.into_iter().find(|field| field.rank(name).is_some())
}

impl Field {
    /// Which spelling of the field a name is, 0 for the one that counts first; none where it is no spelling of it.
    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        let exact = self.spellings.iter().position(|spelling| *spelling == name);
        exact.or_else(|| {
            let is_like = |spelling: &&str| fold(spelling).eq(fold(name));
            self.spellings.iter().any(is_like).then_some(self.spellings.len())
        })
    }
}

/// A name without letter case and separators. Dots and brackets stay: they are the paths of a form.
fn fold(name: &str) -> impl Iterator<Item = char> {
    let is_separator =
        |c: &char| c.is_whitespace() || matches!(c, '_' | '-' | '\u{2010}' | '\u{2011}' | '*' | ':');
    name.chars().filter(move |c| !is_separator(c)).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_separators_of_a_name_do_not_matter() {
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
            assert_eq!(known(name).unwrap().name, field, "{name}");
        }
        for name in ["emails", "marketo.", "marketo[]", "mail", "", "first", "names", "Ä"] {
            assert_eq!(known(name), None, "{name}");
        }
        assert!(EMAIL.rank("email") < EMAIL.rank("emailAddress"));
        assert!(EMAIL.rank("email_address") < EMAIL.rank("Email"));
    }
}
