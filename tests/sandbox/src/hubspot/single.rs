use serde_json::{Value, json};

use super::account::Account;
use super::dispatch::{Answer, ApiRequest};
use super::objects::Kind;
use super::refusal::Refusal;

/// Calls for one record.
impl Account {
    pub(super) fn create_one(&mut self, kind: Kind, request: &ApiRequest) -> Result<Answer, Refusal> {
        let values = self.accept(kind, &request.body["properties"])?;
        let associations = requested_associations(&request.body)?;
        let id = self.create(kind, values)?;
        for (to, to_id, type_id) in associations {
            if !self.associations.add(kind, id, to, to_id, type_id) {
                return Err(Refusal::validation(format!(
                    "{type_id} is no association type of these objects"
                )));
            }
        }
        Ok(Answer { status: 201, body: self.shown_whole(kind, id)? })
    }

    pub(super) fn read_one(&self, kind: Kind, id: &str, request: &ApiRequest) -> Result<Answer, Refusal> {
        if request.query_value("archived") == Some("true") {
            let archived = id.parse().ok().and_then(|id| self.objects.archived(kind, id));
            let record = archived.ok_or_else(Refusal::not_found)?;
            return Ok(Answer { status: 200, body: record.shown(kind, &request.query_list("properties")) });
        }
        let id = self.located(kind, request.query_value("idProperty"), id)?;
        let record = self.objects.get(kind, id).ok_or_else(Refusal::not_found)?;
        let mut body = record.shown(kind, &request.query_list("properties"));
        for name in request.query_list("associations") {
            let with =
                Kind::named(&name).ok_or_else(|| Refusal::validation(format!("{name} is no object")))?;
            if let Some(listed) = self.associations.inline(kind, id, with) {
                body["associations"][with.plural()] = listed;
            }
        }
        Ok(Answer { status: 200, body })
    }

    pub(super) fn update_one(
        &mut self,
        kind: Kind,
        id: &str,
        request: &ApiRequest,
    ) -> Result<Answer, Refusal> {
        let id = self.located(kind, request.query_value("idProperty"), id)?;
        let values = self.accept(kind, &request.body["properties"])?;
        self.update(kind, id, values)?;
        Ok(Answer { status: 200, body: self.shown_whole(kind, id)? })
    }

    pub(super) fn archive_one(&mut self, kind: Kind, id: &str) -> Answer {
        let now = self.now();
        let id = id.parse().unwrap_or_default();
        if let Some(record) = self.objects.get_mut(kind, id) {
            record.archive(now);
            self.associations.forget(kind, id);
        }
        Answer { status: 204, body: Value::Null }
    }

    pub(super) fn list(&self, kind: Kind, request: &ApiRequest) -> Answer {
        let limit =
            request.query_value("limit").and_then(|text| text.parse().ok()).unwrap_or(10_usize).min(100);
        let after: u64 = request.query_value("after").and_then(|text| text.parse().ok()).unwrap_or_default();
        let properties = request.query_list("properties");
        let mut records = self.objects.live(kind).filter(|record| record.id >= after);
        let shown: Vec<Value> = records.by_ref().take(limit).map(|r| r.shown(kind, &properties)).collect();
        let mut body = json!({ "results": shown });
        if let Some(next) = records.next() {
            body["paging"] = json!({"next": {"after": next.id.to_string()}});
        }
        Answer { status: 200, body }
    }

    /// The id of a record by its id, or by a unique property.
    pub(super) fn located(&self, kind: Kind, property: Option<&str>, value: &str) -> Result<u64, Refusal> {
        if let Some(property) = property {
            self.refuse_non_unique(kind, property)?;
        }
        self.find(kind, property, value).ok_or_else(Refusal::not_found)
    }

    pub(super) fn refuse_non_unique(&self, kind: Kind, property: &str) -> Result<(), Refusal> {
        if self.properties.is_unique(kind, property) {
            return Ok(());
        }
        let message =
            format!("Unable to perform update/upsert by non-unique {} property {property}", kind.type_id());
        Err(Refusal::validation(message))
    }

    pub(super) fn shown_whole(&self, kind: Kind, id: u64) -> Result<Value, Refusal> {
        self.objects.get(kind, id).map(|record| record.shown_whole(kind)).ok_or_else(Refusal::not_found)
    }
}

/// The associations that a create requests: the other record and the type.
fn requested_associations(body: &Value) -> Result<Vec<(Kind, u64, u32)>, Refusal> {
    let mut associations = Vec::new();
    for association in body["associations"].as_array().into_iter().flatten() {
        let to = association["to"]["id"].as_str().and_then(|id| id.parse().ok());
        for spec in association["types"].as_array().into_iter().flatten() {
            let type_id = spec["associationTypeId"].as_u64().and_then(|id| u32::try_from(id).ok());
            let kind = type_id.and_then(target_of);
            let (Some(to), Some(type_id), Some(kind)) = (to, type_id, kind) else {
                return Err(Refusal::validation("an association needs the other record's id and a type"));
            };
            associations.push((kind, to, type_id));
        }
    }
    Ok(associations)
}

/// The kind of record that a type leads to.
fn target_of(type_id: u32) -> Option<Kind> {
    let pairs = Kind::ALL.into_iter().flat_map(|from| Kind::ALL.into_iter().map(move |to| (from, to)));
    pairs
        .into_iter()
        .find(|(from, to)| super::associations::types(*from, *to).iter().any(|(known, ..)| *known == type_id))
        .map(|(_, to)| to)
}
