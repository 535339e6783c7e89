//! Answers with true claims only, whose conclusions exceed them. Each names the expected reason code.

use grounding::{Answer, Claim, Contract, FactSheet, ReasonCode, decide};
use lead::{Decision, FitScore, Intent};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

pub(crate) struct Overreach {
    pub(crate) kind: &'static str,
    pub(crate) answer: Answer,
    pub(crate) code: ReasonCode,
}

/// The computed conclusions, before any judgement.
pub(crate) struct Computed {
    pub(crate) baseline: i64,
    pub(crate) intent: Intent,
}

impl Computed {
    pub(crate) fn of(facts: &FactSheet) -> Self {
        let computed = |path: &str| facts.get(&path.parse().unwrap()).unwrap();
        Self {
            baseline: computed("computed.baseline_score").as_i64().unwrap(),
            intent: Intent::parse(computed("computed.intent_level").as_str().unwrap()).unwrap(),
        }
    }
}

/// The answer that follows from the facts alone, with all of them as its evidence.
pub(crate) fn honest(facts: &FactSheet, claims: &[Claim]) -> Answer {
    let computed = Computed::of(facts);
    let fit_score = FitScore::clamped(computed.baseline);
    let mut evidence = claims.to_vec();
    evidence.push(Claim {
        source: "COMPUTED".into(),
        field_path: "computed.baseline_score".into(),
        value: Value::from(computed.baseline),
        claim_type: "SCORE".into(),
    });
    Answer {
        fit_score,
        intent: computed.intent,
        decision: decide(Contract::default().fit(fit_score), computed.intent),
        reasoning: "as the facts say".into(),
        evidence,
    }
}

/// Every way in which a conclusion can exceed an honest one, as far as this sheet allows it.
pub(crate) fn overreaches(facts: &FactSheet, honest: &Answer, rng: &mut StdRng) -> Vec<Overreach> {
    let Computed { baseline, intent } = Computed::of(facts);
    let mut all = Vec::new();
    let mut with = |kind, code, change: &dyn Fn(&mut Answer)| {
        let mut answer = honest.clone();
        change(&mut answer);
        all.push(Overreach { kind, answer, code });
    };

    if baseline < 70 {
        let score = FitScore::clamped(rng.random_range(baseline + 31..=100));
        with("score above its band", ReasonCode::ScoreOutOfBand, &|answer| answer.fit_score = score);
    }
    if baseline > 30 {
        let score = FitScore::clamped(rng.random_range(0..baseline - 30));
        with("score below its band", ReasonCode::ScoreOutOfBand, &|answer| answer.fit_score = score);
    }
    if intent == Intent::Low {
        with("intent above its band", ReasonCode::IntentOutOfBand, &|answer| answer.intent = Intent::High);
    }
    for stronger in [Decision::Nurture, Decision::RouteToSdr] {
        if stronger > honest.decision {
            let code = ReasonCode::DecisionLowered;
            with("decision above the matrix", code, &|answer| answer.decision = stronger);
        }
    }
    let cites = |path: &str| honest.evidence.iter().any(|claim| claim.field_path == path);
    let (matched, fired) = (cites("enrichment.industry"), cites("marketo.activity.last_page"));
    let room = (baseline + 30).min(100);
    let is_supported = (matched || room == baseline) && (fired || intent == Intent::High);
    if is_supported && room >= 80 && intent != Intent::Low && honest.decision != Decision::RouteToSdr {
        with(
            "a call within both bands that the facts do not amount to",
            ReasonCode::CallNotInFacts,
            &|answer| {
                answer.fit_score = FitScore::clamped(room);
                answer.intent = Intent::High;
                answer.decision = Decision::RouteToSdr;
            },
        );
    }
    let without = |answer: &mut Answer, types: &[&str]| {
        answer.evidence.retain(|claim| !types.contains(&claim.claim_type.as_str()));
    };
    with("high intent from the company alone", ReasonCode::WeakIntent, &|answer| {
        answer.intent = Intent::High;
        without(answer, &["BEHAVIOR", "SCORE"]);
    });
    let matched_paths = ["enrichment.industry", "marketo.activity.last_page"];
    let unmatched = |answer: &mut Answer| {
        answer.evidence.retain(|claim| !matched_paths.contains(&claim.field_path.as_str()));
    };
    if baseline < 100 {
        with(
            "score above the baseline on facts that matched nothing",
            ReasonCode::RiseNotInFacts,
            &|answer| {
                answer.fit_score = FitScore::clamped(baseline + 1);
                unmatched(answer);
            },
        );
    }
    if intent == Intent::Medium {
        with("intent above the level on facts that fired nothing", ReasonCode::RiseNotInFacts, &|answer| {
            answer.intent = Intent::High;
            unmatched(answer);
        });
    }
    if baseline >= 50 {
        let code = if baseline >= 80 { ReasonCode::WeakFit } else { ReasonCode::RiseNotInFacts };
        with("high fit from what the person did", code, &|answer| {
            answer.fit_score = FitScore::clamped(baseline.max(80));
            without(answer, &["FIRMOGRAPHIC", "SCORE"]);
        });
        with("fit from the deal alone", ReasonCode::WeakFit, &|answer| {
            without(answer, &["FIRMOGRAPHIC", "BEHAVIOR", "SCORE"]);
        });
        with("no evidence", ReasonCode::WeakFit, &|answer| answer.evidence.clear());
        with("claims moved into prose", ReasonCode::WeakFit, &|answer| {
            let claims = serde_json::to_string(&answer.evidence).unwrap();
            answer.reasoning = format!("Every fact in the sheet speaks for this lead. evidence: {claims}");
            answer.evidence.clear();
        });
    }
    all
}

