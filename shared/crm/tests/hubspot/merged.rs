//! Contacts that users merged or deleted after they were written.

use crm::testing::{assert_found, named, suite_plan};
use crm::{Effect, Followed, Guard, LeftOut, PlanOutcome};
use sandbox::hubspot::{HubSpot, Kind, Record};

use crate::support::AccountFixture;

/// Writes a contact. Returns the guard with its ledger, and the contact.
async fn written(fixture: &AccountFixture) -> (Guard, Record) {
    let guard = fixture.guard();
    guard.submit_normal(&suite_plan("ann", "CTO", 87)).await.unwrap();
    (guard, fixture.contact("ann@example.com"))
}

#[tokio::test]
async fn merged_contact_is_followed_without_key_or_address() {
    let other = suite_plan("bob", "CTO", 87).lead_id;
    let keys: [&[(&str, &str)]; 2] = [&[], &[("revenueflow_id", other.as_str())]];
    for key in keys {
        let fixture = AccountFixture::prepared().await;
        let (guard, ours) = written(&fixture).await;
        let fields = [key, &[("email", "ann@work.example"), ("jobtitle", "Founder")]].concat();
        let theirs = fixture.hubspot.add(Kind::Contact, &fields);
        assert!(fixture.hubspot.merge(Kind::Contact, theirs, ours.id));
        // The survivor has neither the key nor the address of the merged contact.
        fixture.hubspot.edit(Kind::Contact, theirs, &[("hs_additional_emails", "")]);
        if key.is_empty() {
            fixture.hubspot.edit(Kind::Contact, theirs, &[("revenueflow_id", "")]);
        }
        let outcome = guard.submit_normal(&suite_plan("ann", "CEO", 61)).await.unwrap();
        let (from, to) = (ours.id.to_string(), theirs.to_string());
        assert_eq!(outcome.followed, Some(Followed { from, to: to.clone() }));
        assert_eq!(outcome.lead_record.unwrap().record_id, to);
        let [contact] = &fixture.hubspot.records(Kind::Contact)[..] else { panic!("one is left") };
        assert_eq!(contact.get("revenueflow_score"), Some("61"));
        assert_eq!(contact.get("jobtitle"), Some("Founder"), "users maintain it");
        if let [(name, value)] = key {
            assert_eq!(contact.get(name), Some(*value), "another lead's key is never taken");
        }
        let again = guard.submit_normal(&suite_plan("ann", "VP", 70)).await.unwrap();
        assert_eq!(again.followed, None, "the survivor has the lead's key or anchor");
        assert_eq!(fixture.counts()[0], 1);
    }
}

#[tokio::test]
async fn deleted_contact_is_reported_and_not_created_again() {
    let fixture = AccountFixture::prepared().await;
    let (guard, ours) = written(&fixture).await;
    fixture.hubspot.delete(Kind::Contact, ours.id);
    for _ in 0..2 {
        let failure = guard.submit_normal(&suite_plan("ann", "CEO", 61)).await.unwrap_err();
        assert_eq!(named(&failure), "permanent crm_record_deleted");
        assert!(failure.message.contains(&ours.id.to_string()), "{failure}");
    }
    assert_eq!(fixture.counts()[0], 0);
    guard.submit_normal(&suite_plan("bob", "CTO", 87)).await.unwrap();
}

#[tokio::test]
async fn contact_is_found_after_key_and_address_changed() {
    let fixture = AccountFixture::prepared().await;
    let (guard, ours) = written(&fixture).await;
    fixture.hubspot.edit(
        Kind::Contact,
        ours.id,
        &[("revenueflow_id", ""), ("email", "ann@new.example"), ("hubspot_owner_id", HubSpot::OWNER)],
    );
    let outcome = guard.submit_normal(&suite_plan("ann", "CEO", 61)).await.unwrap();
    assert_eq!((outcome.followed, outcome.lead_record.unwrap().record_id), (None, ours.id.to_string()));
    assert_eq!(fixture.counts()[0], 1);
}

