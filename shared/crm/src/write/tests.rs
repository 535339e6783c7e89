use serde_json::json;

use super::*;
use crate::testing::full_plan;
use crate::{FieldKind, FieldOption};

const CUSTOMERS: &str = "customers = { field = 'Stage', values = ['customer'] }\n";

/// One action of a plan, written by one rule to a record that may or may not exist.
struct Case {
    rule: &'static str,
    kind: &'static str,
    schema: Option<FieldSchema>,
    old: Option<Value>,
    exists: bool,
    adopted: bool,
    /// Further rules of the table, and the record's values in their fields.
    beside: (&'static str, &'static [(&'static str, &'static str)]),
}

impl Case {
    fn new(rule: &'static str) -> Self {
        Self {
            rule,
            kind: "upsert_lead",
            schema: None,
            old: None,
            exists: true,
            adopted: false,
            beside: ("", &[]),
        }
    }

    fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    fn old(self, old: impl Into<Value>) -> Self {
        Self { old: Some(old.into()), ..self }
    }

    fn adopted(self) -> Self {
        Self { adopted: true, ..self }
    }

    fn beside(self, table: &'static str, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { beside: (table, fields), ..self }
    }

    fn new_record(self) -> Self {
        Self { exists: false, ..self }
    }

    fn schema(self, schema: FieldSchema) -> Self {
        Self { schema: Some(schema), ..self }
    }

    fn write(&self) -> RecordWrite {
        let plan = full_plan();
        let planned = plan.actions.iter().find(|planned| planned.action.kind() == self.kind).unwrap();
        let object = planned.action.object();
        let table = object.as_str();
        let lead_table = "[lead]\nobject = 'L'\nexternal_id = 'K'\nfields = []\n";
        let head = if object == Object::Lead { "" } else { lead_table };
        let text = format!(
            "version = '1'\ncrm = 'x'\n{head}[{table}]\nobject = 'O'\nexternal_id = 'Id'\n\
             customers = {{ field = 'Stage', values = ['customer'] }}\nfields = [{{ {}, field = 'F' }}{}]",
            self.rule, self.beside.0
        );
        let text = if object == Object::Lead { text } else { text.replace(CUSTOMERS, "") };
        let mapping = Mapping::parse(&text).unwrap();
        let schema = self.schema.clone().map(|field| ObjectSchema([("F".to_owned(), field)].into()));
        let fields: Map<String, Value> =
            self.old.clone().map(|old| ("F".to_owned(), old)).into_iter().collect();
        let beside = self.beside.1.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        let fields: Map<String, Value> = fields.into_iter().chain(beside).collect();
        let present =
            self.exists.then(|| PresentRecord { record_id: "1".to_owned(), fields, adopted: self.adopted });
        RecordWrite::resolve(&mapping, schema.as_ref(), planned, object, "x", present.as_ref()).unwrap()
    }

    fn left_out(&self) -> Option<LeftOut> {
        self.write().changes[0].left_out
    }
}

#[test]
fn write_rule_decides_whether_a_field_is_overwritten() {
    let always = || Case::new("source = 'lead.title'");
    let if_empty = || Case::new("source = 'lead.title', write = 'if_empty'");
    let never = || Case::new("source = 'lead.title', write = 'never_overwrite'");
    for (case, expected) in [
        (always().old("CTO"), None),
        (always(), None),
        (always().new_record(), None),
        (always().old("Head of <3"), Some(LeftOut::Unchanged)),
        (if_empty().old("CTO"), Some(LeftOut::NotEmpty)),
        (if_empty().old(" "), None),
        (if_empty().old(Value::Null), None),
        (if_empty().new_record(), None),
        (never(), Some(LeftOut::RecordExists)),
        (never().old("Head of <3"), Some(LeftOut::Unchanged)),
        (never().new_record(), None),
    ] {
        assert_eq!(case.left_out(), expected, "{} {:?} {}", case.rule, case.old, case.exists);
    }
}

#[test]
fn create_action_does_not_change_an_existing_record() {
    let task = || Case::new("source = 'task.subject'").kind("create_task");
    assert_eq!(task().old("Theirs").left_out(), Some(LeftOut::RecordExists));
    assert!(task().old("Theirs").write().is_up_to_date());
    assert_eq!(task().new_record().left_out(), None);
    assert!(!task().new_record().write().is_up_to_date());
}