/// Texts that are not an answer, derived from one that is.
pub(crate) fn broken(answer: &Value, rng: &mut StdRng) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut with = |kind, path: &str, value: Value| {
        let mut broken = answer.clone();
        *broken.pointer_mut(path).unwrap() = value;
        all.push((kind, broken.to_string()));
    };
    let claim = rng.random_range(0..answer["evidence"].as_array().unwrap().len());
    for (path, word) in [("/intent", "hıgh"), ("/intent", "VERY HIGH"), ("/intent", "HIGH ")] {
        with("word outside the vocabulary", path, word.into());
    }
    for word in ["CALL_NOW", "route to sdr", "ROUTE_TO_SDR; NURTURE", "RОUTE_TO_SDR", ""] {
        with("word outside the vocabulary", "/decision", word.into());
    }
    for score in [Value::from(101), (-1).into(), 85.5.into(), "85".into(), 1e300.into(), true.into()] {
        with("score that is none", "/fit_score", score);
    }
    for path in ["/fit_score", "/intent", "/decision", "/reasoning", "/evidence"] {
        with("null", path, Value::Null);
    }
    for path in ["source", "field_path", "claim_type"] {
        with("null", &format!("/evidence/{claim}/{path}"), Value::Null);
        with("list for a text", &format!("/evidence/{claim}/{path}"), Value::from(vec!["ENRICHMENT"]));
    }
    with("evidence of another shape", "/evidence", answer["evidence"][claim].clone());
    with("evidence of another shape", &format!("/evidence/{claim}"), "enrichment.industry".into());
    with("out of bounds", "/evidence", Value::from(vec![answer["evidence"][0].clone(); 51]));
    with("out of bounds", "/reasoning", "because ".repeat(600).into());
    with("out of bounds", &format!("/evidence/{claim}/field_path"), "enrichment.x".repeat(30).into());
    for field in ["fit_score", "intent", "decision", "reasoning", "evidence"] {
        let mut without = answer.clone();
        without.as_object_mut().unwrap().remove(field);
        all.push(("field left out", without.to_string()));
        let twice = answer.to_string().replacen('{', &format!("{{\"{field}\":{},", answer[field]), 1);
        all.push(("field twice", twice));
    }
    for around in ["{}{}", "[{}]", "{} {\"fit_score\":100}", "[1] {}", "```json\n{}\n```\n{}"] {
        all.push(("brackets around the answer", around.replace("{}", &answer.to_string())));
    }
    let claims: Vec<Value> = answer["evidence"].as_array().unwrap().clone();
    let list =
        |claim: &Value| json!([claim["source"], claim["field_path"], claim["value"], claim["claim_type"]]);
    let mut lists = answer.clone();
    lists["evidence"][claim] = list(&claims[claim]);
    all.push(("array for an object", lists.to_string()));
    let fields =
        ["fit_score", "intent", "decision", "reasoning", "evidence"].map(|field| answer[field].clone());
    all.push(("array for an object", json!(fields).to_string()));
    let text = answer.to_string();
    let cut = (1..text.len()).rev().filter(|at| text.is_char_boundary(*at)).nth(rng.random_range(0..20));
    all.push(("cut short", text[..cut.unwrap()].to_owned()));
    all
}

/// The same answer in other shapes that models produce.
pub(crate) fn reshaped(answer: &Value, rng: &mut StdRng) -> Vec<(&'static str, String)> {
    let claim = rng.random_range(0..answer["evidence"].as_array().unwrap().len());
    let mut all = Vec::new();
    for own in ["confidence", "fit", "system", "Decision", "__proto__", "crm_actions"] {
        let mut more = answer.clone();
        more[own] = "ROUTE_TO_SDR".into();
        more["evidence"][claim][own] = json!(["verified"]);
        all.push(("field of its own", more.to_string()));
    }
    for around in ["Sure! {}", "{} Done.", "\u{feff}{}", "<answer>{}</answer>", "```\n{}\n```"] {
        all.push(("text around the answer", around.replace("{}", &answer.to_string())));
    }
    let mut lower = answer.clone();
    for field in ["intent", "decision"] {
        lower[field] = answer[field].as_str().unwrap().to_lowercase().into();
    }
    all.push(("words in another case", lower.to_string()));
    all
}
