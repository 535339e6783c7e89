//! Contacts and companies that existed before, and changes by users to written records.

use std::time::Duration;

use crm::parameters::{
    ContactDetails, CreateOpportunity, LeadDetails, MatchAccount, ReassignTask, UpdateOpportunityStage,
};
use crm::testing::{assert_found, execute_ok, suite_plan};
use crm::{
    About, Action, ActionId, Executor as _, Facts, Known, KnownAccount, KnownContact, KnownOpportunity, Plan,
    Text,
};
use jiff::Timestamp;
use lead::{CampaignId, ContentHash, DeliveryId, EmailAddress, LeadId};
use sandbox::hubspot::{HubSpot, Kind, Record};

use crate::support::{AccountFixture, with_actions};

/// The same person in another campaign.
fn in_campaign(plan: &Plan, campaign: &str) -> Plan {
    let mut actions: Vec<Action> = plan.actions.iter().map(|planned| planned.action.clone()).collect();
    let Action::UpsertLead(LeadDetails { email, campaign_id, facts, .. }) = &mut actions[0] else {
        unreachable!()
    };
    *campaign_id = CampaignId::parse(campaign).unwrap();
    *facts = Facts::default();
    let lead = LeadId::derive(email, campaign_id);
    let delivery = DeliveryId::derive(&lead, &ContentHash::of("{}"));
    Plan::new(lead, delivery, 1, None, actions)
}

#[tokio::test]
async fn existing_contact_is_adopted_and_keeps_the_users_values() {
    let fixture = AccountFixture::prepared().await;
    let old = fixture.hubspot.add(
        Kind::Contact,
        &[("email", "ann@example.com"), ("firstname", "Annabel"), ("lifecyclestage", "customer")],
    );
    let plan = suite_plan("ann", "CTO", 87);
    let crm = fixture.executor();
    let ids = execute_ok(&crm, &plan).await;
    assert_eq!(ids[0].record_id, old.to_string());
    let contact = fixture.contact("ann@example.com");
    assert_eq!(contact.get("firstname"), Some("Annabel"));
    assert_eq!(contact.get("lifecyclestage"), Some("customer"), "a stage is never moved back");
    assert_eq!(contact.get("jobtitle"), Some("CTO"));
    assert_eq!(fixture.counts(), [1, 1, 1, 2, 0], "one note is the anchor");

    // A sales representative changes the address and clears the key. The anchor still leads to the contact.
    fixture.hubspot.edit(Kind::Contact, old, &[("email", "ann@elsewhere.example"), ("revenueflow_id", "")]);
    let score = &plan.actions[2..3];
    let results = fixture.executor().execute(&plan.lead_id, score).await;
    assert_eq!(results[0].as_ref().unwrap().record_id, old.to_string());
    assert_found(&fixture.executor(), &plan.lead_id, &plan.actions[2..]).await;
    assert_eq!(fixture.counts(), [1, 1, 1, 2, 0]);
}

#[tokio::test]
async fn contact_is_found_by_its_secondary_address() {
    for is_searchable in [true, false] {
        secondary_address(is_searchable).await;
    }
}

/// `is_searchable`: whether the account finds contacts by a secondary address. Otherwise it names the contact
/// only in the refusal to create another one.
async fn secondary_address(is_searchable: bool) {
    let fixture = AccountFixture::prepared().await;
    fixture.hubspot.set(|settings| settings.finds_further_addresses = is_searchable);
    let old = fixture.hubspot.add(
        Kind::Contact,
        &[("email", "ann@home.example"), ("hs_additional_emails", "a@x.example;Ann@example.com")],
    );
    let plan = suite_plan("ann", "CTO", 87);
    assert_eq!(execute_ok(&fixture.executor(), &plan).await[0].record_id, old.to_string());
    assert_eq!(fixture.counts(), [1, 1, 1, 2, 0], "one note is the anchor");
    assert_eq!(
        execute_ok(&fixture.executor(), &suite_plan("ann", "CEO", 61)).await[0].record_id,
        old.to_string()
    );
    let contact = fixture.contact("ann@home.example");
    assert_eq!(
        contact.get("jobtitle"),
        Some("CTO"),
        "the primary address stays, and a title is only filled in"
    );
    assert_eq!(contact.get("revenueflow_score"), Some("61"));
    assert_found(&fixture.executor(), &plan.lead_id, &plan.actions[3..]).await;
}

