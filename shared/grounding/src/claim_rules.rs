use serde_json::Value;

use crate::equality::{is_empty, matching};
use crate::{Breach, Claim, ClaimType, FactSheet, FieldPath, FieldPathError, Namespace, ReasonCode};

/// A claim that passed.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// The claim, with the fact as its source wrote it in place of how the model did.
    pub(crate) claim: Claim,
    /// What it is about.
    pub(crate) claim_type: ClaimType,
}

/// Holds one claim against the facts. The first rule it breaks, in the order written here, is the breach.
pub(crate) fn judge(facts: &FactSheet, claim: &Claim) -> Result<Passed, Box<Breach>> {
    let path = FieldPath::parse(&claim.field_path);
    let fact = path.as_ref().ok().and_then(|path| facts.get(path)).filter(|fact| !is_empty(fact));
    let breach = |code, message: String| {
        Box::new(Breach { code, claim: Some(claim.clone()), fact: fact.and_then(excerpt), message })
    };

    let Some(source) = Namespace::from_source(&claim.source) else {
        let message = "The claim rests on a source that is not one of the five the model was given.";
        return Err(breach(ReasonCode::UnauthorizedSource, message.to_owned()));
    };
    let claim_type = match ClaimType::parse(&claim.claim_type) {
        Some(claim_type) if claim_type.may_rest_on(source) => claim_type,
        Some(claim_type) => {
            let message = format!("A {} claim may not rest on {}.", claim_type.as_str(), source.source());
            return Err(breach(ReasonCode::SourceMismatch, message));
        }
        None => {
            let message = "The claim is of a type that no source may support.";
            return Err(breach(ReasonCode::SourceMismatch, message.to_owned()));
        }
    };
    if let Some(owner) = owner(&claim.field_path, path.as_ref())
        && owner != source
    {
        let message =
            format!("The claim rests on {}, but names a field of {}.", source.source(), owner.source());
        return Err(breach(ReasonCode::SourceMismatch, message));
    }
    if claim_type == ClaimType::Firmographic && found_nothing(facts, Namespace::Enrichment) {
        let message = "A claim about the company, although enrichment found nothing about it.";
        return Err(breach(ReasonCode::NoEnrichment, message.to_owned()));
    }
    let (Ok(path), Some(fact)) = (&path, fact) else {
        let message = "The fact sheet holds nothing under the path the claim names.";
        return Err(breach(ReasonCode::UnknownField, message.to_owned()));
    };
    match matching(fact, &claim.value) {
        Some(said) => Ok(Passed { claim: Claim { value: said.clone(), ..claim.clone() }, claim_type }),
        None if fact.is_object() => {
            let message =
                format!("The claim names {path}, which is a group of facts and has no value itself.");
            Err(breach(ReasonCode::ValueConflict, message))
        }
        None => {
            Err(breach(ReasonCode::ValueConflict, format!("The claim does not say what stands at {path}.")))
        }
    }
}

/// Whose path it is, also where the rest of it is malformed.
fn owner(text: &str, path: Result<&FieldPath, &FieldPathError>) -> Option<Namespace> {
    match path {
        Ok(path) => Some(path.namespace()),
        Err(_) => Namespace::parse(text.split('.').next().unwrap_or_default()),
    }
}

fn found_nothing(facts: &FactSheet, namespace: Namespace) -> bool {
    facts.namespace(namespace).is_none_or(|facts| facts.values().all(is_empty))
}

