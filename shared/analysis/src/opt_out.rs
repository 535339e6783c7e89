//! Opt-outs: fields in which a sender says that the person must not, or cannot, be contacted.

use lead::Lead;
use serde_json::{Map, Value};

use crate::text::fold;

/// The maximum nesting that is searched, in objects.
const MAX_DEPTH: usize = 5;

/// The opt-outs by their canonical name, each with the keys that senders use for it: Marketo, Salesforce and
/// `HubSpot`, and common form fields. Keys are compared without case, separators and leading [`PREFIXES`].
const OPT_OUTS: [(&str, &[&str]); 6] = [
    ("bounced", &["bounced", "emailbounced", "hardbounced", "hardbounce", "emailhardbounce"]),
    ("do_not_call", &["donotcall", "dontcall", "donotphone", "optedoutofcalls", "optedoutofphone"]),
    ("do_not_contact", &["donotcontact", "dontcontact", "dnc", "nocontact", "blacklisted", "blocklisted"]),
    ("email_invalid", &["emailinvalid", "invalidemail", "emailaddressinvalid"]),
    (
        "opted_out",
        &[
            "optedout",
            "optout",
            "optedoutofemail",
            "emailoptout",
            "emailoptedout",
            "optoutofemail",
            "optedoutofall",
            "marketingoptout",
        ],
    ),
    (
        "unsubscribed",
        &["unsubscribed", "unsubscribe", "emailunsubscribed", "unsubscribedfromemail", "marketingsuspended"],
    ),
];

/// Words that senders put in front of the name of a field.
const PREFIXES: [&str; 10] =
    ["is", "has", "hs", "lead", "person", "contact", "marketo", "mkto", "sfdc", "customer"];

/// Words that mean yes, folded.
const YES: [&str; 8] = ["true", "yes", "y", "1", "on", "t", "x", "checked"];

/// The opt-outs of a lead by their canonical names, unique and in alphabetical order.
///
/// Searches `marketo`, `product`, `salesforce` and the fields without a known meaning (`attributes`), five
/// levels deep.
pub fn opt_outs(lead: &Lead) -> Vec<&'static str> {
    let mut found = Vec::new();
    for fields in [&lead.marketo, &lead.product, &lead.salesforce, &lead.attributes] {
        collect(fields, MAX_DEPTH, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(fields: &Map<String, Value>, depth: usize, found: &mut Vec<&'static str>) {
    if depth == 0 {
        return;
    }
    for (key, value) in fields {
        let named = name_of(key).filter(|_| says_yes(value, key));
        found.extend(named.or_else(|| status_of(key, value)));
        let objects = match value {
            Value::Array(members) => members.as_slice(),
            single => std::slice::from_ref(single),
        };
        for below in objects.iter().filter_map(Value::as_object) {
            collect(below, depth - 1, found);
        }
    }
}

/// The canonical name of the opt-out that a key names.
fn name_of(key: &str) -> Option<&'static str> {
    let key: String = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let mut rest = key.as_str();
    loop {
        if let Some((name, _)) = OPT_OUTS.iter().find(|(_, keys)| keys.contains(&rest)) {
            return Some(name);
        }
        rest = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    }
}

/// The canonical name of the opt-out that a status names, such as `"subscription_status": "unsubscribed"`.
fn status_of(key: &str, value: &Value) -> Option<&'static str> {
    let last = fold(key).rsplit(' ').next().map(str::to_owned)?;
    if last.ends_with("status") || last.ends_with("state") { name_of(value.as_str()?) } else { None }
}

/// Whether a value means yes. A number means yes if it is positive, and a text also if it repeats the key.
fn says_yes(value: &Value, key: &str) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::String(text) => {
            let folded = fold(text);
            YES.contains(&folded.as_str())
                || (!folded.is_empty() && folded == fold(key))
                || name_of(text).is_some_and(|name| name_of(key) == Some(name))
                || text.trim().parse().is_ok_and(|number: f64| number.is_finite() && number > 0.0)
        }
        Value::Array(members) => members.iter().any(|member| says_yes(member, key)),
        Value::Object(property) => property.get("value").is_some_and(|value| says_yes(value, key)),
        Value::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the calls stay short")]
    fn of(lead: Value) -> Vec<&'static str> {
        let mut whole = json!({"email": "x@stripe.com", "campaign_id": "c"});
        whole.as_object_mut().unwrap().extend(lead.as_object().unwrap().clone());
        opt_outs(&serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn every_spelling_of_the_key_and_of_yes_is_read() {
        for key in
            ["unsubscribed", "Unsubscribed", "is_unsubscribed", "lead.Unsubscribed", "Lead Unsubscribed"]
        {
            for yes in [
                json!(true),
                json!("true"),
                json!("YES"),
                json!(" 1 "),
                json!(1),
                json!("1.0"),
                json!("Unsubscribed"),
            ] {
                assert_eq!(of(json!({"marketo": {key: yes}})), ["unsubscribed"], "{key}: {yes}");
            }
            for no in [
                json!(false),
                json!("false"),
                json!("No"),
                json!("0"),
                json!(0),
                json!(""),
                json!(null),
                json!([]),
            ] {
                assert!(of(json!({"marketo": {key: no}})).is_empty(), "{key}: {no}");
            }
        }
        for (key, name) in [
            ("opted-out", "opted_out"),
            ("optOut", "opted_out"),
            ("HasOptedOutOfEmail", "opted_out"),
            ("hs_email_optout", "opted_out"),
            ("Do Not Contact", "do_not_contact"),
            ("DO_NOT_CALL", "do_not_call"),
            ("doNotCall", "do_not_call"),
            ("emailInvalid", "email_invalid"),
            ("Email.Invalid", "email_invalid"),
            ("Bounced", "bounced"),
            ("isEmailBounced", "bounced"),
        ] {
            assert_eq!(of(json!({"marketo": {key: "yes"}})), [name], "{key}");
        }
    }

    #[test]
    fn opt_out_is_found_in_every_place() {
        for lead in [
            json!({"attributes": {"do_not_call": 1}}),
            json!({"product": {"do_not_call": true}}),
            json!({"salesforce": {"DoNotCall": true}}),
            json!({"marketo": {"person": {"flags": {"do_not_call": "y"}}}}),
            json!({"attributes": {"properties": {"do_not_call": {"value": "true"}}}}),
            json!({"attributes": {"people": [{"do_not_call": true}]}}),
            json!({"marketo": {"contact_status": "Do not call"}}),
            json!({"marketo": {"phoneStatus": "DO_NOT_CALL"}}),
        ] {
            assert_eq!(of(lead.clone()), ["do_not_call"], "{lead}");
        }
        let both =
            json!({"marketo": {"bounced": 2}, "attributes": {"unsubscribed": "1", "opted_out": false}});
        assert_eq!(of(both), ["bounced", "unsubscribed"]);
    }

    #[test]
    fn other_fields_are_no_opt_outs() {
        for key in [
            "opted_in",
            "subscribed",
            "unsubscribed_at",
            "bounce_rate",
            "contact",
            "invalid",
            "call",
            "is",
            "",
        ] {
            assert!(of(json!({"marketo": {key: true}})).is_empty(), "{key}");
        }
    }
}
