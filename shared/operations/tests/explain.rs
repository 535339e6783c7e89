//! The texts of explanations, word for word.
//!
//! They are in `snapshots/`. After an intended change, run `INSTA_UPDATE=always cargo test -p operations
//! --test explain` and read the difference as the recipient would.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use analysis::{Analyst as _, Icp, Rules, fact_sheet};
use enrichment::Enrichment;
use grounding::{Answer, Verdict, check};
use jiff::Timestamp;
use lead::{CampaignId, Dependency, EmailAddress, Failure, Lead, LeadEvent, LeadStatus};
use operations::{Explanation, OtherLead};
use serde_json::{Map, Value, json};
use store::{
    ActionRecord, ActionState, AnalysisRecord, CrmFacts, CrmRead, DeliveryRecord, DeliveryState, LeadRecord,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn lead(email: &str) -> Lead {
    let mut lead = Lead::new(EmailAddress::parse(email).unwrap(), CampaignId::parse("launch_2024").unwrap());
    lead.name = Some("Alex Smith".to_owned().into());
    lead
}

/// A lead with its stored records so far.
#[derive(Clone)]
struct Case {
    record: LeadRecord,
    deliveries: Vec<DeliveryRecord>,
    analysis: Option<AnalysisRecord>,
    actions: Vec<ActionRecord>,
}

impl Case {
    fn queued(content: Lead) -> Self {
        let event = LeadEvent::new(content.clone(), at("2026-01-31T09:00:00Z"));
        let record = LeadRecord {
            lead_id: event.lead_id.clone(),
            status: LeadStatus::Queued,
            content,
            revision: 1,
            delivery_id: event.delivery_id(),
            fit_score: None,
            fit: None,
            intent: None,
            decision: None,
            fallback: false,
            crm_provider: None,
            crm_record_id: None,
            failure: None,
            created_at: event.received_at,
            updated_at: event.received_at,
        };
        let delivery = DeliveryRecord {
            sender: lead::Sender::unnamed(),
            delivery_id: event.delivery_id(),
            revision: 1,
            state: DeliveryState::Open,
            duplicates: 0,
            enrichment: None,
            crm_read: None,
            received_at: event.received_at,
        };
        Self { record, deliveries: vec![delivery], analysis: None, actions: Vec::new() }
    }

    fn enriched(mut self, enrichment: Value) -> Self {
        self.deliveries[0].enrichment = Some(enrichment);
        self
    }

    /// Judges the lead: by the rules without an answer; with a null answer, by the neutral verdict.
    async fn judged(mut self, answer: Option<Value>) -> Self {
        let icp = Icp::default_config();
        let enrichment: Enrichment =
            serde_json::from_value(self.deliveries[0].enrichment.clone().unwrap()).unwrap();
        let facts = fact_sheet(&self.record.content, &enrichment, &icp);
        let fallback = answer == Some(Value::Null);
        let (provider, model, raw_answer) = match answer {
            Some(Value::Null) => ("gemini".to_owned(), "gemini-9".to_owned(), String::new()),
            Some(answer) => ("gemini".to_owned(), "gemini-9".to_owned(), answer.to_string()),
            None => {
                let analysis = Rules::new(icp.clone()).analyse(&facts).await.unwrap();
                (analysis.provider, analysis.model, analysis.raw_answer)
            }
        };
        let verdict = if fallback {
            Verdict::fallback(&icp.contract)
        } else {
            check(&facts, &Answer::parse(&raw_answer).unwrap(), &icp.contract)
        };
        self.record.fallback = fallback;
        self.analysis = Some(AnalysisRecord {
            lead_id: self.record.lead_id.clone(),
            delivery_id: self.record.delivery_id.clone(),
            round: 1,
            facts,
            contract: icp.contract.clone(),
            icp_version: icp.version().to_owned(),
            provider,
            model,
            prompt_version: None,
            raw_answer,
            removed: None,
            verdict,
            fallback,
            fallback_reason: None,
            input_tokens: 0,
            output_tokens: 0,
            cost_microusd: 0,
            latency_ms: 0,
            created_at: at("2026-01-31T09:00:02Z"),
        });
        self
    }

    fn status(mut self, status: LeadStatus, delivery: DeliveryState) -> Self {
        self.record.status = status;
        self.deliveries[0].state = delivery;
        self
    }

    fn synced(mut self, kinds: &[&str]) -> Self {
        self.record.crm_provider = Some("mock".into());
        self.record.crm_record_id = Some("mock-lead-7".into());
        for (position, kind) in (0..).zip(kinds) {
            self.actions.push(ActionRecord {
                state: ActionState::Done,
                record_id: Some("mock-lead-7".into()),
                created: Some(position == 0),
                ..self.action(kind, position)
            });
        }
        self.status(LeadStatus::Synced, DeliveryState::Done)
    }

    fn action(&self, kind: &str, position: i64) -> ActionRecord {
        ActionRecord {
            action_id: format!("{position}"),
            delivery_id: self.record.delivery_id.clone(),
            position,
            provider: "mock".into(),
            kind: kind.into(),
            parameters: json!({"email": "secret", "title": null, "campaign_id": "secret"}),
            state: ActionState::Pending,
            record_id: None,
            created: None,
            left_out: Vec::new(),
            failure: None,
            attempts: 1,
            updated_at: at("2026-01-31T09:00:03Z"),
        }
    }

    fn explanation(self) -> Explanation {
        Explanation::new(&self.record, self.analysis.as_ref(), self.deliveries, self.actions)
    }

    fn text(self) -> String {
        let text = self.explanation().to_string();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no colour, no control characters");
        text
    }
}

fn stripe() -> Value {
    json!({
        "status": "found",
        "firmographics": {"domain": "stripe.com", "name": "Stripe", "industry": "Fintech",
            "employee_range": {"min": 5001, "max": 10000}, "country": "US", "technologies": ["AWS", "React"]},
        "provenance": {
            "domain": {"provider": "apollo", "fetched_at": "2026-01-31T09:00:01Z"},
            "name": {"provider": "apollo", "fetched_at": "2026-01-31T09:00:01Z"},
            "industry": {"provider": "apollo", "fetched_at": "2026-01-31T09:00:01Z"},
            "employee_range": {"provider": "hunter", "fetched_at": "2026-01-31T09:00:01.5Z"},
            "country": {"provider": "apollo", "fetched_at": "2026-01-31T09:00:01Z"},
            "technologies": {"provider": "apollo", "fetched_at": "2026-01-31T09:00:01Z"},
        },
    })
}

fn eager() -> Lead {
    let mut lead = lead("lead@stripe.com");
    lead.title = Some("CTO".into());
    lead.marketo = object(json!({"engagement_score": 82, "activity": "pricing_page_visit"}));
    lead
}

fn claim(source: &str, path: &str, value: &str, claim_type: &str) -> Value {
    json!({"source": source, "field_path": path, "value": value, "claim_type": claim_type})
}

fn answer(evidence: &[Value]) -> Value {
    json!({"fit_score": 90, "intent": "HIGH", "decision": "ROUTE_TO_SDR", "evidence": evidence,
        "reasoning": "They love us!\n\u{1b}[2JCall \"Alex\" now."})
}

fn two_lies() -> Value {
    answer(&[
        claim("ENRICHMENT", "enrichment.industry", "Retail", "FIRMOGRAPHIC"),
        claim("ENRICHMENT", "enrichment.country", "US", "FIRMOGRAPHIC"),
        claim("MARKETO", "marketo.activity", "pricing_page_visit", "BEHAVIOR"),
        claim("WEB_SEARCH", "enrichment.funding", "Series\u{202e} Z\nBROKEN", "FIRMOGRAPHIC"),
    ])
}

const ALL_ACTIONS: &[&str] = &[
    "upsert_lead",
    "sync_firmographics",
    "set_lead_score",
    "update_lead_status",
    "create_task",
    "log_activity",
];

#[tokio::test]
async fn a_routed_lead() {
    let case = Case::queued(eager()).enriched(stripe()).judged(None).await;
    insta::assert_snapshot!(case.synced(ALL_ACTIONS).text());
}

#[tokio::test]
async fn a_lead_of_an_unknown_company() {
    let mut quiet = lead("someone@unknown.example");
    quiet.marketo = object(json!({"engagement_score": 20}));
    let enrichment = json!({"status": "unavailable", "errors": [{"provider": "apollo", "failure": {
        "class": "transient", "code": "enrichment_timeout", "message": "no answer within 10000 ms"}}]});
    let mut answer = answer(&[claim("COMPUTED", "computed.campaign_tier", "high_value", "SCORE")]);
    answer["fit_score"] = json!(95);
    answer["decision"] = json!("NURTURE");
    answer["intent"] = json!("LOW");
    let case = Case::queued(quiet).enriched(enrichment).judged(Some(answer)).await;
    insta::assert_snapshot!(case.synced(&["upsert_lead", "set_lead_score"]).text());
}

#[tokio::test]
async fn a_rejected_lead() {
    let case = Case::queued(eager()).enriched(stripe()).judged(Some(two_lies())).await;
    insta::assert_snapshot!(case.status(LeadStatus::Held, DeliveryState::Done).text());
}

#[tokio::test]
async fn a_lead_without_an_answer() {
    let case = Case::queued(eager()).enriched(stripe()).judged(Some(Value::Null)).await;
    insta::assert_snapshot!(case.synced(&["upsert_lead", "set_lead_score"]).text());
}

#[tokio::test]
async fn a_dead_lettered_lead() {
    let mut case = Case::queued(eager()).enriched(stripe()).judged(None).await;
    let failure = Failure::permanent("crm_refused", "the CRM does not take the field Industry__c")
        .on(Dependency::new("crm.mock"));
    let failed = ActionRecord {
        state: ActionState::Failed,
        failure: Some(failure.clone()),
        ..case.action("upsert_lead", 0)
    };
    case.actions =
        vec![failed, ActionRecord { state: ActionState::Skipped, ..case.action("set_lead_score", 1) }];
    case.record.failure = Some(failure);
    insta::assert_snapshot!(case.status(LeadStatus::PermanentlyFailed, DeliveryState::Failed).text());
}

#[test]
fn a_queued_lead() {
    let mut case = Case::queued(eager());
    case.deliveries[0].duplicates = 2;
    insta::assert_snapshot!(case.text());
}

#[tokio::test]
async fn a_revised_lead_that_waits_for_its_next_judgement() {
    let mut case = Case::queued(eager()).enriched(stripe()).judged(None).await.synced(&["upsert_lead"]);
    let mut newer = eager();
    newer.title = Some("CEO".into());
    let event = LeadEvent::new(newer.clone(), at("2026-02-01T09:00:00Z"));
    case.record.content = newer;
    case.record.delivery_id = event.delivery_id();
    case.record.revision = 2;
    case.record.status = LeadStatus::Retrying;
    case.record.failure =
        Some(Failure::deferral(Dependency::new("crm.mock"), "breaker_open", "five failures in a row", None));
    let newest = DeliveryRecord {
        sender: lead::Sender::unnamed(),
        delivery_id: event.delivery_id(),
        revision: 2,
        state: DeliveryState::Open,
        duplicates: 0,
        enrichment: None,
        crm_read: None,
        received_at: event.received_at,
    };
    case.deliveries.insert(0, newest);
    insta::assert_snapshot!(case.text());
}

#[tokio::test]
async fn rejected_answer_is_rechecked_without_its_false_claims() {
    let case = Case::queued(eager()).enriched(stripe()).judged(Some(two_lies())).await;
    let json = json!(case.status(LeadStatus::Held, DeliveryState::Done).explanation());
    let changes = json["would_change"].as_array().unwrap();
    assert_eq!(changes[0]["if"], "none of the 2 claims that broke a rule had been made");
    assert_eq!(
        changes[0]["then"],
        "the analysis would have been VALID: score 90, fit HIGH, intent HIGH, ROUTE_TO_SDR"
    );
    assert_eq!(changes.len(), 1);
    assert_eq!(
        json["judgement"]["claims"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|claim| claim["passed"] == true)
            .count(),
        2
    );
}

#[tokio::test]
async fn every_fact_names_its_source() {
    let case = Case::queued(eager()).enriched(stripe()).judged(None).await.synced(&[]);
    let json = json!(case.explanation());
    let said_by = |path: &str| {
        let facts = json["knew"]["facts"].as_array().unwrap();
        let fact = facts.iter().find(|fact| fact["path"] == path).unwrap();
        (fact["said_by"].as_str().unwrap().to_owned(), fact["at"].as_str().unwrap().to_owned())
    };
    assert_eq!(said_by("enrichment.employee_range.min"), ("hunter".into(), "2026-01-31T09:00:01.5Z".into()));
    assert_eq!(said_by("marketo.activity"), ("sender".into(), "2026-01-31T09:00:00Z".into()));
    assert!(said_by("computed.baseline_score").0.starts_with("profile 20"));
}

#[tokio::test]
async fn crm_facts_are_attributed_to_the_crm_not_to_the_sender() {
    let mut content = eager();
    content.salesforce = object(json!({"deal_stage": "Negotiation", "territory": "EMEA"}));
    let mut case = Case::queued(content).enriched(stripe());
    let known = crm::Known {
        open_opportunities: vec![crm::KnownOpportunity { stage: "Proposal".into(), amount: None }],
        ..crm::Known::default()
    };
    case.deliveries[0].crm_read = Some(CrmRead {
        round: 1,
        provider: Some("hubspot".into()),
        at: Some(at("2026-01-31T09:00:01.8Z")),
        facts: CrmFacts::Known(known.clone()),
    });
    let said = |case: Case| {
        let facts = case.explanation().knew.facts;
        let said = |path: &str| {
            let fact = facts.iter().find(|fact| fact.path == path)?;
            Some((fact.value.clone(), fact.said_by.clone(), fact.at.unwrap()))
        };
        (said("salesforce.deal_stage").unwrap(), said("salesforce.territory"))
    };
    let of_the_crm = (json!("Proposal"), "hubspot".to_owned(), at("2026-01-31T09:00:01.8Z"));
    // Once the CRM is read, statements of the sender about it are not facts.
    assert_eq!(said(case.clone()), (of_the_crm.clone(), None), "before it is judged");

    // The pipeline judges by the facts of the CRM.
    known.overlay(&mut case.record.content.salesforce);
    let judged = case.judged(None).await;
    assert_eq!(said(judged.clone()), (of_the_crm, None));

    let mut replayed = judged;
    replayed.analysis.as_mut().unwrap().round = 2;
    let (stage, _) = said(replayed);
    assert_eq!(stage.1, "sender", "a CRM read of another round is not used");
}

#[tokio::test]
async fn account_that_the_crm_could_not_search_is_named() {
    let mut case = Case::queued(eager()).enriched(stripe());
    let known = crm::Known { account_unread: true, ..crm::Known::default() };
    case.deliveries[0].crm_read = Some(CrmRead {
        round: 1,
        provider: Some("salesforce".into()),
        at: Some(at("2026-01-31T09:00:01.8Z")),
        facts: CrmFacts::Known(known),
    });
    let unanswered = case.clone().explanation().knew.unanswered;
    assert_eq!(
        (unanswered[0].provider.as_str(), unanswered[0].code.as_str()),
        ("salesforce", "account_unread")
    );
    let text = case.text();
    assert!(text.contains("salesforce could not answer: account_unread"), "{text}");
}

#[test]
fn other_leads_of_the_person_are_listed() {
    let case = Case::queued(eager());
    let other = |campaign: &str, earlier, record_id: Option<&str>| OtherLead {
        lead_id: case.record.lead_id.clone(),
        campaign_id: campaign.into(),
        earlier,
        status: LeadStatus::Synced,
        provider: record_id.map(|_| "salesforce".into()),
        record_id: record_id.map(str::to_owned),
        received_at: at("2026-01-30T09:00:00Z"),
    };
    let others = vec![other("g09-1", true, Some("00Q000000000001AAA")), other("g09-3", false, None)];
    let explanation = case.clone().explanation().with_same_person(others);
    let text = explanation.to_string();
    assert!(text.contains("has an earlier lead"), "{text}");
    assert!(text.contains("campaign g09-1, synced, salesforce record 00Q000000000001AAA."), "{text}");
    assert!(text.contains("has a later lead") && text.contains("g09-3"), "{text}");
    let json = serde_json::to_value(explanation).unwrap();
    assert_eq!(json["same_person"][0]["record_id"], "00Q000000000001AAA");
    assert!(serde_json::to_value(case.explanation()).unwrap().get("same_person").is_none());
}
