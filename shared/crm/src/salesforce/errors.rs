use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use http_client::StatusCode;
use lead::{Cause, Failure};
use serde::Deserialize;
use serde_json::Value;

use super::DEPENDENCY;
use crate::address::AddressPart;
use crate::{FieldChange, LeftOut};

/// How long all leads wait when the daily calls are used up. The limit covers a rolling 24 hours, so calls
/// become available gradually.
pub(super) const LIMIT_WAIT: Duration = Duration::from_mins(15);
/// How long all leads wait when the org processes too many concurrent calls.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long all leads wait for an administrator before the next attempt.
pub(super) const ADMIN_WAIT: Duration = Duration::from_mins(1);

/// The meaning of an error code. `errors.toml` lists the codes of each meaning and describes its handling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Meaning {
    Lock,
    Locked,
    Transient,
    /// Too many concurrent calls; the call was not executed. It shares its code with [`Self::Limit`]: see
    /// [`meaning`].
    Busy,
    Stale,
    NotSent,
    Session,
    Limit,
    Stop,
    Access,
    LeaveOutField,
    LeaveOutOwner,
    LeaveOutReference,
    Permanent,
}

/// A refusal by Salesforce, with its meaning and the resulting failure.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) meaning: Meaning,
    pub(super) failure: Failure,
    /// The Salesforce names of the fields that the refusal names.
    pub(super) fields: Vec<String>,
    /// The reported reason if the record is written without those fields.
    pub(super) reason: LeftOut,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        use lead::FailureClass::{Deferral, Permanent, Transient};
        let meaning = match failure.class() {
            Transient => Meaning::Transient,
            Deferral => Meaning::Stop,
            Permanent => Meaning::Permanent,
        };
        Self { meaning, failure, fields: Vec::new(), reason: LeftOut::Refused }
    }
}

impl Meaning {
    /// Whether the record may be written without the refused fields.
    pub(super) fn leaves_out(self) -> bool {
        matches!(self, Self::LeaveOutField | Self::LeaveOutOwner | Self::LeaveOutReference)
    }
}

/// The maximum number of errors read from one response.
const MAX_ERRORS: usize = 20;

/// The code for an inactive owner.
const INACTIVE: &str = "INACTIVE_OWNER_OR_USER";

static TABLE: LazyLock<BTreeMap<Meaning, Vec<String>>> =
    LazyLock::new(|| toml::from_str(include_str!("errors.toml")).expect("the table is tested"));

impl Refusal {
    /// The reason for omitting a field after this refusal; none if the refusal does not concern the field.
    ///
    /// A refused country also omits its state, because Salesforce refuses a state without a country.
    pub(super) fn leaves_out(&self, change: &FieldChange) -> Option<LeftOut> {
        let is_owner = change.is_owner();
        let is_named = self.fields.iter().any(|named| is_same_field(named, &change.field));
        let is_concerned = match self.meaning {
            Meaning::LeaveOutOwner => is_owner,
            Meaning::LeaveOutReference => is_owner || AddressPart::of(&change.field).is_some(),
            _ => false,
        };
        if is_named || self.fields.is_empty() && is_concerned {
            let unsuitable = is_owner && self.reason == LeftOut::Refused;
            return Some(if unsuitable { LeftOut::OwnerUnsuitable } else { self.reason });
        }
        let country = AddressPart::of(&change.field)?.country_of_state()?;
        let is_country = |named: &String| AddressPart::of(named) == Some(country);
        self.fields.iter().any(is_country).then_some(LeftOut::PartnerMissing)
    }

    /// The reason for omitting a country whose state was refused although the plan does not write the state:
    /// the record has a state that does not belong to the new country.
    pub(super) fn leaves_out_partner(&self, change: &FieldChange) -> Option<LeftOut> {
        let country = AddressPart::of(&change.field)?;
        let is_its_state =
            |named: &String| AddressPart::of(named).and_then(AddressPart::country_of_state) == Some(country);
        self.fields.iter().any(is_its_state).then_some(self.reason)
    }
}

