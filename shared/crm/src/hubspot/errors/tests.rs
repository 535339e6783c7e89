use serde_json::json;

use super::*;

fn of(status: u16, body: &Value) -> (FailureClass, String) {
    let failure = of_body(status, body, None).failure;
    (failure.class(), failure.code.into_owned())
}

#[test]
fn only_record_level_statuses_are_permanent() {
    for status in 300..600 {
        let (class, code) = of(status, &Value::Null);
        let is_permanent = class == FailureClass::Permanent;
        let is_record_level =
            (400..500).contains(&status) && ![401, 403, 408, 409, 423, 429, 477].contains(&status);
        assert_eq!(is_permanent, is_record_level, "{status} {code}");
    }
}

#[test]
fn conflicts_concern_the_record_and_not_the_account() {
    let cause = |status| of_body(status, &Value::Null, None).failure.cause;
    assert_eq!([cause(409), cause(423)], [Cause::Record; 2]);
    assert_eq!([cause(401), cause(403)], [Cause::CredentialsRefused; 2]);
    assert_eq!([cause(400), cause(404), cause(408), cause(500)], [Cause::Other; 4]);
    assert_eq!(unanswered_row().failure.cause, Cause::Record);
    assert_eq!(of_row(&json!({"category": "SOME_NEW_CATEGORY"})).failure.cause, Cause::Record);
}

#[test]
fn conflicting_contact_is_read_from_the_message() {
    let of = |message: &str| of_row(&json!({"category": "CONFLICT", "message": message})).conflicting_id;
    assert_eq!(of("Contact already exists. Existing ID: 12345"), Some("12345".to_owned()));
    assert_eq!(of("Contact already exists. Existing ID: 12345, and more"), Some("12345".to_owned()));
    assert_eq!(of("Contact already exists. Existing ID: none"), None);
    assert_eq!(of("Duplicate emails found in batch input"), None);
}

#[test]
fn rate_limits_are_distinguished_by_policy_name() {
    let wait = |policy| of_body(429, &json!({ "policyName": policy }), None).failure;
    assert_eq!(wait("DAILY").code, DAILY_QUOTA);
    assert_eq!(wait("SECONDLY").retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(wait("TEN_SECONDLY_ROLLING").retry_after(), Some(Duration::from_secs(10)));
    let asked = of_body(429, &Value::Null, Some(Duration::from_secs(3))).failure;
    assert_eq!(asked.retry_after(), Some(Duration::from_secs(3)));
}

#[test]
fn message_names_properties_and_quotes_no_value() {
    let body = json!({
        "category": "VALIDATION_ERROR", "message": "Email address ann@example.com is invalid",
        "errors": [
            {"code": "INVALID_EMAIL", "message": "ann@example.com", "context": {"propertyName": ["email"]}},
            {"code": "X", "context": {"propertyName": ["Ann O'Brien"]}},
        ],
    });
    let failure = of_body(400, &body, None).failure;
    assert_eq!(failure.message, "HubSpot does not accept the values (400): email INVALID_EMAIL");
    assert_eq!(of(400, &body), (FailureClass::Permanent, INVALID.to_owned()));
    let taken = json!({"category": "VALIDATION_ERROR", "errors": [
        {"code": "CONFLICTING_UNIQUE_VALUE", "context": {"propertyName": ["revenueflow_id"]}},
    ]});
    assert_eq!(of(400, &taken), (FailureClass::Transient, "crm_conflict".to_owned()));
}

#[test]
fn unknown_row_category_is_a_record_level_error() {
    for category in ["SOME_NEW_CATEGORY", "INTERNAL_ERROR", ""] {
        let failure = of_row(&json!({"category": category, "message": "ann@example.com"})).failure;
        assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Transient, ROW_REFUSED));
        assert!(failure.message.contains(category), "{failure}");
        assert!(!failure.message.contains("ann@"), "{failure}");
    }
    let odd = of_row(&json!({"category": "Ann O'Brien"})).failure;
    assert_eq!(odd.message, "HubSpot refused this record: no category");
}

#[test]
fn row_that_names_its_properties_is_invalid_in_any_category() {
    let error = json!({"category": "NEW_KIND", "errors": [
        {"code": "INVALID_OPTION", "context": {"propertyName": ["hs_lead_status"]}},
    ]});
    let refused = of_row(&error);
    assert_eq!(refused.invalid[0].property, "hs_lead_status");
    assert_eq!(refused.failure.class(), FailureClass::Permanent);
}

#[test]
fn refusal_without_property_names_reports_its_category() {
    let failure = of_body(402, &json!({"category": "PAYMENT_NEEDED"}), None).failure;
    assert_eq!(failure.message, "HubSpot does not accept the request (402): PAYMENT_NEEDED");
}
