//! The deciding rule, and the errors of invalid routing files.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::BTreeMap;

use lead::{Decision, Intent};
use routing::{Counters, LeadFacts, Load, OnBreach, Outcome, OwnerId, Routing};

const TEAM: &str = r#"
version = "test-1"

[fallback]
owner = "desk"
respond_within = "24h"

[owners.ann]
id = "005ANN"
max_per_day = 2

[owners.bob]
id = "005BOB"
max_open = 3

[owners.eve]
id = "005EVE"
max_per_day = 1

[owners.desk]
id = "00GDESK"

[pools.emea]
members = [{ owner = "ann", weight = 2 }, { owner = "bob" }]
overflow = "spare"

[pools.spare]
members = [{ owner = "eve" }]

[[rules]]
name = "existing owner"
to = "existing_owner"

[[rules]]
name = "hot in Europe"
when = { decision = ["ROUTE_TO_SDR"], country = ["DE", "FR"], employees = { min = 200 } }
to = { pool = "emea" }
respond_within = "15m"
on_breach = "reassign"

[[rules]]
name = "launch"
to = { owner = "eve" }
[rules.when]
campaign = ["launch_*"]
industry = ["Computer  software"]

[[rules]]
name = "ignored"
when = { decision = ["IGNORE"] }
to = "crm"
"#;

fn team() -> Routing {
    Routing::parse(TEAM).unwrap()
}

fn hot() -> LeadFacts {
    LeadFacts {
        country: Some("DE".into()),
        employees: Some(850),
        campaign: "spring".into(),
        fit_score: Some(90),
        intent: Some(Intent::High),
        decision: Some(Decision::RouteToSdr),
        ..LeadFacts::default()
    }
}

fn id(text: &str) -> OwnerId {
    OwnerId::parse(text).unwrap()
}

fn loads(loads: &[(&str, u64, u64)]) -> Counters {
    let loads = loads.iter().map(|(owner, today, open)| (id(owner), Load { today: *today, open: *open }));
    Counters { credits: BTreeMap::new(), loads: loads.collect() }
}

#[test]
fn built_in_routing_is_valid_and_names_no_owner() {
    let routed = Routing::default_config().route(&hot(), &Counters::default());
    assert_eq!((routed.owner, routed.rule), (None, None));
    assert_eq!(routed.passed_over[0].because, "matched, but the CRM names no owner");
    assert!(!Routing::default_config().counts());
}

#[test]
fn first_matching_rule_decides_and_lists_skipped_rules() {
    let routed = team().route(&hot(), &Counters::default());
    assert_eq!((routed.owner, routed.name.as_deref()), (Some(id("005ANN")), Some("ann")));
    assert_eq!((routed.rule.as_deref(), routed.pool.as_deref()), (Some("hot in Europe"), Some("emea")));
    assert_eq!(routed.because, "rule hot in Europe gives it to pool emea, where it is ann's turn");
    assert_eq!(routed.passed_over.len(), 1);
    let outcomes: Vec<_> = routed.members.iter().map(|member| member.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Chosen, Outcome::Waits]);
    let timer = routed.timer.unwrap();
    assert_eq!(
        (timer.respond_within_s, timer.on_breach, timer.max_reassignments),
        (900, OnBreach::Reassign, 2)
    );
}

#[test]
fn unmet_condition_is_named_with_the_actual_value() {
    let because = |facts: &LeadFacts| {
        let routed = team().route(facts, &Counters::default());
        routed.passed_over.into_iter().find(|skipped| skipped.rule == "hot in Europe").unwrap().because
    };
    assert_eq!(because(&LeadFacts { country: Some("US".into()), ..hot() }), "the country is US, not DE, FR");
    assert_eq!(because(&LeadFacts { country: None, ..hot() }), "the country is not known");
    assert_eq!(because(&LeadFacts { employees: Some(12), ..hot() }), "employees is 12, not 200 or more");
    let nurtured = LeadFacts { decision: Some(Decision::Nurture), ..hot() };
    assert_eq!(because(&nurtured), "the decision is NURTURE, not ROUTE_TO_SDR");
}

#[test]
fn text_ignores_case_and_spacing_and_campaigns_match_by_prefix() {
    let mut lead =
        LeadFacts { campaign: "launch_2024".into(), industry: Some("COMPUTER software".into()), ..hot() };
    lead.country = Some("US".into());
    assert_eq!(team().route(&lead, &Counters::default()).rule.as_deref(), Some("launch"));
    lead.campaign = "prelaunch_2024".into();
    assert_eq!(team().route(&lead, &Counters::default()).rule, None);
}

#[test]
fn existing_owner_gets_the_lead() {
    let routed =
        team().route(&LeadFacts { existing_owner: Some(id("005OLD")), ..hot() }, &Counters::default());
    assert_eq!((routed.owner, routed.rule.as_deref()), (Some(id("005OLD")), Some("existing owner")));
}

