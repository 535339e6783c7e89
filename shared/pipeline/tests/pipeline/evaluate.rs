//! What other rules, another analyst or another contract would have made of the leads in the store, writing nothing.

use std::sync::Arc;

use analysis::{Icp, Rules};
use grounding::{Contract, GroundingStatus};
use lead::{Decision, Dependency, Failure, FitScore, LeadEvent};
use pipeline::{
    Alternative, Basis, Evaluated, NotEvaluated, Pipeline, Problem, Route, Selection, Verified, evaluate,
    verify,
};
use queue::LeadHandler as _;
use serde_json::{Value, json};
use store::Suppressed;

use crate::support::{Say, World, hot, message};

const DEFAULT: &str = include_str!("../../../../config/icp.toml");

/// The profile with other values in it.
fn profile(changes: &[(&str, &str)]) -> Icp {
    let changed = changes.iter().fold(DEFAULT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Icp::parse(&changed).expect("it is still a profile")
}

/// The profile of somebody who does not sell to banks any more, whatever they run on.
fn without_fintech() -> Icp {
    profile(&[
        ("name = \"Fintech\"\npoints = 40", "name = \"Fintech\"\npoints = 0"),
        ("technology_max_points = 15", "technology_max_points = 0"),
    ])
}

async fn judged(world: &World, pipeline: &Pipeline, people: &[&str]) -> Vec<LeadEvent> {
    let events: Vec<_> = people.iter().map(|person| hot(person, "CTO", 0)).collect();
    for event in &events {
        pipeline.handle(&message(event, 1)).await.unwrap();
    }
    world.analyst.asked();
    events
}

async fn evaluated(
    world: &World,
    alternative: &Alternative,
    selection: Selection,
) -> Vec<Result<Evaluated, NotEvaluated>> {
    let mut all = Vec::new();
    evaluate(&world.store, alternative, selection, |one| all.push(one)).await.unwrap();
    all
}

async fn evaluated_well(world: &World, alternative: &Alternative) -> Vec<Evaluated> {
    let all = evaluated(world, alternative, Selection::default()).await;
    all.into_iter().map(|one| one.expect("it can be judged")).collect()
}

fn failure(not_evaluated: &NotEvaluated) -> &Failure {
    match not_evaluated {
        NotEvaluated::Failed(failed) => &failed.failure,
        NotEvaluated::Suppressed(lead) => panic!("{lead} is on the suppression list"),
    }
}

async fn verified(world: &World) -> Vec<Verified> {
    let mut all = Vec::new();
    verify(&world.store, None, |one| all.push(one)).await.unwrap();
    all
}

/// Everything that is stored about everybody.
async fn everything(world: &World, events: &[LeadEvent]) -> Vec<Value> {
    let mut all = Vec::new();
    for event in events {
        all.push(world.everything(&event.lead_id).await);
    }
    all
}

async fn the_same_configuration_changes_nothing(world: World) {
    let pipeline = world.pipeline().await;
    judged(&world, &pipeline, &["ann", "bob"]).await;
    let same = Alternative { icp: Icp::default_config(), analyst: None };
    let all = evaluated_well(&world, &same).await;
    assert_eq!(all.len(), 2);
    for one in all {
        assert!(!one.is_routed_differently(), "{one:?}");
        assert_eq!(
            (one.basis, one.from, &one.changes[..], &one.facts[..]),
            (Basis::StoredAnswer, one.to, &[][..], &[][..])
        );
    }
    assert_eq!(world.analyst.asked(), 0);
}

async fn a_changed_profile_says_who_goes_elsewhere_and_why_and_writes_nothing(world: World) {
    let pipeline = world.pipeline().await;
    let events = judged(&world, &pipeline, &["ann", "bob"]).await;
    let before = everything(&world, &events).await;
    let changed = Alternative { icp: without_fintech(), analyst: None };
    for one in evaluated_well(&world, &changed).await {
        assert!(one.is_routed_differently());
        assert_eq!(one.from.route, Route::Decided(Decision::RouteToSdr));
        // The AI's score stays what it was, and is held to the band around the new baseline.
        let baseline =
            one.facts.iter().find(|fact| fact.path == "computed.baseline_score").expect("it moved");
        assert!(baseline.to.as_i64() < baseline.from.as_i64());
        assert_eq!(Some(one.to.fit_score.get()), baseline.to.as_i64().map(|baseline| baseline + 30));
        let points = one.facts.iter().find(|fact| fact.path == "computed.industry_points").expect("it moved");
        assert_eq!((&points.from, &points.to), (&json!(40), &json!(0)));
        // What it quoted of the facts that moved is no lie for that.
        assert_eq!(one.to.grounding, GroundingStatus::Downgraded);
        assert_eq!(one.to.route, Route::Decided(Decision::ManualReview));
    }
    assert_eq!(everything(&world, &events).await, before);
    assert_eq!((world.analyst.asked(), world.provider.asked()), (0, 2), "asked only when they were judged");
}

async fn a_changed_contract_is_applied_to_the_stored_answers(world: World) {
    let pipeline = world.pipeline().await;
    world.analyst.will([Say::Changed(|answer| answer["fit_score"] = json!(85))]);
    judged(&world, &pipeline, &["ann"]).await;
    let under = async |change: fn(&mut Contract)| {
        let mut icp = Icp::default_config();
        change(&mut icp.contract);
        evaluated_well(&world, &Alternative { icp, analyst: None }).await.remove(0)
    };
    let strict = under(|contract| contract.fit_high_from = FitScore::clamped(90)).await;
    assert_eq!(strict.from.route, Route::Decided(Decision::RouteToSdr));
    assert_eq!((strict.from.fit_score.get(), strict.to.fit_score.get()), (85, 85));
    assert_eq!(strict.to.route, Route::Decided(Decision::ManualReview));
    let narrow = under(|contract| contract.score_band = 0).await;
    assert_eq!(narrow.to.fit_score.get(), 100, "its company's own score");
    assert!(!narrow.is_routed_differently());
}

async fn what_the_rules_judged_is_worked_out_again(world: World) {
    let mut pipeline = world.pipeline().await;
    pipeline.analyst = Arc::new(Rules::new(Icp::default_config()));
    judged(&world, &pipeline, &["ann"]).await;
    let all = evaluated_well(&world, &Alternative { icp: without_fintech(), analyst: None }).await;
    assert_eq!((all[0].basis, all[0].to.grounding), (Basis::Rules, GroundingStatus::Valid));
    assert!(all[0].to.fit_score < all[0].from.fit_score);
}

/// The same profile, with the analyst asked anew.
fn asking(world: &World) -> Alternative {
    let analyst = Arc::clone(&world.analyst) as Arc<dyn analysis::Analyst>;
    Alternative { icp: Icp::default_config(), analyst: Some(analyst) }
}

async fn another_analyst_is_really_asked(world: World) {
    let pipeline = world.pipeline().await;
    let events = judged(&world, &pipeline, &["ann", "bob", "cyd"]).await;
    let before = everything(&world, &events).await;
    let ask = || asking(&world);
    let colder = |answer: &mut Value| {
        answer["intent"] = json!("LOW");
        answer["decision"] = json!("NURTURE");
    };
    let invented = |answer: &mut Value| answer["evidence"][0]["value"] = json!("Mining");
    world.analyst.will([Say::Changed(colder), Say::Text("no answer"), Say::Changed(invented)]);
    let all = evaluated(&world, &ask(), Selection::default()).await;
    assert_eq!(world.analyst.asked(), 3);
    // They are asked about at the same time: who gets which answer is not ours to say.
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
    assert_eq!(everything(&world, &events).await, before);

    // A bound on how many are asked about, and always the same ones.
    let few = Selection { limit: Some(2), ..Selection::default() };
    let ids = |all: &[Result<Evaluated, NotEvaluated>]| -> Vec<_> {
        all.iter().map(|one| one.as_ref().unwrap().lead_id.clone()).collect()
    };
    let (once, twice) = (evaluated(&world, &ask(), few).await, evaluated(&world, &ask(), few).await);
    assert_eq!((ids(&once).len(), world.analyst.asked()), (2, 4));
    assert_eq!(ids(&once), ids(&twice));
}

async fn nobody_is_asked_about_people_on_the_list(world: World) {
    let pipeline = world.pipeline().await;
    let events = judged(&world, &pipeline, &["ann", "bob"]).await;
    let ann = Suppressed::parse("ann@stripe.com").unwrap();
    world.store.suppress(&ann, "asked for it", "bob").await.unwrap();
    let all = evaluated(&world, &asking(&world), Selection::default()).await;
    let left_out: Vec<_> = all
        .iter()
        .filter_map(|one| match one {
            Err(NotEvaluated::Suppressed(lead)) => Some(lead.clone()),
            _ => None,
        })
        .collect();
    assert_eq!((left_out, all.iter().flatten().count()), (vec![events[0].lead_id.clone()], 1));
    assert_eq!(world.analyst.asked(), 1);
    // A service that answers slowly is not asked again once the person is on the list.
    let bob = Suppressed::parse("bob@stripe.com").unwrap();
    world.store.suppress(&bob, "asked for it", "bob").await.unwrap();
    assert!(evaluated(&world, &asking(&world), Selection::default()).await.iter().all(Result::is_err));
    assert_eq!(world.analyst.asked(), 0);
    // What is stored is worked out again by the rules alone.
    let rules = Alternative { icp: Icp::default_config(), analyst: None };
    assert_eq!(evaluated_well(&world, &rules).await.len(), 2);
}

async fn an_analyst_that_will_answer_nobody_is_not_asked_on(world: World) {
    let pipeline = world.pipeline().await;
    judged(&world, &pipeline, &["ann", "bob", "cyd"]).await;
    for failure in [
        Failure::permanent("ai_credentials_refused", "x"),
        Failure::permanent("ai_model_retired", "x"),
        Failure::deferral(Dependency::new("ai.fake"), "ai_quota_exhausted", "x", None),
    ] {
        world.analyst.will([(); 3].map(|()| Say::Fail(failure.clone())));
        let mut seen = 0;
        let ask = asking(&world);
        let ended = evaluate(&world.store, &ask, Selection::default(), |_| seen += 1).await.unwrap_err();
        assert_eq!((ended.code, seen), (failure.code, 0));
        assert!((1..=3).contains(&world.analyst.asked()), "those that were asked about at the same time");
        world.analyst.will_say_no_more();
    }
}

async fn one_lead_that_is_refused_does_not_end_the_evaluation(world: World) {
    let pipeline = world.pipeline().await;
    judged(&world, &pipeline, &["ann", "bob", "cyd"]).await;
    for code in ["ai_blocked", "ai_answer_cut", "ai_request_refused"] {
        world.analyst.will([Say::Rules, Say::Fail(Failure::permanent(code, "x"))]);
        let all = evaluated(&world, &asking(&world), Selection::default()).await;
        let failed: Vec<_> =
            all.iter().filter_map(|one| Some(failure(one.as_ref().err()?).code.as_ref())).collect();
        assert_eq!((all.len(), failed), (3, vec![code]));
    }
}

async fn a_service_that_wants_to_be_asked_more_slowly_is_waited_for(world: World) {
    let pipeline = world.pipeline().await;
    judged(&world, &pipeline, &["ann", "bob"]).await;
    let slower = || {
        let wait = Some(std::time::Duration::from_millis(1));
        Say::Fail(Failure::deferral(Dependency::new("ai.fake"), "ai_rate_limited", "x", wait))
    };
    world.analyst.will([slower(), slower(), slower()]);
    evaluated_well(&world, &asking(&world)).await;
    assert_eq!(world.analyst.asked(), 5, "three waits, two answers");
    // Not for ever: six refusals in a row are one lead's share.
    let first = Selection { limit: Some(1), ..Selection::default() };
    world.analyst.will([(); 6].map(|()| slower()));
    let all = evaluated(&world, &asking(&world), first).await;
    assert_eq!(failure(all[0].as_ref().unwrap_err()).code, "ai_rate_limited");
}

async fn a_fallback_stays_one_until_somebody_is_asked(world: World) {
    let pipeline = world.pipeline().await;
    let event = hot("ann", "CTO", 0);
    world.analyst.will([Say::Fail(Failure::permanent("ai_model_retired", "x"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let stays = Alternative { icp: without_fintech(), analyst: None };
    let all = evaluated_well(&world, &stays).await;
    assert_eq!((all[0].basis, all[0].is_routed_differently()), (Basis::NoAnswer, false));
    let asked = Alternative { icp: Icp::default_config(), analyst: Some(Arc::clone(&world.analyst) as _) };
    let all = evaluated_well(&world, &asked).await;
    assert_eq!(all[0].to.route, Route::Decided(Decision::RouteToSdr));
}

async fn every_lead_is_judged_on_the_content_and_company_of_its_own_delivery(world: World) {
    let pipeline = world.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    world.store.accept(&second).await.unwrap();
    let same = Alternative { icp: Icp::default_config(), analyst: None };
    let all = evaluated_well(&world, &same).await;
    assert_eq!(all[0].facts, [], "the revision that nobody has judged yet has no part in it");
}

async fn a_store_of_many_pages_is_gone_through_once(world: World) {
    let pipeline = world.pipeline().await;
    let people: Vec<String> = (0..120).map(|number| format!("person{number}")).collect();
    judged(&world, &pipeline, &people.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let same = Alternative { icp: Icp::default_config(), analyst: None };
    let mut ids: Vec<_> = evaluated_well(&world, &same).await.into_iter().map(|one| one.lead_id).collect();
    let in_order = ids.is_sorted();
    ids.dedup();
    assert_eq!((ids.len(), in_order), (120, true));
    assert_eq!(verified(&world).await.len(), 120);
}

async fn every_stored_judgement_comes_out_again_byte_for_byte(world: World) {
    let pipeline = world.pipeline().await;
    let first = hot("ann", "Engineer", 0);
    let invented = |answer: &mut Value| {
        answer["evidence"][0]["value"] = json!({"b": 1.50, "a": ["\u{202e}", 1e300]});
    };
    world.analyst.will([
        Say::Changed(invented),
        Say::Rules,
        Say::Fail(Failure::permanent("ai_model_retired", "x")),
    ]);
    // A rejected one, a revision of it, a fallback, and a second round of that under other rules.
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&hot("ann", "CTO", 1), 1)).await.unwrap();
    let fallen = hot("bob", "CTO", 0);
    pipeline.handle(&message(&fallen, 1)).await.unwrap();
    let mut strict = world.pipeline().await;
    strict.icp = profile(&[("fit_high_from = 80", "fit_high_from = 99")]);
    let again = world.store.reopen(&fallen.lead_id, true, "second look").await.unwrap().unwrap();
    strict.handle(&message(&again, 1)).await.unwrap();

    let before = everything(&world, &[first.clone(), fallen.clone()]).await;
    let all = verified(&world).await;
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|one| one.problem.is_none()), "{all:?}");
    assert_eq!(everything(&world, &[first, fallen]).await, before);
}

async fn what_was_tampered_with_is_found(world: World) {
    let pipeline = world.pipeline().await;
    judged(&world, &pipeline, &["ann", "bob", "cyd", "dan", "eve"]).await;
    let ids: Vec<String> = verified(&world).await.into_iter().map(|one| one.analysis_id).collect();
    let mut transaction = world.store.database().begin().await.unwrap();
    for (change, id) in [
        "UPDATE analysis SET verdict = REPLACE(verdict, '\"HIGH\"', '\"LOW\"') WHERE analysis_id = $1",
        "UPDATE analysis SET facts = REPLACE(facts, 'Fintech', 'Mining') WHERE analysis_id = $1",
        "UPDATE analysis SET raw_answer = 'gone' WHERE analysis_id = $1",
        "UPDATE analysis SET contract = '{' WHERE analysis_id = $1",
    ]
    .into_iter()
    .zip(&ids)
    {
        sqlx::query(change).bind(id).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let problems: Vec<_> = verified(&world).await.into_iter().map(|one| one.problem).collect();
    let expected = [
        Some(Problem::OtherVerdict),
        Some(Problem::OtherVerdict),
        Some(Problem::UnreadableAnswer),
        Some(Problem::UnreadableRow),
        None,
    ];
    assert_eq!(problems, expected);
}

on_both!(
    the_same_configuration_changes_nothing,
    a_changed_profile_says_who_goes_elsewhere_and_why_and_writes_nothing,
    a_changed_contract_is_applied_to_the_stored_answers,
    what_the_rules_judged_is_worked_out_again,
    another_analyst_is_really_asked,
    nobody_is_asked_about_people_on_the_list,
    an_analyst_that_will_answer_nobody_is_not_asked_on,
    one_lead_that_is_refused_does_not_end_the_evaluation,
    a_service_that_wants_to_be_asked_more_slowly_is_waited_for,
    a_fallback_stays_one_until_somebody_is_asked,
    every_lead_is_judged_on_the_content_and_company_of_its_own_delivery,
    a_store_of_many_pages_is_gone_through_once,
    every_stored_judgement_comes_out_again_byte_for_byte,
    what_was_tampered_with_is_found,
);