#[tokio::test]
async fn preview_uses_the_survivor_of_several_merges() {
    let fixture = AccountFixture::prepared().await;
    let (guard, ours) = written(&fixture).await;
    let theirs =
        |email: &str| fixture.hubspot.add(Kind::Contact, &[("email", email), ("jobtitle", "Founder")]);
    let (middle, last) = (theirs("ann@work.example"), theirs("ann@home.example"));
    assert!(fixture.hubspot.merge(Kind::Contact, middle, ours.id));
    assert!(fixture.hubspot.merge(Kind::Contact, last, middle));
    for id in [middle, last] {
        fixture.hubspot.edit(Kind::Contact, id, &[("hs_additional_emails", ""), ("revenueflow_id", "")]);
    }
    let writes = |fixture: &AccountFixture| fixture.hubspot.records(Kind::Contact)[0].writes;
    let before = writes(&fixture);
    let plan = suite_plan("ann", "CEO", 61);
    let preview = guard.preview(&plan).await.unwrap();
    let followed = Some(Followed { from: ours.id.to_string(), to: last.to_string() });
    assert_eq!(preview.followed, followed);
    let title = preview.changes.iter().find(|change| change.field == "jobtitle").unwrap();
    assert_eq!((&title.record_id, title.left_out), (&Some(last.to_string()), Some(LeftOut::Adopted)));
    assert_eq!(writes(&fixture), before, "a preview writes nothing");
    assert_eq!(guard.submit_normal(&plan).await.unwrap().followed, followed);
    assert_eq!(fixture.counts()[0], 1);
}

#[tokio::test]
async fn contact_merged_into_a_deleted_one_is_reported() {
    let fixture = AccountFixture::prepared().await;
    let (guard, ours) = written(&fixture).await;
    let theirs = fixture.hubspot.add(Kind::Contact, &[("email", "ann@work.example")]);
    assert!(fixture.hubspot.merge(Kind::Contact, theirs, ours.id));
    fixture.hubspot.delete(Kind::Contact, theirs);
    let plan = suite_plan("ann", "CEO", 61);
    for failure in [guard.preview(&plan).await.unwrap_err(), guard.submit_normal(&plan).await.unwrap_err()] {
        assert_eq!(failure.code, "crm_record_deleted");
    }
    assert_eq!(fixture.counts()[0], 0);
}

fn effect<'a>(outcome: &'a PlanOutcome, plan: &crm::Plan, kind: &str) -> &'a Effect {
    let planned = plan.actions.iter().find(|planned| planned.action.kind() == kind).unwrap();
    &outcome.effects.iter().find(|(id, _)| *id == planned.action_id).unwrap().1
}

#[tokio::test]
async fn deleted_company_is_reported_and_not_created_again() {
    let fixture = AccountFixture::prepared().await;
    let (guard, _) = written(&fixture).await;
    let company = fixture.hubspot.records(Kind::Company)[0].id;
    fixture.hubspot.delete(Kind::Company, company);
    // A revision of the lead, and a lead for another person of the company.
    for (name, title) in [("ann", "CEO"), ("bob", "CTO")] {
        let plan = suite_plan(name, title, 61);
        let outcome = guard.submit_normal(&plan).await.unwrap();
        assert_eq!(fixture.counts()[1], 0, "{name}");
        let left_out = &effect(&outcome, &plan, "sync_firmographics").left_out;
        assert!(!left_out.is_empty(), "{name}");
        assert!(left_out.iter().all(|one| one.reason == LeftOut::RecordDeleted), "{left_out:?}");
        assert_eq!(fixture.contact(&format!("{name}@example.com")).get("jobtitle"), Some(title));
        assert_found(&fixture.executor(), &plan.lead_id, &plan.actions).await;
    }
    let preview = guard.preview(&suite_plan("ann", "VP", 70)).await.unwrap();
    let name = preview.changes.iter().find(|change| change.source == "company.name").unwrap();
    assert_eq!((&name.record_id, name.left_out), (&Some(company.to_string()), Some(LeftOut::RecordDeleted)));
    // A company that a user creates instead is used.
    let new = fixture.hubspot.add(Kind::Company, &[("domain", "example.com")]);
    guard.submit_normal(&suite_plan("ann", "CFO", 62)).await.unwrap();
    let contact = fixture.contact("ann@example.com");
    assert!(fixture.hubspot.associated(Kind::Contact, contact.id, Kind::Company).contains_key(&new));
    assert_eq!(fixture.counts()[1], 1);
}

#[tokio::test]
async fn deleted_task_is_not_created_again() {
    let fixture = AccountFixture::prepared().await;
    let (guard, _) = written(&fixture).await;
    let task = fixture.record_of(&suite_plan("ann", "CTO", 87), "create_task");
    fixture.hubspot.delete(Kind::Task, task.id);
    guard.submit_normal(&suite_plan("ann", "CEO", 61)).await.unwrap();
    assert_eq!(fixture.counts()[2], 0, "a user deleted it");
    assert_eq!(fixture.contact("ann@example.com").get("jobtitle"), Some("CEO"));
}
