//! Lead assignment and its effect on the CRM: turns, caps, response deadlines and reassignment.

use std::sync::Arc;
use std::time::Duration;

use crm::{CrmMode, Known, KnownContact, KnownLead, Object, OwnerStatus};
use lead::{Actor, LeadEvent, LeadId, LeadStatus};
use on_both::on_both;
use pipeline::{EscalationSummary, Pipeline};
use queue::LeadHandler as _;
use routing::{OwnerId, Routing};
use store::{CrmSync, Suppressed};

use crate::crm::{ScriptedCrm, pipeline};
use crate::support::{Fixture, hot, message};

const TEAM: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
max_per_day = 2
[owners.bob]
id = "005BOB"
max_per_day = 2
[owners.desk]
id = "00GDESK"
[pools.team]
members = [{ owner = "ann" }, { owner = "bob" }]
[[rules]]
name = "existing owner"
to = "existing_owner"
[[rules]]
name = "hot"
when = { decision = ["ROUTE_TO_SDR"] }
to = { pool = "team" }
respond_within = "10m"
on_breach = "reassign"
[fallback]
owner = "desk"
"#;

pub(crate) async fn team(fixture: &Fixture, mode: CrmMode) -> (Pipeline, std::sync::Arc<ScriptedCrm>) {
    let (mut pipeline, crm) = pipeline(fixture, mode, []).await;
    pipeline.routing = Arc::new(Routing::parse(TEAM).unwrap());
    (pipeline, crm)
}

