//! Old values are stored once, before they are overwritten, despite failures.

use crm::testing::Fault;
use crm::{FieldChange, Object, Plan};
use lead::{Decision, FailureClass};

use crate::support::{GuardFixture, plan};

/// The stored change of the lead's title.
fn title(fixture: &GuardFixture, plan: &Plan) -> FieldChange {
    let row = fixture.ledger.row(&plan.actions[0].action_id).unwrap();
    row.changes.into_iter().find(|change| change.field == "title").unwrap()
}

/// A plan and its revision.
fn plans() -> (Plan, Plan) {
    (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture))
}

#[tokio::test]
async fn old_value_is_stored_with_the_action_that_replaced_it() {
    let fixture = GuardFixture::with_old_values().await;
    let (first, second) = plans();
    fixture.guard.submit_normal(&first).await.unwrap();
    fixture.guard.submit_normal(&second).await.unwrap();
    assert_eq!((title(&fixture, &first).old, title(&fixture, &first).new), (None, Some("CTO".into())));
    assert_eq!(
        (title(&fixture, &second).old, title(&fixture, &second).new),
        (Some("CTO".into()), Some("CEO".into()))
    );
}

#[tokio::test]
async fn retry_does_not_store_its_own_values_as_old_values() {
    let fixture = GuardFixture::with_old_values().await;
    let (first, second) = plans();
    fixture.guard.submit_normal(&first).await.unwrap();
    // The preview succeeds; the first write has its effect, but its reply is lost; then the lookup fails.
    let fail = Fault::Fail(FailureClass::Transient);
    fixture.crm_faults.extend([Fault::Pass, Fault::LoseReply, fail]);
    fixture.guard.submit_normal(&second).await.unwrap_err();
    fixture.guard.submit_normal(&second).await.unwrap_err();
    fixture.guard.submit_normal(&second).await.unwrap();
    assert_eq!(title(&fixture, &second).old, Some("CTO".into()));
    let record = fixture.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CEO");
}

#[tokio::test]
async fn nothing_is_written_if_old_values_cannot_be_read() {
    let fixture = GuardFixture::with_old_values().await;
    let plan = plan("ann", "CTO", 1, Decision::Nurture);
    fixture.crm_faults.extend([Fault::Fail(FailureClass::Transient)]);
    assert_eq!(fixture.guard.submit_normal(&plan).await.unwrap_err().class(), FailureClass::Deferral);
    assert_eq!(fixture.crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap(), None);
    assert_eq!(fixture.ledger.row(&plan.actions[0].action_id), None, "the plan has not begun");
    fixture.guard.submit_normal(&plan).await.unwrap();
}

#[tokio::test]
async fn restored_value_can_be_written_again() {
    let fixture = GuardFixture::with_old_values().await;
    let (first, second) = plans();
    fixture.guard.submit_normal(&first).await.unwrap();
    fixture.guard.submit_normal(&second).await.unwrap();
    let change = title(&fixture, &second);
    assert_eq!(fixture.guard.restore(&[change]).await.unwrap(), [crm::Restored::PutBack]);
    let record = fixture.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CTO");
}
