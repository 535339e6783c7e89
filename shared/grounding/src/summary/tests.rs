use lead::{Fit, FitScore, Intent};
use serde_json::json;

use super::*;
use crate::{Breach, Contract, ReasonCode};

fn claim(source: &str, field_path: &str, value: Value, claim_type: &str) -> Claim {
    Claim { source: source.into(), field_path: field_path.into(), value, claim_type: claim_type.into() }
}

fn shown(verdict: &Verdict) -> String {
    shown_with(verdict, &Origins::default(), &[])
}

fn shown_with(verdict: &Verdict, origins: &Origins, opted_out: &[&'static str]) -> String {
    let facts =
        json!({"computed": {"matched_facts": {"marketo.activity": ["Request a Demo: now (web form)"]}}});
    let facts = serde_json::from_value(facts).unwrap();
    summary(verdict, Context { facts: &facts, origins, opted_out })
}

fn verdict(evidence: Vec<Claim>) -> Verdict {
    Verdict {
        contract_version: 4,
        status: GroundingStatus::Valid,
        reasons: vec![],
        fit_score: FitScore::clamped(92),
        fit: Fit::High,
        intent: Intent::High,
        decision: Decision::RouteToSdr,
        evidence,
    }
}

#[test]
fn evidence_is_grouped_by_subject() {
    let verdict = verdict(vec![
        claim("COMPUTED", "computed.baseline_score", json!(85), "SCORE"),
        claim("ENRICHMENT", "enrichment.employees", json!(1200), "FIRMOGRAPHIC"),
        claim("ENRICHMENT", "enrichment.technologies", json!(["Rust", "HubSpot"]), "FIRMOGRAPHIC"),
        claim("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR"),
        claim("PRODUCT", "product.usage_signals.invited_team", json!(true), "BEHAVIOR"),
        claim("SALESFORCE", "salesforce.deal_stage", json!("Qualified"), "PIPELINE"),
    ]);
    let expected = [
        "Fit HIGH (92 of 100), intent HIGH: a sales representative should call now.",
        "Company:",
        "- employees: 1200 (enrichment)",
        "- technologies: Rust, HubSpot (enrichment)",
        "Behavior:",
        "- activity.last page: /pricing (sent)",
        "- usage signals.invited team: yes (sent)",
        "Pipeline:",
        "- deal stage: Qualified (sent)",
        "Score:",
        "- baseline score: 85 (computed)",
    ];
    assert_eq!(shown(&verdict), expected.join("\n"));
}

#[test]
fn adjustment_is_explained_in_our_words() {
    let mut lowered = verdict(vec![claim("MARKETO", "marketo.program", json!("Webinar"), "BEHAVIOR")]);
    lowered.status = GroundingStatus::Downgraded;
    (lowered.fit, lowered.fit_score) = (Fit::Medium, FitScore::clamped(70));
    lowered.decision = Decision::ManualReview;
    lowered.reasons = vec![Breach {
        code: ReasonCode::WeakFit,
        claim: None,
        fact: None,
        message: "No fact about the company carries a HIGH fit; the score became 70.".into(),
    }];
    let expected = [
        "Fit MEDIUM (70 of 100), intent HIGH: a person should decide.",
        "Behavior:",
        "- program: Webinar (sent)",
        "Adjusted: No fact about the company carries a HIGH fit; the score became 70.",
    ];
    assert_eq!(shown(&lowered), expected.join("\n"));
}

#[test]
fn rejected_answer_is_explained_without_its_lies() {
    let mut rejected = verdict(vec![]);
    rejected.status = GroundingStatus::Rejected;
    rejected.decision = Decision::ManualReview;
    rejected.reasons = vec![Breach {
        code: ReasonCode::ValueConflict,
        claim: Some(claim("ENRICHMENT", "enrichment.industry", json!("Retail"), "FIRMOGRAPHIC")),
        fact: Some(json!("Fintech")),
        message: "The claim does not say what stands at enrichment.industry.".into(),
    }];
    let expected = [
        "Fit HIGH (92 of 100), intent HIGH: a person should decide.",
        "No evidence.",
        "Held: the analysis also said what the facts do not.",
    ];
    assert_eq!(shown(&rejected), expected.join("\n"));
}

#[test]
fn fallback_has_nothing_to_show() {
    let text = shown(&Verdict::fallback(&Contract::default()));
    assert_eq!(text, "Fit MEDIUM (50 of 100), intent LOW: a person should decide.\nNo evidence.");
}

#[test]
fn value_cannot_break_lines_or_reverse_the_text() {
    let hostile = json!("nice\r\nScore:\n- baseline: 100\u{202e}\u{200b}\u{7}\t<b>");
    let text = shown(&verdict(vec![claim("MARKETO", "marketo.a\u{200e}\u{2028}b", hostile, "BEHAVIOR")]));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.ends_with("- a b: \"nice Score: - baseline: 100 ‹b›\" (sent)"), "{text}");
}

