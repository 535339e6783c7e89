use lead::{CampaignId, EmailAddress, Lead, Personal};
use serde_json::{Map, Number, Value};

use crate::absent::{is_absent, tidy_object, tidy_text};
use crate::form::read_form;
use crate::json::{Budget, read_object};
use crate::limits::{MAX_BODY_BYTES, MAX_LINE_CHARS, MAX_PHONE_CHARS};
use crate::rejection::Rejection;

/// The fields that hold objects.
pub(crate) const NAMESPACES: [&str; 3] = ["marketo", "product", "salesforce"];

/// Every top-level name that has a meaning here, in all its spellings.
const KNOWN: [&str; 17] = [
    "email",
    "emailAddress",
    "email_address",
    "campaign_id",
    "campaignId",
    "name",
    "first_name",
    "firstName",
    "last_name",
    "lastName",
    "company",
    "title",
    "jobTitle",
    "phone",
    "marketo",
    "product",
    "salesforce",
];

/// A top-level name as our own constant, where it is one. Names are the sender's text: only ours may be repeated.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| *known == name)
}

/// Reads one lead from a webhook body, JSON or form, within all bounds. What is accepted is on [the crate](crate).
///
/// # Errors
/// A problem with the body as a whole first, then the first problem in the order of the fields, `email` first.
pub fn parse_lead(body: &[u8]) -> Result<Lead, Rejection> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Rejection::body_too_large());
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let is_json = match body.first() {
        None => return Err(Rejection::empty_body()),
        Some(first) => matches!(first, b'{' | b'[' | b'"'),
    };
    let Ok(text) = str::from_utf8(body) else {
        let not_text = "the body is not UTF-8 text";
        return Err(if is_json {
            Rejection::invalid_json(not_text)
        } else {
            Rejection::invalid_form(not_text)
        });
    };
    let mut budget = Budget::new();
    let fields = if is_json { read_object(text, 1, &mut budget)? } else { read_form(text, &mut budget)? };
    Fields(fields).into_lead()
}