#[test]
fn inactive_owner_is_skipped_with_the_reason() {
    let inactive = |owners: &[&str]| {
        owners.iter().map(|owner| (id(owner), "is inactive".to_owned())).collect::<BTreeMap<_, _>>()
    };
    let facts = |owners: &[&str]| LeadFacts { unavailable: inactive(owners), ..hot() };
    // First the existing owner, then the members of the pool, then the fallback.
    let existing = LeadFacts { existing_owner: Some(id("005OLD")), ..facts(&["005OLD"]) };
    let routed = team().route(&existing, &Counters::default());
    assert_eq!(routed.owner, Some(id("005ANN")));
    assert_eq!(
        routed.passed_over[0].because,
        "matched, but the owner that the CRM names, 005OLD, is inactive"
    );
    let queue = LeadFacts {
        existing_owner: Some(id("00GDESK")),
        existing_owner_problem: Some("is a queue".into()),
        ..hot()
    };
    assert_eq!(team().route(&queue, &Counters::default()).owner, Some(id("005ANN")));
    let routed = team().route(&facts(&["005ANN"]), &Counters::default());
    assert_eq!(routed.owner, Some(id("005BOB")));
    assert_eq!(routed.members[0].outcome, Outcome::Skipped("is inactive".into()));
    let unassigned = team().route(&facts(&["005ANN", "005BOB", "005EVE", "00GDESK"]), &Counters::default());
    assert_eq!((unassigned.owner, unassigned.rule), (None, None));
    assert!(unassigned.because.contains("is inactive"), "{}", unassigned.because);
}

#[test]
fn full_pool_overflows_then_later_rules_then_fallback_decide() {
    let full = loads(&[("005ANN", 2, 0), ("005BOB", 0, 3)]);
    let routed = team().route(&hot(), &full);
    assert_eq!((routed.owner, routed.pool.as_deref()), (Some(id("005EVE")), Some("spare")));
    assert_eq!(routed.members[0].outcome, Outcome::Skipped("has 2 of 2 leads today".into()));
    assert_eq!(routed.members[1].outcome, Outcome::Skipped("has 3 of 3 open leads".into()));

    let all_full = loads(&[("005ANN", 2, 0), ("005BOB", 0, 3), ("005EVE", 1, 0)]);
    let routed = team().route(&hot(), &all_full);
    assert_eq!((routed.owner, routed.rule), (Some(id("00GDESK")), None));
    assert_eq!(routed.passed_over[1].because, "matched, but no member of pool emea is available");
    assert_eq!(routed.timer.unwrap().respond_within_s, 86_400);
}

#[test]
fn lead_without_a_response_goes_to_a_new_pool_member() {
    let next = |previous: &[OwnerId]| {
        let routed =
            team().reassign("emea", Some("hot in Europe"), previous, &BTreeMap::new(), &Counters::default());
        routed.map(|routed| routed.owner.unwrap())
    };
    assert_eq!(next(&[id("005ANN")]), Some(id("005BOB")));
    assert_eq!(next(&[id("005ANN"), id("005BOB")]), Some(id("005EVE")), "the overflow pool counts too");
    assert_eq!(next(&[id("005ANN"), id("005BOB"), id("005EVE")]), None);
    assert!(team().reassign("gone", None, &[], &BTreeMap::new(), &Counters::default()).is_none());
}

#[test]
fn assigned_lead_keeps_its_owner_and_gets_the_timer_of_its_rule() {
    let kept = team().keep(&id("005EVE"), None, &hot());
    assert_eq!((kept.owner, kept.name.as_deref()), (Some(id("005EVE")), Some("eve")));
    assert!(kept.credits.is_empty() && kept.members.is_empty());
}

#[test]
fn own_assignment_in_the_crm_does_not_count_as_existing_owner() {
    let rule = |given_by: Option<&str>, existing: Option<&str>| {
        let facts = LeadFacts { existing_owner: existing.map(id), ..hot() };
        let kept = team().keep(&id("005ANN"), given_by, &facts);
        (kept.rule.unwrap(), kept.timer.is_some())
    };
    let (hot, theirs) = (("hot in Europe".to_owned(), true), ("existing owner".to_owned(), false));
    assert_eq!(rule(Some("hot in Europe"), Some("005ANN")), hot);
    assert_eq!(rule(Some("hot in Europe"), None), hot);
    assert_eq!(rule(Some("hot in Europe"), Some("005DAN")), theirs, "another owner has taken it");
    assert_eq!(rule(Some("existing owner"), Some("005ANN")), theirs, "the rule assigned the lead itself");
    assert_eq!(rule(Some("existing owner"), None), theirs);
}

/// The line of the first occurrence of a pattern, from 1.
fn line_of(text: &str, pattern: &str) -> usize {
    text[..text.find(pattern).unwrap()].matches('\n').count() + 1
}

