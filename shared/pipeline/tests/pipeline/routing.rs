//! Who gets a lead, as the CRM comes to know it: turns, caps, timers, and what happens when nobody responds.

use std::time::Duration;

use crm::{CrmMode, Known, KnownContact, KnownLead, Object, OwnerStanding};
use lead::{LeadEvent, LeadId, LeadStatus};
use pipeline::{Chased, Pipeline};
use queue::LeadHandler as _;
use routing::{OwnerId, Routing};
use store::{Suppressed, Told};

use crate::crm::{Informed, pipeline};
use crate::support::{World, hot, message};

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

async fn team(world: &World, mode: CrmMode) -> (Pipeline, std::sync::Arc<Informed>) {
    let (mut pipeline, crm) = pipeline(world, mode, []).await;
    pipeline.routing = Routing::parse(TEAM).unwrap();
    (pipeline, crm)
}

fn minutes(world: &World, minutes: u64) {
    world.clock.advance(Duration::from_mins(minutes));
}

/// Whom the CRM has as owner of a lead's record.
async fn owner(world: &World, lead: &LeadId) -> String {
    world.crm_lead(lead).await.fields["owner"].as_str().unwrap_or("nobody").to_owned()
}

/// Whom the only task in the CRM is for.
async fn task_owner(world: &World) -> String {
    let tasks: Vec<_> =
        world.crm().await.into_iter().filter(|record| record.object == Object::Task.as_str()).collect();
    assert_eq!(tasks.len(), 1);
    tasks[0].fields["owner"].as_str().unwrap_or("nobody").to_owned()
}

fn overdue(overdue: usize, reassigned: usize, responded: usize) -> Chased {
    Chased { overdue, reassigned, responded }
}

async fn leads_go_round_the_pool_to_its_caps_and_then_to_the_fallback(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let mut owners = Vec::new();
    for person in ["a", "b", "c", "d", "e"] {
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        owners.push(owner(&world, &event.lead_id).await);
    }
    assert_eq!(owners, ["005ANN", "005BOB", "005ANN", "005BOB", "00GDESK"]);
    // New content stays with whom it has.
    let revision = hot("b", "CEO", 1);
    pipeline.handle(&message(&revision, 1)).await.unwrap();
    assert_eq!(owner(&world, &revision.lead_id).await, "005BOB");
}

async fn a_lead_of_an_owner_who_left_goes_to_the_next(world: World) {
    let (pipeline, crm) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005ANN");
    crm.owners.lock().unwrap().insert("005ANN".to_owned(), OwnerStanding::Inactive);
    // The next content is given to somebody else, and so are the leads to come.
    let revision = hot("a", "CEO", 1);
    pipeline.handle(&message(&revision, 1)).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005BOB");
    let next = hot("b", "CTO", 0);
    pipeline.handle(&message(&next, 1)).await.unwrap();
    assert_eq!(owner(&world, &next.lead_id).await, "005BOB");
    let given = world.store.assignment(&event.lead_id).await.unwrap().unwrap();
    let had_it: Vec<&str> = given.had_it.iter().map(OwnerId::as_str).collect();
    assert_eq!((had_it, given.told), (vec!["005ANN", "005BOB"], Told::Yes));
    let skipped = given.routed.members.iter().find(|member| member.owner == "ann").unwrap();
    assert!(format!("{:?}", skipped.outcome).contains("inactive"), "{skipped:?}");
}

async fn an_existing_owner_who_left_or_is_a_queue_is_not_handed_on(world: World) {
    let (pipeline, crm) = team(&world, CrmMode::Live).await;
    let standings = [
        ("005GONE", OwnerStanding::Inactive, "inactive"),
        ("00GDESK", OwnerStanding::Queue { leads: true, tasks: false }, "is a queue"),
    ];
    for (person, (existing, standing, because)) in ["a", "b"].into_iter().zip(standings) {
        crm.owners.lock().unwrap().insert(existing.to_owned(), standing);
        let contact = KnownContact { owner_id: Some(existing.to_owned()), stage: None };
        let known = Known { contact: Some(contact), ..Known::default() };
        crm.answers.lock().unwrap().push_back(Ok(known));
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        assert_ne!(owner(&world, &event.lead_id).await, existing);
        let given = world.store.assignment(&event.lead_id).await.unwrap().unwrap();
        assert_eq!(given.routed.rule.as_deref(), Some("hot"));
        let passed_over = &given.routed.passed_over[0].because;
        assert!(passed_over.contains(because), "{passed_over}");
    }
}

