//! Evaluation of stored leads under another profile, analyst or contract, and verification of stored
//! judgements.

use std::sync::Arc;

use analysis::{Icp, Rules};
use grounding::{Contract, GroundingStatus};
use lead::{Actor, Cause, Decision, Dependency, Failure, FitScore, LeadEvent};
use on_both::on_both;
use pipeline::{Alternative, Basis, Evaluated, NotEvaluated, Pipeline, Problem, Route, verify};
use queue::LeadHandler as _;
use serde_json::{Value, json};
use store::{Scope, Steps, StoredAnalysis, Suppressed};

use crate::support::{Fixture, Reply, hot, message};

const DEFAULT: &str = include_str!("../../../../config/icp.toml");

/// The default profile with changed values.
fn profile(changes: &[(&str, &str)]) -> Icp {
    let changed = changes.iter().fold(DEFAULT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Icp::parse(&changed).expect("the changed profile is valid")
}

/// A profile without points for fintech companies and for technologies.
fn without_fintech() -> Icp {
    profile(&[
        ("name = \"Fintech\"\npoints = 40", "name = \"Fintech\"\npoints = 0"),
        ("technology_max_points = 15", "technology_max_points = 0"),
    ])
}

async fn judged(fixture: &Fixture, pipeline: &Pipeline, people: &[&str]) -> Vec<LeadEvent> {
    let events: Vec<_> = people.iter().map(|person| hot(person, "CTO", 0)).collect();
    for event in &events {
        pipeline.handle(&message(event, 1)).await.unwrap();
    }
    fixture.analyst.take_calls();
    events
}

async fn stored(fixture: &Fixture, scope: Scope) -> Vec<StoredAnalysis> {
    fixture.store.stored_analyses(scope, None).next_page().await.unwrap()
}

async fn evaluated(fixture: &Fixture, alternative: &Alternative) -> Vec<Result<Evaluated, NotEvaluated>> {
    let mut all = Vec::new();
    for stored in stored(fixture, Scope::InForce).await {
        all.push(alternative.evaluate(&Steps::new(fixture.store.clone()), stored).await);
    }
    all
}

async fn evaluated_well(fixture: &Fixture, alternative: &Alternative) -> Vec<Evaluated> {
    let all = evaluated(fixture, alternative).await;
    all.into_iter().map(|one| one.expect("the evaluation succeeds")).collect()
}

fn failure(not_evaluated: &NotEvaluated) -> &Failure {
    match not_evaluated {
        NotEvaluated::Failed(failure) => failure,
        other => panic!("not a failure of this lead: {other:?}"),
    }
}

/// The problem of every stored judgement.
async fn problems(fixture: &Fixture) -> Vec<Option<Problem>> {
    stored(fixture, Scope::Every).await.iter().map(verify).collect()
}

/// All stored data of these leads.
async fn snapshots(fixture: &Fixture, events: &[LeadEvent]) -> Vec<Value> {
    let mut all = Vec::new();
    for event in events {
        all.push(fixture.snapshot(&event.lead_id).await);
    }
    all
}

#[on_both]
async fn same_configuration_changes_nothing(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann", "bob"]).await;
    let same = Alternative { icp: Icp::default_config(), analyst: None };
    let all = evaluated_well(&fixture, &same).await;
    assert_eq!(all.len(), 2);
    for one in all {
        assert!(!one.is_routed_differently(), "{one:?}");
        assert_eq!(
            (one.basis, one.from, &one.changes[..], &one.facts[..]),
            (Basis::StoredAnswer, one.to, &[][..], &[][..])
        );
    }
    assert_eq!(fixture.analyst.take_calls(), 0);
}

#[on_both]
async fn changed_profile_lists_rerouted_leads_and_writes_nothing(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let events = judged(&fixture, &pipeline, &["ann", "bob"]).await;
    let before = snapshots(&fixture, &events).await;
    let changed = Alternative { icp: without_fintech(), analyst: None };
    for one in evaluated_well(&fixture, &changed).await {
        assert!(one.is_routed_differently());
        assert_eq!(one.from.route, Route::Decided(Decision::RouteToSdr));
        // The AI's score is unchanged, and is clamped to the band around the new baseline.
        let baseline =
            one.facts.iter().find(|fact| fact.path == "computed.baseline_score").expect("it changed");
        assert!(baseline.to.as_i64() < baseline.from.as_i64());
        assert_eq!(Some(one.to.fit_score.get()), baseline.to.as_i64().map(|baseline| baseline + 30));
        let points =
            one.facts.iter().find(|fact| fact.path == "computed.industry_points").expect("it changed");
        assert_eq!((&points.from, &points.to), (&json!(40), &json!(0)));
        // Quotations of the changed facts do not count as false.
        assert_eq!(one.to.grounding, GroundingStatus::Downgraded);
        assert_eq!(one.to.route, Route::Decided(Decision::ManualReview));
    }
    assert_eq!(snapshots(&fixture, &events).await, before);
    assert_eq!(
        (fixture.analyst.take_calls(), fixture.provider.take_calls()),
        (0, 2),
        "called only for the original judgements"
    );
}

#[on_both]
async fn changed_contract_is_applied_to_stored_answers(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    fixture.analyst.will([Reply::Changed(|answer| answer["fit_score"] = json!(85))]);
    judged(&fixture, &pipeline, &["ann"]).await;
    let under = async |change: fn(&mut Contract)| {
        let mut icp = Icp::default_config();
        change(&mut icp.contract);
        evaluated_well(&fixture, &Alternative { icp, analyst: None }).await.remove(0)
    };
    let strict = under(|contract| contract.fit_high_from = FitScore::clamped(90)).await;
    assert_eq!(strict.from.route, Route::Decided(Decision::RouteToSdr));
    assert_eq!((strict.from.fit_score.get(), strict.to.fit_score.get()), (85, 85));
    assert_eq!(strict.to.route, Route::Decided(Decision::ManualReview));
    let narrow = under(|contract| contract.score_band = 0).await;
    assert_eq!(narrow.to.fit_score.get(), 100, "the company's baseline score");
    assert!(!narrow.is_routed_differently());
}

#[on_both]
async fn judgements_of_the_rules_are_recomputed(fixture: Fixture) {
    let mut pipeline = fixture.pipeline().await;
    pipeline.analyst = Arc::new(Rules::new(Icp::default_config()));
    judged(&fixture, &pipeline, &["ann"]).await;
    let all = evaluated_well(&fixture, &Alternative { icp: without_fintech(), analyst: None }).await;
    assert_eq!((all[0].basis, all[0].to.grounding), (Basis::Rules, GroundingStatus::Valid));
    assert!(all[0].to.fit_score < all[0].from.fit_score);
}

/// The same profile, with new answers from the analyst.
fn with_analyst(fixture: &Fixture) -> Alternative {
    let analyst = Arc::clone(&fixture.analyst) as Arc<dyn analysis::Analyst>;
    Alternative { icp: Icp::default_config(), analyst: Some(analyst) }
}

#[on_both]
async fn configured_analyst_is_called(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let events = judged(&fixture, &pipeline, &["ann", "bob", "cyd"]).await;
    let before = snapshots(&fixture, &events).await;
    let colder = |answer: &mut Value| {
        answer["intent"] = json!("LOW");
        answer["decision"] = json!("NURTURE");
    };
    let invented = |answer: &mut Value| answer["evidence"][0]["value"] = json!("Mining");
    fixture.analyst.will([Reply::Changed(colder), Reply::Text("no answer"), Reply::Changed(invented)]);
    let all = evaluated(&fixture, &with_analyst(&fixture)).await;
    assert_eq!(fixture.analyst.take_calls(), 3);
    let (judged, failed): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    let mut ends: Vec<_> = judged
        .into_iter()
        .filter_map(Result::ok)
        .map(|one| (one.to.route, one.to.grounding, one.basis == Basis::NewAnswer))
        .collect();
    ends.sort_unstable_by_key(|(route, ..)| *route);
    let expected = [
        (Route::Decided(Decision::Nurture), GroundingStatus::Valid, true),
        (Route::Rejected, GroundingStatus::Rejected, true),
    ];
    assert_eq!(ends, expected);
    let codes: Vec<_> =
        failed.into_iter().filter_map(Result::err).map(|one| failure(&one).code.clone()).collect();
    assert_eq!(codes, ["ai_answer_unreadable"]);
    assert_eq!(snapshots(&fixture, &events).await, before);
}

#[on_both]
async fn suppressed_people_are_not_evaluated(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann", "bob"]).await;
    let suppress = async |address| {
        let person = Suppressed::parse(address).unwrap();
        fixture.store.suppress(&Actor::admin(), &person, "asked for it").await.unwrap();
    };
    suppress("ann@stripe.com").await;
    let all = evaluated(&fixture, &with_analyst(&fixture)).await;
    let left_out = all.iter().filter(|one| matches!(one, Err(NotEvaluated::Suppressed))).count();
    assert_eq!((left_out, all.iter().flatten().count(), fixture.analyst.take_calls()), (1, 1, 1));
    // No call follows after a second person is suppressed.
    suppress("bob@stripe.com").await;
    assert!(evaluated(&fixture, &with_analyst(&fixture)).await.iter().all(Result::is_err));
    assert_eq!(fixture.analyst.take_calls(), 0);
    // Stored answers are checked again without a call.
    let rules = Alternative { icp: Icp::default_config(), analyst: None };
    assert_eq!(evaluated_well(&fixture, &rules).await.len(), 2);
}

#[on_both]
async fn service_level_failure_concerns_every_lead(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann"]).await;
    for failure in [
        Failure::permanent("ai_credentials_refused", "x").because(Cause::CredentialsRefused),
        Failure::permanent("ai_model_retired", "x").because(Cause::Misconfigured),
        Failure::deferral(Dependency::new("ai.fake"), "ai_quota_exhausted", "x", None)
            .because(Cause::QuotaExhausted),
    ] {
        fixture.analyst.will([Reply::Fail(failure.clone())]);
        let all = evaluated(&fixture, &with_analyst(&fixture)).await;
        let [Err(NotEvaluated::FailedForAll(ended))] = &all[..] else { panic!("{all:?}") };
        assert_eq!((&ended.code, fixture.analyst.take_calls()), (&failure.code, 1));
    }
}

#[on_both]
async fn failure_of_one_lead_concerns_no_other(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann", "bob", "cyd"]).await;
    for code in ["ai_blocked", "ai_answer_cut", "ai_request_refused"] {
        fixture.analyst.will([Reply::Rules, Reply::Fail(Failure::permanent(code, "x"))]);
        let all = evaluated(&fixture, &with_analyst(&fixture)).await;
        let failed: Vec<_> =
            all.iter().filter_map(|one| Some(failure(one.as_ref().err()?).code.as_ref())).collect();
        assert_eq!((all.len(), failed), (3, vec![code]));
    }
}

#[on_both]
async fn evaluation_waits_for_a_rate_limit(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann"]).await;
    let slower = || {
        let wait = Some(std::time::Duration::from_millis(1));
        Reply::Fail(
            Failure::deferral(Dependency::new("ai.fake"), "ai_rate_limited", "x", wait)
                .because(Cause::RateLimited),
        )
    };
    fixture.analyst.will([slower(), slower(), slower()]);
    evaluated_well(&fixture, &with_analyst(&fixture)).await;
    assert_eq!(fixture.analyst.take_calls(), 4, "three waits, one answer");
    // The waits are bounded: the sixth rate limit in a row fails the lead.
    fixture.analyst.will([(); 6].map(|()| slower()));
    let all = evaluated(&fixture, &with_analyst(&fixture)).await;
    assert_eq!(failure(all[0].as_ref().unwrap_err()).code, "ai_rate_limited");
}

#[on_both]
async fn fallback_is_kept_without_an_analyst(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let event = hot("ann", "CTO", 0);
    fixture
        .analyst
        .will([Reply::Fail(Failure::permanent("ai_model_retired", "x").because(Cause::Misconfigured))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let stored_only = Alternative { icp: without_fintech(), analyst: None };
    let all = evaluated_well(&fixture, &stored_only).await;
    assert_eq!((all[0].basis, all[0].is_routed_differently()), (Basis::NoAnswer, false));
    let all = evaluated_well(&fixture, &with_analyst(&fixture)).await;
    assert_eq!(all[0].to.route, Route::Decided(Decision::RouteToSdr));
}

#[on_both]
async fn lead_is_evaluated_on_its_judged_delivery(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    fixture.store.accept(&second).await.unwrap();
    let same = Alternative { icp: Icp::default_config(), analyst: None };
    let all = evaluated_well(&fixture, &same).await;
    assert_eq!(all[0].facts, [], "the revision without a judgement is ignored");
}

#[on_both]
async fn every_stored_judgement_is_reproducible(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let first = hot("ann", "Engineer", 0);
    let invented = |answer: &mut Value| {
        answer["evidence"][0]["value"] = json!({"b": 1.50, "a": ["\u{202e}", 1e300]});
    };
    fixture.analyst.will([
        Reply::Changed(invented),
        Reply::Rules,
        Reply::Fail(Failure::permanent("ai_model_retired", "x").because(Cause::Misconfigured)),
    ]);
    // A rejected judgement, a revision of it, a fallback, and its second round under another profile.
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&hot("ann", "CTO", 1), 1)).await.unwrap();
    let fallen = hot("bob", "CTO", 0);
    pipeline.handle(&message(&fallen, 1)).await.unwrap();
    let mut strict = fixture.pipeline().await;
    strict.icp = profile(&[("fit_high_from = 80", "fit_high_from = 99")]);
    fixture.reopen(&strict, &fallen.lead_id, true, "second look").await;

    let before = snapshots(&fixture, &[first.clone(), fallen.clone()]).await;
    assert_eq!(problems(&fixture).await, [None; 4]);
    assert_eq!(snapshots(&fixture, &[first, fallen]).await, before);
}

#[on_both]
async fn tampered_judgements_are_found(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    judged(&fixture, &pipeline, &["ann", "bob", "cyd", "dan", "eve", "fay"]).await;
    let ids = stored(&fixture, Scope::Every).await.into_iter().map(|one| one.analysis_id);
    let mut transaction = fixture.store.database().begin().await.unwrap();
    for (change, id) in [
        "UPDATE analysis SET verdict = REPLACE(verdict, '\"HIGH\"', '\"LOW\"') WHERE analysis_id = $1",
        "UPDATE analysis SET facts = REPLACE(facts, 'Fintech', 'Mining') WHERE analysis_id = $1",
        "UPDATE analysis SET raw_answer = 'gone' WHERE analysis_id = $1",
        "UPDATE analysis SET contract = '{' WHERE analysis_id = $1",
        "UPDATE analysis SET contract = REPLACE(contract, '\"version\":4', '\"version\":3') WHERE analysis_id = $1",
    ]
    .into_iter()
    .zip(ids)
    {
        sqlx::query(change).bind(id).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let expected = [
        Some(Problem::OtherVerdict),
        Some(Problem::OtherVerdict),
        Some(Problem::UnreadableAnswer),
        Some(Problem::UnreadableRow),
        Some(Problem::UnreadableRow),
        None,
    ];
    assert_eq!(problems(&fixture).await, expected);
}
