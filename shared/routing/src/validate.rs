//! Validation of a routing file beyond its types.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;

use crate::condition::{Bounds, Condition};
use crate::config::{Fallback, File, OnBreach, ResponseTimer, Rule, RuleEntry, Target};
use crate::{Routing, RoutingError};

/// Maximum number of rules, of pools and of owners in a file, and of members in a pool.
const MAX_ENTRIES: usize = 1_000;
/// Maximum weight of a pool member.
const MAX_WEIGHT: u32 = 1_000;
/// Default of `max_reassignments`.
const DEFAULT_REASSIGNMENTS: u32 = 2;
/// Maximum of `max_reassignments`.
const MAX_REASSIGNMENTS: u32 = 10;
/// Maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 80;

type Check = Result<(), RoutingError>;

impl File {
    /// Validates the file and drops the spans.
    pub(crate) fn checked(self, text: &str) -> Result<Routing, RoutingError> {
        let at = |span: Option<Range<usize>>, problem: String| Err(RoutingError::at(text, span, problem));
        if !is_name(self.version.get_ref()) {
            return at(
                Some(self.version.span()),
                format!("version must have 1 to {MAX_NAME_CHARS} characters"),
            );
        }
        for (kind, count) in
            [("owners", self.owners.len()), ("pools", self.pools.len()), ("rules", self.rules.len())]
        {
            if count > MAX_ENTRIES {
                return at(None, format!("there are {count} {kind}, more than {MAX_ENTRIES}"));
            }
        }
        self.check_owners(text)?;
        self.check_pools(text)?;
        self.check_cycles(text)?;
        let fallback = self.fallback(text)?;
        let mut names = BTreeSet::new();
        let mut rules: Vec<Rule> = Vec::with_capacity(self.rules.len());
        for entry in &self.rules {
            if !names.insert(entry.get_ref().name.as_str()) {
                return at(Some(entry.span()), "another rule has the same name".to_owned());
            }
            let rule = self.rule(text, entry)?;
            if let Some(earlier) = rules.iter().find(|earlier| self.makes_unreachable(earlier, &rule)) {
                let problem =
                    format!("can never decide: rule {:?} above it takes everything it matches", earlier.name);
                return at(Some(entry.span()), problem);
            }
            rules.push(rule);
        }
        Ok(Routing {
            version: self.version.into_inner(),
            owners: self.owners.into_iter().map(|(name, owner)| (name, owner.into_inner())).collect(),
            pools: self.pools.into_iter().map(|(name, pool)| (name, pool.into_inner())).collect(),
            rules,
            fallback,
        })
    }

    fn check_owners(&self, text: &str) -> Check {
        let mut ids = BTreeSet::new();
        for (name, entry) in &self.owners {
            let owner = entry.get_ref();
            let problem = if !is_name(name) {
                format!("owner {name:?}: a name has 1 to {MAX_NAME_CHARS} characters")
            } else if !ids.insert(&owner.id) {
                format!("owner {name:?}: another owner has the id {}", owner.id)
            } else if owner.max_per_day == Some(0) || owner.max_open == Some(0) {
                format!(
                    "owner {name:?}: a cap of 0 takes no lead at all; take the owner out of the pools instead"
                )
            } else {
                continue;
            };
            return Err(RoutingError::at(text, Some(entry.span()), problem));
        }
        Ok(())
    }

