//! Recognises personal data in the fields of a sender, by key and by value.

use lead::{Lead, Personal};
use serde_json::Value;

use crate::text::{fold, holds_phrase};

/// Keys of personal data, without case, spaces and punctuation.
const KEYS: &[&str] = &[
    "name",
    "person",
    "contact",
    "mail",
    "mobile",
    "cell",
    "fax",
    "tel",
    "address",
    "street",
    "postcode",
    "postalcode",
    "zip",
    "zipcode",
    "birthday",
    "birthdate",
    "dateofbirth",
    "ip",
    "ipaddress",
    "password",
    "ssn",
    "taxid",
    "linkedin",
    "linkedinurl",
    "twitter",
    "facebook",
    "cookie",
    "cookies",
];

/// Endings of longer keys of personal data, such as `leadEmailAddress`.
const KEY_ENDS: &[&str] = &[
    "email",
    "emailaddress",
    "phone",
    "phonenumber",
    "mobilenumber",
    "firstname",
    "lastname",
    "middlename",
    "fullname",
    "givenname",
    "familyname",
    "surname",
    "username",
    "contactname",
    "leadname",
    "personname",
];

/// The minimum number of digits of a telephone number, and the number of trailing digits that identify it:
/// they are the same with and without country and area code.
const PHONE_DIGITS: usize = 7;

/// Whether a key is one of personal data.
pub(crate) fn is_personal_key(key: &str) -> bool {
    let key: String = fold(key).split(' ').collect();
    KEYS.contains(&key.as_str()) || KEY_ENDS.iter().any(|end| key.ends_with(end))
}

/// Identifying data of the person behind a lead, folded for the search.
pub(crate) struct Person {
    local_part: String,
    /// The full name and its parts.
    names: Vec<String>,
    /// The first and the last word of each full name; equal for a name of one word.
    ends: Vec<(String, String)>,
    /// The last digits of the telephone number; empty without one.
    phone_end: String,
}

impl Person {
    pub(crate) fn of(lead: &Lead) -> Self {
        let (first, last) = lead.name_parts();
        let joined = Lead { name: None, ..lead.clone() }.full_name();
        let folded = |name: Option<Personal<String>>| {
            name.map(|name| fold(name.expose())).filter(|name| name.chars().count() > 1)
        };
        let whole: Vec<String> = [lead.name.clone(), joined].into_iter().filter_map(folded).collect();
        let end = |word: Option<&str>| word.unwrap_or_default().to_owned();
        Self {
            local_part: fold(lead.email.local_part()),
            ends: whole
                .iter()
                .map(|name| (end(name.split(' ').next()), end(name.rsplit(' ').next())))
                .collect(),
            names: whole.into_iter().chain([first, last].into_iter().filter_map(folded)).collect(),
            phone_end: lead.phone.as_ref().and_then(|phone| phone_end(phone.expose())).unwrap_or_default(),
        }
    }

    /// Whether a value is personal although its key is not.
    ///
    /// Personal are: a text with an `@`; an international telephone number; the person's own number in any
    /// format; a text with the first and the last word of their name, in any order; and a text that equals
    /// one of their names or the local part of their address. Doubtful values are dropped. That is safe: a
    /// lead can only hide its own facts this way.
    pub(crate) fn is_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_in_text(text),
            Value::Number(number) => self.is_phone(&digits(&number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        }
    }

    fn is_in_text(&self, text: &str) -> bool {
        let folded = fold(text);
        text.contains('@')
            || is_international_number(text)
            || self.is_phone(&digits(text))
            || self.ends.iter().any(|(a, b)| holds_phrase(&folded, a) && holds_phrase(&folded, b))
            || self.names.contains(&folded)
            || folded == self.local_part
            || (self.local_part.contains(' ') && holds_phrase(&folded, &self.local_part))
    }

    fn is_phone(&self, digits: &str) -> bool {
        !self.phone_end.is_empty() && digits.contains(&self.phone_end)
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn phone_end(text: &str) -> Option<String> {
    let digits = digits(text);
    digits.len().checked_sub(PHONE_DIGITS).map(|start| digits[start..].to_owned())
}

fn is_international_number(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('+')
        && digits(text).len() >= PHONE_DIGITS
        && text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "+-.()/".contains(c))
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, EmailAddress};
    use serde_json::json;

    use super::*;

    #[test]
    fn personal_keys_are_known_in_every_spelling() {
        for key in
            ["email", "Email Address", "leadEmail", "first_name", "firstName", "Phone", "mobilePhone", "name"]
        {
            assert!(is_personal_key(key), "{key}");
        }
        for key in
            ["engagement_score", "program_name", "activity", "lead_id", "campaign", "deal_stage", "owner"]
        {
            assert!(!is_personal_key(key), "{key}");
        }
    }

    #[test]
    fn address_identifies_the_person_without_a_name() {
        let lead =
            Lead::new(EmailAddress::parse("ann.smith@example.com").unwrap(), CampaignId::parse("c").unwrap());
        let person = Person::of(&lead);
        assert!(person.is_in(&json!("meet Ann Smith")));
        assert!(!person.is_in(&json!("smithsonian")) && !person.is_in(&json!("")));
    }

    #[test]
    fn person_is_recognised_in_values() {
        let mut lead =
            Lead::new(EmailAddress::parse("ann.smith@example.com").unwrap(), CampaignId::parse("c").unwrap());
        lead.name = Some("Ann Smith".to_owned().into());
        lead.phone = Some("(555) 010-0123".to_owned().into());
        let person = Person::of(&lead);
        for value in [
            json!("ann.smith@example.com"),
            json!("asked by ANN  SMITH today"),
            json!("Smith, Ann (Mary)"),
            json!("smith"),
            json!("Ann"),
            json!("profile/ann_smith"),
            json!("+44 20 7946 0000"),
            json!("tel 555.010.0123"),
            json!(15_550_100_123_u64),
        ] {
            assert!(person.is_in(&value), "{value}");
        }
        for value in [
            json!("pricing_page_visit"),
            json!("blacksmith tools"),
            json!(85),
            json!("2026-11-22"),
            json!(true),
        ] {
            assert!(!person.is_in(&value), "{value}");
        }
    }
}
