//! Contacts that users created, and the changes that a form may make to them.

use crm::parameters::{SalesStatus, SetLeadScore, UpdateLeadStatus};
use crm::testing::{assert_found, execute_ok, suite_plan};
use crm::{Action, Executor as _, Plan};
use lead::{Decision, Fit, FitScore, Intent};
use sandbox::hubspot::{Kind, Record};
use sandbox::{Fault, Misbehaviour};

use crate::support::{AccountFixture, with_actions};

const CUSTOMER: &[(&str, &str)] = &[
    ("email", "ann@example.com"),
    ("jobtitle", "Chief Financial Officer"),
    ("hs_lead_status", "IN_PROGRESS"),
    ("lifecyclestage", "customer"),
];

/// The plan for a form in which the person is a student.
fn student() -> Plan {
    let plan = suite_plan("ann", "Student (former intern)", 0);
    let mut actions: Vec<Action> = plan.actions.iter().map(|planned| planned.action.clone()).collect();
    for action in &mut actions {
        match action {
            Action::SetLeadScore(score) => {
                *score = SetLeadScore {
                    fit_score: FitScore::clamped(0),
                    fit: Fit::Low,
                    intent: Intent::Low,
                    decision: Decision::Ignore,
                    ..score.clone()
                };
            }
            Action::UpdateLeadStatus(status) => {
                *status = UpdateLeadStatus { status: SalesStatus::Unqualified };
            }
            _ => {}
        }
    }
    with_actions(&plan, actions)
}

async fn deliver(fixture: &AccountFixture, plan: &Plan) -> Record {
    execute_ok(&fixture.executor(), plan).await;
    fixture.hubspot.records(Kind::Contact).remove(0)
}

#[tokio::test]
async fn form_keeps_the_users_values_of_an_adopted_contact() {
    let fixture = AccountFixture::prepared().await;
    fixture.hubspot.add(Kind::Contact, CUSTOMER);
    // At the second delivery the contact has the lead's key.
    for delivery in ["first", "second"] {
        let contact = deliver(&fixture, &student()).await;
        for (property, value) in CUSTOMER {
            assert_eq!(contact.get(property), Some(*value), "{delivery}: {property}");
        }
        for judged in ["revenueflow_score", "revenueflow_fit", "revenueflow_intent", "revenueflow_summary"] {
            assert_eq!(contact.get(judged), None, "{delivery}: {judged}");
        }
        assert_eq!(contact.get("revenueflow_campaign"), Some("launch_2024"), "the other fields are written");
        let plan = student();
        assert_eq!(contact.get("revenueflow_id"), Some(plan.lead_id.as_str()));
        assert_found(&fixture.executor(), &plan.lead_id, &plan.actions).await;
    }
}

#[tokio::test]
async fn adopted_contact_is_recognized_after_any_crash() {
    let requests = {
        let fixture = AccountFixture::prepared().await;
        fixture.hubspot.add(Kind::Contact, CUSTOMER);
        let before = fixture.fake.exchanges().len();
        deliver(&fixture, &student()).await;
        u32::try_from(fixture.fake.exchanges().len() - before).unwrap()
    };
    for nth in 0..requests {
        let fixture = AccountFixture::prepared().await;
        fixture.hubspot.add(Kind::Contact, CUSTOMER);
        fixture.fault(Fault::on("", Misbehaviour::LoseReply).after(nth).times(3));
        // The process crashes here.
        fixture.executor().execute(&student().lead_id, &student().actions).await;
        fixture.fake.clear_faults();
        let contact = deliver(&fixture, &student()).await;
        assert_eq!(contact.get("jobtitle"), Some("Chief Financial Officer"), "request {nth}");
        assert_eq!(contact.get("hs_lead_status"), Some("IN_PROGRESS"), "request {nth}");
    }
}

#[tokio::test]
async fn created_contact_is_updated_but_keeps_the_users_status() {
    let fixture = AccountFixture::prepared().await;
    deliver(&fixture, &suite_plan("ann", "CTO", 87)).await;
    let contact = deliver(&fixture, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!((contact.get("jobtitle"), contact.get("revenueflow_score")), (Some("CEO"), Some("61")));
    fixture.hubspot.edit(Kind::Contact, contact.id, &[("hs_lead_status", "CONNECTED")]);
    let contact = deliver(&fixture, &student()).await;
    assert_eq!(contact.get("hs_lead_status"), Some("CONNECTED"), "a user has set it");
    assert_eq!(contact.get("revenueflow_score"), Some("0"));
    fixture.hubspot.edit(Kind::Contact, contact.id, &[("hs_lead_status", "UNQUALIFIED")]);
    let contact = deliver(&fixture, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!(
        contact.get("hs_lead_status"),
        Some("NEW"),
        "a status that the integration sets follows the judgement"
    );
}

#[tokio::test]
async fn contact_merged_into_a_users_contact_is_adopted() {
    let fixture = AccountFixture::prepared().await;
    let ours = deliver(&fixture, &suite_plan("ann", "CTO", 87)).await;
    let theirs =
        fixture.hubspot.add(Kind::Contact, &[("email", "ann@work.example"), ("jobtitle", "Founder")]);
    assert!(fixture.hubspot.merge(Kind::Contact, theirs, ours.id));
    let contact = deliver(&fixture, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!(contact.id, theirs);
    assert_eq!(contact.get("jobtitle"), Some("Founder"));
    assert_eq!(contact.get("email"), Some("ann@work.example"));
    assert_eq!(fixture.counts()[0], 1);
}
