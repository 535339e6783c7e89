use grounding::FieldPath;
use serde_json::json;

use super::*;
use crate::testing::full_plan;

fn actions() -> Vec<Action> {
    full_plan().actions.into_iter().map(|planned| planned.action).collect()
}

fn action(kind: &str) -> Action {
    actions().into_iter().find(|action| action.kind() == kind).unwrap()
}

fn mapping(fields: &str) -> Mapping {
    try_mapping(fields).unwrap()
}

fn try_mapping(fields: &str) -> Result<Mapping, MappingError> {
    Mapping::parse(&format!(
        "version = '1'\ncrm = 'test'\n[lead]\nobject = 'Lead'\nexternal_id = 'Id__c'\nfields = [\n{fields}\n]\n"
    ))
}

fn sent(mapping: &Mapping, kind: &str, is_new: bool) -> Vec<(String, Option<Value>)> {
    let mapped = mapping.fields(&action(kind), Object::Lead, is_new);
    mapped.into_iter().map(|mapped| (mapped.rule.field().to_owned(), mapped.value)).collect()
}

#[test]
fn built_in_mappings_are_valid_and_name_their_crm() {
    for provider in ["mock", "salesforce", "hubspot"] {
        let mapping = Mapping::default_for(provider).unwrap();
        assert_eq!(mapping.crm(), provider);
        for object in [Object::Lead, Object::Task, Object::Activity, Object::Contact, Object::Opportunity] {
            assert!(mapping.object(object).is_some(), "{provider} {}", object.as_str());
        }
    }
    assert_eq!(Mapping::default_for("siebel"), None);
}

#[test]
fn mock_mapping_names_every_source() {
    let mapping = Mapping::default_for("mock").unwrap();
    let mapped: BTreeSet<_> =
        mapping.objects().flat_map(|(_, object)| object.rules()).map(Rule::origin).collect();
    assert_eq!(mapped, SOURCES.iter().copied().collect());
}

#[test]
fn every_source_is_carried_by_some_action() {
    let actions = actions();
    for name in SOURCES {
        let source = Source::parse(name).unwrap();
        let carried = actions
            .iter()
            .any(|action| source.key_in(action).is_some_and(|key| action.fields().contains_key(key)));
        assert!(carried, "{name}");
    }
}

#[test]
fn mapping_errors_name_the_line() {
    let line_of = |fields: &str| try_mapping(fields).unwrap_err().to_string();
    for (fields, line, problem) in [
        ("\n{ source = 'lead.emial', field = 'Email' }", 8, "`lead.emial` is neither"),
        ("{ source = 'score.title', field = 'T' }", 7, "did you mean `lead.title`"),
        ("{ source = 'task.subject', field = 'S' }", 7, "is not allowed in [lead]"),
        ("{ source = 'lead.email', field = 'Id__c' }", 7, "holds our id"),
        (
            "{ source = 'lead.email', field = 'E' },\n{ source = 'lead.phone', field = 'E' }",
            8,
            "has a rule already",
        ),
        ("{ field = 'E' }", 7, "either a `source` or a `value`"),
        ("{ source = 'lead.email', value = 'x', field = 'E' }", 7, "either a `source` or a `value`"),
        ("{ value = 'x', field = 'E', default = 'y' }", 7, "no meaning beside `value`"),
        ("{ source = 'lead.email', field = 'E/../Account' }", 7, "must be a name"),
        (
            "{ source = 'lead.status', field = 'S', values = { new = 'N' }, order = ['M'] }",
            7,
            "`N` is missing in `order`",
        ),
        ("{ source = 'lead.title', field = 'T', adopted = 'not_lower' }", 7, "written with the score"),
        ("{ source = 'lead.status', field = 'S', adopted = 'not_lower' }", 7, "written with the score"),
    ] {
        let text = line_of(fields);
        assert!(text.starts_with(&format!("line {line}: ")) && text.contains(problem), "{text}");
    }
    for fields in [
        "{ source = 'lead.email', field = 'E', wirte = 'always' }",
        "{ source = 'lead.email', field = 'E', write = 'sometimes' }",
        "{ source = 'lead.email', field = 'E', adopted = 'sometimes' }",
    ] {
        let text = line_of(fields);
        assert!(text.contains("line 7"), "{text}");
    }
    let missing = Mapping::parse("version = '1'\ncrm = 'x'\n").unwrap_err().to_string();
    assert!(missing.contains("[lead] is missing"), "{missing}");
}

#[test]
fn contact_field_may_have_a_rule_for_new_and_for_converted() {
    let of_contact = |fields: &str| {
        Mapping::parse(&format!(
            "version = '1'\ncrm = 'x'\n[lead]\nobject = 'L'\nexternal_id = 'Id__c'\nfields = []\n\
             [contact]\nobject = 'C'\nexternal_id = 'Id__c'\nfields = [{fields}]"
        ))
    };
    let title = |source: &str| format!("{{ source = '{source}.title', field = 'Title' }},");
    let both = of_contact(&(title("contact") + &title("lead"))).unwrap();
    for action in actions() {
        let sent = both.fields(&action, Object::Contact, false).len();
        assert!(sent <= 1, "{}", action.kind());
    }
    for twice in ["contact", "lead"] {
        let text = of_contact(&(title(twice) + &title(twice))).unwrap_err().to_string();
        assert!(text.contains("has a rule already"), "{text}");
    }
}

