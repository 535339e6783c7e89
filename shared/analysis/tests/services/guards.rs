//! What keeps a service from being asked: the breaker, the budget; and the second one that is asked instead.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analyst, Relay};
use breaker::Day;
use lead::Clock as _;
use lead::FailureClass::{Deferral, Permanent, Transient};
use sandbox::gemini::{Gemini, KEY, Says, out_of_quota, overloaded};
use sandbox::{Fake, Fault, Misbehaviour, bedrock};

use crate::support::{BUDGET, Shared, answered, facts, refusal};

const MODEL: &str = "gemini-3.8-flash";
const CLAUDE: &str = "global.anthropic.claude-haiku-5-5";

async fn gemini() -> (Fake, Gemini) {
    let gemini = Gemini::default();
    (Fake::serve("gemini", gemini.router()).await.unwrap(), gemini)
}

#[tokio::test]
async fn a_service_that_is_down_is_left_alone_by_every_process_and_tried_again() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let processes = [(); 2].map(|()| shared.gemini(&fake, MODEL, KEY));
    fake.add_fault(overloaded());
    for turn in 0..5 {
        assert_eq!(refusal(&processes[turn % 2]).await, (Transient, "ai_unavailable".to_owned()));
    }
    for process in &processes {
        assert_eq!(refusal(process).await, (Transient, "ai_away".to_owned()), "so that attempts count");
    }
    assert_eq!(fake.exchanges().len(), 5, "nobody asked");

    shared.advance(5);
    let ai = &processes[0].dependencies()[0];
    assert!(processes[0].probe(ai).await.is_err(), "still down");
    assert_eq!(refusal(&processes[1]).await.1, "ai_away");
    assert_eq!(fake.exchanges().len(), 6, "the probe asked, once");

    fake.clear_faults();
    shared.advance(5);
    processes[0].probe(ai).await.unwrap();
    answered(&processes[1]).await;
}

#[tokio::test]
async fn a_quota_is_waited_for_without_asking() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, MODEL, KEY);
    fake.add_fault(out_of_quota(Some("26s"), false).times(1));
    assert_eq!(refusal(&analyst).await, (Deferral, "ai_rate_limited".to_owned()));
    shared.advance(6);
    let failure = analyst.analyse(&facts()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (Deferral, "ai_rate_limited"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(20)));
    assert_eq!(fake.exchanges().len(), 1);
    shared.advance(20);
    answered(&analyst).await;

    fake.add_fault(out_of_quota(None, true).times(1));
    let failure = analyst.analyse(&facts()).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (Deferral, "ai_quota_exhausted"));
    // The test's clock stands 26 seconds after midnight UTC; the quota begins anew at 8.
    assert_eq!(failure.retry_after, Some(Duration::from_secs(8 * 60 * 60 - 26)));
    shared.advance(8 * 60 * 60 - 27);
    assert_eq!(refusal(&analyst).await, (Deferral, "ai_quota_exhausted".to_owned()));
    shared.advance(1);
    answered(&analyst).await;
}

#[tokio::test]
async fn a_refused_key_is_not_shown_again_and_again() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, MODEL, "wrong");
    for _ in 0..3 {
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_credentials_refused".to_owned()));
    }
    assert_eq!(fake.exchanges().len(), 1);
    // Another process, started with the right key, finds out five minutes later at most.
    let repaired = shared.gemini(&fake, MODEL, KEY);
    assert!(repaired.analyse(&facts()).await.is_err());
    shared.advance(300);
    answered(&repaired).await;
}

#[tokio::test]
async fn what_a_filter_does_to_one_lead_says_nothing_against_the_service() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, MODEL, KEY);
    gemini.will(vec![Says::Blocked("SAFETY"); 8]);
    for _ in 0..8 {
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_blocked".to_owned()));
    }
    answered(&analyst).await;
}

#[tokio::test]
async fn the_second_is_asked_for_whatever_keeps_the_first_from_answering() {
    let (first, script) = gemini().await;
    let second = Fake::serve("bedrock", bedrock::Bedrock::default().router()).await.unwrap();
    for fault in [
        None,
        Some(overloaded()),
        Some(out_of_quota(None, true)),
        Some(Fault::on("", Misbehaviour::answer(404, serde_json::json!({})))),
    ] {
        first.clear_faults();
        match fault {
            Some(fault) => first.add_fault(fault),
            None => script.will([Says::Blocked("SPII")]),
        }
        let shared = Shared::default();
        let relay = Relay::new(
            Arc::new(shared.gemini(&first, MODEL, KEY)),
            Arc::new(shared.bedrock(&second, CLAUDE, bedrock::ACCESS_KEY_ID)),
        );
        let (analysis, _) = answered(&relay).await;
        assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("bedrock", CLAUDE));
        assert_eq!(relay.dependencies().len(), 2);
    }
    first.clear_faults();
    let shared = Shared::default();
    let relay = Relay::new(
        Arc::new(shared.gemini(&first, MODEL, KEY)),
        Arc::new(shared.bedrock(&second, CLAUDE, bedrock::ACCESS_KEY_ID)),
    );
    let asked = second.exchanges().len();
    assert_eq!(answered(&relay).await.0.provider, "gemini");
    assert_eq!(second.exchanges().len(), asked, "the first answered");
}

#[tokio::test]
async fn a_budget_is_not_overspent_by_many_at_once_and_nothing_is_sent_beyond_it() {
    let (fake, _) = gemini().await;
    let shared = Shared::with_budget(100_000);
    let analyst = Arc::new(shared.gemini(&fake, MODEL, KEY));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let analyst = Arc::clone(&analyst);
        running.spawn(async move { analyst.analyse(&facts()).await });
    }
    let results = running.join_all().await;
    let cost: u64 = results.iter().flatten().map(|analysis| analysis.usage.cost_microusd).sum();
    let refused = results.iter().filter_map(|result| result.as_ref().err());
    assert!(refused.clone().count() > 0 && cost > 0);
    assert!(refused.clone().all(|failure| failure.code == "budget_spent" && failure.class == Deferral));
    assert!(refused.clone().all(|failure| failure.dependency.as_ref() == Some(&BUDGET)));
    assert!(cost <= 100_000, "{cost}");
    assert_eq!(shared.spending.spent(&BUDGET, Day::of(shared.clock.now())), cost);
    let answered = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(fake.exchanges().len(), answered, "what was refused was not sent");
}

#[tokio::test]
async fn a_call_that_may_have_been_charged_for_counts_as_the_most_it_could_cost() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::with_budget(10_000_000);
    let analyst = shared.gemini(&fake, MODEL, KEY);
    let spent = || shared.spending.spent(&BUDGET, Day::of(shared.clock.now()));
    fake.add_fault(overloaded().times(1));
    refusal(&analyst).await;
    assert_eq!(spent(), 0, "a refusal costs nothing");
    gemini.will([Says::Blocked("SAFETY")]);
    refusal(&analyst).await;
    let blocked = spent();
    assert!(blocked > 0, "what was read before it was blocked is paid for");
    fake.add_fault(Fault::on("", Misbehaviour::LoseReply).times(1));
    refusal(&analyst).await;
    assert!(spent() - blocked > 30_000, "8,192 tokens at 3.75 dollars a million, and the question");
}