/// The top-level fields that are not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn into_lead(mut self) -> Result<Lead, Rejection> {
        let email = self.identity("email", &["emailAddress", "email_address"])?;
        let email = EmailAddress::parse(&email).map_err(Rejection::invalid_email)?;
        let campaign_id = self.identity("campaign_id", &["campaignId"])?;
        let campaign_id = CampaignId::parse(&campaign_id).map_err(Rejection::invalid_campaign)?;
        let name = self.line("name", &[], MAX_LINE_CHARS)?.map(Personal::new);
        let first_name = self.line("first_name", &["firstName"], MAX_LINE_CHARS)?.map(Personal::new);
        let last_name = self.line("last_name", &["lastName"], MAX_LINE_CHARS)?.map(Personal::new);
        let company = self.line("company", &[], MAX_LINE_CHARS)?;
        let title = self.line("title", &["jobTitle"], MAX_LINE_CHARS)?;
        let phone = self.line("phone", &[], MAX_PHONE_CHARS)?.map(Personal::new);
        let [mut marketo, product, salesforce] = NAMESPACES.map(|namespace| self.namespace(namespace));
        if let Ok(marketo) = &mut marketo {
            make_number(marketo, "engagement_score");
        }
        Ok(Lead {
            name,
            first_name,
            last_name,
            company,
            title,
            phone,
            marketo: marketo?,
            product: product?,
            salesforce: salesforce?,
            attributes: tidy_object(self.0, "attributes")?,
            ..Lead::new(email, campaign_id)
        })
    }

    /// The first of the spellings that has a value. A spelling that comes after it stays, for `attributes`.
    fn take(&mut self, name: &'static str, aliases: &[&str]) -> Option<Value> {
        std::iter::once(&name)
            .chain(aliases)
            .find_map(|spelling| self.0.remove(*spelling).filter(|value| !is_absent(value)))
    }

    /// A required text that must not be changed in any way: two leads could become one.
    fn identity(&mut self, name: &'static str, aliases: &[&str]) -> Result<String, Rejection> {
        let value = self.take(name, aliases).ok_or_else(|| Rejection::missing(name))?;
        as_text(value).ok_or_else(|| Rejection::not_text(name))
    }

    /// An optional text of at most `max` characters.
    fn line(
        &mut self,
        name: &'static str,
        aliases: &[&str],
        max: usize,
    ) -> Result<Option<String>, Rejection> {
        let Some(value) = self.take(name, aliases) else { return Ok(None) };
        let text = tidy_text(&as_text(value).ok_or_else(|| Rejection::not_text(name))?);
        if text.as_ref().is_some_and(|text| text.chars().count() > max) {
            return Err(Rejection::too_long(name, max));
        }
        Ok(text)
    }

    fn namespace(&mut self, name: &'static str) -> Result<Map<String, Value>, Rejection> {
        match self.take(name, &[]) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => tidy_object(object, name),
            Some(_) => Err(Rejection::not_an_object(name)),
        }
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Makes a text that is a JSON number one; anything else stays what it is.
fn make_number(object: &mut Map<String, Value>, key: &str) {
    if let Some(value) = object.get_mut(key)
        && let Some(number) = value.as_str().and_then(|text| serde_json::from_str::<Number>(text).ok())
    {
        *value = Value::Number(number);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{MAX_DEPTH, MAX_FIELDS, MAX_TEXT_CHARS};

    fn with(field: &str, value: Value) -> Vec<u8> {
        let mut body = json!({"email": "ann@example.com", "campaign_id": "c1"});
        body[field] = value;
        body.to_string().into_bytes()
    }

    fn parse(field: &str, value: Value) -> Lead {
        parse_lead(&with(field, value)).unwrap()
    }

    fn refused(field: &str, value: Value) -> (&'static str, Option<&'static str>) {
        let rejection = parse_lead(&with(field, value)).unwrap_err();
        (rejection.error, rejection.field)
    }

    #[test]
    fn the_body_tells_its_own_format() {
        let email = |body: &[u8]| parse_lead(body).unwrap().email.expose().to_owned();
        assert_eq!(
            email(b"\xef\xbb\xbf \r\n{\"email\":\"a@example.com\",\"campaign_id\":\"c\"}\n"),
            "a@example.com"
        );
        assert_eq!(email(b"\nemail=a%40example.com&campaign_id=c\r\n"), "a@example.com");
    }

    #[test]
    fn bodies_that_are_nothing_are_told_what_was_expected() {
        for (body, error) in [
            (&b""[..], "empty_body"),
            (b" \r\n\t", "empty_body"),
            (b"hello", "invalid_form"),
            (b"\x1f\x8b\x08\x00", "invalid_form"),
            (b"email=\xff&campaign_id=c", "invalid_form"),
            (b"{\"email\":\"\xff\"}", "invalid_json"),
            (b"[{\"email\":\"a@example.com\"}]", "invalid_json"),
            (b"\"text\"", "invalid_json"),
            (b"{}", "missing_field"),
        ] {
            assert_eq!(parse_lead(body).unwrap_err().error, error, "{body:?}");
        }
    }

    #[test]
    fn the_first_problem_in_the_order_of_the_fields_is_reported() {
        let mut body = json!({"phone": [1], "company": [1], "campaign_id": [1], "email": [1]});
        let mut reported = Vec::new();
        for fix in ["email", "campaign_id", "company", "phone"] {
            let rejection = parse_lead(body.to_string().as_bytes()).unwrap_err();
            reported.push((rejection.error, rejection.field.unwrap()));
            body[fix] = "ann@example.com".into();
        }
        assert_eq!(
            reported,
            [
                ("invalid_email", "email"),
                ("invalid_field", "campaign_id"),
                ("invalid_field", "company"),
                ("invalid_field", "phone")
            ]
        );
        assert!(parse_lead(body.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn what_is_required_must_have_a_value() {
        for nothing in
            [json!(null), json!(""), json!(" \n"), json!("null"), json!("NULL"), json!([]), json!([{}])]
        {
            assert_eq!(refused("email", nothing.clone()), ("missing_field", Some("email")), "{nothing}");
            assert_eq!(refused("campaign_id", nothing), ("missing_field", Some("campaign_id")));
        }
    }

    #[test]
    fn identity_is_refused_rather_than_cleaned() {
        assert_eq!(refused("email", json!("an\u{0}n@example.com")), ("invalid_email", Some("email")));
        assert_eq!(refused("email", json!(true)), ("invalid_email", Some("email")));
        assert_eq!(refused("campaign_id", json!("c\u{0}1")), ("invalid_field", Some("campaign_id")));
        assert_eq!(refused("campaign_id", json!("c".repeat(256))), ("too_long", Some("campaign_id")));
    }

    #[test]
    fn numbers_become_text_where_text_is_expected() {
        assert_eq!(parse("campaign_id", json!(1042)).campaign_id.as_str(), "1042");
        assert_eq!(parse("phone", json!(15_550_100)).phone.unwrap().expose(), "15550100");
        assert_eq!(refused("name", json!(true)), ("invalid_field", Some("name")));
        assert_eq!(refused("name", json!({"first": "Ann"})), ("invalid_field", Some("name")));
    }

    #[test]
    fn each_text_has_its_bound() {
        for (field, max) in [
            ("name", MAX_LINE_CHARS),
            ("firstName", MAX_LINE_CHARS),
            ("last_name", MAX_LINE_CHARS),
            ("company", MAX_LINE_CHARS),
            ("title", MAX_LINE_CHARS),
            ("phone", MAX_PHONE_CHARS),
            ("other", MAX_TEXT_CHARS),
        ] {
            parse(field, json!("é".repeat(max)));
            assert_eq!(refused(field, json!("é".repeat(max + 1))).0, "too_long", "{field}");
        }
        assert_eq!(
            refused("marketo", json!({"a": ["x".repeat(MAX_TEXT_CHARS + 1)]})),
            ("too_long", Some("marketo"))
        );
    }

    #[test]
    fn a_spelling_of_a_field_counts_where_no_earlier_one_has_a_value() {
        let lead = parse("firstName", json!("Ann"));
        assert_eq!(lead.first_name.unwrap().expose(), "Ann");
        let both = json!({"email": "", "emailAddress": "a@example.com", "email_address": "b@example.com",
            "campaignId": "c1"});
        let lead = parse_lead(both.to_string().as_bytes()).unwrap();
        assert_eq!(lead.email.expose(), "a@example.com");
        assert_eq!(Value::Object(lead.attributes), json!({"email_address": "b@example.com"}));
    }

    #[test]
    fn only_the_engagement_score_becomes_a_number() {
        let sent = json!({"engagement_score": " 82 ", "lead_id": "1042", "opted_in": "true"});
        let kept = json!({"engagement_score": 82, "lead_id": "1042", "opted_in": "true"});
        assert_eq!(Value::Object(parse("marketo", sent).marketo), kept);
        for text in ["high", "NaN", "inf", "1e999", "0x10", "080", "1,200"] {
            assert_eq!(parse("marketo", json!({"engagement_score": text})).marketo["engagement_score"], text);
        }
    }

    #[test]
    fn what_is_unknown_is_kept_apart() {
        let lead = parse("utm", json!({"source": " newsletter ", "medium": null}));
        assert_eq!(Value::Object(lead.attributes), json!({"utm": {"source": "newsletter"}}));
        assert_eq!(refused("product", json!("a text")), ("invalid_field", Some("product")));
    }

    #[test]
    fn bounds_on_the_whole_are_kept() {
        assert_eq!(parse_lead(&vec![b' '; MAX_BODY_BYTES + 1]).unwrap_err().error, "body_too_large");
        assert_eq!(parse_lead(&vec![b' '; MAX_BODY_BYTES]).unwrap_err().error, "empty_body");
        let deep = (1..=MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(refused("marketo", deep), ("too_deep", Some("marketo")));
        assert_eq!(refused("list", json!(vec![1; MAX_FIELDS])), ("too_many_fields", None));
    }

    #[test]
    fn a_rejection_never_repeats_what_was_sent() {
        for body in [
            r#"{"email":"sentinel","campaign_id":"c"}"#,
            r#"{"email":"a@example.com","campaign_id":"sen\u0000tinel"}"#,
            r#"{"email":"a@example.com","campaign_id":"c","name":["sentinel"]}"#,
            r#"{"sentinel@example.com":1,"sentinel@example.com":1}"#,
            r#"{"email":""sentinel@example.com""}"#,
            r#"{"email":"sentinel\x"}"#,
            "sentinel@example.com",
            "email=sentinel&campaign_id=c",
            "sentinel=%FF",
            "marketo={\"sentinel\"",
        ] {
            let rejection = parse_lead(body.as_bytes()).unwrap_err();
            let shown = format!("{rejection:?} {rejection} {}", serde_json::to_string(&rejection).unwrap());
            assert!(!shown.contains("sen") || !shown.contains("tinel"), "{shown}");
        }
    }
}
