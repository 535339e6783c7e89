//! The number of calls that leads cost, alone and in a burst. `docs/hubspot.md` states these numbers.

use std::sync::Arc;
use std::time::Duration;

use crm::testing::{MemoryHealth, MemoryLedger, MemoryLimits, suite_plan};
use crm::{About, Action, Guard, GuardSettings, HubSpotCredentials, HubSpotCrm, HubSpotSettings, Plan, Text};
use futures::StreamExt as _;
use futures::stream;
use lead::{ContentHash, DeliveryId, EmailAddress, LeadId, ManualClock, SystemClock};
use sandbox::hubspot::{HubSpot, Kind, RowFault};
use sandbox::{Fault, Misbehaviour};

use crate::support::AccountFixture;

/// A lead of a company: what is known of it before the judgement, and its plan.
struct Lead {
    about: About,
    plan: Plan,
}

/// The suite's plan for a person of another company.
fn lead_at(name: &str, domain: &str, title: &str) -> Lead {
    let email = EmailAddress::parse(&format!("{name}@{domain}")).unwrap();
    let mut actions: Vec<Action> =
        suite_plan(name, title, 87).actions.into_iter().map(|planned| planned.action).collect();
    let mut campaign = None;
    for action in &mut actions {
        match action {
            Action::UpsertLead(details) => {
                details.email = email.clone();
                campaign = Some(details.campaign_id.clone());
            }
            Action::SyncFirmographics(company) => company.company_domain = Text::parse(domain).unwrap(),
            _ => {}
        }
    }
    let lead_id = LeadId::derive(&email, &campaign.unwrap());
    let delivery_id = DeliveryId::derive(&lead_id, &ContentHash::of(title));
    let plan = Plan::new(lead_id.clone(), delivery_id, 1, Some(domain.to_owned()), actions);
    Lead { about: About { lead_id, email, company_domain: Some(domain.to_owned()) }, plan }
}

/// An account with the limits of the smallest edition, and a guard whose executor has the same, real clock.
async fn small_account() -> (AccountFixture, Guard) {
    let hubspot = HubSpot::prepared();
    hubspot.set(|settings| (settings.burst, settings.searches) = (100, 4));
    let fixture = AccountFixture::of(hubspot, ManualClock::default()).await;
    let settings = HubSpotSettings {
        base_url: fixture.fake.url().parse().unwrap(),
        version: "2026-03".to_owned(),
        credentials: HubSpotCredentials::PrivateApp(HubSpot::TOKEN.into()),
    };
    let clock = Arc::new(SystemClock);
    let crm = HubSpotCrm::new(settings, Arc::clone(&fixture.mapping), clock).unwrap();
    let guard = Guard::new(
        Arc::new(crm),
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryHealth::default()),
        Arc::new(MemoryLimits::unlimited()),
        fixture.clock(),
        GuardSettings { keep_old_values: true, ..GuardSettings::default() },
    );
    // Properties, the account's settings and the deleted companies are read once and cached.
    deliver(&guard, &lead_at("first", "first.example", "CTO")).await;
    (fixture, guard)
}

/// Facts, old values and write, as the pipeline does them.
async fn deliver(guard: &Guard, lead: &Lead) {
    guard.facts(&lead.about).await.unwrap();
    guard.submit_normal(&lead.plan).await.unwrap();
}

/// The paths of the calls since `before`, without the version.
fn calls_since(fixture: &AccountFixture, before: usize) -> Vec<String> {
    let exchanges = fixture.fake.exchanges();
    exchanges[before..].iter().map(|exchange| exchange.path.replace("/crm/objects/2026-03/", "")).collect()
}

#[tokio::test]
async fn lone_new_lead_costs_six_calls() {
    let (fixture, guard) = small_account().await;
    let before = fixture.fake.exchanges().len();
    let lead = lead_at("ann", "example.com", "CTO");
    deliver(&guard, &lead).await;
    let mut calls = calls_since(&fixture, before);
    calls.sort_unstable();
    assert_eq!(
        calls,
        [
            "companies/batch/upsert",
            "companies/search",
            "contacts/batch/create",
            "contacts/batch/read",
            "notes/batch/create",
            "tasks/batch/create",
        ]
    );
    fixture.assert_complete(&lead.plan);
}