#[tokio::test]
async fn two_campaigns_of_a_person_share_one_contact() {
    let fixture = AccountFixture::prepared().await;
    let (first, crm) = (suite_plan("ann", "CTO", 87), fixture.executor());
    let second = in_campaign(&first, "webinar_7");
    let (a, b) = tokio::join!(execute_ok(&crm, &first), execute_ok(&crm, &second));
    assert_eq!(a[0].record_id, b[0].record_id);
    assert_eq!(fixture.counts()[0], 1);
    for plan in [&first, &second] {
        let results = fixture.executor().execute(&plan.lead_id, &plan.actions[2..]).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let task = fixture.record_of(plan, "create_task");
        assert_eq!(fixture.hubspot.associated(Kind::Task, task.id, Kind::Contact).len(), 1);
        assert_found(&fixture.executor(), &plan.lead_id, &plan.actions[4..]).await;
    }
    assert_eq!(fixture.counts(), [1, 1, 2, 3, 0], "a task and a note for each, and an anchor for the second");

    // One after the other, the second campaign does not take the contact's key.
    let first = suite_plan("bob", "CTO", 87);
    let second = in_campaign(&first, "g09-2");
    execute_ok(&crm, &first).await;
    execute_ok(&crm, &second).await;
    let notes = fixture.hubspot.records(Kind::Note);
    let names_it = |note: &&Record| note.get("hs_note_body").is_some_and(|body| body.contains("g09-2"));
    assert_eq!(notes.iter().filter(names_it).count(), 1, "the anchor names the second campaign");
    let contact = fixture.contact("bob@example.com");
    assert_eq!(contact.get("revenueflow_campaign"), Some("g09-2"), "the last write wins");
    assert_eq!(contact.get("revenueflow_id"), Some(first.lead_id.as_str()));
}

#[tokio::test]
async fn existing_company_is_used_and_none_is_created() {
    let fixture = AccountFixture::prepared().await;
    let old = fixture.hubspot.add(Kind::Company, &[("domain", "example.com"), ("name", "Example Inc.")]);
    fixture.hubspot.add(Kind::Company, &[("domain", "example.com"), ("name", "Example, again")]);
    let plan = suite_plan("ann", "CTO", 87);
    execute_ok(&fixture.executor(), &plan).await;
    let company = fixture.hubspot.record(Kind::Company, "revenueflow_domain_key", "example.com").unwrap();
    assert_eq!((company.id, company.get("name")), (old, Some("Example Inc.")));
    assert_eq!(company.get("numberofemployees"), Some("850"));
    assert_eq!(fixture.counts()[1], 2);
    let contact = fixture.contact("ann@example.com");
    let companies = fixture.hubspot.associated(Kind::Contact, contact.id, Kind::Company);
    assert_eq!(companies.keys().collect::<Vec<_>>(), [&old]);
}