    fn check_pools(&self, text: &str) -> Check {
        for (name, entry) in &self.pools {
            let pool = entry.get_ref();
            let mut seen = BTreeSet::new();
            let mut problem = pool.members.iter().find_map(|member| {
                let owner = &member.owner;
                if !self.owners.contains_key(owner) {
                    Some(format!("there is no owner {owner:?}"))
                } else if !seen.insert(owner) {
                    Some(format!("{owner:?} is a member twice"))
                } else {
                    (member.weight > MAX_WEIGHT).then(|| {
                        format!("{owner:?} has a weight of {}, more than {MAX_WEIGHT}", member.weight)
                    })
                }
            });
            if pool.members.len() > MAX_ENTRIES {
                problem = Some(format!("has more than {MAX_ENTRIES} members"));
            }
            if pool.members.iter().all(|member| member.weight == 0) {
                problem = problem.or_else(|| Some("no member has a weight above 0".to_owned()));
            }
            if let Some(overflow) = pool.overflow.as_ref().filter(|other| !self.pools.contains_key(*other)) {
                problem = problem.or_else(|| Some(format!("there is no pool {overflow:?} to overflow into")));
            }
            if let Some(problem) = problem {
                return Err(RoutingError::at(text, Some(entry.span()), format!("pool {name:?}: {problem}")));
            }
        }
        Ok(())
    }

    /// Refuses pools that overflow into themselves, directly or through others: routing would never end.
    fn check_cycles(&self, text: &str) -> Check {
        for (name, entry) in &self.pools {
            let mut path = vec![name.as_str()];
            let mut next = entry.get_ref().overflow.as_deref();
            while let Some(pool) = next {
                path.push(pool);
                if path[..path.len() - 1].contains(&pool) {
                    let problem = format!("pool {name:?}: overflows in a circle: {}", path.join(" -> "));
                    return Err(RoutingError::at(text, Some(entry.span()), problem));
                }
                next = self.pools.get(pool).and_then(|pool| pool.get_ref().overflow.as_deref());
            }
        }
        Ok(())
    }

    fn fallback(&self, text: &str) -> Result<Option<Fallback>, RoutingError> {
        let Some(spanned) = &self.fallback else { return Ok(None) };
        let at =
            |problem: String| RoutingError::at(text, Some(spanned.span()), format!("fallback: {problem}"));
        let entry = spanned.get_ref();
        let owner = self
            .owners
            .get(&entry.owner)
            .ok_or_else(|| at(format!("there is no owner {:?}", entry.owner)))?;
        if owner.get_ref().is_capped() {
            return Err(at(format!("{:?} receives all remaining leads and must have no cap", entry.owner)));
        }
        let timer = match &entry.respond_within {
            Some(duration) => Some(ResponseTimer {
                respond_within: response_time(duration).map_err(at)?,
                on_breach: OnBreach::Alert,
                max_reassignments: 0,
            }),
            None => None,
        };
        Ok(Some(Fallback { owner: entry.owner.clone(), timer }))
    }

    fn rule(&self, text: &str, spanned: &Spanned<RuleEntry>) -> Result<Rule, RoutingError> {
        let entry = spanned.get_ref();
        let at = |problem: String| RoutingError {
            rule: Some(entry.name.clone()),
            ..RoutingError::at(text, Some(spanned.span()), problem)
        };
        if !is_name(&entry.name) {
            return Err(at(format!("a name has 1 to {MAX_NAME_CHARS} characters")));
        }
        check_condition(&entry.when).map_err(at)?;
        match &entry.to {
            Target::Owner(owner) if !self.owners.contains_key(owner) => {
                return Err(at(format!("there is no owner {owner:?}")));
            }
            Target::Pool(pool) if !self.pools.contains_key(pool) => {
                return Err(at(format!("there is no pool {pool:?}")));
            }
            Target::ExistingOwner if entry.when.existing_owner == Some(false) => {
                return Err(at("to = \"existing_owner\" contradicts existing_owner = false".to_owned()));
            }
            _ => {}
        }
        let timer = timer(entry).map_err(at)?;
        Ok(Rule { name: entry.name.clone(), when: entry.when.clone(), to: entry.to.clone(), timer })
    }

    /// Whether an earlier rule takes every lead that a later rule matches.
    fn makes_unreachable(&self, earlier: &Rule, later: &Rule) -> bool {
        let always_takes = match &earlier.to {
            Target::Crm => true,
            Target::ExistingOwner => earlier.when.existing_owner == Some(true),
            Target::Owner(owner) => self.owners.get(owner).is_some_and(|owner| !owner.get_ref().is_capped()),
            Target::Pool(pool) => self.always_has_room(pool),
        };
        always_takes && earlier.when.covers(&later.when)
    }

