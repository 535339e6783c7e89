//! Turns over many leads: weights are respected, caps are never exceeded, and the same state gives the same
//! choice.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use routing::{Counters, LeadFacts, OwnerId, Routing};

/// A pool with these members, each with a weight, a daily cap and a cap on open leads.
fn pool(members: &[(u32, Option<u64>, Option<u64>)]) -> Routing {
    let mut text = "version = \"1\"\n".to_owned();
    let mut list = Vec::new();
    for (i, (weight, per_day, open)) in members.iter().enumerate() {
        let _ = write!(text, "[owners.o{i}]\nid = \"00{i}\"\n");
        let cap = |text: &mut String, key: &str, cap: &Option<u64>| {
            if let Some(cap) = cap {
                let _ = writeln!(text, "{key} = {cap}");
            }
        };
        cap(&mut text, "max_per_day", per_day);
        cap(&mut text, "max_open", open);
        list.push(format!("{{ owner = \"o{i}\", weight = {weight} }}"));
    }
    let _ = write!(
        text,
        "[pools.all]\nmembers = [{}]\n[[rules]]\nname = \"all\"\nto = {{ pool = \"all\" }}\n",
        list.join(", ")
    );
    Routing::parse(&text).unwrap()
}

/// Assigns one lead and updates the counters.
fn give(routing: &Routing, counters: &mut Counters) -> Option<OwnerId> {
    let routed = routing.route(&LeadFacts::default(), counters);
    counters.credits.extend(routed.credits);
    let owner = routed.owner?;
    let load = counters.loads.entry(owner.clone()).or_default();
    load.today += 1;
    load.open += 1;
    Some(owner)
}

proptest! {
    #[test]
    fn every_member_gets_exactly_its_share_in_a_full_cycle(
        weights in prop::collection::vec(1..20u32, 1..8), cycles in 1..20u32,
    ) {
        let members: Vec<_> = weights.iter().map(|weight| (*weight, None, None)).collect();
        let (routing, mut counters) = (pool(&members), Counters::default());
        let total: u32 = weights.iter().sum();
        let mut given: BTreeMap<OwnerId, u32> = BTreeMap::new();
        for turn in 0..total * cycles {
            *given.entry(give(&routing, &mut counters).unwrap()).or_default() += 1;
            // Within a cycle, each member stays close to its share.
            for (i, weight) in weights.iter().enumerate() {
                let owner = OwnerId::parse(&format!("00{i}")).unwrap();
                let share = f64::from(turn + 1) * f64::from(*weight) / f64::from(total);
                let has = f64::from(given.get(&owner).copied().unwrap_or(0));
                prop_assert!((has - share).abs() <= f64::from(u32::try_from(weights.len()).unwrap()), "{has} of {share}");
            }
        }
        for (i, weight) in weights.iter().enumerate() {
            prop_assert_eq!(given[&OwnerId::parse(&format!("00{i}")).unwrap()], weight * cycles);
        }
    }

    #[test]
    fn caps_hold_and_leads_are_assigned_while_there_is_room(
        members in prop::collection::vec((0..5u32, prop::option::of(1..6u64), prop::option::of(1..6u64)), 1..6),
        // Each step ends a day, responds to a lead, or assigns one.
        steps in prop::collection::vec((0..20u8, any::<prop::sample::Index>()), 1..200),
    ) {
        prop_assume!(members.iter().any(|(weight, ..)| *weight > 0));
        let (routing, mut counters) = (pool(&members), Counters::default());
        for (step, which) in steps {
            match step {
                0 => counters.loads.values_mut().for_each(|load| load.today = 0),
                1..5 if !counters.loads.is_empty() => {
                    let index = which.index(counters.loads.len());
                    let load = counters.loads.values_mut().nth(index).unwrap();
                    load.open = load.open.saturating_sub(1);
                }
                _ => {
                    let has_room = members.iter().enumerate().any(|(i, (weight, per_day, open))| {
                        let load = counters.loads.get(&OwnerId::parse(&format!("00{i}")).unwrap());
                        let load = load.copied().unwrap_or_default();
                        *weight > 0 && per_day.is_none_or(|cap| load.today < cap) && open.is_none_or(|cap| load.open < cap)
                    });
                    prop_assert_eq!(give(&routing, &mut counters).is_some(), has_room);
                }
            }
            for (i, (weight, per_day, open)) in members.iter().enumerate() {
                let load = counters.loads.get(&OwnerId::parse(&format!("00{i}")).unwrap()).copied().unwrap_or_default();
                prop_assert!(per_day.is_none_or(|cap| load.today <= cap) && open.is_none_or(|cap| load.open <= cap));
                prop_assert!(*weight > 0 || load.open == 0);
            }
        }
    }

    #[test]
    fn the_same_state_gives_the_same_choice(
        weights in prop::collection::vec(1..20u32, 1..8), before in 0..100usize,
    ) {
        let members: Vec<_> = weights.iter().map(|weight| (*weight, None, None)).collect();
        let (routing, mut counters) = (pool(&members), Counters::default());
        for _ in 0..before {
            give(&routing, &mut counters);
        }
        let facts = LeadFacts::default();
        prop_assert_eq!(routing.route(&facts, &counters), pool(&members).route(&facts, &counters.clone()));
    }
}
