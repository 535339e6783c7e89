//! Real names of people and companies are never refused or changed.

use crm::testing::{MemoryLedger, suite_plan};
use crm::{Action, Object, Plan, Text};

use crate::support::GuardFixture;

/// Real companies and products with names that often trip filters for bad words, markup, formulas or missing
/// values.
const COMPANIES: &str = include_str!("companies.txt");

/// Real family names of many origins.
const PEOPLE: &str = include_str!("people.txt");

fn plan_of(person: usize, company: &str, last_name: &str) -> Plan {
    let plan = suite_plan(&format!("p{person}"), "CTO", 50);
    let actions = plan.actions.into_iter().map(|planned| match planned.action {
        Action::UpsertLead(mut details) => {
            details.company = Some(Text::parse(company).unwrap_or_else(|error| panic!("{company}: {error}")));
            details.last_name =
                Some(Text::parse(last_name).unwrap_or_else(|error| panic!("{last_name}: {error}")));
            Action::UpsertLead(details)
        }
        Action::SyncFirmographics(mut known) => {
            known.company_name = Some(Text::parse(company).unwrap());
            Action::SyncFirmographics(known)
        }
        other => other,
    });
    Plan::new(plan.lead_id, plan.delivery_id, 1, plan.account, actions.collect())
}

#[tokio::test]
async fn real_names_pass_the_guard_unchanged() {
    let fixture = GuardFixture::unlimited().await;
    for (i, (company, last_name)) in COMPANIES.lines().zip(PEOPLE.lines().cycle()).enumerate() {
        let plan = plan_of(i, company, last_name);
        assert!(
            fixture.guard.review(&plan).iter().all(|review| review.refusal.is_none()),
            "{company}, {last_name}"
        );
        fixture
            .guard
            .submit_normal(&plan)
            .await
            .unwrap_or_else(|failure| panic!("{company}, {last_name}: {failure}"));
        let record = fixture.crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap().unwrap();
        assert_eq!(record.fields["company"], company);
        assert_eq!(record.fields["company_name"], company);
        assert_eq!(record.fields["last_name"], last_name);
    }
    assert!(!MemoryLedger::is_empty(&fixture.ledger));
}
