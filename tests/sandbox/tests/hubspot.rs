//! Verifies the fake of `HubSpot` with `HubSpot`'s own client, and tests its limits.

#![allow(clippy::unwrap_used, reason = "a test helper that panics fails the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lead::{ManualClock, SystemClock};
use sandbox::hubspot::{HubSpot, Kind, PropertyChange};
use sandbox::{Fake, Fault, Misbehaviour};
use serde_json::{Value, json};

/// The fake, with handles to its state and its clock.
async fn hubspot() -> (Fake, HubSpot, ManualClock) {
    let clock = ManualClock::default();
    let hubspot = HubSpot::with_clock(Arc::new(clock.clone()));
    (Fake::serve("hubspot", hubspot.router()).await.unwrap(), hubspot, clock)
}

/// The status, headers and body of a call.
async fn call(
    fake: &Fake,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, reqwest::header::HeaderMap, Value) {
    let request = reqwest::Client::new()
        .request(method.parse().unwrap(), format!("{}{path}", fake.url()))
        .bearer_auth(HubSpot::TOKEN);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_row_fault_refuses_one_row_and_the_others_are_written() {
    let (fake, hubspot, _clock) = hubspot().await;
    hubspot.define(Kind::Contact, "key", true);
    let row = Misbehaviour::Row { code: "INTERNAL_ERROR".to_owned(), skip: 1 };
    fake.add_fault(Fault::on("/batch/upsert", row).times(1));
    let input = |key: &str| json!({"id": key, "idProperty": "key", "properties": {}});
    let body = json!({"inputs": [input("a"), input("b"), input("c")]});
    let upsert = || call(&fake, "POST", "/crm/objects/2026-03/contacts/batch/upsert", body.clone());
    let (status, _, answer) = upsert().await;
    assert_eq!((status, &answer["numErrors"]), (207, &json!(1)), "{answer}");
    assert_eq!(answer["errors"][0]["context"]["ids"], json!(["b"]));
    assert_eq!(hubspot.records(Kind::Contact).len(), 2);
    assert_eq!(upsert().await.0, 200);
    assert_eq!(hubspot.records(Kind::Contact).len(), 3);
}

#[tokio::test]
async fn deals_have_their_type_id_in_the_path_of_2026_03() {
    let (fake, hubspot, _) = hubspot().await;
    hubspot.set(|settings| settings.searches = 100);
    for (path, expected) in [
        ("/crm/objects/2026-03/0-3", 200),
        ("/crm/objects/2026-03/deals", 404),
        ("/crm/objects/2026-03/0-1", 404),
        ("/crm/objects/2026-09/deals", 200),
        ("/crm/v3/objects/deals", 200),
        ("/crm/v3/objects/0-3", 200),
    ] {
        assert_eq!(call(&fake, "POST", &format!("{path}/search"), json!({})).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn hubspots_own_client_accepts_the_fake() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/hubspot");
    assert!(
        folder.join("node_modules/@hubspot/api-client").exists(),
        "the packages of tests/clients/hubspot are not installed: run `make test`, or `npm ci` there"
    );
    let hubspot = HubSpot::with_clock(Arc::new(SystemClock));
    hubspot.set(|settings| settings.index_lag = Duration::from_hours(1));
    hubspot.add(Kind::Contact, &[("email", "old@example.com")]);
    let fake = Fake::serve("hubspot", hubspot.router()).await.unwrap();
    let settings = sandbox::hubspot::Settings::default();
    let output = tokio::process::Command::new("node")
        .arg("prove.mjs")
        .args([&fake.url(), HubSpot::TOKEN, &settings.client_id])
        .args([&settings.client_secret, &settings.refresh_token])
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // The client's records exist once.
    let ann = hubspot.record(Kind::Contact, "email", "ann@example.com").unwrap();
    assert_eq!((ann.get("our_id"), ann.get("firstname")), (Some("a1"), None));
    assert_eq!(hubspot.records(Kind::Contact).len(), 4, "one was there before");
    let task = hubspot.record(Kind::Task, "our_id", "t1").unwrap();
    assert_eq!(task.get("hs_task_body"), Some("soon"));
    assert_eq!(hubspot.associated(Kind::Contact, ann.id, Kind::Task)[&task.id], [203]);
}

#[tokio::test]
async fn both_shapes_of_a_path_lead_to_the_same_record() {
    let (fake, hubspot, _) = hubspot().await;
    hubspot.define(Kind::Contact, "our_id", true);
    let rows =
        json!({"inputs": [{"idProperty": "our_id", "id": "a1", "properties": {"email": "ann@example.com"}}]});
    let (_, _, dated) = call(&fake, "POST", "/crm/objects/2026-03/contacts/batch/upsert", rows.clone()).await;
    let (_, _, undated) = call(&fake, "POST", "/crm/v3/objects/0-1/batch/upsert", rows).await;
    assert_eq!((&dated["results"][0]["new"], &undated["results"][0]["new"]), (&json!(true), &json!(false)));
    assert_eq!(dated["results"][0]["id"], undated["results"][0]["id"]);
    for path in [
        "/crm/v3/properties/contacts/our_id",
        "/crm/properties/2026-03/contacts/our_id",
        "/crm/owners/2026-03/71",
        "/crm/v3/owners/71",
        "/crm/pipelines/2026-03/deals",
        "/account-info/2026-03/details",
        "/account-info/v3/details",
    ] {
        assert_eq!(call(&fake, "GET", path, Value::Null).await.0, 200, "{path}");
    }
    for path in [
        "/crm/objects/1999-01/contacts",
        "/crm/v2/objects/contacts",
        "/crm/v3/associations/contacts/companies/batch/read",
    ] {
        assert_eq!(call(&fake, "GET", path, Value::Null).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn limits_are_in_headers_and_named_when_exceeded() {
    let (fake, hubspot, clock) = hubspot().await;
    hubspot.set(|settings| (settings.burst, settings.daily, settings.searches) = (4, 6, 1));
    let owners = async || call(&fake, "GET", "/crm/owners/2026-03/71", Value::Null).await;
    let search = async || call(&fake, "POST", "/crm/objects/2026-03/contacts/search", json!({})).await;
    let (status, headers, _) = owners().await;
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(status, 200);
    assert_eq!(header("x-hubspot-ratelimit-remaining"), "3");
    assert_eq!(header("x-hubspot-ratelimit-daily-remaining"), "5");

    let (status, headers, _) = search().await;
    assert_eq!((status, headers.get("x-hubspot-ratelimit-remaining")), (200, None));
    let (status, _, body) = search().await;
    assert_eq!((status, &body["policyName"]), (429, &json!("SECONDLY")));
    owners().await;
    owners().await;
    let (status, _, body) = owners().await;
    assert_eq!((status, &body["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
    clock.advance(Duration::from_secs(10));
    owners().await;
    owners().await;
    let (status, _, body) = owners().await;
    assert_eq!((status, &body["policyName"]), (429, &json!("DAILY")));
    // It is midnight UTC; the account's own day ends five hours later.
    clock.advance(Duration::from_hours(5));
    assert_eq!(owners().await.0, 200);
}

#[tokio::test]
async fn search_sees_a_write_only_after_the_index_lag() {
    let (fake, hubspot, clock) = hubspot().await;
    let total = async |domain: &str| {
        let filters = json!([{"propertyName": "domain", "operator": "EQ", "value": domain}]);
        let body = json!({"filterGroups": [{"filters": filters}]});
        call(&fake, "POST", "/crm/objects/2026-03/companies/search", body).await.2["total"].clone()
    };
    hubspot.define(Kind::Company, "key", true);
    let new = json!({"inputs": [{"id": "a", "idProperty": "key", "properties": {"domain": "example.com"}}]});
    let (status, ..) = call(&fake, "POST", "/crm/objects/2026-03/companies/batch/upsert", new).await;
    assert_eq!((status, total("example.com").await), (200, json!(0)));
    clock.advance(Duration::from_secs(5));
    assert_eq!(total("example.com").await, 1);
    hubspot.edit(Kind::Company, hubspot.records(Kind::Company)[0].id, &[("domain", "example.org")]);
    assert_eq!((total("example.com").await, total("example.org").await), (json!(1), json!(0)));
}

#[tokio::test]
async fn a_created_row_with_a_taken_value_is_refused_alone() {
    let (fake, hubspot, _clock) = hubspot().await;
    hubspot.define(Kind::Contact, "key", true);
    hubspot.add(Kind::Contact, &[("key", "taken"), ("email", "ann@example.com")]);
    let company = hubspot.add(Kind::Company, &[("domain", "example.com")]);
    let input = |trace: Option<usize>, properties: Value, to: u64| {
        let types = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]);
        let mut input = json!({"properties": properties, "associations": [{"to": {"id": to.to_string()}, "types": types}]});
        if let Some(trace) = trace {
            input["objectWriteTraceId"] = json!(trace.to_string());
        }
        input
    };
    let create = async |inputs: Value| {
        call(&fake, "POST", "/crm/objects/2026-03/contacts/batch/create", json!({ "inputs": inputs })).await
    };
    let (taken, address, new) =
        (json!({"key": "taken"}), json!({"email": "ann@example.com"}), json!({"key": "new"}));
    // Without trace ids, one of them refuses the whole call.
    let (status, _, answer) =
        create(json!([input(None, new.clone(), company), input(None, address.clone(), company)])).await;
    assert_eq!((status, hubspot.records(Kind::Contact).len()), (409, 1), "{answer}");
    let (status, _, answer) = create(json!([
        input(Some(0), taken, company),
        input(Some(1), new, company),
        input(Some(2), address, company),
        input(Some(3), json!({"key": "lost"}), 1),
    ]))
    .await;
    assert_eq!((status, &answer["numErrors"]), (207, &json!(3)), "{answer}");
    assert_eq!(answer["results"][0]["objectWriteTraceId"], "1");
    let created = hubspot.record(Kind::Contact, "key", "new").unwrap();
    assert_eq!(hubspot.associated(Kind::Contact, created.id, Kind::Company)[&company], [1, 279]);
    assert_eq!(hubspot.records(Kind::Contact).len(), 2, "a row with a missing company is not created");
    let rows: Vec<Value> = (0..101).map(|row| input(Some(row), json!({}), company)).collect();
    assert_eq!(create(json!(rows)).await.0, 400, "a batch has at most a hundred rows");
}

#[tokio::test]
async fn a_search_is_limited_in_length_and_answers_page_by_page() {
    let (fake, hubspot, _clock) = hubspot().await;
    hubspot.set(|settings| settings.searches = 100);
    for number in 0..5 {
        hubspot.add(Kind::Company, &[("domain", "example.com"), ("name", &format!("{number}"))]);
    }
    hubspot.add(Kind::Company, &[("domain", "other.com"), ("hs_additional_domains", "x.com;Example.com")]);
    let search = async |property: &str, values: Value, after: Option<&str>| {
        let filter = json!({"propertyName": property, "operator": "IN", "values": values});
        let body = json!({"filterGroups": [{"filters": [filter]}], "limit": 3, "after": after});
        let (status, _, answer) = call(&fake, "POST", "/crm/objects/2026-03/companies/search", body).await;
        (status, answer)
    };
    let (status, first) = search("domain", json!(["example.com"]), None).await;
    assert_eq!((status, &first["total"], first["results"].as_array().unwrap().len()), (200, &json!(5), 3));
    let after = first["paging"]["next"]["after"].as_str();
    let (_, second) = search("domain", json!(["example.com"]), after).await;
    assert_eq!((second["results"].as_array().unwrap().len(), &second["paging"]), (2, &Value::Null));
    assert_eq!(
        search("hs_additional_domains", json!(["example.com"]), None).await.1["total"],
        1,
        "one of a list"
    );
    assert_eq!(search("domain", json!(["Example.com"]), None).await.1["total"], 0, "not in lower case");
    let many: Vec<String> = (0..200).map(|number| format!("company-{number}.example")).collect();
    assert_eq!(search("domain", json!(many), None).await.0, 400);
}

#[tokio::test]
async fn deleted_records_are_listed_and_merged_ones_are_not() {
    let (fake, hubspot, _clock) = hubspot().await;
    let ids = ["a", "b", "c", "d"].map(|name| hubspot.add(Kind::Company, &[("name", name)]));
    hubspot.delete(Kind::Company, ids[0]);
    hubspot.delete(Kind::Company, ids[1]);
    assert!(hubspot.merge(Kind::Company, ids[3], ids[2]));
    let list = async |query: &str| {
        let path = format!("/crm/objects/2026-03/companies?properties=name&{query}");
        call(&fake, "GET", &path, Value::Null).await.2
    };
    let names = |page: &Value| -> Vec<String> {
        let rows = page["results"].as_array().unwrap().iter();
        rows.map(|row| row["properties"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = list("archived=true&limit=1").await;
    let second =
        list(&format!("archived=true&limit=1&after={}", first["paging"]["next"]["after"].as_str().unwrap()))
            .await;
    assert_eq!(
        (names(&first), names(&second), &second["paging"]),
        (vec!["a".into()], vec!["b".into()], &Value::Null)
    );
    assert_eq!(names(&list("limit=100").await), ["d"]);
}

#[tokio::test]
async fn an_issued_token_expires() {
    let (fake, _hubspot, clock) = hubspot().await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "sandbox-client"),
        ("client_secret", "sandbox-client-secret"),
    ];
    let client = reqwest::Client::new();
    let issued = client.post(format!("{}/oauth/2026-03/token", fake.url())).form(&form).send().await.unwrap();
    let issued: Value = issued.json().await.unwrap();
    let ask = async || {
        let token = issued["access_token"].as_str().unwrap();
        let url = format!("{}/crm/owners/2026-03/71", fake.url());
        let answer = client.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["category"].clone())
    };
    assert_eq!(ask().await, (200, Value::Null));
    clock.advance(Duration::from_secs(issued["expires_in"].as_u64().unwrap()));
    assert_eq!(ask().await, (401, json!("EXPIRED_AUTHENTICATION")));
}

#[tokio::test]
async fn an_invalid_property_refuses_the_call_and_is_named() {
    let (fake, hubspot, _clock) = hubspot().await;
    hubspot.define(Kind::Contact, "key", true);
    hubspot.define(Kind::Contact, "closed", false);
    let read_only = PropertyChange { read_only: Some(true), ..PropertyChange::default() };
    assert!(hubspot.change_property(Kind::Contact, "closed", read_only));
    let short = PropertyChange { max_length: Some(3), ..PropertyChange::default() };
    assert!(hubspot.change_property(Kind::Contact, "jobtitle", short));
    hubspot.set(|settings| settings.archived_owners.push("72".to_owned()));
    for (name, value, code) in [
        ("hubspot_owner_id", "72", "INVALID_OWNER_ID"),
        ("closed", "x", "READ_ONLY_VALUE"),
        ("jobtitle", "long", "PROPERTY_TOO_LARGE"),
        ("hs_lead_status", "HOT", "INVALID_OPTION"),
        ("email", "nobody", "INVALID_EMAIL"),
        ("nothing", "x", "PROPERTY_DOESNT_EXIST"),
    ] {
        let inputs = json!([
            {"id": "a", "idProperty": "key", "properties": {name: value}},
            {"id": "b", "idProperty": "key", "properties": {}},
        ]);
        let upsert = || {
            let body = json!({ "inputs": inputs });
            call(&fake, "POST", "/crm/objects/2026-03/contacts/batch/upsert", body)
        };
        let (status, _, answer) = upsert().await;
        assert_eq!((status, &answer["errors"][0]["code"]), (400, &json!(code)), "{answer}");
        assert_eq!(answer["errors"][0]["context"]["propertyName"], json!([name]));
        assert_eq!(hubspot.records(Kind::Contact).len(), 0, "{name}");
        hubspot.set(|settings| settings.invalid_inputs_fail_alone = true);
        let (status, _, answer) = upsert().await;
        assert_eq!((status, &answer["errors"][0]["errors"][0]["code"]), (207, &json!(code)), "{answer}");
        let [other] = &hubspot.records(Kind::Contact)[..] else { panic!("the other input is written") };
        hubspot.delete(Kind::Contact, other.id);
        hubspot.set(|settings| settings.invalid_inputs_fail_alone = false);
    }
}

#[tokio::test]
async fn a_merged_record_is_found_by_its_id_and_its_address() {
    let (fake, hubspot, _clock) = hubspot().await;
    let (old, new) = (
        hubspot.add(Kind::Contact, &[("email", "ann@old.example"), ("jobtitle", "CTO")]),
        hubspot.add(Kind::Contact, &[("email", "ann@new.example")]),
    );
    let task = hubspot.add(Kind::Task, &[]);
    hubspot.associate(Kind::Task, task, Kind::Contact, old);
    let merge = json!({"into": new, "id": old});
    assert_eq!(call(&fake, "POST", "/_account/merges/contacts", merge).await.0, 204);
    let read = async |query: &str, body: Value| {
        let path = format!("/crm/objects/2026-03/contacts/batch/read{query}");
        call(&fake, "POST", &path, body).await.2["results"][0]["id"].clone()
    };
    let by_id = |id: u64| json!({"inputs": [{"id": id.to_string()}]});
    let by_address = json!({"idProperty": "email", "inputs": [{"id": "ann@old.example"}]});
    for body in [by_id(old), by_id(new), by_address] {
        assert_eq!(read("", body.clone()).await, json!(new.to_string()), "{body}");
    }
    let [survivor] = &hubspot.records(Kind::Contact)[..] else { panic!("one is left") };
    assert_eq!(survivor.get("hs_additional_emails"), Some("ann@old.example"));
    assert_eq!(survivor.get("jobtitle"), Some("CTO"));
    assert_eq!(hubspot.associated(Kind::Task, task, Kind::Contact).keys().collect::<Vec<_>>(), [&new]);
    hubspot.delete(Kind::Contact, new);
    assert_eq!(read("", by_id(new)).await, Value::Null);
    assert_eq!(read("?archived=true", by_id(new)).await, json!(new.to_string()));
}

#[tokio::test]
async fn the_day_of_the_quota_follows_the_accounts_clocks() {
    let (fake, hubspot, clock) = hubspot().await;
    // It is midnight UTC. In two hours the account's offset changes from five hours behind UTC to four.
    let change = json!({"daily": 1, "offset_change": ["2026-01-01T02:00:00Z", -240]});
    assert_eq!(call(&fake, "PUT", "/_account", change).await.0, 200);
    let owners = async || call(&fake, "GET", "/crm/owners/2026-03/71", Value::Null).await.0;
    assert_eq!((owners().await, owners().await), (200, 429));
    clock.advance(Duration::from_hours(4));
    assert_eq!(owners().await, 200, "midnight is at 04:00 UTC now");
    hubspot.set(|settings| settings.daily = 10);
    let details = call(&fake, "GET", "/account-info/2026-03/details", Value::Null).await.2;
    assert_eq!(details["utcOffsetMilliseconds"], -4 * 3_600_000);
}