/// Compares field names. Salesforce may name `Country` for a sent `CountryCode`, and vice versa.
fn is_same_field(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || AddressPart::of(a).is_some_and(|part| AddressPart::of(b) == Some(part))
}

/// One error of a response, which is `[{message, errorCode, fields}]` or one such object.
#[derive(Debug, Default, Deserialize)]
struct ApiError {
    #[serde(rename = "errorCode", default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(rename = "duplicateResult", default)]
    duplicates: Value,
}

/// Classifies an error response.
///
/// The failure's message has the code, the fields and the ids of matching records. It does not quote
/// Salesforce's message, which may contain values.
pub(super) fn refusal(status: StatusCode, body: &Value) -> Refusal {
    let listed = if let Value::Array(errors) = body { errors.as_slice() } else { std::slice::from_ref(body) };
    let mut errors: Vec<ApiError> = listed
        .iter()
        .take(MAX_ERRORS)
        .map(|error| ApiError::deserialize(error).unwrap_or_default())
        .collect();
    // Of several errors, the first one that cannot be resolved by omitting fields decides.
    let is_decisive = |error: &ApiError| !meaning(status, error).leaves_out();
    let decisive = errors.iter().position(is_decisive).unwrap_or_default();
    let error = if errors.is_empty() { ApiError::default() } else { errors.swap_remove(decisive) };
    let code = identifier(&error.code);
    let meaning = meaning(status, &error);
    let mut message = match code {
        "" => format!("Salesforce answered with status {}", status.as_u16()),
        code => format!("Salesforce refused: {code}"),
    };
    let mut fields: Vec<&str> = Vec::new();
    for field in
        std::iter::once(&error).chain(&errors).flat_map(|error| &error.fields).map(|field| identifier(field))
    {
        if !field.is_empty() && !fields.contains(&field) {
            fields.push(field);
        }
    }
    let named = fields.iter().map(|field| (*field).to_owned()).collect();
    let matches = matching_records(&error.duplicates);
    for (label, names) in [(", fields ", fields), (", matching records ", matches)] {
        if !names.is_empty() {
            message.push_str(label);
            message.push_str(&names.join(" "));
        }
    }
    let mut failure = match meaning {
        Meaning::Lock | Meaning::Locked => Failure::transient("crm_failed", message).because(Cause::Record),
        Meaning::Transient | Meaning::NotSent => Failure::transient("crm_failed", message),
        Meaning::Busy => Failure::deferral(DEPENDENCY, "crm_busy", message, Some(BUSY_WAIT)),
        Meaning::Limit => Failure::deferral(DEPENDENCY, "crm_refuses", message, Some(LIMIT_WAIT)),
        Meaning::Session | Meaning::Stop => {
            Failure::deferral(DEPENDENCY, "crm_refuses", message, Some(ADMIN_WAIT))
        }
        Meaning::Stale
        | Meaning::Access
        | Meaning::LeaveOutField
        | Meaning::LeaveOutOwner
        | Meaning::LeaveOutReference
        | Meaning::Permanent => Failure::permanent("crm_refused", message),
    };
    if !code.is_empty() && meaning != Meaning::Busy {
        failure.code = Cow::Owned(format!("crm_{}", code.to_ascii_lowercase()));
    }
    let reason = if code == INACTIVE { LeftOut::OwnerInactive } else { LeftOut::Refused };
    Refusal { meaning, failure: failure.on(DEPENDENCY), fields: named, reason }
}

