//! Contacts that people created: what a form may change on them.

use crm::parameters::{SalesStatus, SetLeadScore, UpdateLeadStatus};
use crm::testing::suite_plan;
use crm::{Action, Executor as _, Plan};
use lead::{Decision, Fit, FitScore, Intent};
use sandbox::hubspot::{Kind, Record};
use sandbox::{Fault, Misbehaviour};

use crate::support::{Place, with_actions};

const CUSTOMER: &[(&str, &str)] = &[
    ("email", "ann@example.com"),
    ("jobtitle", "Chief Financial Officer"),
    ("hs_lead_status", "IN_PROGRESS"),
    ("lifecyclestage", "customer"),
];

/// The plan of a form that says the person is a student.
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

async fn deliver(place: &Place, plan: &Plan) -> Record {
    let results = place.executor().execute(&plan.lead_id, &plan.actions).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    place.hubspot.records(Kind::Contact).remove(0)
}

#[tokio::test]
async fn form_changes_nothing_that_people_keep_of_a_customer() {
    let place = Place::prepared().await;
    place.hubspot.add(Kind::Contact, CUSTOMER);
    // Delivered twice: the second time the contact has our key.
    for delivery in ["first", "second"] {
        let contact = deliver(&place, &student()).await;
        for (property, value) in CUSTOMER {
            assert_eq!(contact.get(property), Some(*value), "{delivery}: {property}");
        }
        for judged in ["revenueflow_score", "revenueflow_fit", "revenueflow_intent", "revenueflow_summary"] {
            assert_eq!(contact.get(judged), None, "{delivery}: {judged}");
        }
        assert_eq!(contact.get("revenueflow_campaign"), Some("launch_2024"), "the rest is written");
        let plan = student();
        assert_eq!(contact.get("revenueflow_id"), Some(plan.lead_id.as_str()));
        for planned in &plan.actions {
            let found = place.executor().find(&plan.lead_id, planned).await.unwrap();
            assert!(found.is_some(), "{delivery}: {}", planned.action.kind());
        }
    }
}

#[tokio::test]
async fn adopted_contact_is_known_after_a_crash_at_any_request() {
    let requests = {
        let place = Place::prepared().await;
        place.hubspot.add(Kind::Contact, CUSTOMER);
        let before = place.fake.exchanges().len();
        deliver(&place, &student()).await;
        u32::try_from(place.fake.exchanges().len() - before).unwrap()
    };
    for nth in 0..requests {
        let place = Place::prepared().await;
        place.hubspot.add(Kind::Contact, CUSTOMER);
        place.fault(Fault::on("", Misbehaviour::LoseReply).after(nth).times(3));
        // The process ends here.
        place.executor().execute(&student().lead_id, &student().actions).await;
        place.fake.clear_faults();
        let contact = deliver(&place, &student()).await;
        assert_eq!(contact.get("jobtitle"), Some("Chief Financial Officer"), "request {nth}");
        assert_eq!(contact.get("hs_lead_status"), Some("IN_PROGRESS"), "request {nth}");
    }
}

#[tokio::test]
async fn contact_of_ours_follows_its_form_and_keeps_peoples_status() {
    let place = Place::prepared().await;
    deliver(&place, &suite_plan("ann", "CTO", 87)).await;
    let contact = deliver(&place, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!((contact.get("jobtitle"), contact.get("revenueflow_score")), (Some("CEO"), Some("61")));
    place.hubspot.edit(Kind::Contact, contact.id, &[("hs_lead_status", "CONNECTED")]);
    let contact = deliver(&place, &student()).await;
    assert_eq!(contact.get("hs_lead_status"), Some("CONNECTED"), "people have set it");
    assert_eq!(contact.get("revenueflow_score"), Some("0"));
    place.hubspot.edit(Kind::Contact, contact.id, &[("hs_lead_status", "UNQUALIFIED")]);
    let contact = deliver(&place, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!(contact.get("hs_lead_status"), Some("NEW"), "a status of ours follows the judgement");
}

#[tokio::test]
async fn contact_that_people_merged_into_theirs_is_theirs() {
    let place = Place::prepared().await;
    let ours = deliver(&place, &suite_plan("ann", "CTO", 87)).await;
    let theirs = place.hubspot.add(Kind::Contact, &[("email", "ann@work.example"), ("jobtitle", "Founder")]);
    assert!(place.hubspot.merge(Kind::Contact, theirs, ours.id));
    let contact = deliver(&place, &suite_plan("ann", "CEO", 61)).await;
    assert_eq!(contact.id, theirs);
    assert_eq!(contact.get("jobtitle"), Some("Founder"));
    assert_eq!(contact.get("email"), Some("ann@work.example"));
    assert_eq!(place.counts()[0], 1);
}