async fn a_shadowed_lead_takes_no_turn_and_its_time_begins_when_it_is_written(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Shadow).await;
    let events: Vec<LeadEvent> = ["a", "b", "c"].map(|person| hot(person, "CTO", 0)).into();
    for event in &events {
        pipeline.handle(&message(event, 1)).await.unwrap();
        let plan = pipeline.planned(&event.lead_id).await.unwrap();
        let would_be = plan.changes.iter().find(|change| change.source == "lead.owner").unwrap();
        assert_eq!(would_be.new, Some("005ANN".into()), "the plan says who would get it now");
        assert!(world.store.assignment(&event.lead_id).await.unwrap().is_none(), "and nobody has it");
    }
    minutes(&world, 3 * 24 * 60);
    for (event, expected) in events.iter().zip(["005ANN", "005BOB", "005ANN"]) {
        let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
        pipeline.handle(&message(&promoted, 1)).await.unwrap();
        assert_eq!(owner(&world, &event.lead_id).await, expected);
    }
    minutes(&world, 9);
    assert!(world.store.overdue(10).await.unwrap().is_empty(), "they have their ten minutes");
    minutes(&world, 1);
    assert_eq!(world.store.overdue(10).await.unwrap().len(), 3);
}

async fn a_lead_that_was_routed_and_then_held_has_its_whole_time_after_the_promotion(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let event = hot("ann", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    world.store.hold_crm("mock", "rolled back").await.unwrap();
    let again = world.store.reopen(&event.lead_id, false, "replay").await.unwrap().unwrap();
    pipeline.handle(&message(&again, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    minutes(&world, 60);
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    minutes(&world, 1);
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    minutes(&world, 9);
    assert!(world.store.overdue(10).await.unwrap().is_empty());
    minutes(&world, 1);
    assert_eq!(world.store.overdue(10).await.unwrap().len(), 1);
}

async fn nobody_responds_and_the_record_and_the_task_go_to_the_next(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!((owner(&world, &event.lead_id).await, task_owner(&world).await), both("005ANN"));
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(0, 0, 0));
    minutes(&world, 10);
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 1, 0));
    assert_eq!((owner(&world, &event.lead_id).await, task_owner(&world).await), both("005BOB"));
    let written = world.crm().await.iter().map(|record| record.writes).sum::<i64>();
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(0, 0, 0));
    assert_eq!(world.crm().await.iter().map(|record| record.writes).sum::<i64>(), written, "told once");

    minutes(&world, 10);
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 0, 0), "everybody has had it: an alert");
    assert_eq!(owner(&world, &event.lead_id).await, "005BOB");
}

async fn overdue_lead_passes_over_owners_who_left(world: World) {
    let (mut pipeline, crm) = team(&world, CrmMode::Live).await;
    let rules = TEAM
        .replace(
            "[owners.desk]",
            "[owners.cid]\nid = \"005CID\"\n[owners.dan]\nid = \"00GDAN\"\n[owners.desk]",
        )
        .replace("{ owner = \"bob\" }]", "{ owner = \"bob\" }, { owner = \"dan\" }, { owner = \"cid\" }]");
    pipeline.routing = Routing::parse(&rules).unwrap();
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005ANN");
    let standings =
        [("005BOB", OwnerStanding::Inactive), ("00GDAN", OwnerStanding::Queue { leads: false, tasks: true })];
    crm.owners.lock().unwrap().extend(standings.map(|(id, standing)| (id.to_owned(), standing)));
    minutes(&world, 10);
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 1, 0));
    assert_eq!((owner(&world, &event.lead_id).await, task_owner(&world).await), both("005CID"));
    let given = world.store.assignment(&event.lead_id).await.unwrap().unwrap();
    for (name, reason) in [("bob", "inactive"), ("dan", "cannot own")] {
        let member = given.routed.members.iter().find(|member| member.owner == name).unwrap();
        assert!(format!("{:?}", member.outcome).contains(reason), "{member:?}");
    }
    // Nobody is left: an alert, and the lead stays where it is.
    minutes(&world, 10);
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 0, 0));
    assert_eq!(owner(&world, &event.lead_id).await, "005CID");
}

fn both(owner: &str) -> (String, String) {
    (owner.to_owned(), owner.to_owned())
}

async fn a_new_owner_is_not_told_while_the_crm_is_held_and_is_told_afterwards(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    minutes(&world, 10);
    world.store.hold_crm("mock", "rolled back").await.unwrap();
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 1, 0));
    assert_eq!(owner(&world, &event.lead_id).await, "005ANN", "nothing is written while it is held");
    world.store.unhold_crm("mock").await.unwrap();
    pipeline.chase(10).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005BOB");
}

async fn a_plan_that_names_the_new_owner_is_all_that_the_crm_has_to_be_told(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    minutes(&world, 10);
    world.store.hold_crm("mock", "rolled back").await.unwrap();
    pipeline.chase(10).await.unwrap();
    world.store.unhold_crm("mock").await.unwrap();
    pipeline.handle(&message(&hot("a", "CEO", 700), 1)).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005BOB");
    assert_eq!(world.store.assignment(&event.lead_id).await.unwrap().unwrap().told, Told::Yes);
    assert!(world.store.unwritten_assignments(10).await.unwrap().is_empty());
}

