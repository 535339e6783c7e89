//! The OpenAPI description of the HTTP interface, `POST /leads` included. Served at `/openapi.json`, and kept
//! in `docs/openapi.json` so that changes of the interface appear in reviews.

use lead::{CampaignId, EmailAddress};
use operators::Scope;
use store::Awaits;
use utoipa::OpenApi as _;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::answer::{ErrorBody, Json};
use super::routes::routes;

/// The name of the security scheme of operators.
const TOKEN: &str = "operator_token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "RevenueFlow",
        description = "Receives leads, judges and checks them, writes them to the CRM, and explains every decision.\n\n\
            Answers are JSON unless stated otherwise, and must not be cached. Each operation names the scope that the \
            token of its operator needs. Without `ADMIN_TOKEN` and `OPERATORS_FILE` only requests from the machine \
            itself are answered, and need no token.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    paths(
        super::post_lead::post_lead,
        super::post_lead::post_lead_of_source,
        super::leads::list,
        super::leads::show,
        super::leads::audit,
        super::audit::acts,
        super::leads::explain,
        super::leads::replay,
        super::people::responded,
        super::crm::plan,
        super::crm::promote,
        super::crm::rollback,
        super::crm::resume,
        super::pauses::list,
        super::pauses::resume,
        super::people::held,
        super::people::approve,
        super::people::rejudge,
        super::people::dismiss,
        super::people::suppressions,
        super::people::suppress,
        super::people::unsuppress,
        super::people::unsuppress_entry,
        super::people::removed_suppressions,
        super::people::erase,
        super::people::export,
        super::parked::dead_letters,
        super::parked::redrive,
        super::parked::quarantine,
        super::parked::quarantined,
        super::health::live,
        super::health::ready,
        super::health::metrics,
        serve,
    ),
    components(schemas(CampaignId, EmailAddress, Awaits, ErrorBody)),
    tags(
        (name = "leads", description = "Post leads, and follow their processing"),
        (name = "parked", description = "Failures: dead letters and quarantined bodies"),
        (name = "crm", description = "Planned writes to the CRM, and the hold of all writes"),
        (name = "people", description = "Decisions by people: reviews of held leads, responses, suppressions and erasures"),
        (name = "audit", description = "Acts that concern no single lead"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Description;

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub(super) async fn serve() -> Json<OpenApi> {
    Json(openapi())
}

/// The description of the HTTP interface.
pub fn openapi() -> OpenApi {
    let mut description = Description::openapi();
    description.info.contact = None; // would be the crate's authors, which are not set
    let components = description.components.get_or_insert_default();
    add_security_schemes(components);
    let routes = routes();
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            add_links(operation);
            if let Some(route) = routes.iter().find(|route| (route.path, route.method) == (path, method)) {
                add_scope(route.scope, operation);
                add_refusals(path, method, operation);
            }
        }
    }
    description
}

/// Describes the scope of an operation, and that a server without credentials needs none.
fn add_scope(scope: Scope, operation: &mut Operation) {
    let token = SecurityRequirement::new(TOKEN, [scope.as_str()]);
    operation.security = Some(vec![SecurityRequirement::default(), token]);
    let scope = format!("Scope: `{scope}`.");
    let described = operation.description.take().filter(|text| !text.is_empty());
    operation.description =
        Some(described.map_or_else(|| scope.clone(), |text| format!("{text}\n\n{scope}")));
}

/// The operations of a path with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let get = item.get.as_mut().map(|operation| ("get", operation));
    let post = item.post.as_mut().map(|operation| ("post", operation));
    let delete = item.delete.as_mut().map(|operation| ("delete", operation));
    get.into_iter().chain(post).chain(delete)
}

fn add_security_schemes(components: &mut Components) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token of an operator in `OPERATORS_FILE`, with its scopes, or `ADMIN_TOKEN`, which has all scopes",
        ))
        .build();
    let key = |header: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(header, description)))
    };
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    components.add_security_scheme("webhook_token", key("X-RevenueFlow-Token", "One of `WEBHOOK_SECRETS`"));
    components.add_security_scheme(
        "webhook_signature",
        key(
            "webhook-signature",
            "Standard Webhooks: `v1,` and the base64 HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`; the two \
             headers named there are sent too, and the time may be off by five minutes",
        ),
    );
}

/// The operations on one lead.
const LEAD_OPERATIONS: &[&str] =
    &["showLead", "auditLead", "explainLead", "replayLead", "respondLead", "planLead", "promoteLead"];

