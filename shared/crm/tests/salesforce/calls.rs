//! The number of calls that leads cost, alone and in a burst. `docs/salesforce.md` states these numbers.

use std::sync::Arc;

use crm::testing::{MemoryHealth, MemoryLedger, MemoryLimits, suite_plan};
use crm::{About, Guard, GuardSettings, Plan};
use futures::StreamExt as _;
use futures::stream;
use lead::{EmailAddress, SystemClock};
use sandbox::salesforce::RowFault;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::OrgFixture;

/// A lead: what is known of it before the judgement, and its plan.
struct Lead {
    about: About,
    plan: Plan,
}

fn lead(name: &str, title: &str) -> Lead {
    let plan = suite_plan(name, title, 87);
    let about = About {
        lead_id: plan.lead_id.clone(),
        email: EmailAddress::parse(&format!("{name}@example.com")).unwrap(),
        company_domain: Some(format!("{name}.example")),
    };
    Lead { about, plan }
}

/// A guard that keeps old values, after the calls whose results are cached.
async fn warm(fixture: &OrgFixture) -> Guard {
    let guard = Guard::new(
        Arc::clone(&fixture.executor) as _,
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryHealth::default()),
        Arc::new(MemoryLimits::unlimited()),
        Arc::new(SystemClock),
        GuardSettings { keep_old_values: true, ..GuardSettings::default() },
    );
    deliver(&guard, &lead("first", "CTO")).await;
    guard
}

/// Facts, old values and write, as the pipeline does them.
async fn deliver(guard: &Guard, lead: &Lead) {
    guard.facts(&lead.about).await.unwrap();
    guard.submit_normal(&lead.plan).await.unwrap();
}

/// Delivers leads, at most 64 at the same time, and returns the calls per lead.
async fn cost(fixture: &OrgFixture, guard: &Guard, leads: &[Lead]) -> f64 {
    let before = fixture.org(|org| org.calls);
    stream::iter(leads).for_each_concurrent(64, |lead| deliver(guard, lead)).await;
    let calls = fixture.org(|org| org.calls) - before;
    let count = |number: u64| f64::from(u32::try_from(number).unwrap());
    count(calls) / count(leads.len().try_into().unwrap())
}

/// Asserts that each lead has one record, and both of its tasks.
fn assert_complete(fixture: &OrgFixture, leads: &[Lead]) {
    let (records, tasks) = fixture.org(|org| (org.records("Lead"), org.records("Task")));
    for lead in leads {
        let id = lead.plan.lead_id.as_str();
        let own: Vec<_> = records.iter().filter(|record| record["RevenueFlow_Id__c"] == id).collect();
        let [record] = own[..] else { panic!("{} records", own.len()) };
        for planned in &lead.plan.actions[4..] {
            let id = planned.external_id(&lead.plan.lead_id);
            let own: Vec<_> = tasks.iter().filter(|task| task["RevenueFlow_Id__c"] == id).collect();
            let [task] = own[..] else { panic!("{} tasks", own.len()) };
            assert_eq!(task["WhoId"], record["Id"], "each task is of its own lead");
        }
    }
}

#[tokio::test]
async fn lone_lead_costs_as_documented() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let new = [lead("ann", "CTO")];
    assert!((cost(&fixture, &guard, &new).await - 2.0).abs() < f64::EPSILON, "facts and write");
    assert_complete(&fixture, &new);
    assert!((cost(&fixture, &guard, &[lead("ann", "CEO")]).await - 4.0).abs() < f64::EPSILON, "a revision");
    fixture.org(|org| org.insert("Account", json!({ "Name": "Bob Inc.", "Website": "bob.example" })));
    let with_account = cost(&fixture, &guard, &[lead("bob", "CTO")]).await;
    assert!((with_account - 3.0).abs() < f64::EPSILON, "one call for the opportunities of the account");
}

#[tokio::test]
async fn burst_costs_at_most_half_a_call_per_lead() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let leads: Vec<Lead> = (0..400).map(|n| lead(&format!("p{n}"), "CTO")).collect();
    let per_lead = cost(&fixture, &guard, &leads).await;
    assert!(per_lead <= 0.5, "{per_lead} calls per lead");
    assert_eq!(fixture.counts(), [401, 0, 802]);
    assert_complete(&fixture, &leads);
    let revisions: Vec<Lead> = (0..200).map(|n| lead(&format!("p{n}"), "CEO")).collect();
    let per_revision = cost(&fixture, &guard, &revisions).await;
    assert!(per_revision <= 0.5, "{per_revision} calls per revision");
}