/// A [`team`] in a live CRM, and a lead that is assigned to ann.
pub(crate) async fn team_with_lead(fixture: &Fixture) -> (Pipeline, std::sync::Arc<ScriptedCrm>, LeadEvent) {
    let ((pipeline, crm), event) = (team(fixture, CrmMode::Live).await, hot("a", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    (pipeline, crm, event)
}

async fn escalated_after(fixture: &Fixture, pipeline: &Pipeline, minutes: u64) -> EscalationSummary {
    self::minutes(fixture, minutes);
    pipeline.escalate_overdue(10).await.unwrap()
}

fn minutes(fixture: &Fixture, minutes: u64) {
    fixture.clock.advance(Duration::from_mins(minutes));
}

/// The owner of a lead's record in the CRM.
async fn owner(fixture: &Fixture, lead: &LeadId) -> String {
    fixture.crm_lead(lead).await.fields["owner"].as_str().unwrap_or("nobody").to_owned()
}

/// The owner of the only task in the CRM.
async fn task_owner(fixture: &Fixture) -> String {
    let tasks: Vec<_> =
        fixture.crm().await.into_iter().filter(|record| record.object == Object::Task.as_str()).collect();
    assert_eq!(tasks.len(), 1);
    tasks[0].fields["owner"].as_str().unwrap_or("nobody").to_owned()
}

fn overdue(overdue: usize, reassigned: usize, responded: usize) -> EscalationSummary {
    EscalationSummary { overdue, reassigned, responded }
}

#[on_both]
async fn pool_takes_turns_up_to_its_caps_then_the_fallback(fixture: Fixture) {
    let (pipeline, _) = team(&fixture, CrmMode::Live).await;
    let mut owners = Vec::new();
    for person in ["a", "b", "c", "d", "e"] {
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        owners.push(owner(&fixture, &event.lead_id).await);
    }
    assert_eq!(owners, ["005ANN", "005BOB", "005ANN", "005BOB", "00GDESK"]);
    // A revision keeps the owner.
    let revision = hot("b", "CEO", 1);
    pipeline.handle(&message(&revision, 1)).await.unwrap();
    assert_eq!(owner(&fixture, &revision.lead_id).await, "005BOB");
}

#[on_both]
async fn lead_of_an_inactive_owner_is_reassigned(fixture: Fixture) {
    let (pipeline, crm, event) = team_with_lead(&fixture).await;
    assert_eq!(owner(&fixture, &event.lead_id).await, "005ANN");
    crm.owners.lock().unwrap().insert("005ANN".to_owned(), OwnerStatus::Inactive);
    // The next revision is assigned to another owner, and so are later leads.
    let revision = hot("a", "CEO", 1);
    pipeline.handle(&message(&revision, 1)).await.unwrap();
    assert_eq!(owner(&fixture, &event.lead_id).await, "005BOB");
    let next = hot("b", "CTO", 0);
    pipeline.handle(&message(&next, 1)).await.unwrap();
    assert_eq!(owner(&fixture, &next.lead_id).await, "005BOB");
    let assignment = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
    let owners: Vec<&str> = assignment.had_it.iter().map(OwnerId::as_str).collect();
    assert_eq!((owners, assignment.crm_sync), (vec!["005ANN", "005BOB"], CrmSync::Yes));
    let skipped = assignment.routed.members.iter().find(|member| member.owner == "ann").unwrap();
    assert!(format!("{:?}", skipped.outcome).contains("inactive"), "{skipped:?}");
}

#[on_both]
async fn existing_owner_that_is_inactive_or_a_queue_is_skipped(fixture: Fixture) {
    let (pipeline, crm) = team(&fixture, CrmMode::Live).await;
    let standings = [
        ("005GONE", OwnerStatus::Inactive, "inactive"),
        ("00GDESK", OwnerStatus::Queue { leads: true, tasks: false }, "is a queue"),
    ];
    for (person, (existing, standing, because)) in ["a", "b"].into_iter().zip(standings) {
        crm.owners.lock().unwrap().insert(existing.to_owned(), standing);
        let contact = KnownContact { owner_id: Some(existing.to_owned()), stage: None };
        let known = Known { contact: Some(contact), ..Known::default() };
        crm.answers.lock().unwrap().push_back(Ok(known));
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        assert_ne!(owner(&fixture, &event.lead_id).await, existing);
        let assignment = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
        assert_eq!(assignment.routed.rule.as_deref(), Some("hot"));
        let reason = &assignment.routed.passed_over[0].because;
        assert!(reason.contains(because), "{reason}");
    }
}

#[on_both]
async fn planned_lead_takes_no_turn_and_has_no_deadline(fixture: Fixture) {
    let (pipeline, _) = team(&fixture, CrmMode::Shadow).await;
    let events: Vec<LeadEvent> = ["a", "b", "c"].map(|person| hot(person, "CTO", 0)).into();
    for event in &events {
        pipeline.handle(&message(event, 1)).await.unwrap();
        let plan = pipeline.planned(&event.lead_id).await.unwrap();
        let planned_owner = plan.changes.iter().find(|change| change.source == "lead.owner").unwrap();
        assert_eq!(planned_owner.new, Some("005ANN".into()), "the plan names the next owner");
        assert!(fixture.store.assignment(&event.lead_id).await.unwrap().is_none(), "no owner is assigned");
    }
    minutes(&fixture, 3 * 24 * 60);
    for (event, expected) in events.iter().zip(["005ANN", "005BOB", "005ANN"]) {
        fixture.promote(&pipeline, &event.lead_id).await;
        assert_eq!(owner(&fixture, &event.lead_id).await, expected);
    }
    minutes(&fixture, 9);
    assert!(
        fixture.store.overdue(10).await.unwrap().is_empty(),
        "the deadline is ten minutes after the write"
    );
    minutes(&fixture, 1);
    assert_eq!(fixture.store.overdue(10).await.unwrap().len(), 3);
}

#[on_both]
async fn deadline_restarts_when_a_held_lead_is_promoted(fixture: Fixture) {
    let (pipeline, _, event) = team_with_lead(&fixture).await;
    fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();
    fixture.reopen(&pipeline, &event.lead_id, false, "replay").await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    minutes(&fixture, 60);
    let promoted = fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap();
    minutes(&fixture, 1);
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    minutes(&fixture, 9);
    assert!(fixture.store.overdue(10).await.unwrap().is_empty());
    minutes(&fixture, 1);
    assert_eq!(fixture.store.overdue(10).await.unwrap().len(), 1);
}

#[on_both]
async fn missed_deadline_reassigns_record_and_task(fixture: Fixture) {
    let (pipeline, _, event) = team_with_lead(&fixture).await;
    assert_eq!((owner(&fixture, &event.lead_id).await, task_owner(&fixture).await), both("005ANN"));
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(0, 0, 0));
    assert_eq!(escalated_after(&fixture, &pipeline, 10).await, overdue(1, 1, 0));
    assert_eq!((owner(&fixture, &event.lead_id).await, task_owner(&fixture).await), both("005BOB"));
    let written = fixture.crm().await.iter().map(|record| record.writes).sum::<i64>();
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(0, 0, 0));
    assert_eq!(fixture.crm().await.iter().map(|record| record.writes).sum::<i64>(), written, "written once");

    minutes(&fixture, 10);
    assert_eq!(
        pipeline.escalate_overdue(10).await.unwrap(),
        overdue(1, 0, 0),
        "no new member is left: only an alert"
    );
    assert_eq!(owner(&fixture, &event.lead_id).await, "005BOB");
}

#[on_both]
async fn overdue_lead_skips_inactive_owners(fixture: Fixture) {
    let (mut pipeline, crm) = team(&fixture, CrmMode::Live).await;
    let rules = TEAM
        .replace(
            "[owners.desk]",
            "[owners.cid]\nid = \"005CID\"\n[owners.dan]\nid = \"00GDAN\"\n[owners.desk]",
        )
        .replace("{ owner = \"bob\" }]", "{ owner = \"bob\" }, { owner = \"dan\" }, { owner = \"cid\" }]");
    pipeline.routing = Arc::new(Routing::parse(&rules).unwrap());
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(owner(&fixture, &event.lead_id).await, "005ANN");
    let standings =
        [("005BOB", OwnerStatus::Inactive), ("00GDAN", OwnerStatus::Queue { leads: false, tasks: true })];
    crm.owners.lock().unwrap().extend(standings.map(|(id, standing)| (id.to_owned(), standing)));
    assert_eq!(escalated_after(&fixture, &pipeline, 10).await, overdue(1, 1, 0));
    assert_eq!((owner(&fixture, &event.lead_id).await, task_owner(&fixture).await), both("005CID"));
    let assignment = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
    for (name, reason) in [("bob", "inactive"), ("dan", "cannot own")] {
        let member = assignment.routed.members.iter().find(|member| member.owner == name).unwrap();
        assert!(format!("{:?}", member.outcome).contains(reason), "{member:?}");
    }
    // No eligible member is left: an alert, and the lead keeps its owner.
    assert_eq!(escalated_after(&fixture, &pipeline, 10).await, overdue(1, 0, 0));
    assert_eq!(owner(&fixture, &event.lead_id).await, "005CID");
}

