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

/// The type from a contact to its primary company.
const PRIMARY_COMPANY: u32 = 1;

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
    /// Adds the default type; a record's first company becomes its primary one. False if the kinds cannot be
    /// associated.
    pub(super) fn add_default(&mut self, from: Kind, id: u64, to: Kind, to_id: u64) -> bool {
        let between = types(from, to);
        let (record, other) = if to == Kind::Company { ((from, id), to) } else { ((to, to_id), from) };
        let is_first = other == Kind::Company && self.of(record.0, record.1, Kind::Company).is_empty();
        for (there, back, _) in between.iter().take(1 + usize::from(is_first)) {
            self.0.entry((from, id, to, to_id)).or_default().insert(*there);
            self.0.entry((to, to_id, from, id)).or_default().insert(*back);
        }
        !between.is_empty()
    }

    /// A contact's primary company.
    pub(super) fn primary_company(&self, contact: u64) -> Option<u64> {
        let companies = self.of(Kind::Contact, contact, Kind::Company);
        companies.into_iter().find(|(_, types)| types.contains(&PRIMARY_COMPANY)).map(|(company, _)| company)
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

    /// The associations as the associations API lists them.
    pub(super) fn listed(&self, kind: Kind, id: u64, with: Kind) -> Vec<Value> {
        let labels = types(kind, with);
        let rows = self.of(kind, id, with).into_iter().map(|(to_id, of)| {
            let of_record = labels.iter().filter(|(type_id, ..)| of.contains(type_id));
            let types: Vec<Value> = of_record
                .map(|(type_id, _, label)| json!({"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": label}))
                .collect();
            json!({"toObjectId": to_id.to_string(), "associationTypes": types})
        });
        rows.collect()
    }
}
