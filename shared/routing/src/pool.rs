use std::collections::BTreeMap;

use serde::Deserialize;

use crate::member::{Member, Outcome};
use crate::owner::Owner;
use crate::{Counters, OwnerId};

/// A group of owners that take leads in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub(crate) members: Vec<MemberEntry>,
    /// The pool to use if no member of this pool is eligible.
    pub(crate) overflow: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberEntry {
    pub(crate) owner: String,
    /// Share of turns in proportion to the other members. 0 takes none.
    #[serde(default = "one")]
    pub(crate) weight: u32,
}

fn one() -> u32 {
    1
}

/// The member with the next turn, and the members' credits after the turn.
pub(crate) struct Turn {
    pub(crate) chosen: Option<(String, OwnerId)>,
    pub(crate) members: Vec<Member>,
    pub(crate) credits: BTreeMap<(String, String), i64>,
}

impl Pool {
    /// Chooses a member by smooth weighted round robin: the credit of every eligible member grows by its
    /// weight, and the member with the highest credit (the first in the file among equals) takes the lead and
    /// pays the sum of the eligible weights. A member that is not eligible gains no credit, so that after a
    /// day at its cap it does not receive a day's leads at once.
    pub(crate) fn turn(
        &self,
        name: &str,
        owners: &BTreeMap<String, Owner>,
        previous_owners: &[OwnerId],
        unavailable: &BTreeMap<OwnerId, String>,
        counters: &Counters,
    ) -> Turn {
        let mut members = Vec::with_capacity(self.members.len());
        let mut eligible: Vec<(usize, i64)> = Vec::new();
        let mut total = 0;
        for (index, entry) in self.members.iter().enumerate() {
            let Some(owner) = owners.get(&entry.owner) else { continue }; // checked when the file was read
            let (load, credit) = (counters.load(&owner.id), counters.credit(name, &entry.owner));
            let ineligible = unavailable.get(&owner.id).cloned();
            let ineligible = ineligible.or_else(|| self::ineligible(entry, owner, previous_owners, counters));
            if ineligible.is_none() {
                total += i64::from(entry.weight);
                eligible.push((index, credit.saturating_add(i64::from(entry.weight))));
            }
            members.push(Member {
                pool: name.to_owned(),
                owner: entry.owner.clone(),
                weight: entry.weight,
                credit,
                today: load.today,
                open: load.open,
                outcome: ineligible.map_or(Outcome::Waits, Outcome::Skipped),
            });
        }
        // The first member with the highest credit.
        let winner = eligible.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let mut credits = BTreeMap::new();
        for (index, credit) in eligible {
            let is_winner = Some(index) == winner.map(|(index, _)| index);
            let left = if is_winner { credit - total } else { credit };
            credits.insert((name.to_owned(), self.members[index].owner.clone()), left);
        }
        let chosen = winner.and_then(|(index, _)| {
            let owner = &self.members[index].owner;
            if let Some(member) = members.iter_mut().find(|member| member.owner == *owner) {
                member.outcome = Outcome::Chosen;
            }
            Some((owner.clone(), owners.get(owner)?.id.clone()))
        });
        Turn { chosen, members, credits }
    }
}

/// The reason why a member cannot take the lead.
fn ineligible(
    entry: &MemberEntry,
    owner: &Owner,
    previous_owners: &[OwnerId],
    counters: &Counters,
) -> Option<String> {
    if entry.weight == 0 {
        return Some("has weight 0".to_owned());
    }
    if previous_owners.contains(&owner.id) {
        return Some("has had this lead".to_owned());
    }
    at_cap(owner, counters)
}

/// The cap that an owner has reached.
pub(crate) fn at_cap(owner: &Owner, counters: &Counters) -> Option<String> {
    let load = counters.load(&owner.id);
    let over = |count: u64, cap: Option<u64>, unit: &str| {
        cap.filter(|cap| count >= *cap).map(|cap| format!("has {count} of {cap} {unit}"))
    };
    over(load.today, owner.max_per_day, "leads today")
        .or_else(|| over(load.open, owner.max_open, "open leads"))
}
