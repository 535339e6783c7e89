//! The text from which a sender makes its bodies, to find bodies that have more fields than it.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::limits::{MAX_BODY_DEPTH, MAX_FIELDS};
use crate::raw::{depth, members};

/// The shape of a payload template: the names of its fields, in order and at every level.
///
/// A platform that fills a template by text replacement, such as Marketo with the token encoding "None", can
/// be made to send further fields: a person who types `Acme","marketo":{..},"x":"` as the company adds them.
/// Each body of a template has the same names, so a body with other ones was not made from the template
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    names: Vec<(usize, String)>,
}

/// The text is neither a JSON object nor a form, or has too many or repeated names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the payload template as it is set up at the sender: a JSON object or a form, with each name once"
)]
pub struct TemplateError;

impl Template {
    /// Reads a template. `{{tokens}}` outside of quotes stand for any value.
    ///
    /// # Errors
    /// When the template cannot be read.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let names = shape(&with_values(text)).ok_or(TemplateError)?;
        let mut seen = HashSet::new();
        let is_unique = names.iter().all(|name| name.0 > 1 || seen.insert(&name.1));
        if is_unique && !names.is_empty() { Ok(Self { names }) } else { Err(TemplateError) }
    }

    /// Whether a body has the names of the template and no others.
    pub fn matches(&self, body: &str) -> bool {
        shape(body).is_some_and(|names| names == self.names)
    }
}

/// Replaces the tokens outside of JSON strings by `null`.
fn with_values(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        if !in_string
            && rest.starts_with("{{")
            && let Some(end) = rest.find("}}")
        {
            replaced.push_str("null");
            rest = &rest[end + 2..];
            continue;
        }
        let length = match c {
            '\\' if in_string => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '"' => {
                in_string = !in_string;
                1
            }
            other => other.len_utf8(),
        };
        replaced.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    replaced
}

/// The names of a body with their levels, in the order sent. Lists count as values.
fn shape(text: &str) -> Option<Vec<(usize, String)>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut names = Vec::new();
    if text.starts_with('{') {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        if depth(raw.get()) > MAX_BODY_DEPTH {
            return None;
        }
        collect(raw, 1, &mut names)?;
    } else {
        for pair in text.split('&').filter(|pair| !pair.trim().is_empty()) {
            names.push((1, pair.split_once('=')?.0.to_owned()));
        }
    }
    (names.len() <= MAX_FIELDS).then_some(names)
}

fn collect(raw: &RawValue, level: usize, names: &mut Vec<(usize, String)>) -> Option<()> {
    for (name, value) in members(raw).ok()? {
        names.push((level, name.trim().to_owned()));
        if value.get().starts_with('{') {
            collect(value, level + 1, names)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{ "email": {{lead.Email Address}}, "company": "{{company.Company Name}}",
        "campaign_id": "launch", "marketo": { "activity": "webinar", "engagement_score": {{lead.Lead Score}} } }"#;

    #[test]
    fn bodies_of_the_template_match() {
        let template = Template::parse(JSON).unwrap();
        for company in ["Acme", "", "{{company.Company Name}}", r#"A \"B\" {{x}}"#] {
            let body = format!(
                r#"{{"email":"ann@acme.example","company":"{company}","campaign_id":"launch","marketo":{{"activity":"webinar","engagement_score":"7"}}}}"#
            );
            assert!(template.matches(&body), "{body}");
        }
    }

    #[test]
    fn bodies_with_other_names_do_not_match() {
        let template = Template::parse(JSON).unwrap();
        for company in [
            r#"Acme","x":""#,
            r#"Acme","marketo":{"engagement_score":99},"x":""#,
            r#"Acme","marketo":{"activity":"demo_request"},"company":""#,
        ] {
            let body = format!(
                r#"{{"email":"ann@acme.example","company":"{company}","campaign_id":"launch","marketo":{{"activity":"webinar","engagement_score":7}}}}"#
            );
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "the attack is valid JSON");
            assert!(!template.matches(&body), "{body}");
        }
        assert!(!template.matches("email=ann%40acme.example&company=Acme"));
    }

    #[test]
    fn form_with_an_injected_parameter_does_not_match() {
        let template = Template::parse(
            "email={{lead.Email Address}}&company={{company.Company Name}}&campaign_id=launch",
        )
        .unwrap();
        let body = |company: &str| format!("email=ann%40acme.example&company={company}&campaign_id=launch");
        assert!(template.matches(&body("Acme+Inc")));
        assert!(!template.matches(&body("Acme&marketo.engagement_score=99")));
    }

    #[test]
    fn unusable_templates_are_refused() {
        for text in ["", "{}", "[]", "hello", r#"{"a": }"#, r#"{"a": {{x}}, "a": 1}"#, "a=1&a=2"] {
            assert_eq!(Template::parse(text), Err(TemplateError), "{text}");
        }
    }
}
