//! What the source of a lead changes: the evidence it needs, its limits, and its name on facts.

use std::time::Duration;

use lead::{Clock as _, FailureClass, LeadEvent, Sender, SenderName};
use on_both::on_both;
use pipeline::{FloodLimits, Pipeline, SourceRules};
use queue::LeadHandler as _;
use sources::Sources;

use crate::support::{Fixture, hot, message};

const FILE: &str = "
[[source]]
name = \"form\"
secrets = \"FORM\"
call_needs = [\"company_domain\", \"verified_email\"]
[[source]]
name = \"loud\"
secrets = \"LOUD\"
limits = { per_day = 2 }
[[source]]
name = \"slow\"
secrets = \"SLOW\"
limits = { per_minute = 2 }
[[source]]
name = \"shared\"
secrets = \"SHARED\"
limits = { ai_share = 0.5 }
";

async fn pipeline(fixture: &Fixture, floods: FloodLimits) -> Pipeline {
    let sources = SourceRules::new(Sources::parse(FILE).unwrap(), Some(1_000), floods);
    Pipeline { sources, ..fixture.pipeline().await }
}

fn sent(name: &str, person: &str, email_verified: bool) -> LeadEvent {
    let name = SenderName::parse(name).unwrap();
    hot(person, "CTO", 0).sent_by(Sender { name, email_verified })
}

/// Who judged a lead, and why the rules did.
async fn judged_by(fixture: &Fixture, event: &LeadEvent) -> (String, Option<String>) {
    let analysis = fixture.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
    (analysis.provider.clone(), analysis.fallback_reason.clone())
}

#[on_both]
async fn lead_without_the_required_evidence_is_reviewed(fixture: Fixture) {
    let pipeline = pipeline(&fixture, FloodLimits::NONE).await;
    let named = |company: &str| {
        let mut event = sent("form", company, false);
        event.lead.company = Some(company.to_owned());
        LeadEvent::new(event.lead, event.received_at).sent_by(event.sender)
    };
    for (event, decision) in [
        (sent("form", "ann", false), "MANUAL_REVIEW"),
        (named("acme"), "MANUAL_REVIEW"),
        (named("stripe"), "ROUTE_TO_SDR"),
        (sent("form", "bob", true), "ROUTE_TO_SDR"),
        (sent("loud", "eve", false), "ROUTE_TO_SDR"),
    ] {
        pipeline.handle(&message(&event, 1)).await.unwrap();
        let fields = fixture.crm_lead(&event.lead_id).await.fields;
        assert_eq!(fields["decision"], decision, "{:?}", event.lead.company);
        let name = format!("(sent by {})", event.sender.name);
        assert!(fields["summary"].as_str().unwrap().contains(&name), "{}", fields["summary"]);
    }
}

#[on_both]
async fn flood_of_one_source_leaves_the_others_their_ai(fixture: Fixture) {
    let pipeline = pipeline(&fixture, FloodLimits::NONE).await;
    for number in 0..5 {
        let event = sent("loud", &format!("loud{number}"), false);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        let expected = match number {
            0 | 1 => ("fake".to_owned(), None),
            _ => ("rules".to_owned(), Some("source_day".to_owned())),
        };
        assert_eq!(judged_by(&fixture, &event).await, expected, "{number}");
    }
    assert_eq!((fixture.analyst.take_calls(), fixture.provider.take_calls()), (2, 2));
    let other = sent("slow", "ann", false);
    pipeline.handle(&message(&other, 1)).await.unwrap();
    assert_eq!(judged_by(&fixture, &other).await, ("fake".to_owned(), None));
    assert_eq!((fixture.analyst.take_calls(), fixture.provider.take_calls()), (1, 1));
    let day = Duration::from_hours(24);
    fixture.clock.advance(day);
    let next_day = sent("loud", "tomorrow", false);
    pipeline.handle(&message(&next_day, 1)).await.unwrap();
    assert_eq!(judged_by(&fixture, &next_day).await.0, "fake");
}

#[on_both]
async fn fast_source_waits_and_others_do_not(fixture: Fixture) {
    let pipeline = pipeline(&fixture, FloodLimits::NONE).await;
    let events: Vec<_> = (0..3).map(|number| sent("slow", &format!("slow{number}"), false)).collect();
    pipeline.handle(&message(&events[0], 1)).await.unwrap();
    for (event, wait) in [(&events[1], 30), (&events[2], 60), (&events[1], 30), (&events[2], 60)] {
        let failure = pipeline.handle(&message(event, 1)).await.unwrap_err();
        assert_eq!((failure.class(), failure.code.as_ref()), (FailureClass::Deferral, "source_paced"));
        assert_eq!(failure.retry_after(), Some(Duration::from_secs(wait)), "a turn is taken once");
    }
    pipeline.handle(&message(&sent("loud", "ann", false), 1)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(30));
    pipeline.handle(&message(&events[1], 1)).await.unwrap();
    assert!(pipeline.handle(&message(&events[2], 1)).await.is_err());
    fixture.clock.advance(Duration::from_secs(30));
    pipeline.handle(&message(&events[2], 1)).await.unwrap();
    assert_eq!(fixture.crm_counts().await[0], 4);
}

#[on_both]
async fn source_that_used_its_share_of_the_budget_is_judged_by_rules(fixture: Fixture) {
    let pipeline = pipeline(&fixture, FloodLimits::NONE).await;
    let first = sent("shared", "ann", false);
    pipeline.handle(&message(&first, 1)).await.unwrap();
    assert_eq!(judged_by(&fixture, &first).await.0, "fake");
    fixture.store.add_source_cost(&first.sender.name, 500, fixture.clock.now()).await.unwrap();
    let second = sent("shared", "bob", false);
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(judged_by(&fixture, &second).await, ("rules".to_owned(), Some("source_ai_share".to_owned())));
}

#[on_both]
async fn flood_of_one_domain_is_judged_by_rules(fixture: Fixture) {
    let pipeline = pipeline(&fixture, FloodLimits { domain_per_hour: 2, address_per_hour: 0 }).await;
    for number in 0..4 {
        let event = sent("form", &format!("ann{number}"), true);
        pipeline.handle(&message(&event, 1)).await.unwrap();
        let reason = judged_by(&fixture, &event).await.1;
        assert_eq!(reason.as_deref(), (number > 1).then_some("domain_flood"), "{number}");
    }
    assert_eq!(fixture.crm_counts().await[0], 4, "every lead reaches the CRM");
}
