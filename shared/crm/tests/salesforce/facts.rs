use std::time::Duration;

use crm::testing::suite_plan;
use crm::{About, Action, Executor, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity};
use lead::EmailAddress;
use sandbox::salesforce::{Org, QueryFault};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::OrgFixture;

fn about(email: &str, domain: Option<&str>) -> About {
    let lead_id = suite_plan("ann", "CTO", 87).lead_id;
    About { lead_id, email: EmailAddress::parse(email).unwrap(), company_domain: domain.map(str::to_owned) }
}

#[tokio::test]
async fn facts_of_person_and_company_take_two_calls() {
    let fixture = OrgFixture::new().await;
    let owner = |digit: char| format!("00500000000000{digit}AAA");
    fixture.org(|org| {
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
    let known = fixture.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
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
    assert_eq!(fixture.calls("/composite").len(), 2);
}

#[tokio::test]
async fn own_lead_has_no_owner_until_a_user_takes_it() {
    let fixture = OrgFixture::new().await;
    let mut plan = suite_plan("ann", "CTO", 87);
    let Action::UpsertLead(details) = &mut plan.actions[0].action else { unreachable!() };
    let email = details.email.expose().to_owned();
    details.owner = None;
    fixture.execute_ok(&plan).await;
    let read_facts = async || {
        let about = About { lead_id: plan.lead_id.clone(), ..about(&email, None) };
        fixture.executor.facts(&about).await.unwrap()
    };
    let known = read_facts().await;
    assert_eq!(fixture.lead()["OwnerId"], Org::API_USER);
    assert_eq!(
        (known.facts().get("owner"), known.our_record_owner()),
        (None, None),
        "the integration's user does not count as an owner"
    );

    // A user takes the lead, and the person has a newer lead as well.
    let (ours, taken) = (fixture.lead()["Id"].as_str().unwrap().to_owned(), "005000000000000001");
    fixture.org(|org| {
        org.set(&ours, "OwnerId", json!(taken));
        org.insert("Lead", json!({ "Email": email, "OwnerId": "005000000000000002", "IsConverted": true }))
    });
    let known = read_facts().await;
    assert_eq!((known.our_record_owner(), known.is_our_record_converted()), (Some(taken), false));
    assert_eq!(known.facts()["owner"], "005000000000000002", "of several leads the most recently modified");
}

#[tokio::test]
async fn hostile_address_matches_no_record() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
        org.insert("Lead", json!({ "Email": "bob@acme.example" }));
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example" }))
    });
    let known = fixture.executor.facts(&about("o'brien'or'id'!=''@acme.example", None)).await.unwrap();
    assert_eq!(known, Known::default());
}

#[tokio::test]
async fn hidden_object_yields_no_facts() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example", "Type": "Partner" }));
        org.objects.retain(|object| !object.name.starts_with("Opportunity"));
    });
    let known = fixture.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    assert_eq!(known.account.unwrap().kind.as_deref(), Some("Partner"));
    assert!(known.open_opportunities.is_empty());
}

#[tokio::test]
async fn slow_account_search_leaves_the_account_unread() {
    let fixture = OrgFixture::with(|settings| settings.account_wait = Duration::from_millis(200)).await;
    fixture.org(|org| {
        org.insert("Lead", json!({ "Email": "ann@acme.example", "Status": "New" }));
        org.insert("Account", json!({ "Name": "Acme", "Website": "acme.example" }))
    });
    let forever = Misbehaviour::delay(Duration::from_hours(1));
    fixture.fake.add_fault(Fault::on("/composite", forever).times(1));
    let read_facts =
        async || fixture.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    let known = read_facts().await;
    assert!(known.lead.is_some() && known.account.is_none() && known.account_unread);
    assert_eq!(known.facts().get("account_exists"), None, "the absence of the account is not known");
    // Searches pause for a while, so further leads cost no calls for them.
    let calls = fixture.calls("/composite").len();
    assert!(read_facts().await.account_unread);
    assert_eq!(fixture.calls("/composite").len(), calls + 1);
}

#[tokio::test]
async fn refused_account_search_fails_no_lead_for_any_code() {
    for code in ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "NEVER_HEARD_OF"] {
        let fixture = OrgFixture::new().await;
        fixture.org(|org| {
            org.query_faults.push(QueryFault { contains: "Website IN".to_owned(), code: code.to_owned() });
            org.insert("Lead", json!({ "Email": "ann@acme.example", "Status": "New" }))
        });
        let known = fixture.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
        assert!(known.lead.is_some() && known.account_unread, "{code}");
        let without = fixture.executor.facts(&about("ann@acme.example", None)).await.unwrap();
        assert!(!without.account_unread, "{code}: there is no company to search for");
    }
}

#[tokio::test]
async fn contacts_account_is_read_by_id_when_the_search_fails() {
    let fixture = OrgFixture::new().await;
    fixture.org(|org| {
        org.query_faults
            .push(QueryFault { contains: "Website IN".to_owned(), code: "QUERY_TIMEOUT".to_owned() });
        let account = org.insert("Account", json!({ "Name": "Acme", "Type": "Customer" }));
        org.insert("Contact", json!({ "LastName": "Ann", "Email": "ann@acme.example", "AccountId": account }))
    });
    let known = fixture.executor.facts(&about("ann@acme.example", Some("acme.example"))).await.unwrap();
    assert_eq!(known.account.as_ref().and_then(|account| account.kind.as_deref()), Some("Customer"));
    assert!(!known.account_unread, "the account was read by id");
}