async fn an_owner_who_was_suppressed_meanwhile_is_not_written(world: World) {
    let (pipeline, _) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    minutes(&world, 10);
    let who = Suppressed::parse("a@stripe.com").unwrap();
    world.store.suppress(&who, "asked for it", "bob").await.unwrap();
    pipeline.chase(10).await.unwrap();
    assert_eq!(owner(&world, &event.lead_id).await, "005ANN");
    assert!(world.store.unwritten_assignments(10).await.unwrap().is_empty(), "and is not tried for ever");
}

fn contact(owner: &str) -> Known {
    let contact = KnownContact { owner_id: Some(owner.to_owned()), stage: None };
    Known { contact: Some(contact), ..Known::default() }
}

fn ours(owner: Option<&str>, converted: bool) -> Known {
    let own = KnownLead { status: None, owner_id: owner.map(str::to_owned), converted };
    Known { own: Some(Box::new(own)), lead: Some(KnownLead::default()), ..Known::default() }
}

async fn a_person_who_takes_the_record_has_responded_and_keeps_it(world: World) {
    // A CRM of contacts, one of leads, and one where the lead was converted.
    let answers = [contact("005CID"), ours(Some("005CID"), false), ours(Some("005ANN"), true)];
    for (person, answer) in ["a", "b", "c"].into_iter().zip(answers) {
        let (pipeline, crm) = team(&world, CrmMode::Live).await;
        let event = hot(person, "CTO", 0);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        minutes(&world, 10);
        crm.answers.lock().unwrap().push_back(Ok(answer));
        assert_eq!(pipeline.chase(10).await.unwrap(), overdue(0, 0, 1), "{person}");
        let kept = world.store.assignment(&event.lead_id).await.unwrap().unwrap();
        assert_eq!((kept.responded_by.as_deref(), kept.reassignments), (Some("crm"), 0));
    }
}

async fn who_had_the_lead_before_has_not_responded_while_the_crm_knows_no_other(world: World) {
    let (pipeline, crm) = team(&world, CrmMode::Live).await;
    let event = hot("a", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    world.store.hold_crm("mock", "rolled back").await.unwrap();
    minutes(&world, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 1, 0));
    minutes(&world, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(1, 0, 0), "the CRM was not told of bob");

    // Once it was told, ann has taken it back.
    world.store.unhold_crm("mock").await.unwrap();
    pipeline.chase(10).await.unwrap();
    pipeline.handle(&message(&hot("a", "CEO", 1300), 1)).await.unwrap();
    minutes(&world, 10);
    crm.answers.lock().unwrap().push_back(Ok(contact("005ANN")));
    assert_eq!(pipeline.chase(10).await.unwrap(), overdue(0, 0, 1));
}

async fn whom_the_crm_has_as_owner_keeps_the_person_and_our_own_untaken_record_names_nobody(world: World) {
    let (pipeline, crm) = team(&world, CrmMode::Live).await;
    crm.answers.lock().unwrap().extend([Ok(contact("005DAN")), Ok(ours(None, false))]);
    let (dans, nobodys) = (hot("a", "CTO", 0), hot("b", "CTO", 0));
    for event in [&dans, &nobodys] {
        pipeline.handle(&message(event, 1)).await.unwrap();
    }
    assert_eq!(owner(&world, &dans.lead_id).await, "005DAN");
    assert_eq!(owner(&world, &nobodys.lead_id).await, "005ANN", "the pool's turn");
}

on_both!(
    leads_go_round_the_pool_to_its_caps_and_then_to_the_fallback,
    a_lead_of_an_owner_who_left_goes_to_the_next,
    an_existing_owner_who_left_or_is_a_queue_is_not_handed_on,
    a_shadowed_lead_takes_no_turn_and_its_time_begins_when_it_is_written,
    a_lead_that_was_routed_and_then_held_has_its_whole_time_after_the_promotion,
    overdue_lead_passes_over_owners_who_left,
    nobody_responds_and_the_record_and_the_task_go_to_the_next,
    a_new_owner_is_not_told_while_the_crm_is_held_and_is_told_afterwards,
    a_plan_that_names_the_new_owner_is_all_that_the_crm_has_to_be_told,
    an_owner_who_was_suppressed_meanwhile_is_not_written,
    a_person_who_takes_the_record_has_responded_and_keeps_it,
    who_had_the_lead_before_has_not_responded_while_the_crm_knows_no_other,
    whom_the_crm_has_as_owner_keeps_the_person_and_our_own_untaken_record_names_nobody,
);