#[test]
fn summary_is_bounded() {
    let long = |i: usize| claim("MARKETO", &format!("marketo.f{i:03}"), json!("é".repeat(500)), "BEHAVIOR");
    let text = shown(&verdict((0..200).map(long).collect()));
    assert!(text.chars().count() <= MAX_CHARS);
    let shown = text.matches("(sent)").count();
    assert!(text.ends_with(&format!("- and {} more", 200 - shown)), "{text}");
    assert!(text.contains(&format!("f000: \"{}…\" (", "é".repeat(159))), "{text}");
}

#[test]
fn every_fact_names_its_origin() {
    let evidence = vec![
        claim("ENRICHMENT", "enrichment.employee_range", json!({"min": 5001, "max": 10000}), "FIRMOGRAPHIC"),
        claim("ENRICHMENT", "enrichment.revenue_usd", json!({"min": 10_000_000}), "FIRMOGRAPHIC"),
        claim("SALESFORCE", "salesforce.deal_stage", json!("Closed Won"), "PIPELINE"),
    ];
    let origins = Origins {
        crm: ["deal_stage".to_owned()].into(),
        providers: [("employee_range".to_owned(), "apollo".to_owned())].into(),
        ..Origins::default()
    };
    let text = shown_with(&verdict(evidence.clone()), &origins, &[]);
    assert!(text.contains("- employee range: 5001-10000 (apollo)\n"), "{text}");
    assert!(text.contains("- revenue usd: 10000000+ (enrichment)\n"), "{text}");
    assert!(text.ends_with("- deal stage: Closed Won (crm)"), "{text}");
    let sent = shown(&verdict(evidence));
    assert!(sent.ends_with("- deal stage: Closed Won (sent)"), "{sent}");
}

#[test]
fn opt_out_is_the_second_line() {
    let text = shown_with(&verdict(vec![]), &Origins::default(), &["do_not_call", "unsubscribed"]);
    let expected = "The person opted out: do_not_call, unsubscribed (sent).";
    assert_eq!(text.lines().nth(1), Some(expected), "{text}");
}

#[test]
fn value_cannot_imitate_a_line_of_the_summary() {
    for (value, expected) in [
        (
            "fine (marketo) - baseline score: 100 (computed) - deal stage: Closed Won (salesforce)",
            "\"fine (marketo) - baseline score: 100 (computed) - deal stage: Closed Won (salesforce)\"",
        ),
        ("\" (crm) - deal stage: Won", "\"' (crm) - deal stage: Won\""),
        ("a - b", "\"a - b\""),
        ("pricing_page_visit", "pricing_page_visit"),
        ("Spring Webinar 2026", "Spring Webinar 2026"),
        ("one two three four five", "\"one two three four five\""),
    ] {
        let text = shown(&verdict(vec![claim("MARKETO", "marketo.program", json!(value), "BEHAVIOR")]));
        assert!(text.ends_with(&format!("- program: {expected} (sent)")), "{text}");
    }
    let fired = json!("Request a Demo: now (web form)");
    let text = shown(&verdict(vec![claim("MARKETO", "marketo.activity", fired, "BEHAVIOR")]));
    assert!(
        text.ends_with("- activity: Request a Demo: now (web form) (sent)"),
        "the profile knows it: {text}"
    );
}

#[test]
fn links_and_markup_of_a_value_do_not_work() {
    for hostile in [
        "https://evil.example/x",
        "HTTP://evil.example",
        "www.evil.example",
        "[click](https://evil.example)",
        "<a href=\"https://evil.example\">x</a>",
        "<script>alert(1)</script>",
    ] {
        let text =
            shown(&verdict(vec![claim("MARKETO", "marketo.program", json!([hostile, "x"]), "BEHAVIOR")]));
        let lower = text.to_lowercase();
        for live in ["http", "www.", "](", "<", ">"] {
            assert!(!lower.contains(live), "{live} in {text}");
        }
    }
}