#[test]
fn parse_error_is_one_line_that_names_the_line_and_the_rule() {
    for (from, to, at, expected) in [
        ("version = \"test-1\"", "", "version", "missing field `version`"),
        (
            "respond_within = \"15m\"",
            "respond_withn = \"15m\"",
            "respond_withn",
            "unknown field `respond_withn`",
        ),
        ("respond_within = \"15m\"", "respond_within = \"5s\"", "name = \"hot", "from 1 minute to 30 days"),
        ("respond_within = \"15m\"", "", "name = \"hot", "on_breach means nothing without respond_within"),
        ("\"ROUTE_TO_SDR\"", "\"CALL\"", "\"CALL\"", "unknown variant `CALL`"),
        ("to = { pool = \"emea\" }", "to = { pool = \"apac\" }", "name = \"hot", "there is no pool \"apac\""),
        (
            "to = { owner = \"eve\" }",
            "to = { owner = \"joe\" }",
            "name = \"launch",
            "there is no owner \"joe\"",
        ),
        ("country = [\"DE\"", "country = [\"Germany\"", "name = \"hot", "not a country code"),
        ("country = [\"DE\", \"FR\"]", "country = []", "name = \"hot", "lists nothing"),
        ("{ min = 200 }", "{ min = 200, max = 10 }", "name = \"hot", "max is below min"),
        ("\"launch_*\"", "\"*_launch\"", "name = \"launch", "a star may only stand at the end"),
        ("name = \"ignored\"", "name = \"launch\"", "to = \"crm\"", "another rule has the same name"),
    ] {
        let broken = TEAM.replacen(from, to, 1);
        assert_ne!(broken, TEAM, "{from}");
        let error = Routing::parse(&broken).expect_err(expected);
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains('\n'), "{text}");
        if broken.contains(at) && at != "version" {
            let line = line_of(&broken, at);
            assert!(error.line.abs_diff(line) <= 3, "{text}: expected line {line}");
            assert!(error.rule.is_some(), "{text}");
        }
    }
}

#[test]
fn pools_and_owners_are_checked_against_each_other() {
    for (from, to, expected) in [
        ("id = \"005BOB\"", "id = \"005ANN\"", "another owner has the id 005ANN"),
        ("id = \"005BOB\"", "id = \"bob's\"", "ASCII letters"),
        ("max_open = 3", "max_open = 0", "a cap of 0"),
        ("{ owner = \"bob\" }", "{ owner = \"joe\" }", "there is no owner \"joe\""),
        ("{ owner = \"bob\" }", "{ owner = \"ann\" }", "a member twice"),
        (
            "members = [{ owner = \"eve\" }]",
            "members = [{ owner = \"eve\", weight = 0 }]",
            "no member has a weight",
        ),
        ("members = [{ owner = \"eve\" }]", "members = []", "no member has a weight above 0"),
        ("overflow = \"spare\"", "overflow = \"apac\"", "there is no pool \"apac\""),
        (
            "members = [{ owner = \"eve\" }]",
            "members = [{ owner = \"eve\" }]\noverflow = \"emea\"",
            "overflows in a circle: emea -> spare -> emea",
        ),
        ("id = \"00GDESK\"", "id = \"00GDESK\"\nmax_per_day = 9", "must have no cap"),
    ] {
        let broken = TEAM.replacen(from, to, 1);
        assert_ne!(broken, TEAM, "{from}");
        let text = Routing::parse(&broken).expect_err(expected).to_string();
        assert!(text.contains(expected) && text.contains("line "), "{text}");
    }
}

#[test]
fn unreachable_rule_is_refused_but_not_one_behind_a_cap() {
    let after = |rule: &str| Routing::parse(&format!("{TEAM}\n{rule}"));
    let hidden = after(
        "[[rules]]\nname = \"late\"\nwhen = { decision = [\"IGNORE\"], country = [\"US\"] }\nto = { owner = \"desk\" }",
    );
    let error = hidden.unwrap_err();
    assert_eq!(error.rule.as_deref(), Some("late"));
    assert_eq!(error.problem, "can never decide: rule \"ignored\" above it takes everything it matches");
    // Every member of the pool has a cap, so the second rule is reachable.
    after("[[rules]]\nname = \"late\"\nwhen = { decision = [\"ROUTE_TO_SDR\"], country = [\"DE\"], employees = { min = 500 } }\nto = { owner = \"desk\" }").unwrap();
    after("[[rules]]\nname = \"late\"\nwhen = { decision = [\"IGNORE\", \"NURTURE\"] }\nto = { owner = \"desk\" }").unwrap();
}

#[test]
fn decision_survives_a_json_round_trip() {
    let routed = team().route(&hot(), &Counters::default());
    let read: routing::Routed = serde_json::from_str(&serde_json::to_string(&routed).unwrap()).unwrap();
    assert_eq!(read, routing::Routed { credits: BTreeMap::new(), ..routed });
}
