use std::time::Duration;

use crm::testing::suite_plan;
use crm::{About, Action, Executor, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity};
use lead::EmailAddress;
use sandbox::salesforce::{Org, QueryFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::World;

fn about(email: &str, domain: Option<&str>) -> About {
    let lead_id = suite_plan("ann", "CTO", 87).lead_id;
    About { lead_id, email: EmailAddress::parse(email).unwrap(), company_domain: domain.map(str::to_owned) }
}

#[tokio::test]
async fn what_is_known_of_the_person_and_the_company_is_found_in_two_calls() {
    let world = World::new().await;
    let owner = |digit: char| format!("00500000000000{digit}AAA");
    world.org(|org| {
        let acme = json!({ "Name": "Acme", "Website": "https://WWW.acme.example/", "Type": "Customer", "OwnerId": owner('1') });
        let account = org.insert("Account", acme);
        org.insert("Account", json!({ "Name": "Other", "Website": "notacme.example" }));
        let elsewhere = org.insert("Account", json!({ "Name": "Elsewhere" }));
        org.insert("Lead", json!({ "Email": "ann@acme.example", "Status": "Old" }));
        org.insert("Lead", json!({ "Email": "ANN@acme.example", "Status": "New", "OwnerId": owner('2'), "IsConverted": true }));
        let contact = json!({ "Email": "ann@acme.example", "OwnerId": owner('3'), "AccountId": elsewhere });
        let contact = org.insert("Contact", contact);
        let mut opportunity = |stage: &str, amount: f64, account: Option<&str>| {
            org.insert("Opportunity", json!({ "Name": stage, "StageName": stage, "Amount": amount, "AccountId": account }))
        };
        opportunity("Prospecting", 10.0, Some(&account));
        opportunity("Closed Won", 20.0, Some(&account));
        opportunity("Negotiation", 30.0, Some(&elsewhere));
        let through_role = opportunity("Proposal", 40.0, None);
        org.insert("OpportunityContactRole", json!({ "OpportunityId": through_role, "ContactId": contact }));
    });
    let known = world.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    let stage = |stage: &str, amount: f64| KnownOpportunity { stage: stage.to_owned(), amount: Some(amount) };
    let expected = Known {
        lead: Some(KnownLead { status: Some("New".to_owned()), owner_id: Some(owner('2')), converted: true }),
        own: None,
        contact: Some(KnownContact { owner_id: Some(owner('3')), stage: None }),
        account: Some(KnownAccount { owner_id: Some(owner('1')), kind: Some("Customer".to_owned()) }),
        account_unread: false,
        open_opportunities: vec![
            stage("Negotiation", 30.0),
            stage("Prospecting", 10.0),
            stage("Proposal", 40.0),
        ],
    };
    assert_eq!(known, expected);
    assert_eq!(world.calls("/composite").len(), 2);
}

#[tokio::test]
async fn our_record_is_told_apart_and_belongs_to_nobody_until_somebody_takes_it() {
    let world = World::new().await;
    let mut plan = suite_plan("ann", "CTO", 87);
    let Action::UpsertLead(details) = &mut plan.actions[0].action else { unreachable!() };
    let email = details.email.expose().to_owned();
    details.owner = None;
    world.done(&plan).await;
    let ask = async || {
        let about = About { lead_id: plan.lead_id.clone(), ..about(&email, None) };
        world.executor.facts(&about).await.unwrap()
    };
    let known = ask().await;
    assert_eq!(world.lead()["OwnerId"], Org::API_USER);
    assert_eq!(
        (known.facts().get("owner"), known.owner_of_ours()),
        (None, None),
        "the integration is nobody"
    );

    // Somebody takes it, and the person is a newer lead as well.
    let (ours, taken) = (world.lead()["Id"].as_str().unwrap().to_owned(), "005000000000000001");
    world.org(|org| {
        org.set(&ours, "OwnerId", json!(taken));
        org.insert("Lead", json!({ "Email": email, "OwnerId": "005000000000000002", "IsConverted": true }))
    });
    let known = ask().await;
    assert_eq!((known.owner_of_ours(), known.is_ours_converted()), (Some(taken), false));
    assert_eq!(known.facts()["owner"], "005000000000000002", "of several leads the one changed last");
}

#[tokio::test]
async fn a_hostile_address_finds_nobody_and_a_private_mailbox_no_company() {
    let world = World::new().await;
    world.org(|org| {
        org.insert("Lead", json!({ "Email": "bob@acme.example" }));
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example" }))
    });
    let known = world.executor.facts(&about("o'brien'or'id'!=''@acme.example", None)).await.unwrap();
    assert_eq!(known, Known::default());
}

#[tokio::test]
async fn an_object_that_we_may_not_see_is_nothing_known() {
    let world = World::new().await;
    world.org(|org| {
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example", "Type": "Partner" }));
        org.objects.retain(|object| !object.name.starts_with("Opportunity"));
    });
    let known = world.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    assert_eq!(known.account.unwrap().kind.as_deref(), Some("Partner"));
    assert!(known.open_opportunities.is_empty());
}

#[tokio::test]
async fn slow_search_for_the_account_leaves_the_account_out() {
    let world = World::with(|settings| settings.account_wait = Duration::from_millis(200)).await;
    world.org(|org| {
        org.insert("Lead", json!({ "Email": "ann@acme.example", "Status": "New" }));
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example" }))
    });
    let forever = Misbehaviour::delay(Duration::from_hours(1));
    world.fake.add_fault(Fault::on("/composite", forever).times(1));
    let ask = async || world.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    let known = ask().await;
    assert!(known.lead.is_some() && known.account.is_none() && known.account_unread);
    assert_eq!(known.facts().get("account_exists"), None, "it is not known that there is none");
    // It rests for a while, and a lead costs no more calls for it.
    let calls = world.calls("/composite").len();
    assert!(ask().await.account_unread);
    assert_eq!(world.calls("/composite").len(), calls + 1);
}

#[tokio::test]
async fn refused_search_for_the_account_fails_no_lead_whatever_the_code() {
    for code in ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "NEVER_HEARD_OF"] {
        let world = World::new().await;
        world.org(|org| {
            org.query_faults.push(QueryFault { contains: "Website IN".to_owned(), code: code.to_owned() });
            org.insert("Lead", json!({ "Email": "ann@acme.example", "Status": "New" }))
        });
        let known = world.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
        assert!(known.lead.is_some() && known.account_unread, "{code}");
        let without = world.executor.facts(&about("ann@acme.example", None)).await.unwrap();
        assert!(!without.account_unread, "{code}: there was no company to search for");
    }
}

#[tokio::test]
async fn account_of_the_contact_is_found_by_its_id_while_the_search_rests() {
    let world = World::new().await;
    world.org(|org| {
        org.query_faults
            .push(QueryFault { contains: "Website IN".to_owned(), code: "QUERY_TIMEOUT".to_owned() });
        let account = org.insert("Account", json!({ "Name": "Acme", "Type": "Customer" }));
        org.insert("Contact", json!({ "LastName": "Ann", "Email": "ann@acme.example", "AccountId": account }))
    });
    let known = world.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    assert_eq!(known.account.as_ref().and_then(|account| account.kind.as_deref()), Some("Customer"));
    assert!(!known.account_unread, "it is known after all");
}
