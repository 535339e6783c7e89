//! Classification of ZoomInfo's refusals.

use http_client::Reply;
use serde_json::Value;

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The token is expired or revoked.
    Token,
    /// The token lacks the scope.
    Scope,
    /// The account's plan lacks the API.
    Entitlement,
    /// The account's plan lacks a requested field.
    Field,
    /// The rate limit is exceeded.
    Rate,
    /// The credits are exhausted.
    Credits,
    /// ZoomInfo failed.
    Unavailable,
    /// Any other refusal: the status decides.
    Other,
}

/// Reads a refusal; none for a success. Both envelopes occur: `{"error":{"code":..}}` as in the
/// documentation, and `{"errors":[{"code":..}]}` (JSON:API) as in the OpenAPI files.
pub(super) fn read(reply: &Reply) -> Option<Refusal> {
    if reply.status.is_success() {
        return None;
    }
    let answer: Value = reply.json().unwrap_or_default();
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut codes = errors.iter().chain([&answer["error"]]).filter_map(|error| error["code"].as_str());
    let known = codes.find_map(of_code);
    Some(known.unwrap_or(match reply.status.as_u16() {
        401 => Refusal::Token,
        429 => Refusal::Rate,
        _ => Refusal::Other,
    }))
}

fn of_code(code: &str) -> Option<Refusal> {
    Some(match code {
        "ZI0001" => Refusal::Token,
        "ZI0002" => Refusal::Scope,
        "ZI0003" => Refusal::Entitlement,
        "ZI0004" => Refusal::Rate,
        "PFAPI0001" | "PFAPI0009" => Refusal::Field,
        "PFAPI0007" | "PFAPI0010" => Refusal::Unavailable,
        "PFAPI0011" => Refusal::Credits,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http_client::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: &Value) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply { status, headers: HeaderMap::default(), body: body.to_string().into() }
    }

    #[test]
    fn both_envelopes_are_read() {
        for (status, code, refusal) in [
            (401, "ZI0001", Refusal::Token),
            (403, "ZI0002", Refusal::Scope),
            (403, "ZI0003", Refusal::Entitlement),
            (429, "ZI0004", Refusal::Rate),
            (400, "PFAPI0001", Refusal::Field),
            (400, "PFAPI0011", Refusal::Credits),
            (504, "PFAPI0010", Refusal::Unavailable),
            (400, "PFAPI9999", Refusal::Other),
        ] {
            for body in [json!({"error": {"code": code}}), json!({"errors": [{"code": code}]})] {
                assert_eq!(read(&reply(status, &body)), Some(refusal), "{body}");
            }
        }
    }

    #[test]
    fn status_decides_without_a_code() {
        assert_eq!(read(&reply(401, &json!("no"))), Some(Refusal::Token));
        assert_eq!(read(&reply(429, &json!(null))), Some(Refusal::Rate));
        assert_eq!(read(&reply(500, &json!({"error": "oops"}))), Some(Refusal::Other));
        assert_eq!(read(&reply(200, &json!({"error": {"code": "ZI0001"}}))), None);
    }
}