/// The meaning of an error by its code or, if `errors.toml` does not list the code, by the status. An
/// unlisted code that names fields concerns those fields.
fn meaning(status: StatusCode, error: &ApiError) -> Meaning {
    let (code, message) = (identifier(&error.code), error.message.as_str());
    let find = |is_listed: &dyn Fn(&String) -> bool| {
        TABLE.iter().find(|(_, codes)| codes.iter().any(is_listed)).map(|(meaning, _)| *meaning)
    };
    // An exact match takes precedence over a prefix.
    let by_prefix = |listed: &String| listed.strip_suffix('*').is_some_and(|start| code.starts_with(start));
    match find(&|listed| listed == code).or_else(|| find(&by_prefix)) {
        // One code stands for the daily and the concurrent limit. Only the message distinguishes them.
        Some(Meaning::Limit) if message.to_ascii_lowercase().contains("concurrent") => Meaning::Busy,
        // Triggers and validation rules wrap the lock error in their own.
        Some(Meaning::Permanent | Meaning::LeaveOutField) if message.contains("UNABLE_TO_LOCK_ROW") => {
            Meaning::Lock
        }
        Some(meaning) => meaning,
        None if status == StatusCode::UNAUTHORIZED => Meaning::Session,
        None if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Meaning::Transient,
        None if status == StatusCode::BAD_REQUEST && !error.fields.is_empty() => Meaning::LeaveOutField,
        None => Meaning::Permanent,
    }
}

/// The ids of up to five records that a duplicate rule found.
fn matching_records(duplicates: &Value) -> Vec<&str> {
    fn members(value: &Value) -> std::slice::Iter<'_, Value> {
        value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
    }
    let records = members(&duplicates["matchResults"]).flat_map(|result| members(&result["matchRecords"]));
    records
        .filter_map(|found| found["record"]["Id"].as_str())
        .map(identifier)
        .filter(|id| !id.is_empty())
        .take(5)
        .collect()
}

/// The text if it is an identifier, which is safe to log; otherwise an empty text.
fn identifier(text: &str) -> &str {
    let is_identifier = text.len() <= 80 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_identifier { text } else { "" }
}

#[cfg(test)]
mod tests {
    use lead::FailureClass;
    use serde_json::json;

    use super::*;

    fn of(status: u16, body: &Value) -> (Meaning, FailureClass, String) {
        let refusal = refusal(StatusCode::from_u16(status).unwrap(), body);
        (refusal.meaning, refusal.failure.class(), refusal.failure.code.into_owned())
    }