#[tokio::test]
async fn facts_of_a_shared_query_are_of_their_own_lead() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let leads: Vec<Lead> = (0..30).map(|n| lead(&format!("p{n}"), "CTO")).collect();
    fixture.org(|org| {
        for n in (0..30).step_by(3) {
            let site = format!("https://www.P{n}.example/");
            let account =
                org.insert("Account", json!({ "Name": "A", "Website": site, "Type": format!("T{n}") }));
            let stage = format!("S{n}");
            org.insert("Opportunity", json!({ "Name": "O", "StageName": stage, "AccountId": account }));
            let contact =
                org.insert("Contact", json!({ "LastName": "C", "Email": format!("P{}@example.com", n + 1) }));
            let deal = org.insert("Opportunity", json!({ "Name": "O", "StageName": format!("R{n}") }));
            org.insert("OpportunityContactRole", json!({ "OpportunityId": deal, "ContactId": contact }));
        }
    });
    let facts = stream::iter(&leads).map(|lead| guard.facts(&lead.about)).buffered(30);
    let facts: Vec<_> = facts.map(|known| known.unwrap().unwrap()).collect().await;
    for (n, known) in facts.iter().enumerate() {
        let kind = known.account.as_ref().and_then(|account| account.kind.clone());
        let stages: Vec<_> = known.open_opportunities.iter().map(|one| one.stage.as_str()).collect();
        match n % 3 {
            0 => assert_eq!((kind, stages), (Some(format!("T{n}")), vec![format!("S{n}").as_str()])),
            1 => assert_eq!((kind, stages), (None, vec![format!("R{}", n - 1).as_str()])),
            _ => assert_eq!((kind, known.contact.is_some(), stages.len()), (None, false, 0)),
        }
    }
}

#[tokio::test]
async fn refused_part_of_a_shared_call_is_of_its_lead_only() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let leads: Vec<Lead> = (0..20).map(|n| lead(&format!("p{n}"), "CTO")).collect();
    for lead in &leads {
        guard.facts(&lead.about).await.unwrap();
    }
    fixture
        .org(|org| org.row_faults.push(RowFault { skip: 7, ..RowFault::of("Lead", "UNKNOWN_EXCEPTION", 1) }));
    let results = stream::iter(&leads).map(|lead| guard.submit_normal(&lead.plan)).buffered(20);
    let failed = results.filter(|result| std::future::ready(result.is_err())).count().await;
    assert_eq!((failed, fixture.counts()[0]), (1, 20));
    for lead in &leads {
        while guard.submit_normal(&lead.plan).await.is_err() {}
    }
    assert_complete(&fixture, &leads);
}

#[tokio::test]
async fn lost_reply_of_a_shared_call_is_settled_for_each_lead() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let leads: Vec<Lead> = (0..8).map(|n| lead(&format!("p{n}"), "CTO")).collect();
    for lead in &leads {
        guard.facts(&lead.about).await.unwrap();
    }
    fixture.fake.add_fault(Fault::on("/composite", Misbehaviour::LoseReply).about("PATCH").times(1));
    fixture.fake.add_fault(Fault::on("/composite", Misbehaviour::LoseReply).about("POST").times(1));
    let submit = async |lead: &Lead| guard.submit_normal(&lead.plan).await.is_err();
    let failed = stream::iter(&leads).map(submit).buffered(8).filter(|failed| std::future::ready(*failed));
    assert!(failed.count().await > 1, "leads shared the lost call");
    for lead in &leads {
        while guard.submit_normal(&lead.plan).await.is_err() {}
    }
    assert_eq!(fixture.counts(), [9, 0, 18]);
    assert_complete(&fixture, &leads);
}

#[tokio::test]
async fn record_that_appears_after_the_facts_is_not_overwritten() {
    let fixture = OrgFixture::new().await;
    let guard = warm(&fixture).await;
    let late = lead("ann", "CTO");
    guard.facts(&late.about).await.unwrap();
    // Another process writes the lead, and a person changes the phone.
    let id = fixture.org(|org| {
        let key = late.plan.lead_id.as_str();
        org.insert(
            "Lead",
            json!({ "RevenueFlow_Id__c": key, "Company": "Theirs", "LastName": "Lee", "Phone": "1" }),
        )
    });
    guard.submit_normal(&late.plan).await.unwrap();
    let record =
        fixture.org(|org| org.records("Lead").into_iter().find(|record| record["Id"] == id.as_str()));
    let record = record.unwrap();
    assert_eq!((&record["Company"], &record["Phone"]), (&json!("Theirs"), &json!("1")), "if_empty");
    assert_eq!(fixture.counts()[0], 2);
}
