use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Owner;
use crate::route::{Member, Outcome};
use crate::{Counters, OwnerId};

/// People who take turns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub(crate) members: Vec<MemberEntry>,
    /// The pool that is asked when everybody here is at a cap.
    pub(crate) overflow: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberEntry {
    pub(crate) owner: String,
    /// Turns in proportion to the others; 0 takes none.
    #[serde(default = "one")]
    pub(crate) weight: u32,
}

fn one() -> u32 {
    1
}

/// Who of a pool has the next turn, and what everybody is due afterwards.
pub(crate) struct Turn {
    pub(crate) chosen: Option<(String, OwnerId)>,
    pub(crate) members: Vec<Member>,
    pub(crate) credits: BTreeMap<(String, String), i64>,
}

impl Pool {
    /// Smooth weighted round robin: everybody who may take the lead is due their weight more, whoever is due most takes it
    /// and gives back what all were due together. Of several the first in the file. Who is passed over is not owed for it:
    /// after a day at the cap nobody gets a day's leads at once.
    pub(crate) fn turn(
        &self,
        name: &str,
        owners: &BTreeMap<String, Owner>,
        had_it: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
    ) -> Turn {
        let mut members = Vec::with_capacity(self.members.len());
        let mut due: Vec<(usize, i64)> = Vec::new();
        let mut total = 0;
        for (place, entry) in self.members.iter().enumerate() {
            let Some(owner) = owners.get(&entry.owner) else { continue }; // checked when the file was read
            let (load, credit) = (counters.load(&owner.id), counters.credit(name, &entry.owner));
            let kept_out = unavailable.get(&owner.id).cloned();
            let kept_out = kept_out.or_else(|| self::kept_out(entry, owner, had_it, counters));
            if kept_out.is_none() {
                total += i64::from(entry.weight);
                due.push((place, credit.saturating_add(i64::from(entry.weight))));
            }
            members.push(Member {
                pool: name.to_owned(),
                owner: entry.owner.clone(),
                weight: entry.weight,
                credit,
                today: load.today,
                open: load.open,
                outcome: kept_out.map_or(Outcome::Waits, Outcome::Skipped),
            });
        }
        // The first of those who are due most.
        let winner = due.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let mut credits = BTreeMap::new();
        for (place, credit) in due {
            let is_winner = Some(place) == winner.map(|(place, _)| place);
            let left = if is_winner { credit - total } else { credit };
            credits.insert((name.to_owned(), self.members[place].owner.clone()), left);
        }
        let chosen = winner.and_then(|(place, _)| {
            let owner = &self.members[place].owner;
            if let Some(member) = members.iter_mut().find(|member| member.owner == *owner) {
                member.outcome = Outcome::Chosen;
            }
            Some((owner.clone(), owners.get(owner)?.id.clone()))
        });
        Turn { chosen, members, credits }
    }
}

/// Why a member may not take the lead.
fn kept_out(entry: &MemberEntry, owner: &Owner, had_it: &[OwnerId], counters: &Counters) -> Option<String> {
    if entry.weight == 0 {
        return Some("has weight 0".to_owned());
    }
    if had_it.contains(&owner.id) {
        return Some("has had this lead".to_owned());
    }
    at_cap(owner, counters)
}

/// Why an owner may take no more.
pub(crate) fn at_cap(owner: &Owner, counters: &Counters) -> Option<String> {
    let load = counters.load(&owner.id);
    let over = |count: u64, cap: Option<u64>, what: &str| {
        cap.filter(|cap| count >= *cap).map(|cap| format!("has {count} of {cap} {what}"))
    };
    over(load.today, owner.max_per_day, "leads today")
        .or_else(|| over(load.open, owner.max_open, "open leads"))
}
