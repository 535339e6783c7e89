//! Contacts that people have merged or deleted since we wrote them.

use crm::testing::suite_plan;
use crm::{Followed, Guard};
use lead::FailureClass;
use sandbox::hubspot::{HubSpot, Kind, Record};

use crate::support::Place;

/// A contact that was written, and a guard that knows of it.
async fn written(place: &Place) -> (Guard, Record) {
    let guard = place.guard();
    guard.submit(&suite_plan("ann", "CTO", 87)).await.unwrap();
    (guard, place.contact("ann@example.com"))
}

#[tokio::test]
async fn merged_contact_is_followed_whatever_it_has_lost() {
    let other = suite_plan("bob", "CTO", 87).lead_id;
    let keys: [&[(&str, &str)]; 2] = [&[], &[("revenueflow_id", other.as_str())]];
    for key in keys {
        let place = Place::prepared().await;
        let (guard, ours) = written(&place).await;
        let fields = [key, &[("email", "ann@work.example"), ("jobtitle", "Founder")]].concat();
        let theirs = place.hubspot.add(Kind::Contact, &fields);
        assert!(place.hubspot.merge(Kind::Contact, theirs, ours.id));
        // The key and the address of the merged contact are gone.
        place.hubspot.edit(Kind::Contact, theirs, &[("hs_additional_emails", "")]);
        if key.is_empty() {
            place.hubspot.edit(Kind::Contact, theirs, &[("revenueflow_id", "")]);
        }
        let outcome = guard.submit(&suite_plan("ann", "CEO", 61)).await.unwrap();
        let (from, to) = (ours.id.to_string(), theirs.to_string());
        assert_eq!(outcome.followed, Some(Followed { from, to: to.clone() }));
        assert_eq!(outcome.lead_record.unwrap().record_id, to);
        let [contact] = &place.hubspot.records(Kind::Contact)[..] else { panic!("one is left") };
        assert_eq!(contact.get("revenueflow_score"), Some("61"));
        assert_eq!(contact.get("jobtitle"), Some("Founder"), "it is people's");
        if let [(name, value)] = key {
            assert_eq!(contact.get(name), Some(*value), "another lead's key is never taken");
        }
        let again = guard.submit(&suite_plan("ann", "VP", 70)).await.unwrap();
        assert_eq!(again.followed, None, "it is found by itself");
        assert_eq!(place.counts()[0], 1);
    }
}

#[tokio::test]
async fn deleted_contact_is_reported_and_not_created_again() {
    let place = Place::prepared().await;
    let (guard, ours) = written(&place).await;
    place.hubspot.delete(Kind::Contact, ours.id);
    for _ in 0..2 {
        let failure = guard.submit(&suite_plan("ann", "CEO", 61)).await.unwrap_err();
        assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Permanent, "crm_record_deleted"));
        assert!(failure.message.contains(&ours.id.to_string()), "{failure}");
    }
    assert_eq!(place.counts()[0], 0);
    guard.submit(&suite_plan("bob", "CTO", 87)).await.unwrap();
}

#[tokio::test]
async fn contact_whose_key_and_address_people_changed_is_still_the_leads() {
    let place = Place::prepared().await;
    let (guard, ours) = written(&place).await;
    place.hubspot.edit(
        Kind::Contact,
        ours.id,
        &[("revenueflow_id", ""), ("email", "ann@new.example"), ("hubspot_owner_id", HubSpot::OWNER)],
    );
    let outcome = guard.submit(&suite_plan("ann", "CEO", 61)).await.unwrap();
    assert_eq!((outcome.followed, outcome.lead_record.unwrap().record_id), (None, ours.id.to_string()));
    assert_eq!(place.counts()[0], 1);
}