#[tokio::test]
async fn lone_lead_costs_as_documented() {
    let (fixture, guard) = small_account().await;
    let cost = async |lead: &Lead| {
        let before = fixture.fake.exchanges().len();
        deliver(&guard, lead).await;
        fixture.fake.exchanges().len() - before
    };
    cost(&lead_at("ann", "example.com", "CTO")).await;
    assert_eq!(cost(&lead_at("bob", "example.com", "CTO")).await, 4, "a colleague a moment later");
    fixture.hubspot.add(Kind::Company, &[("domain", "known.example")]);
    assert_eq!(cost(&lead_at("cid", "known.example", "CTO")).await, 6, "a company of theirs");
    fixture.hubspot.add(Kind::Contact, &[("email", "dan@example.org")]);
    assert_eq!(cost(&lead_at("dan", "example.org", "CTO")).await, 9, "a contact of theirs");
    let mut revision = lead_at("ann", "example.com", "CEO").plan;
    revision.actions.truncate(4);
    let revision = Lead { plan: revision, ..lead_at("ann", "example.com", "CEO") };
    assert!(cost(&revision).await <= 4, "a revision without a task");
}

/// Delivers leads, at most 64 at the same time, and returns the calls per lead.
async fn burst(fixture: &AccountFixture, guard: &Guard, leads: &[Lead]) -> f64 {
    let before = fixture.fake.exchanges().len();
    stream::iter(leads).for_each_concurrent(64, |lead| deliver(guard, lead)).await;
    let exchanges = &fixture.fake.exchanges()[before..];
    let refused = exchanges.iter().filter(|exchange| exchange.status.is_none_or(|status| status == 429));
    assert_eq!(refused.count(), 0, "the pacer keeps every limit");
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    count(exchanges.len()) / count(leads.len())
}

#[tokio::test]
async fn burst_costs_at_most_half_a_call_per_lead() {
    let (fixture, guard) = small_account().await;
    let leads: Vec<Lead> =
        (0..400).map(|n| lead_at(&format!("p{n}"), &format!("company-{}.example", n / 2), "CTO")).collect();
    let per_lead = burst(&fixture, &guard, &leads).await;
    assert!(per_lead <= 0.5, "{per_lead} calls per lead");
    // Nine calls a second are left to this process at a limit of a hundred in ten seconds.
    assert!(per_lead * 10_000.0 / 9.0 < 15.0 * 60.0, "10,000 leads take under 15 minutes");
    assert_eq!(fixture.counts(), [401, 201, 401, 401, 0]);
    for lead in &leads {
        fixture.assert_complete(&lead.plan);
    }
    let revisions: Vec<Lead> =
        (0..200).map(|n| lead_at(&format!("p{n}"), &format!("company-{}.example", n / 2), "CEO")).collect();
    let per_lead = burst(&fixture, &guard, &revisions).await;
    assert!(per_lead <= 0.5, "{per_lead} calls per revision");
}

#[tokio::test]
async fn refused_row_of_a_shared_call_is_of_its_lead_only() {
    let (fixture, guard) = small_account().await;
    let leads: Vec<Lead> =
        (0..20).map(|n| lead_at(&format!("p{n}"), &format!("company-{n}.example"), "CTO")).collect();
    let refused = leads[7].about.lead_id.to_string();
    fixture.hubspot.set(|settings| {
        settings.row_faults.push(RowFault {
            id: refused,
            category: "SOME_NEW_CATEGORY".to_owned(),
            times: 1,
        });
    });
    let results: Vec<_> =
        stream::iter(&leads).map(|lead| guard.submit_normal(&lead.plan)).buffered(20).collect().await;
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(_) => fixture.assert_complete(&leads[number].plan),
            Err(failure) => assert_eq!((number, failure.code.as_ref()), (7, "crm_row_refused")),
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    deliver(&guard, &leads[7]).await;
    assert_eq!(fixture.counts()[0], 21);
}

#[tokio::test]
async fn lost_reply_of_a_shared_call_is_settled_for_each_lead() {
    let (fixture, guard) = small_account().await;
    let leads: Vec<Lead> =
        (0..20).map(|n| lead_at(&format!("p{n}"), &format!("company-{n}.example"), "CTO")).collect();
    for path in ["/contacts/batch/create", "/tasks/batch/create", "/notes/batch/create"] {
        fixture.fault(Fault::on(path, Misbehaviour::LoseReply).times(3));
    }
    let submit = async |lead: &Lead| guard.submit_normal(&lead.plan).await.is_err();
    let failed = stream::iter(&leads).map(submit).buffered(20).filter(|failed| std::future::ready(*failed));
    assert!(failed.count().await > 1, "leads shared the lost call");
    let again = async |lead: &Lead| {
        while guard.submit_normal(&lead.plan).await.is_err() {
            // An open circuit breaker becomes half-open.
            fixture.clock.advance(Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    stream::iter(&leads).for_each_concurrent(20, again).await;
    assert_eq!(fixture.counts(), [21, 21, 21, 21, 0]);
    for lead in &leads {
        fixture.assert_complete(&lead.plan);
    }
}