#[test]
fn each_action_carries_only_its_own_sources() {
    let mapping = mapping(
        "{ source = 'lead.title', field = 'Title' }, { source = 'lead.status', field = 'Status' },
         { source = 'score.fit_score', field = 'Score' }, { source = 'company.domain', field = 'Website' },
         { source = 'marketo.program', field = 'Program' }, { source = 'computed.baseline_score', field = 'Baseline' },
         { source = 'enrichment.founded_year', field = 'Founded' }",
    );
    let names = |kind| sent(&mapping, kind, true).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("upsert_lead"), ["Title", "Program"]);
    assert_eq!(names("update_lead_status"), ["Status"]);
    assert_eq!(names("set_lead_score"), ["Score", "Baseline"]);
    assert_eq!(names("sync_firmographics"), ["Website", "Founded"]);
    assert_eq!(names("create_task"), Vec::<String>::new());
    let paths: Vec<_> = mapping.facts().into_iter().map(FieldPath::as_str).collect();
    assert_eq!(paths, ["computed.baseline_score", "enrichment.founded_year", "marketo.program"]);
}

#[test]
fn constants_and_defaults_are_sent_when_creating() {
    let mapping = mapping(
        "{ value = 'Web', field = 'Source' }, { source = 'product.plan', field = 'Plan', default = 'none' },
         { source = 'score.summary', field = 'Summary', default = 'unused' }",
    );
    let web = ("Source".to_owned(), Some(json!("Web")));
    assert_eq!(sent(&mapping, "upsert_lead", true), [web.clone(), ("Plan".to_owned(), Some(json!("none")))]);
    assert_eq!(sent(&mapping, "upsert_lead", false), [web]);
    assert_eq!(sent(&mapping, "update_lead_status", true), []);
}

#[test]
fn word_without_translation_has_no_value() {
    let mapping = mapping(
        "{ source = 'lead.status', field = 'Status', values = { working = 'Working - Contacted' } },
         { source = 'score.fit', field = 'Fit', values = { LOW = 'Cold' } }",
    );
    assert_eq!(
        sent(&mapping, "update_lead_status", false),
        [("Status".to_owned(), Some(json!("Working - Contacted")))]
    );
    assert_eq!(sent(&mapping, "set_lead_score", false), [("Fit".to_owned(), None)]);
}

#[test]
fn companies_have_records_only_if_they_are_mapped() {
    let hubspot = Mapping::default_for("hubspot").unwrap();
    let salesforce = Mapping::default_for("salesforce").unwrap();
    let sync = action("sync_firmographics");
    assert_eq!(hubspot.targets(&sync), [Object::Lead, Object::Company]);
    assert_eq!(salesforce.targets(&sync), [Object::Lead]);
    assert_eq!(hubspot.fields(&sync, Object::Lead, true), []);
    assert!(hubspot.fields(&sync, Object::Company, true).iter().any(|m| m.rule.field() == "domain"));
}

#[test]
fn no_decision_says_that_a_lead_was_contacted() {
    use lead::Decision;
    for (provider, contacted) in
        [("salesforce", "Working - Contacted"), ("hubspot", "IN_PROGRESS"), ("mock", "working")]
    {
        let mapping = Mapping::default_for(provider).unwrap();
        for decision in [Decision::RouteToSdr, Decision::Nurture, Decision::ManualReview, Decision::Ignore] {
            let status = crate::parameters::UpdateLeadStatus { status: decision.into() };
            let sent = mapping.fields(&Action::UpdateLeadStatus(status), Object::Lead, true);
            assert_eq!(sent.len(), 1, "{provider}");
            assert_ne!(sent[0].value, Some(json!(contacted)), "{provider} {decision:?}");
        }
    }
}

#[test]
fn customers_are_identified_by_a_field() {
    let with = |table: &str, customers: &str| {
        let lead = "[lead]\nobject = 'L'\nexternal_id = 'Id__c'\nfields = []\n";
        let other =
            format!("[{table}]\nobject = 'O'\nexternal_id = 'Id__c'\ncustomers = {customers}\nfields = []");
        Mapping::parse(&format!("version = '1'\ncrm = 'x'\n{lead}{other}"))
    };
    let stage = "{ field = 'Stage', values = ['customer'] }";
    let contact = with("contact", stage).unwrap();
    let object = contact.object(Object::Contact).unwrap();
    assert!(object.customers().unwrap().has("Customer "));
    assert_eq!(object.fields().collect::<Vec<_>>(), ["Stage"], "it is read before the record is written");
    for (table, customers) in [("task", stage), ("contact", "{ field = 'Stage', values = [] }")] {
        let text = with(table, customers).unwrap_err().to_string();
        assert!(text.starts_with("line 10: ") && text.contains("`customers` is for"), "{text}");
    }
}

#[test]
fn words_of_one_step_have_equal_rank() {
    let mapping = mapping(
        "{ source = 'lead.status', field = 'S', values = { new = 'N', unqualified = 'U' }, order = [['N', 'U'], 'C'] }",
    );
    let rule = &mapping.object(Object::Lead).unwrap().rules()[0];
    let moves_back = |old: &str, new: &str| rule.moves_back(&json!(old), &json!(new));
    assert!(!moves_back("U", "N") && !moves_back("N", "U"));
    assert!(moves_back("C", "N") && moves_back("Theirs", "N"));
}
