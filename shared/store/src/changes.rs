//! The stored form of field changes.

use crm::{FieldChange, LeftOut, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The changes of one record by one action. What all of them share is stored once; the position and the kind
/// of the action are columns of its row.
#[derive(Serialize, Deserialize)]
pub(crate) struct RecordChanges {
    object: Object,
    object_name: String,
    external_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_id: Option<String>,
    fields: Vec<StoredField>,
}

#[derive(Serialize, Deserialize)]
struct StoredField {
    field: String,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl RecordChanges {
    /// The changes of one action, by record.
    pub(crate) fn of<'a>(changes: impl IntoIterator<Item = &'a FieldChange>) -> Vec<Self> {
        let mut records: Vec<Self> = Vec::new();
        for change in changes {
            let field = StoredField {
                field: change.field.clone(),
                source: change.source.clone(),
                old: change.old.clone(),
                new: change.new.clone(),
                left_out: change.left_out,
                cut: change.cut,
            };
            match records.last_mut().filter(|record| record.is_of(change)) {
                Some(record) => record.fields.push(field),
                None => records.push(Self {
                    object: change.object,
                    object_name: change.object_name.clone(),
                    external_id: change.external_id.clone(),
                    record_id: change.record_id.clone(),
                    fields: vec![field],
                }),
            }
        }
        records
    }

    fn is_of(&self, change: &FieldChange) -> bool {
        self.object == change.object
            && self.object_name == change.object_name
            && self.external_id == change.external_id
            && self.record_id == change.record_id
    }

    /// The changes again, of the action with this position and kind.
    pub(crate) fn into_changes(self, position: u32, kind: &str) -> impl Iterator<Item = FieldChange> {
        let Self { object, object_name, external_id, record_id, fields } = self;
        fields.into_iter().map(move |field| FieldChange {
            position,
            action: kind.to_owned(),
            object,
            object_name: object_name.clone(),
            external_id: external_id.clone(),
            record_id: record_id.clone(),
            field: field.field,
            source: field.source,
            old: field.old,
            new: field.new,
            left_out: field.left_out,
            cut: field.cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(object: Object, record_id: Option<&str>, field: &str) -> FieldChange {
        FieldChange {
            position: 3,
            action: "upsert_lead".to_owned(),
            object,
            object_name: "Lead".to_owned(),
            external_id: "e1".to_owned(),
            record_id: record_id.map(str::to_owned),
            field: field.to_owned(),
            source: "lead.title".to_owned(),
            old: Some(json!("CTO")),
            new: None,
            left_out: Some(LeftOut::NotInSchema),
            cut: true,
        }
    }

    #[test]
    fn changes_of_several_records_are_read_as_they_were() {
        let changes = [
            change(Object::Lead, None, "Title"),
            change(Object::Lead, None, "Email"),
            change(Object::Lead, Some("r1"), "Email"),
            change(Object::Company, Some("r1"), "Name"),
        ];
        let stored = serde_json::to_string(&RecordChanges::of(&changes)).unwrap();
        let records: Vec<RecordChanges> = serde_json::from_str(&stored).unwrap();
        assert_eq!(records.len(), 3, "what a record's fields share is there once");
        let read = records.into_iter().flat_map(|record| record.into_changes(3, "upsert_lead"));
        assert_eq!(read.collect::<Vec<_>>(), changes);
    }
}
