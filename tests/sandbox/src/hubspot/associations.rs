use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::objects::Kind;

/// Associated records with the ids of the association types, stored in both directions.
#[derive(Default)]
pub(super) struct Associations(BTreeMap<(Kind, u64, Kind, u64), BTreeSet<u32>>);

/// The types that `HubSpot` defines, from its own client's list: from, to, the id, the id of the reverse
/// direction, the label. The first type of a pair is the default.
const TYPES: &[(Kind, Kind, u32, u32, Option<&str>)] = &[
    (Kind::Contact, Kind::Company, 279, 280, None),
    (Kind::Contact, Kind::Company, 1, 2, Some("Primary")),
    (Kind::Deal, Kind::Contact, 3, 4, None),
    (Kind::Deal, Kind::Company, 341, 342, None),
    (Kind::Deal, Kind::Company, 5, 6, Some("Primary")),
    (Kind::Note, Kind::Contact, 202, 201, None),
    (Kind::Note, Kind::Company, 190, 189, None),
    (Kind::Note, Kind::Deal, 214, 213, None),
    (Kind::Task, Kind::Contact, 204, 203, None),
    (Kind::Task, Kind::Company, 192, 191, None),
    (Kind::Task, Kind::Deal, 216, 215, None),
];

/// The types from one kind to another: the id, the reverse direction's id, the label.
pub(super) fn types(from: Kind, to: Kind) -> Vec<(u32, u32, Option<&'static str>)> {
    let known = TYPES.iter().filter_map(|(a, b, there, back, label)| match (from, to) {
        _ if (from, to) == (*a, *b) => Some((*there, *back, *label)),
        _ if (from, to) == (*b, *a) => Some((*back, *there, *label)),
        _ => None,
    });
    known.collect()
}

impl Associations {
    /// Adds a type and its reverse. False if the two kinds have no such type.
    pub(super) fn add(&mut self, from: Kind, id: u64, to: Kind, to_id: u64, type_id: u32) -> bool {
        let Some((_, back, _)) = types(from, to).into_iter().find(|(known, ..)| *known == type_id) else {
            return false;
        };
        self.0.entry((from, id, to, to_id)).or_default().insert(type_id);
        self.0.entry((to, to_id, from, id)).or_default().insert(back);
        true
    }

    /// Adds the default type; a record's first company becomes its primary one. False if the kinds cannot be
    /// associated.
    pub(super) fn add_default(&mut self, from: Kind, id: u64, to: Kind, to_id: u64) -> bool {
        let between = types(from, to);
        let Some((default, ..)) = between.first().copied() else { return false };
        let (record, other) = if to == Kind::Company { ((from, id), to) } else { ((to, to_id), from) };
        let is_first = other == Kind::Company && self.of(record.0, record.1, Kind::Company).is_empty();
        self.add(from, id, to, to_id, default);
        if let Some((primary, ..)) = between.get(1).filter(|_| is_first) {
            self.add(from, id, to, to_id, *primary);
        }
        true
    }

    pub(super) fn remove(&mut self, from: Kind, id: u64, to: Kind, to_id: u64) {
        self.0.remove(&(from, id, to, to_id));
        self.0.remove(&(to, to_id, from, id));
    }

    /// Removes every association of a record.
    pub(super) fn forget(&mut self, kind: Kind, id: u64) {
        self.0.retain(|(from, from_id, to, to_id), _| {
            (*from, *from_id) != (kind, id) && (*to, *to_id) != (kind, id)
        });
    }

    /// Moves the associations of a record to another of its kind.
    pub(super) fn rename(&mut self, kind: Kind, id: u64, into: u64) {
        let renamed = |of: Kind, old: u64| if (of, old) == (kind, id) { into } else { old };
        let all = std::mem::take(&mut self.0);
        for ((from, from_id, to, to_id), types) in all {
            self.0.entry((from, renamed(from, from_id), to, renamed(to, to_id))).or_default().extend(types);
        }
    }

    pub(super) fn of(&self, kind: Kind, id: u64, with: Kind) -> BTreeMap<u64, Vec<u32>> {
        let range = self.0.range((kind, id, with, 0)..=(kind, id, with, u64::MAX));
        range.map(|((.., to_id), types)| (*to_id, types.iter().copied().collect())).collect()
    }

    /// The `associations` of a record as the objects API shows them: one row per type.
    pub(super) fn inline(&self, kind: Kind, id: u64, with: Kind) -> Option<Value> {
        let rows: Vec<Value> = self
            .of(kind, id, with)
            .into_iter()
            .flat_map(|(to_id, of)| of.into_iter().map(move |type_id| (to_id, type_id)))
            .map(
                |(to_id, type_id)| json!({"id": to_id.to_string(), "type": inline_name(kind, with, type_id)}),
            )
            .collect();
        (!rows.is_empty()).then(|| json!({ "results": rows }))
    }

    /// The associations as the associations API lists them.
    pub(super) fn listed(&self, kind: Kind, id: u64, with: Kind) -> Vec<Value> {
        let labels = types(kind, with);
        let rows = self.of(kind, id, with).into_iter().map(|(to_id, of)| {
            let types: Vec<Value> = of
                .into_iter()
                .map(|type_id| {
                    let label =
                        labels.iter().find(|(known, ..)| *known == type_id).and_then(|(.., label)| *label);
                    json!({"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": label})
                })
                .collect();
            json!({"toObjectId": to_id.to_string(), "associationTypes": types})
        });
        rows.collect()
    }
}

fn inline_name(from: Kind, to: Kind, type_id: u32) -> String {
    let pair = format!("{}_to_{}", from.singular().to_lowercase(), to.singular().to_lowercase());
    let is_default = types(from, to).first().is_some_and(|(default, ..)| *default == type_id);
    if is_default { pair } else { format!("{pair}_primary") }
}