#[tokio::test]
async fn account_match_associates_an_existing_company_only() {
    let fixture = AccountFixture::prepared().await;
    let plan = suite_plan("ann", "CTO", 87);
    let matched = || {
        Action::MatchAccount(MatchAccount {
            account_domain: Text::parse("example.com").unwrap(),
            account_name: None,
        })
    };
    let actions = vec![plan.actions[0].action.clone(), matched()];
    let plan = with_actions(&plan, actions);
    let crm = fixture.executor();
    execute_ok(&crm, &plan).await;
    assert_eq!(fixture.counts(), [1, 0, 0, 0, 0]);
    let company = fixture.hubspot.add(Kind::Company, &[("domain", "example.com")]);
    assert!(crm.find(&plan.lead_id, &plan.actions[1]).await.unwrap().is_none(), "not associated yet");
    execute_ok(&crm, &plan).await;
    let contact = fixture.contact("ann@example.com");
    assert!(fixture.hubspot.associated(Kind::Contact, contact.id, Kind::Company).contains_key(&company));
    assert!(crm.find(&plan.lead_id, &plan.actions[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn contact_actions_and_deals_use_the_leads_contact() {
    let fixture = AccountFixture::prepared().await;
    let plan = suite_plan("ann", "CTO", 87);
    let contact = Action::CreateContact(ContactDetails {
        email: EmailAddress::parse("ann@example.com").unwrap(),
        first_name: Text::fit("Ann"),
        last_name: Text::fit("O'Brien"),
        title: None,
        phone: None,
    });
    let opportunity = Action::CreateOpportunity(CreateOpportunity {
        name: Text::parse("Example, 850 seats").unwrap(),
        stage: Text::parse("qualifiedtobuy").unwrap(),
        amount_usd: Some(100_000),
        closes_at: Timestamp::UNIX_EPOCH,
    });
    let creating =
        with_actions(&plan, vec![contact.clone(), plan.actions[1].action.clone(), opportunity.clone()]);
    let moved = Action::UpdateOpportunityStage(UpdateOpportunityStage {
        opportunity: creating.actions[2].action_id.clone(),
        stage: Text::parse("Closed Won").unwrap(),
    });
    let crm = fixture.executor();
    let missing = with_actions(&plan, vec![contact.clone(), moved.clone()]);
    let results = crm.execute(&plan.lead_id, &missing.actions).await;
    assert_eq!(results[1].as_ref().unwrap_err().code, "crm_record_missing");
    let ids = execute_ok(&crm, &creating).await;
    let deal = fixture.record_of(&creating, "create_opportunity");
    assert_eq!((deal.get("dealstage"), deal.get("amount")), (Some("qualifiedtobuy"), Some("100000")));
    for (kind, id) in [
        (Kind::Contact, &ids[0].record_id),
        (Kind::Company, &fixture.hubspot.records(Kind::Company)[0].id.to_string()),
    ] {
        assert!(
            fixture.hubspot.associated(Kind::Deal, deal.id, kind).contains_key(&id.parse().unwrap()),
            "{kind:?}"
        );
    }
    let moved = with_actions(&plan, vec![plan.actions[0].action.clone(), contact, opportunity, moved]);
    assert_eq!(
        execute_ok(&crm, &moved).await[0].record_id,
        ids[0].record_id,
        "the lead and the contact are one record"
    );
    let deal = fixture.record_of(&creating, "create_opportunity");
    assert_eq!(deal.get("dealstage"), Some("closedwon"), "a stage may be given by its label");
    assert_eq!(fixture.counts(), [1, 1, 0, 0, 1]);
}

#[tokio::test]
async fn facts_are_contact_company_owner_and_open_deals() {
    let fixture = AccountFixture::prepared().await;
    let ann = fixture.hubspot.add(
        Kind::Contact,
        &[
            ("email", "ann@example.com"),
            ("hubspot_owner_id", HubSpot::OWNER),
            ("lifecyclestage", "opportunity"),
        ],
    );
    let company = fixture.hubspot.add(Kind::Company, &[("domain", "example.com"), ("type", "PROSPECT")]);
    let deal = |stage, closed, amount| {
        fixture.hubspot.add(Kind::Deal, &[("dealstage", stage), ("hs_is_closed", closed), ("amount", amount)])
    };
    for (stage, closed, with, id) in [
        ("qualifiedtobuy", "false", Kind::Company, company),
        ("closedlost", "true", Kind::Company, company),
        ("contractsent", "false", Kind::Contact, ann),
    ] {
        fixture.clock.advance(Duration::from_secs(1));
        fixture.hubspot.associate(Kind::Deal, deal(stage, closed, "1000.5"), with, id);
    }
    let about = About {
        lead_id: suite_plan("ann", "CTO", 87).lead_id,
        email: EmailAddress::parse("ann@example.com").unwrap(),
        company_domain: Some("example.com".to_owned()),
    };
    let known = fixture.executor().facts(&about).await.unwrap();
    let opportunity = |stage: &str| KnownOpportunity { stage: stage.to_owned(), amount: Some(1000.5) };
    let expected = Known {
        lead: None,
        own: None,
        contact: Some(KnownContact {
            owner_id: Some(HubSpot::OWNER.to_owned()),
            stage: Some("opportunity".to_owned()),
        }),
        account: Some(KnownAccount { owner_id: None, kind: Some("PROSPECT".to_owned()) }),
        account_unread: false,
        open_opportunities: vec![opportunity("Contract Sent"), opportunity("Qualified To Buy")],
    };
    assert_eq!(known, expected);

    fixture.hubspot.set(|settings| settings.archived_owners.append(&mut settings.owners));
    let known = fixture.executor().facts(&about).await.unwrap();
    assert_eq!(known.contact.unwrap().owner_id, None, "an inactive owner gets no more leads");
}

#[tokio::test]
async fn task_is_reassigned_but_never_created() {
    let fixture = AccountFixture::prepared().await;
    let (plan, crm) = (suite_plan("ann", "CTO", 87), fixture.executor());
    execute_ok(&crm, &plan).await;
    let owner = Text::parse(HubSpot::OWNER).unwrap();
    let task = plan.actions.iter().find(|planned| planned.action.kind() == "create_task").unwrap();
    assert_ne!(fixture.record_of(&plan, "create_task").get("hubspot_owner_id"), Some(HubSpot::OWNER));
    let to = |task: &ActionId| {
        let action = ReassignTask { task: task.clone(), owner: owner.clone() };
        with_actions(&plan, vec![Action::ReassignTask(action)])
    };
    let reassigned = to(&task.action_id);
    execute_ok(&crm, &reassigned).await;
    assert_eq!(fixture.record_of(&plan, "create_task").get("hubspot_owner_id"), Some(HubSpot::OWNER));
    assert!(crm.find(&plan.lead_id, &reassigned.actions[0]).await.unwrap().is_some());

    let counts = fixture.counts();
    let results = crm.execute(&plan.lead_id, &to(&plan.actions[0].action_id).actions).await;
    assert_eq!(results[0].as_ref().unwrap_err().code, "crm_record_missing");
    assert_eq!(fixture.counts(), counts);
}

#[tokio::test]
async fn merged_company_is_not_created_again() {
    let fixture = AccountFixture::prepared().await;
    let plan = suite_plan("ann", "CTO", 87);
    execute_ok(&fixture.executor(), &plan).await;
    let ours = fixture.hubspot.record(Kind::Company, "revenueflow_domain_key", "example.com").unwrap();
    let key = ("revenueflow_domain_key", "example.org");
    let theirs = fixture.hubspot.add(Kind::Company, &[("domain", "example.org"), key]);
    assert!(fixture.hubspot.merge(Kind::Company, theirs, ours.id));
    fixture.clock.advance(Duration::from_secs(10));
    execute_ok(&fixture.executor(), &suite_plan("bob", "CTO", 87)).await;
    assert_eq!(fixture.counts()[1], 1);
    let company = fixture.hubspot.record(Kind::Company, "domain", "example.org").unwrap();
    assert_eq!((company.id, company.get(key.0)), (theirs, Some(key.1)));
    let bob = fixture.contact("bob@example.com");
    assert!(fixture.hubspot.associated(Kind::Contact, bob.id, Kind::Company).contains_key(&theirs));
}
