//! Real clients of AI services against `revenueflow sandbox`, without an account.

use serde_json::{Value, json};
use store::AnalysisRecord;
use testkit::Server;

use crate::support::{Fixture, Sandbox, explained_lead};

const GEMINI: &str = "gemini-3.8-flash";
const CLAUDE: &str = "global.anthropic.claude-haiku-5-5";

fn start(fixture: &Fixture, variables: &[(&str, &str)]) -> (Sandbox, Server) {
    let sandbox = Sandbox::start(fixture.folder.path(), "gemini,bedrock", "# AI_PROVIDER=bedrock");
    let server = sandbox.serve(fixture, variables);
    (sandbox, server)
}

/// Programs the next answers of the Gemini fake.
fn says(sandbox: &Sandbox, server: &Server, answer: &Value) {
    let url = format!("{}/_says", sandbox.url("GEMINI"));
    assert_eq!(server.request(|client| client.post(url).json(answer)).unwrap().status, 204);
}

/// Posts a lead that qualifies for a call: a matching company and a demo request.
fn judged(fixture: &Fixture, server: &Server, email: &str) -> (Value, AnalysisRecord) {
    let body = json!({
        "email": email, "campaign_id": "launch_2024", "title": "CTO",
        "marketo": {"activity": "demo_request", "engagement_score": 85},
    });
    let (id, explanation) = explained_lead(server, &body);
    let stored = fixture.judgement(&id);
    (explanation, stored)
}

/// Asserts that a model judged the lead with valid evidence, and that the answer, its usage and cost are
/// stored.
fn assert_judged_by(provider: &str, model: &str, explanation: &Value, stored: &AnalysisRecord) {
    let judgement = &explanation["judgement"];
    assert_eq!((&judgement["provider"], &judgement["model"]), (&json!(provider), &json!(model)));
    assert_eq!((&judgement["grounding"], &judgement["fallback"]), (&json!("VALID"), &json!(false)));
    assert_eq!(judgement["decision"], "ROUTE_TO_SDR", "{judgement}");
    let claims = judgement["claims"].as_array().unwrap();
    assert!(claims.iter().all(|claim| claim["passed"] == true), "{claims:?}");
    for (path, value, said_by) in [
        ("enrichment.industry", json!("Fintech"), "fixtures"),
        ("marketo.activity", json!("demo_request"), "sender"),
    ] {
        let claim = claims.iter().find(|claim| claim["claim"]["field_path"] == path).expect(path);
        assert_eq!((&claim["claim"]["value"], &claim["said_by"]), (&value, &json!(said_by)));
    }
    assert_eq!((stored.provider.as_str(), stored.model.as_str()), (provider, model));
    assert!(
        stored.prompt_version.as_deref().unwrap().starts_with("judge-v2@"),
        "{:?}",
        stored.prompt_version
    );
    assert!(stored.input_tokens > 1_000 && stored.output_tokens > 50, "{stored:?}");
    assert!(stored.cost_microusd > 0 && !stored.fallback);
    assert!(stored.raw_answer.contains("\"evidence\""), "{}", stored.raw_answer);
}

#[test]
fn leads_are_judged_by_gemini() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture, &[("AI_PROVIDER", "gemini")]);
    let (explanation, stored) = judged(&fixture, &server, "ann@stripe.com");
    assert_judged_by("gemini", GEMINI, &explanation, &stored);
    let requests = sandbox.requests(&server, "GEMINI");
    assert_eq!(requests.len(), 1, "once for a lead");
    assert!(!requests[0].to_string().contains("ann@"), "nothing personal is sent");
    assert!(sandbox.requests(&server, "BEDROCK").is_empty());
}

#[test]
fn leads_are_judged_by_bedrock() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture, &[("AI_PROVIDER", "bedrock"), ("BEDROCK_MODEL_ID", CLAUDE)]);
    let (explanation, stored) = judged(&fixture, &server, "ann@stripe.com");
    assert_judged_by("bedrock", CLAUDE, &explanation, &stored);
    assert_eq!(sandbox.requests(&server, "BEDROCK").len(), 1);
    assert!(sandbox.requests(&server, "GEMINI").is_empty());
}

#[test]
fn the_second_ai_answers_while_the_first_is_down_or_unreadable() {
    let fixture = Fixture::sqlite();
    let variables =
        [("AI_PROVIDER", "gemini"), ("AI_FALLBACK_PROVIDER", "bedrock"), ("BEDROCK_MODEL_ID", CLAUDE)];
    let (sandbox, server) = start(&fixture, &variables);
    let busy = json!({"path": ":generateContent", "times": 1, "do": {"status": 503, "body": {}}});
    sandbox.misbehaves(&server, "GEMINI", &busy);
    let (explanation, stored) = judged(&fixture, &server, "ann@stripe.com");
    assert_judged_by("bedrock", CLAUDE, &explanation, &stored);

    says(&sandbox, &server, &json!({"says": {"text": "I would call them."}}));
    let (explanation, stored) = judged(&fixture, &server, "bob@stripe.com");
    assert_judged_by("bedrock", CLAUDE, &explanation, &stored);

    let (explanation, stored) = judged(&fixture, &server, "cyd@stripe.com");
    assert_judged_by("gemini", GEMINI, &explanation, &stored);
}

/// The judgement requests that the Gemini fake received, without the calls that program its answers.
fn judgements_requested(sandbox: &Sandbox, server: &Server) -> Vec<Value> {
    let mut requests = sandbox.requests(server, "GEMINI");
    requests.retain(|request| request["path"].as_str().unwrap().ends_with(":generateContent"));
    requests
}

#[test]
fn invented_evidence_is_rejected_and_not_written() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture, &[("AI_PROVIDER", "gemini"), ("REJECTED_LEADS", "bare")]);
    // Twice: a rejected answer is requested once more.
    says(&sandbox, &server, &json!({"says": "invention", "times": 2}));
    let (explanation, _) = judged(&fixture, &server, "ann@stripe.com");
    let requests = judgements_requested(&sandbox, &server);
    assert_eq!(requests.len(), 2);
    let again = requests[1].to_string();
    assert!(again.contains("value_conflict") && again.contains("enrichment.industry"), "{again}");
    assert!(!again.contains("Interplanetary"), "the model's own text is not sent back");
    let judgement = &explanation["judgement"];
    assert_eq!(
        (&judgement["grounding"], &judgement["decision"]),
        (&json!("REJECTED"), &json!("MANUAL_REVIEW"))
    );
    assert_eq!(judgement["claims"][0]["code"], "value_conflict", "{judgement}");
    assert_eq!(judgement["claims"][0]["fact"], "Fintech", "with the fact's value");
}

#[test]
fn a_lead_is_not_held_after_the_ai_corrects_itself() {
    let fixture = Fixture::sqlite();
    let (sandbox, server) = start(&fixture, &[("AI_PROVIDER", "gemini")]);
    says(&sandbox, &server, &json!({"says": "invention"}));
    let (explanation, stored) = judged(&fixture, &server, "ann@stripe.com");
    assert_judged_by("gemini", GEMINI, &explanation, &stored);
    assert_eq!(judgements_requested(&sandbox, &server).len(), 2);
}