#[test]
fn stage_never_moves_back_and_unknown_stage_is_kept() {
    let rule =
        "source = 'lead.status', values = { working = 'Working' }, order = ['New', 'Working', 'Customer']";
    let case = || Case::new(rule).kind("update_lead_status");
    assert_eq!(case().old("New").left_out(), None);
    assert_eq!(case().left_out(), None);
    assert_eq!(case().old("Working").left_out(), Some(LeftOut::Unchanged));
    assert_eq!(case().old("Customer").left_out(), Some(LeftOut::MovesBack));
    assert_eq!(case().old("In legal review").left_out(), Some(LeftOut::MovesBack));
    let unknown = Case::new("source = 'lead.status', values = { new = 'New' }").kind("update_lead_status");
    assert_eq!(unknown.left_out(), Some(LeftOut::NotMapped));
}

#[test]
fn schema_cuts_converts_and_forbids_values() {
    let case = || Case::new("source = 'lead.title'");
    let text = FieldSchema { max_length: Some(7), ..FieldSchema::of(FieldKind::Text) };
    let write = case().schema(text.clone()).write();
    assert_eq!((write.fields()["F"].clone(), write.changes[0].cut), (json!("Head of"), true));
    // A value that was cut when it was written counts as unchanged afterwards.
    assert_eq!(case().schema(text.clone()).old("Head of").left_out(), Some(LeftOut::Unchanged));

    let frozen = FieldSchema { updateable: false, ..text.clone() };
    assert_eq!(case().schema(frozen.clone()).left_out(), Some(LeftOut::NotWritable));
    assert_eq!(case().schema(frozen).new_record().left_out(), None);
    assert_eq!(case().schema(FieldSchema::of(FieldKind::Integer)).left_out(), Some(LeftOut::WrongType));

    let picklist = FieldSchema {
        options: vec![FieldOption { value: "sw".into(), label: "Software".into() }],
        restricted: true,
        ..FieldSchema::of(FieldKind::Picklist)
    };
    let industry =
        || Case::new("source = 'company.industry'").kind("sync_firmographics").schema(picklist.clone());
    assert_eq!(industry().write().fields()["F"], "sw");
    assert_eq!(industry().old("sw").left_out(), Some(LeftOut::Unchanged));
    assert_eq!(case().schema(picklist.clone()).left_out(), Some(LeftOut::NotInPicklist));

    let mut missing = case().schema(text);
    missing.rule = "source = 'lead.phone'";
    let mapping = Mapping::parse(
        "version = '1'\ncrm = 'x'\n[lead]\nobject = 'L'\nexternal_id = 'K'\nfields = [{ source = 'lead.title', field = 'G' }]",
    )
    .unwrap();
    let planned = crate::testing::suite_plan("ann", "CTO", 50).actions.swap_remove(0);
    let schema = ObjectSchema::default();
    let write = RecordWrite::resolve(&mapping, Some(&schema), &planned, Object::Lead, "x", None).unwrap();
    assert_eq!(write.changes[0].left_out, Some(LeftOut::NotInSchema));
    assert_eq!(write.fields(), Map::new());
}

#[test]
fn old_value_is_restored_only_if_ours_is_still_present() {
    let change = Case::new("source = 'lead.title'").old("CTO").write().changes.remove(0);
    let present = |value: Value| PresentRecord {
        record_id: "1".into(),
        fields: [("F".to_owned(), value)].into_iter().collect(),
        adopted: false,
    };
    let decide = |change: &FieldChange, value: Value| change.restorable(None, Some(&present(value)));
    assert_eq!(decide(&change, json!("Head of <3")), Ok(json!("CTO")));
    assert_eq!(decide(&change, json!("CTO")), Err(Restored::BackAlready));
    assert_eq!(decide(&change, json!("CEO")), Err(Restored::ChangedSince));
    assert_eq!(decide(&change, Value::Null), Err(Restored::ChangedSince));
    assert_eq!(change.restorable(None, None), Err(Restored::Gone));
    assert_eq!(
        change.restorable(Some(&ObjectSchema::default()), Some(&present(json!("x")))),
        Err(Restored::Gone)
    );

    let filled = Case::new("source = 'lead.title'").write().changes.remove(0);
    assert_eq!(decide(&filled, json!("Head of <3")), Ok(Value::Null), "the field was empty");
    let created = Case::new("source = 'lead.title'").new_record().write().changes.remove(0);
    assert_eq!(decide(&created, json!("Head of <3")), Err(Restored::Created));
    let kept = Case::new("source = 'lead.title', write = 'if_empty'").old("CTO").write().changes.remove(0);
    assert_eq!(decide(&kept, json!("CEO")), Err(Restored::Unchanged));
}