fn both(owner: &str) -> (String, String) {
    (owner.to_owned(), owner.to_owned())
}

#[on_both]
async fn new_owner_is_written_after_the_hold_ends(fixture: Fixture) {
    let (pipeline, _, event) = team_with_lead(&fixture).await;
    minutes(&fixture, 10);
    fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(1, 1, 0));
    assert_eq!(owner(&fixture, &event.lead_id).await, "005ANN", "nothing is written while it is held");
    fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap();
    pipeline.escalate_overdue(10).await.unwrap();
    assert_eq!(owner(&fixture, &event.lead_id).await, "005BOB");
}

#[on_both]
async fn plan_with_the_new_owner_completes_the_crm_sync(fixture: Fixture) {
    let (pipeline, _, event) = team_with_lead(&fixture).await;
    minutes(&fixture, 10);
    fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();
    pipeline.escalate_overdue(10).await.unwrap();
    fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap();
    pipeline.handle(&message(&hot("a", "CEO", 700), 1)).await.unwrap();
    assert_eq!(owner(&fixture, &event.lead_id).await, "005BOB");
    assert_eq!(fixture.store.assignment(&event.lead_id).await.unwrap().unwrap().crm_sync, CrmSync::Yes);
    assert!(fixture.store.pending_crm_syncs(10).await.unwrap().is_empty());
}

#[on_both]
async fn new_owner_of_a_suppressed_lead_is_not_written(fixture: Fixture) {
    let (pipeline, _, event) = team_with_lead(&fixture).await;
    minutes(&fixture, 10);
    let person = Suppressed::parse("a@stripe.com").unwrap();
    fixture.store.suppress(&Actor::admin(), &person, "asked for it").await.unwrap();
    pipeline.escalate_overdue(10).await.unwrap();
    assert_eq!(owner(&fixture, &event.lead_id).await, "005ANN");
    assert!(fixture.store.pending_crm_syncs(10).await.unwrap().is_empty(), "the write is not retried");
}

fn contact(owner: &str) -> Known {
    let contact = KnownContact { owner_id: Some(owner.to_owned()), stage: None };
    Known { contact: Some(contact), ..Known::default() }
}

fn ours(owner: Option<&str>, converted: bool) -> Known {
    let own = KnownLead { status: None, owner_id: owner.map(str::to_owned), converted };
    Known { own: Some(Box::new(own)), lead: Some(KnownLead::default()), ..Known::default() }
}

#[on_both]
async fn person_who_takes_the_record_has_responded(fixture: Fixture) {
    // A CRM with contacts, a CRM with leads, and a converted lead.
    let answers = [contact("005CID"), ours(Some("005CID"), false), ours(Some("005ANN"), true)];
    for (person, answer) in ["a", "b", "c"].into_iter().zip(answers) {
        let (pipeline, crm) = team(&fixture, CrmMode::Live).await;
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        minutes(&fixture, 10);
        crm.answers.lock().unwrap().push_back(Ok(answer));
        assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(0, 0, 1), "{person}");
        let kept = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
        assert_eq!((kept.responded_by.as_deref(), kept.reassignments), (Some("crm"), 0));
    }
}

#[on_both]
async fn previous_owner_in_the_crm_is_no_response_before_the_sync(fixture: Fixture) {
    let (pipeline, crm, _) = team_with_lead(&fixture).await;
    fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();
    minutes(&fixture, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(1, 1, 0));
    minutes(&fixture, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(
        pipeline.escalate_overdue(10).await.unwrap(),
        overdue(1, 0, 0),
        "the CRM does not have bob as owner yet"
    );

    // After the CRM has bob as owner, ann takes the lead back.
    fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap();
    pipeline.escalate_overdue(10).await.unwrap();
    pipeline.handle(&message(&hot("a", "CEO", 1300), 1)).await.unwrap();
    minutes(&fixture, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap(), overdue(0, 0, 1));
}

#[on_both]
async fn existing_owner_gets_the_lead_but_an_unowned_record_has_none(fixture: Fixture) {
    let (pipeline, crm) = team(&fixture, CrmMode::Live).await;
    crm.answers.lock().unwrap().extend([Ok(contact("005DAN")), Ok(ours(None, false))]);
    let (owned, unowned) = (hot("a", "CTO", 0), hot("b", "CTO", 0));
    for event in [&owned, &unowned] {
        pipeline.handle(&message(event, 1)).await.unwrap();
    }
    assert_eq!(owner(&fixture, &owned.lead_id).await, "005DAN");
    assert_eq!(owner(&fixture, &unowned.lead_id).await, "005ANN", "the pool's turn");
}