/// The fact as a breach repeats it: single values and lists, of bounded size.
fn excerpt(fact: &Value) -> Option<Value> {
    (!fact.is_object() && fact.to_string().len() <= Breach::MAX_FACT_BYTES).then(|| fact.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> FactSheet {
        serde_json::from_value(json!({
            "salesforce": {"deal_stage": "Qualified"},
            "marketo": {"activity": {"last_page": "/pricing"}, "note": "", "industry": "Fintech"},
            "product": {"seats": 3, "tags": []},
            "enrichment": {"industry": "Fintech", "employees": 1200, "technologies": ["Rust", "HubSpot"], "geo": {"country": null}},
            "computed": {"baseline_score": 70, "stage": "warm"},
        }))
        .unwrap()
    }

    fn claim(source: &str, field_path: &str, value: Value, claim_type: &str) -> Claim {
        Claim { source: source.into(), field_path: field_path.into(), value, claim_type: claim_type.into() }
    }

    fn code(facts: &FactSheet, claim: &Claim) -> Option<ReasonCode> {
        judge(facts, claim).err().map(|breach| breach.code)
    }

    #[test]
    fn a_true_claim_passes_in_the_words_of_its_source() {
        for (source, path, claimed, claim_type, said) in [
            ("ENRICHMENT", "enrichment.industry", json!("FINTECH "), "FIRMOGRAPHIC", json!("Fintech")),
            ("ENRICHMENT", "enrichment.employees", json!("1,200"), "FIRMOGRAPHIC", json!(1200)),
            ("ENRICHMENT", "enrichment.technologies", json!("hubspot"), "FIRMOGRAPHIC", json!("HubSpot")),
            ("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR", json!("/pricing")),
            ("PRODUCT", "product.seats", json!(3), "BEHAVIOR", json!(3)),
            ("SALESFORCE", "salesforce.deal_stage", json!("qualified"), "PIPELINE", json!("Qualified")),
            ("COMPUTED", "computed.stage", json!("warm"), "PIPELINE", json!("warm")),
            ("COMPUTED", "computed.baseline_score", json!("70"), "SCORE", json!(70)),
        ] {
            let passed = judge(&facts(), &claim(source, path, claimed, claim_type)).unwrap();
            assert_eq!(passed.claim, claim(source, path, said, claim_type), "{path}");
        }
    }

    #[test]
    fn a_source_that_is_not_one_of_the_five_is_unauthorized() {
        for source in ["WEB_SEARCH", "LINKEDIN", "", "enrichment", "ENRICHMENT ", "ENRICHMENT, MARKETO"] {
            let claim = claim(source, "enrichment.industry", json!("Fintech"), "FIRMOGRAPHIC");
            assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnauthorizedSource), "{source:?}");
        }
    }

    #[test]
    fn each_claim_type_rests_on_its_own_sources_only() {
        let paths = [
            ("SALESFORCE", "salesforce.deal_stage", json!("Qualified")),
            ("MARKETO", "marketo.activity.last_page", json!("/pricing")),
            ("PRODUCT", "product.seats", json!(3)),
            ("ENRICHMENT", "enrichment.industry", json!("Fintech")),
            ("COMPUTED", "computed.baseline_score", json!(70)),
        ];
        for (claim_type, allowed) in [
            ("FIRMOGRAPHIC", &["ENRICHMENT"][..]),
            ("BEHAVIOR", &["MARKETO", "PRODUCT"]),
            ("PIPELINE", &["SALESFORCE", "COMPUTED"]),
            ("SCORE", &["COMPUTED"]),
            ("OPINION", &[]),
            ("behavior", &[]),
            ("", &[]),
        ] {
            for (source, path, value) in &paths {
                let expected = (!allowed.contains(source)).then_some(ReasonCode::SourceMismatch);
                let claim = claim(source, path, value.clone(), claim_type);
                assert_eq!(code(&facts(), &claim), expected, "{claim_type} {source}");
            }
        }
    }

    #[test]
    fn a_source_speaks_of_its_own_namespace_only() {
        for path in ["marketo.industry", "marketo", "marketo..industry", "computed.baseline_score"] {
            let claim = claim("ENRICHMENT", path, json!("Fintech"), "FIRMOGRAPHIC");
            assert_eq!(code(&facts(), &claim), Some(ReasonCode::SourceMismatch), "{path}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_company_that_enrichment_did_not_find() {
        let claim = claim("ENRICHMENT", "enrichment.industry", json!("Fintech"), "FIRMOGRAPHIC");
        for nothing in [
            json!({}),
            json!({"enrichment": {}}),
            json!({"enrichment": {"industry": null, "geo": {"city": ""}}}),
        ] {
            let facts = serde_json::from_value(nothing).unwrap();
            assert_eq!(code(&facts, &claim), Some(ReasonCode::NoEnrichment));
        }
    }

    #[test]
    fn a_path_without_a_fact_is_unknown() {
        for path in [
            "enrichment.sector",
            "enrichment.Industry",
            "enrichment.industry.name",
            "enrichment.geo.country",
            "enrichment.geo",
            "enrichment.technologies.0",
            "enrichment.",
            "enrichment",
            "industry",
            "",
            "enrichment.industry ",
        ] {
            let claim = claim("ENRICHMENT", path, json!("Fintech"), "FIRMOGRAPHIC");
            assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnknownField), "{path:?}");
        }
        for (source, path, value) in
            [("MARKETO", "marketo.note", json!("")), ("PRODUCT", "product.tags", json!([]))]
        {
            let claim = claim(source, path, value, "BEHAVIOR");
            assert_eq!(code(&facts(), &claim), Some(ReasonCode::UnknownField), "{path}");
        }
    }

    #[test]
    fn a_value_that_is_not_the_fact_is_a_conflict_and_the_fact_is_kept() {
        let false_claim = claim("ENRICHMENT", "enrichment.employees", json!(12_000), "FIRMOGRAPHIC");
        let breach = judge(&facts(), &false_claim).unwrap_err();
        assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, Some(json!(1200))));
        assert_eq!(breach.claim, Some(false_claim));
        let group = claim("MARKETO", "marketo.activity", json!({"last_page": "/pricing"}), "BEHAVIOR");
        let breach = judge(&facts(), &group).unwrap_err();
        assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, None));
    }

    #[test]
    fn a_huge_fact_is_not_repeated() {
        let mut facts = FactSheet::new();
        let note = json!({"note": "x".repeat(Breach::MAX_FACT_BYTES)});
        facts.set(Namespace::Marketo, note.as_object().unwrap().clone());
        let breach = judge(&facts, &claim("MARKETO", "marketo.note", json!("y"), "BEHAVIOR")).unwrap_err();
        assert_eq!((breach.code, breach.fact), (ReasonCode::ValueConflict, None));
    }

    #[test]
    fn no_message_repeats_the_model_or_a_value() {
        let untrue = [
            claim("ANN", "enrichment.industry", json!("x"), "FIRMOGRAPHIC"),
            claim("MARKETO", "marketo.ann", json!("ann"), "BEHAVIOR"),
            claim("MARKETO", "marketo.industry", json!("ann"), "ANN"),
            claim("MARKETO", "marketo.industry", json!("ann"), "BEHAVIOR"),
        ];
        for claim in untrue {
            let message = judge(&facts(), &claim).unwrap_err().message.to_lowercase();
            assert!(!message.contains("ann") && !message.contains("fintech"), "{message}");
        }
    }
}
