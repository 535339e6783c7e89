//! What an answer of `HubSpot` means for a lead: the table, and how it is read.

use std::time::Duration;

use jiff::Timestamp;
use lead::{Failure, FailureClass};
use outbound::Reply;
use serde_json::Value;

use super::DEPENDENCY;

/// One kind of refusal. A deferral pauses consumption and costs no attempt; see [`FailureClass`].
struct Row {
    /// The first and the last status.
    status: (u16, u16),
    /// The `category` of the body, or for 429 its `policyName`; any where empty.
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    /// How long to stay away, in seconds, where the answer does not say.
    wait: Option<u64>,
    meaning: &'static str,
}

/// The first row that fits counts.
///
/// A refusal that concerns every lead alike (credentials, scopes, a missing property) is a deferral: leads wait for a
/// person to put it right, and none is given up.
const TABLE: &[Row] = &[
    row(300, 399, "", FailureClass::Deferral, "crm_moved", Some(300), "HubSpot's API is not at this address"),
    row(
        401,
        401,
        "",
        FailureClass::Deferral,
        "crm_credentials_refused",
        Some(300),
        "HubSpot does not accept the credentials",
    ),
    row(
        403,
        403,
        "",
        FailureClass::Deferral,
        "crm_credentials_refused",
        Some(300),
        "HubSpot does not let the app do this: a scope is missing",
    ),
    row(404, 404, "", FailureClass::Permanent, "crm_record_missing", None, "HubSpot has no such record"),
    row(
        409,
        409,
        "",
        FailureClass::Transient,
        "crm_conflict",
        None,
        "another record has a value that is unique",
    ),
    row(408, 408, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot did not answer in time"),
    row(
        423,
        423,
        "",
        FailureClass::Transient,
        "crm_locked",
        None,
        "HubSpot has locked the record for a moment",
    ),
    // HubSpot moves an account between data centres, for up to a day.
    row(477, 477, "", FailureClass::Deferral, "crm_migrating", Some(600), "HubSpot is moving the account"),
    row(
        429,
        429,
        "DAILY",
        FailureClass::Deferral,
        DAILY_QUOTA,
        None,
        "the account's calls of the day are used up",
    ),
    row(
        429,
        429,
        "SECONDLY",
        FailureClass::Deferral,
        "crm_rate_limited",
        Some(1),
        "too many searches a second",
    ),
    row(429, 429, "", FailureClass::Deferral, "crm_rate_limited", Some(10), "too many calls in ten seconds"),
    row(500, 599, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot has an error of its own"),
    row(
        400,
        400,
        "VALIDATION_ERROR",
        FailureClass::Permanent,
        INVALID,
        None,
        "HubSpot does not accept the values",
    ),
    row(
        400,
        499,
        "",
        FailureClass::Permanent,
        "crm_request_refused",
        None,
        "HubSpot does not accept the request",
    ),
];

/// What `HubSpot` refused, and which record has what was to be unique, where the answer says so.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    pub(super) holder: Option<String>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, holder: None }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

/// The code of a day's limit that is reached.
pub(super) const DAILY_QUOTA: &str = "crm_daily_quota";

/// The code of values that are refused.
pub(super) const INVALID: &str = "crm_values_refused";

const fn row(
    from: u16,
    to: u16,
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    wait: Option<u64>,
    meaning: &'static str,
) -> Row {
    Row { status: (from, to), category, class, code, wait, meaning }
}

/// What an answer that is no success means. Nothing of the body is quoted but names that cannot be personal.
pub(super) fn refused(reply: &Reply, now: Timestamp) -> Refused {
    let body: Value = reply.json().unwrap_or_default();
    let wait = reply.retry_after(now);
    Refused { failure: of_body(reply.status.as_u16(), &body, wait), holder: holder(&body) }
}

/// The contact that has an address already. Its id is told in words and nowhere else.
fn holder(body: &Value) -> Option<String> {
    let (_, rest) = body["message"].as_str()?.split_once("Existing ID: ")?;
    let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty()).then_some(id)
}

/// What a refused row of a batch means: its status is not told, so it follows from the category.
pub(super) fn of_row(error: &Value) -> Refused {
    let status = match category(error).as_str() {
        "CONFLICT" | "OBJECT_ALREADY_EXISTS" => 409,
        "OBJECT_NOT_FOUND" => 404,
        "VALIDATION_ERROR" => 400,
        "RATE_LIMITS" => 429,
        "MISSING_SCOPES" => 403,
        _ => 500,
    };
    Refused { failure: of_body(status, error, None), holder: holder(error) }
}

fn of_body(status: u16, body: &Value, wait: Option<Duration>) -> Failure {
    let category = if status == 429 { text(&body["policyName"]) } else { category(body) };
    let fits = |row: &&Row| (row.status.0..=row.status.1).contains(&status) && row.category_fits(&category);
    let Some(row) = TABLE.iter().find(fits) else {
        return Failure::transient("crm_unavailable", format!("HubSpot answered {status}")).on(DEPENDENCY);
    };
    let message = match names(body) {
        names if names.is_empty() => format!("{} ({status})", row.meaning),
        names => format!("{} ({status}): {}", row.meaning, names.join(", ")),
    };
    let wait = wait.or(row.wait.map(Duration::from_secs));
    // Two unique properties, one of them taken: somebody else was quicker.
    if row.code == INVALID && names(body).iter().any(|name| name.contains("CONFLICTING_UNIQUE_VALUE")) {
        return Failure::transient("crm_conflict", message).on(DEPENDENCY);
    }
    match row.class {
        FailureClass::Transient => Failure::transient(row.code, message).on(DEPENDENCY),
        FailureClass::Permanent => Failure::permanent(row.code, message).on(DEPENDENCY),
        FailureClass::Deferral => Failure::deferral(DEPENDENCY, row.code, message, wait),
    }
}

impl Row {
    fn category_fits(&self, category: &str) -> bool {
        self.category.is_empty() || self.category == category
    }
}

fn category(body: &Value) -> String {
    text(&body["category"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The properties and error codes that an error names, and the scopes that it asks for.
fn names(body: &Value) -> Vec<String> {
    let is_name = |text: &&str| {
        text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        list.filter(is_name).map(str::to_owned).collect()
    };
    let mut names = Vec::new();
    for error in body["errors"].as_array().into_iter().flatten().take(20) {
        let code = error["code"].as_str().filter(is_name).unwrap_or("invalid");
        names.extend(
            strings(&error["context"]["propertyName"]).into_iter().map(|name| format!("{name} {code}")),
        );
        names.extend(strings(&error["context"]["requiredGranularScopes"]));
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: u16, body: &Value) -> (FailureClass, String) {
        let failure = of_body(status, body, None);
        (failure.class, failure.code.into_owned())
    }

    #[test]
    fn every_status_means_something_and_only_values_are_a_leads_own_fault() {
        for status in 300..600 {
            let (class, code) = of(status, &Value::Null);
            let for_good = class == FailureClass::Permanent;
            let is_own =
                (400..500).contains(&status) && ![401, 403, 408, 409, 423, 429, 477].contains(&status);
            assert_eq!(for_good, is_own, "{status} {code}");
        }
    }

    #[test]
    fn who_has_an_address_is_read_from_the_words() {
        let of = |message: &str| of_row(&json!({"category": "CONFLICT", "message": message})).holder;
        assert_eq!(of("Contact already exists. Existing ID: 12345"), Some("12345".to_owned()));
        assert_eq!(of("Contact already exists. Existing ID: 12345, and more"), Some("12345".to_owned()));
        assert_eq!(of("Contact already exists. Existing ID: none"), None);
        assert_eq!(of("Duplicate emails found in batch input"), None);
    }

    #[test]
    fn limits_are_told_apart_by_their_policy() {
        let wait = |policy| of_body(429, &json!({ "policyName": policy }), None);
        assert_eq!(wait("DAILY").code, DAILY_QUOTA);
        assert_eq!(wait("SECONDLY").retry_after, Some(Duration::from_secs(1)));
        assert_eq!(wait("TEN_SECONDLY_ROLLING").retry_after, Some(Duration::from_secs(10)));
        let asked = of_body(429, &Value::Null, Some(Duration::from_secs(3)));
        assert_eq!(asked.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_message_names_properties_and_quotes_nothing() {
        let body = json!({
            "category": "VALIDATION_ERROR", "message": "Email address ann@example.com is invalid",
            "errors": [
                {"code": "INVALID_EMAIL", "message": "ann@example.com", "context": {"propertyName": ["email"]}},
                {"code": "X", "context": {"propertyName": ["Ann O'Brien"]}},
            ],
        });
        let failure = of_body(400, &body, None);
        assert_eq!(failure.message, "HubSpot does not accept the values (400): email INVALID_EMAIL");
        assert_eq!(of(400, &body), (FailureClass::Permanent, INVALID.to_owned()));
        let taken = json!({"category": "VALIDATION_ERROR", "errors": [
            {"code": "CONFLICTING_UNIQUE_VALUE", "context": {"propertyName": ["revenueflow_id"]}},
        ]});
        assert_eq!(of(400, &taken), (FailureClass::Transient, "crm_conflict".to_owned()));
    }
}