#[test]
fn debug_output_shows_no_values() {
    let write = Case::new("source = 'lead.phone'").old("+1 555 0199").write();
    let text = format!("{write:?}");
    assert!(text.contains("O.F") && !text.contains("555"), "{text}");
}

#[test]
fn form_only_fills_empty_fields_of_an_adopted_record() {
    let always = || Case::new("source = 'lead.title'").adopted();
    assert_eq!(always().old("CFO").left_out(), Some(LeftOut::Adopted));
    assert_eq!(always().left_out(), None, "an empty field is filled");
    assert_eq!(always().old("Head of <3").left_out(), Some(LeftOut::Unchanged));
    assert_eq!(always().new_record().left_out(), None);
    for rule in
        ["source = 'lead.email'", "source = 'lead.phone'", "source = 'marketo.program'", "value = 'Web'"]
    {
        assert_eq!(Case::new(rule).adopted().old("Theirs").left_out(), Some(LeftOut::Adopted), "{rule}");
        assert_eq!(Case::new(rule).old("Theirs").left_out(), None, "{rule}: the record is ours");
    }
    let status = || Case::new("source = 'lead.status'").kind("update_lead_status").adopted();
    assert_eq!(status().old("IN_PROGRESS").left_out(), Some(LeftOut::Adopted));
    assert_eq!(status().left_out(), None);
    let same = Case::new("source = 'lead.title', adopted = 'same'").adopted().old("CFO");
    assert_eq!(same.left_out(), None, "the mapping says so");
    let never = || Case::new("source = 'lead.title', adopted = 'never'");
    assert_eq!(never().adopted().left_out(), Some(LeftOut::Adopted));
    assert_eq!(never().left_out(), None, "the record is ours");
    let owner = Case::new("source = 'lead.owner'").adopted().old("71");
    assert_eq!(owner.left_out(), None, "owners follow the routing");
}

#[test]
fn customer_is_not_given_a_lower_judgement() {
    const SCORE: &str = ", { source = 'score.fit_score', field = 'Score' }";
    let fit = |rule: &'static str, fields| {
        Case::new(rule).kind("set_lead_score").old("MEDIUM").beside(SCORE, fields)
    };
    let same = "source = 'score.fit'";
    let left_out = |rule, fields| fit(rule, fields).adopted().left_out();
    // The new score is 87.
    assert_eq!(left_out(same, &[("Score", "95")]), None, "a prospect's judgement follows the newest");
    assert_eq!(left_out(same, &[("Stage", "customer"), ("Score", "95")]), Some(LeftOut::Customer));
    assert_eq!(left_out(same, &[("Stage", "Customer")]), Some(LeftOut::Customer), "nothing to compare with");
    assert_eq!(left_out(same, &[("Stage", "customer"), ("Score", "60.5")]), None, "it is higher");
    let ours = fit(same, &[("Stage", "customer"), ("Score", "95")]);
    assert_eq!(ours.left_out(), None, "the record is ours");
    let not_lower = "source = 'score.fit', adopted = 'not_lower'";
    assert_eq!(left_out(not_lower, &[("Score", "95")]), Some(LeftOut::LowersScore));
    assert_eq!(left_out(not_lower, &[("Score", "87")]), None);
    assert_eq!(left_out(not_lower, &[]), None);
    let status = Case::new("source = 'lead.status'").kind("update_lead_status").adopted();
    assert_eq!(status.beside("", &[("Stage", "customer")]).left_out(), Some(LeftOut::Customer));
}
