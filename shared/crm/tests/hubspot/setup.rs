//! Setup of an account, and the problems reported before it.

use crm::testing::{execute_ok, named, suite_plan};
use crm::{Executor as _, Problem};
use sandbox::Fake;
use sandbox::hubspot::HubSpot;

use crate::support::AccountFixture;

#[tokio::test]
async fn bare_account_defers_leads_and_lists_its_problems() {
    let fixture = AccountFixture::bare().await;
    let crm = fixture.executor();
    let plan = suite_plan("ann", "CTO", 87);
    assert_eq!(
        named(&crm.execute(&plan.lead_id, &plan.actions).await[0].clone().unwrap_err()),
        "deferral crm_setup_incomplete"
    );
    assert_eq!(crm.probe().await.unwrap_err().code, "crm_setup_incomplete");
    assert_eq!(fixture.counts(), [0; 5]);

    let problems = crm.schema_problems().await.unwrap();
    let blocking = problems.iter().filter(|problem| problem.blocks);
    let names: Vec<_> = blocking.map(|p| format!("{}.{}", p.object, p.field.as_deref().unwrap())).collect();
    for name in ["contacts.revenueflow_id", "companies.revenueflow_domain_key", "notes.revenueflow_id"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(problems.iter().all(|problem| problem.problem == Problem::Missing), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.message.contains("revenueflow crm setup")));
}

#[tokio::test]
async fn setup_creates_only_the_missing_properties() {
    let fixture = AccountFixture::bare().await;
    let crm = fixture.executor();
    let missing = crm.missing_properties().await.unwrap();
    let again = fixture.executor().missing_properties().await.unwrap();
    assert_eq!(missing, again, "listing creates nothing");
    for property in &missing {
        crm.create_property(property).await.unwrap();
        crm.create_property(property).await.unwrap(); // by two people at the same time
    }
    assert_eq!(crm.missing_properties().await.unwrap(), []);
    assert_eq!(crm.schema_problems().await.unwrap(), []);
    let kinds = |name: &str| missing.iter().find(|p| p.name == name).map(|p| (p.kind, p.unique)).unwrap();
    assert_eq!(kinds("revenueflow_id"), ("string", true));
    assert_eq!(kinds("revenueflow_score"), ("number", false));
    assert_eq!(kinds("revenueflow_fallback"), ("bool", false));

    // Waiting leads are written without a restart.
    crm.probe().await.unwrap();
    let plan = suite_plan("ann", "CTO", 87);
    execute_ok(&crm, &plan).await;
}

#[tokio::test]
async fn sandbox_account_suits_the_built_in_mapping() {
    let mut fixture = AccountFixture::bare().await;
    fixture.fake = Fake::serve("hubspot", HubSpot::prepared().router()).await.unwrap();
    assert_eq!(fixture.executor().schema_problems().await.unwrap(), []);
}