/// Answers with ids that other operations take: operation, status, pointer to the id, parameter, and the
/// other operations.
const LINKS: &[(&str, &str, &str, &str, &[&str])] = &[
    ("postLead", "202", "/lead_id", "id", LEAD_OPERATIONS),
    ("listLeads", "200", "/items/0/lead_id", "id", LEAD_OPERATIONS),
    ("listReviews", "200", "/items/0/lead_id", "id", &["approveReview", "rejudgeReview", "dismissReview"]),
    ("listDeadLetters", "200", "/items/0/id", "id", &["redriveDeadLetter"]),
    ("listQuarantine", "200", "/items/0/id", "id", &["showQuarantined"]),
    ("listSuppressions", "200", "/items/0/entry", "entry", &["deleteSuppression"]),
];

/// Adds links from an operation's answers to the operations that take their ids.
fn add_links(operation: &mut Operation) {
    let of = operation.operation_id.clone().unwrap_or_default();
    for (_, status, pointer, parameter, targets) in LINKS.iter().filter(|link| link.0 == of) {
        let Some(RefOr::T(response)) = operation.responses.responses.get_mut(*status) else { continue };
        for target in *targets {
            let link = LinkBuilder::new()
                .operation_id(*target)
                .parameter(*parameter, format!("$response.body#{pointer}"))
                .build();
            response.links.insert((*target).to_owned(), RefOr::T(link));
        }
    }
}

/// Adds the error answers that all guarded operations share.
fn add_refusals(path: &str, method: &str, operation: &mut Operation) {
    let mut refusals = vec![
        ("400", "The request is malformed; the message names the cause"),
        ("401", "The token is missing, unknown or expired"),
        (
            "403",
            "The token lacks the scope; or no credentials are configured, and the request is not from the machine itself",
        ),
        ("500", "A defect, or unreadable stored data; the details are in the log"),
        ("503", "A dependency is down; try again later"),
    ];
    if path.contains('{') {
        refusals.push(("404", "No such item exists"));
        refusals.push((
            "409",
            "Several items have this prefix, or the present state does not allow the operation",
        ));
    }
    if method == "post" {
        if !path.contains('{') {
            refusals.push(("409", "The present state does not allow the operation"));
        }
        refusals.push(("413", "The body is larger than 4 KiB"));
    }
    for (status, description) in refusals {
        let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
        let response = ResponseBuilder::new().description(description).content("application/json", error);
        operation.responses.responses.insert(status.to_owned(), response.build().into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Run with `UPDATE_GOLDEN=1` to update the file.
    #[test]
    fn golden_description_equals_the_served_one() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let mut served = serde_json::to_string_pretty(&openapi()).unwrap();
        served.push('\n');
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &served).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        let as_json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        assert!(
            as_json(&kept) == as_json(&served),
            "docs/openapi.json is not what /openapi.json serves; if the change is intended, update it with \
             `cargo run --bin revenueflow -- openapi > docs/openapi.json` or with \
             `UPDATE_GOLDEN=1 cargo test -p api openapi`"
        );
    }

    #[test]
    fn every_operation_of_an_operator_has_a_scope() {
        let description = json!(openapi());
        let mut scopes = 0;
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let is_webhook =
                    ["postLead", "postLeadOfSource"].iter().any(|id| operation["operationId"] == *id);
                let is_open = is_webhook || matches!(path.as_str(), "/healthz" | "/readyz");
                let scope = operation["security"][1][TOKEN][0].as_str();
                assert!(is_open || scope.is_some(), "{method} {path}");
                scopes += usize::from(scope.is_some());
            }
        }
        assert_eq!(scopes, routes().len(), "each route is described");
    }

    #[test]
    fn links_name_operations_and_parameters_that_exist() {
        let description = json!(openapi());
        let paths = description["paths"].as_object().unwrap();
        let operations: Vec<_> = paths.values().flat_map(|item| item.as_object().unwrap().values()).collect();
        let named = |id: &str| operations.iter().find(|operation| operation["operationId"] == id);
        for (of, status, _, parameter, targets) in LINKS {
            let links = &named(of).unwrap()["responses"][*status]["links"];
            assert_eq!(links.as_object().unwrap().len(), targets.len(), "{of}");
            for target in *targets {
                let parameters = named(target).unwrap()["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|taken| taken["name"] == *parameter), "{target}");
            }
        }
    }

    #[test]
    fn every_reference_resolves() {
        let description = json!(openapi());
        let text = description.to_string();
        let mut references = 0;
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
            references += 1;
        }
        assert!(references > 50);
    }
}