    /// Whether a pool, or a pool that it overflows into, has a member without a cap.
    fn always_has_room(&self, pool: &str) -> bool {
        let mut next = self.pools.get(pool);
        while let Some(pool) = next.map(Spanned::get_ref) {
            let is_uncapped = |member: &crate::pool::MemberEntry| {
                let owner = self.owners.get(&member.owner);
                member.weight > 0 && owner.is_some_and(|owner| !owner.get_ref().is_capped())
            };
            if pool.members.iter().any(is_uncapped) {
                return true;
            }
            next = pool.overflow.as_ref().and_then(|other| self.pools.get(other));
        }
        false
    }
}

fn timer(entry: &RuleEntry) -> Result<Option<ResponseTimer>, String> {
    let on_breach = entry.on_breach.unwrap_or_default();
    if on_breach == OnBreach::Reassign && !matches!(entry.to, Target::Pool(_)) {
        return Err("on_breach = \"reassign\" needs a pool to take the next from".to_owned());
    }
    if let Some(many) = entry.max_reassignments {
        if on_breach != OnBreach::Reassign {
            return Err("max_reassignments means nothing without on_breach = \"reassign\"".to_owned());
        }
        if !(1..=MAX_REASSIGNMENTS).contains(&many) {
            return Err(format!("max_reassignments must be from 1 to {MAX_REASSIGNMENTS}, not {many}"));
        }
    }
    let Some(duration) = &entry.respond_within else {
        return if entry.on_breach.is_some() {
            Err("on_breach means nothing without respond_within".to_owned())
        } else {
            Ok(None)
        };
    };
    let max_reassignments = match on_breach {
        OnBreach::Reassign => entry.max_reassignments.unwrap_or(DEFAULT_REASSIGNMENTS),
        OnBreach::Alert => 0,
    };
    Ok(Some(ResponseTimer { respond_within: response_time(duration)?, on_breach, max_reassignments }))
}

/// Parses a duration such as `15m` or `1h 30m`.
fn response_time(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.filter(|time| (Routing::MIN_RESPONSE..=Routing::MAX_RESPONSE).contains(time)).ok_or_else(|| {
        format!(
            "respond_within must be a time from 1 minute to 30 days such as \"15m\" or \"2h\", not {text:?}"
        )
    })
}

fn check_condition(when: &Condition) -> Result<(), String> {
    let texts = [
        ("country", &when.country),
        ("region", &when.region),
        ("industry", &when.industry),
        ("campaign", &when.campaign),
    ];
    for (key, list) in texts {
        let Some(list) = list else { continue };
        if list.is_empty() || list.iter().any(|text| text.trim().is_empty()) {
            return Err(format!("{key} lists nothing, which no lead can match"));
        }
    }
    let is_country = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
    if let Some(code) = when.country.iter().flatten().find(|code| !is_country(code)) {
        return Err(format!("country: {code:?} is not a country code such as \"US\""));
    }
    if let Some(bad) =
        when.campaign.iter().flatten().find(|id| id.trim_end_matches('*').contains('*') || id.ends_with("**"))
    {
        return Err(format!("campaign: {bad:?}: a star may only stand at the end"));
    }
    if when.intent.as_ref().is_some_and(Vec::is_empty) || when.decision.as_ref().is_some_and(Vec::is_empty) {
        return Err("intent or decision lists nothing, which no lead can match".to_owned());
    }
    for (key, bounds, most) in [("employees", when.employees, u64::MAX), ("fit_score", when.fit_score, 100)] {
        let Some(Bounds { min, max }) = bounds else { continue };
        if max.is_some_and(|max| max < min) {
            return Err(format!("{key}: max is below min, which no lead can match"));
        }
        if min > most || max.is_some_and(|max| max > most) {
            return Err(format!("{key} goes from 0 to {most}"));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control)
}