    #[test]
    fn every_meaning_has_codes_and_every_code_one_meaning() {
        assert_eq!(TABLE.len(), 13);
        let mut codes: Vec<_> = TABLE.values().flatten().collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn lock_concerns_the_record_and_not_the_org() {
        let cause = |code: &str, message: &str| {
            let body = json!([{ "message": message, "errorCode": code }]);
            refusal(StatusCode::BAD_REQUEST, &body).failure.cause
        };
        for code in ["UNABLE_TO_LOCK_ROW", "ENTITY_IS_LOCKED"] {
            assert_eq!(cause(code, "x"), Cause::Record, "{code}");
        }
        let by_trigger = "Trigger1: System.DmlException: UNABLE_TO_LOCK_ROW";
        assert_eq!(cause("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", by_trigger), Cause::Record);
        for code in ["SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "MALFORMED_ID"] {
            assert_eq!(cause(code, "x"), Cause::Other, "{code}");
        }
    }

    #[test]
    fn errors_are_classified_by_code_and_status() {
        use FailureClass::{Deferral, Permanent, Transient};
        let error = |code: &str| json!([{ "message": "x", "errorCode": code }]);
        for (status, body, meaning, class, code) in [
            (400, error("UNABLE_TO_LOCK_ROW"), Meaning::Lock, Transient, "crm_unable_to_lock_row"),
            (400, error("STRING_TOO_LONG"), Meaning::LeaveOutField, Permanent, "crm_string_too_long"),
            (
                400,
                error("INACTIVE_OWNER_OR_USER"),
                Meaning::LeaveOutOwner,
                Permanent,
                "crm_inactive_owner_or_user",
            ),
            (403, error("REQUEST_LIMIT_EXCEEDED"), Meaning::Limit, Deferral, "crm_request_limit_exceeded"),
            (
                400,
                error("INSUFFICIENT_ACCESS_OR_READONLY"),
                Meaning::Access,
                Permanent,
                "crm_insufficient_access_or_readonly",
            ),
            (400, error("NEVER_HEARD_OF"), Meaning::Permanent, Permanent, "crm_never_heard_of"),
            (500, error("NEVER_HEARD_OF"), Meaning::Transient, Transient, "crm_never_heard_of"),
            (
                503,
                json!({ "errorCode": "SERVER_UNAVAILABLE" }),
                Meaning::Transient,
                Transient,
                "crm_server_unavailable",
            ),
            (502, json!("<html>"), Meaning::Transient, Transient, "crm_failed"),
            (400, Value::Null, Meaning::Permanent, Permanent, "crm_refused"),
            (401, Value::Null, Meaning::Session, Deferral, "crm_refuses"),
        ] {
            assert_eq!(of(status, &body), (meaning, class, code.to_owned()), "{body}");
        }
        for (message, meaning, code) in [
            ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", Meaning::Busy, "crm_busy"),
            ("concurrentrequests limit exceeded", Meaning::Busy, "crm_busy"),
            ("Too many concurrent requests.", Meaning::Busy, "crm_busy"),
            ("ConcurrentPerOrgLongTxn Limit exceeded.", Meaning::Busy, "crm_busy"),
            ("ConcurrentPerOrgApex Limit exceeded.", Meaning::Busy, "crm_busy"),
            ("TotalRequests Limit exceeded.", Meaning::Limit, "crm_request_limit_exceeded"),
            ("", Meaning::Limit, "crm_request_limit_exceeded"),
        ] {
            let body = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message }]);
            assert_eq!(of(403, &body), (meaning, Deferral, code.to_owned()), "{message}");
        }
        let wrapped = json!([{ "errorCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "Trigger: UNABLE_TO_LOCK_ROW" }]);
        assert_eq!(of(400, &wrapped).0, Meaning::Lock);
    }

    #[test]
    fn unknown_code_that_names_fields_omits_those_fields() {
        let error = json!([{ "errorCode": "NEVER_HEARD_OF", "message": "", "fields": ["Title"] }]);
        assert_eq!(of(400, &error).0, Meaning::LeaveOutField);
        assert_eq!(of(500, &error).0, Meaning::Transient);
        let known = json!([{ "errorCode": "REQUIRED_FIELD_MISSING", "message": "", "fields": ["Title"] }]);
        assert_eq!(of(400, &known).0, Meaning::Permanent, "the field is missing, not refused");
        let owner = json!([{ "errorCode": "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "message": "" }]);
        assert_eq!(of(400, &owner).0, Meaning::LeaveOutOwner, "an exact match takes precedence");
    }

    #[test]
    fn fields_of_all_errors_are_named_and_a_final_one_decides() {
        let both = |code: &str| {
            json!([
                { "errorCode": "STRING_TOO_LONG", "message": "", "fields": ["Title"] },
                { "errorCode": code, "message": "", "fields": ["Email", "Title"] },
            ])
        };
        let refused = refusal(StatusCode::BAD_REQUEST, &both("INVALID_EMAIL_ADDRESS"));
        assert_eq!(
            (refused.meaning, refused.fields),
            (Meaning::LeaveOutField, vec!["Title".to_owned(), "Email".to_owned()])
        );
        let refused = refusal(StatusCode::BAD_REQUEST, &both("REQUIRED_FIELD_MISSING"));
        assert_eq!(
            (refused.meaning, refused.failure.code.as_ref()),
            (Meaning::Permanent, "crm_required_field_missing")
        );
    }

    #[test]
    fn message_of_salesforce_with_values_is_not_quoted() {
        let body = json!([{
            "errorCode": "DUPLICATES_DETECTED", "message": "ann@example.com", "fields": ["Email", "ann@example.com"],
            "duplicateResult": { "matchResults": [{ "matchRecords": [{ "record": { "Id": "00Q000000000001AAA" } }] }] },
        }]);
        let message = refusal(StatusCode::BAD_REQUEST, &body).failure.message;
        assert_eq!(
            message,
            "Salesforce refused: DUPLICATES_DETECTED, fields Email, matching records 00Q000000000001AAA"
        );
    }
}
