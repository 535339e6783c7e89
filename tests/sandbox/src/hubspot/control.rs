//! Actions of users and administrators on an account, over HTTP and in tests: settings, owners, properties,
//! merges.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::HubSpot;
use super::account::Settings;
use super::objects::Kind;
use super::properties::PropertyChange;

/// The settings that `GET /_account` shows and `PUT /_account` changes. Absent settings remain unchanged.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SettingsPatch {
    burst: Option<usize>,
    daily: Option<usize>,
    searches: Option<usize>,
    utc_offset_minutes: Option<i64>,
    offset_change: Option<(Timestamp, i64)>,
    owners: Option<Vec<String>>,
    archived_owners: Option<Vec<String>>,
    finds_further_addresses: Option<bool>,
    invalid_inputs_fail_alone: Option<bool>,
}

/// A merge of two records of a kind: the record `id` is merged into the record `into`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    into: u64,
    id: u64,
}

impl SettingsPatch {
    fn of(settings: &Settings) -> Self {
        Self {
            burst: Some(settings.burst),
            daily: Some(settings.daily),
            searches: Some(settings.searches),
            utc_offset_minutes: Some(settings.utc_offset_minutes),
            offset_change: settings.offset_change,
            owners: Some(settings.owners.clone()),
            archived_owners: Some(settings.archived_owners.clone()),
            finds_further_addresses: Some(settings.finds_further_addresses),
            invalid_inputs_fail_alone: Some(settings.invalid_inputs_fail_alone),
        }
    }

    fn apply(self, settings: &mut Settings) {
        fn set<T>(setting: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *setting = value;
            }
        }
        set(&mut settings.burst, self.burst);
        set(&mut settings.daily, self.daily);
        set(&mut settings.searches, self.searches);
        set(&mut settings.utc_offset_minutes, self.utc_offset_minutes);
        settings.offset_change = self.offset_change.or(settings.offset_change);
        set(&mut settings.owners, self.owners);
        set(&mut settings.archived_owners, self.archived_owners);
        set(&mut settings.finds_further_addresses, self.finds_further_addresses);
        set(&mut settings.invalid_inputs_fail_alone, self.invalid_inputs_fail_alone);
    }
}

impl HubSpot {
    /// Merges a record into another of its kind, as in the browser. False if either record does not exist.
    pub fn merge(&self, kind: Kind, into: u64, id: u64) -> bool {
        let mut account = self.account();
        let now = account.now();
        let merged = account.objects.merge(kind, into, id, now);
        if merged {
            account.associations.rename(kind, id, into);
        }
        merged
    }

    /// Deletes a record, as in the browser.
    pub fn delete(&self, kind: Kind, id: u64) {
        let mut account = self.account();
        let now = account.now();
        if let Some(record) = account.objects.get_mut(kind, id) {
            record.archive(now);
            account.associations.forget(kind, id);
        }
    }

    /// Changes the definition of a property; false if the property does not exist.
    pub fn change_property(&self, kind: Kind, name: &str, change: PropertyChange) -> bool {
        self.account().properties.change(kind, name, change)
    }

    fn shown(&self, kind: Kind) -> Value {
        let records = self.records(kind);
        records
            .iter()
            .map(|record| json!({"id": record.id.to_string(), "properties": record.properties}))
            .collect()
    }
}

/// The routes below `/_account`.
pub(super) fn router(hubspot: &HubSpot) -> Router {
    let read =
        |State(hubspot): State<HubSpot>| async move { Json(SettingsPatch::of(&hubspot.account().settings)) };
    let change = |State(hubspot): State<HubSpot>, Json(change): Json<SettingsPatch>| async move {
        hubspot.set(|settings| change.apply(settings));
        Json(SettingsPatch::of(&hubspot.account().settings))
    };
    let records = |State(hubspot): State<HubSpot>, Path(object): Path<String>| async move {
        Kind::named(&object).map(|kind| Json(hubspot.shown(kind))).ok_or(StatusCode::NOT_FOUND)
    };
    let merge = |State(hubspot): State<HubSpot>, Path(object): Path<String>, Json(merge): Json<Merge>| async move {
        let merged = Kind::named(&object).is_some_and(|kind| hubspot.merge(kind, merge.into, merge.id));
        if merged { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
    };
    let property = |State(hubspot): State<HubSpot>,
                    Path((object, name)): Path<(String, String)>,
                    Json(change): Json<PropertyChange>| async move {
        let changed = Kind::named(&object).is_some_and(|kind| hubspot.change_property(kind, &name, change));
        if changed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
    };
    Router::new()
        .route("/_account", get(read).put(change))
        .route("/_account/records/{object}", get(records))
        .route("/_account/merges/{object}", post(merge))
        .route("/_account/properties/{object}/{name}", put(property))
        .with_state(hubspot.clone())
}
