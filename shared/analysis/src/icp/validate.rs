use std::collections::HashMap;
use std::fmt::Display;

use grounding::FieldPath;

use super::{Icp, IcpError};
use crate::text::Term;

/// The maximum number of points of one entry.
const MAX_POINTS: u8 = 100;

impl Icp {
    /// Checks the rules that the types of the tables cannot express.
    pub(super) fn validate(&self) -> Result<(), IcpError> {
        self.validate_points()?;
        self.validate_names()?;
        self.validate_sizes()?;
        self.validate_geos()?;
        self.validate_intent()?;
        check((1..=50).contains(&self.visible.max_words), "facts.max_words", || "must be from 1 to 50".into())
    }

    fn validate_points(&self) -> Result<(), IcpError> {
        let list = |table: &'static str, points: Vec<u8>| {
            points
                .into_iter()
                .enumerate()
                .map(move |(i, points)| (format!("{}.points", entry(table, i)), points))
        };
        let single = [
            ("technology_max_points", self.technology_max_points),
            ("mailbox.private_penalty", self.mailbox.private_penalty),
            ("mailbox.disposable_penalty", self.mailbox.disposable_penalty),
            ("engagement.medium_points", self.engagement.medium_points),
            ("engagement.high_points", self.engagement.high_points),
            ("executive_stealth.fit_points", self.executive_stealth.fit_points),
            ("executive_stealth.intent_points", self.executive_stealth.intent_points),
        ];
        let all = list("industries", self.industries.iter().map(|e| e.points).collect())
            .chain(list("size_bands", self.size_bands.iter().map(|e| e.points).collect()))
            .chain(list("geos", self.geos.iter().map(|e| e.points).collect()))
            .chain(list("technologies", self.technologies.iter().map(|e| e.points).collect()))
            .chain(list("signals", self.signals.iter().map(|e| e.points).collect()))
            .chain(list("campaigns", self.campaigns.iter().map(|e| e.points).collect()))
            .chain(list("titles", self.titles.iter().map(|e| e.points).collect()))
            .chain(single.into_iter().map(|(key, points)| (key.to_owned(), points)));
        for (key, points) in all {
            check(points <= MAX_POINTS, key, || format!("{points} is more than {MAX_POINTS} points"))?;
        }
        Ok(())
    }

    fn validate_names(&self) -> Result<(), IcpError> {
        let named = |entries: &'_ [super::Named]| -> Vec<Vec<Term>> {
            entries.iter().map(|e| std::iter::once(&e.name).chain(&e.aliases).cloned().collect()).collect()
        };
        unique("industries", "name", &named(&self.industries))?;
        unique("technologies", "name", &named(&self.technologies))?;
        unique(
            "size_bands",
            "name",
            &self.size_bands.iter().map(|e| vec![e.name.clone()]).collect::<Vec<_>>(),
        )?;
        unique("geos", "name", &self.geos.iter().map(|e| vec![e.name.clone()]).collect::<Vec<_>>())?;
        unique("signals", "name", &self.signals.iter().map(|e| vec![e.name.clone()]).collect::<Vec<_>>())?;
        unique(
            "campaigns",
            "tier",
            &self.campaigns.iter().map(|e| vec![e.tier.clone()]).collect::<Vec<_>>(),
        )?;
        unique("titles", "level", &self.titles.iter().map(|e| vec![e.level.clone()]).collect::<Vec<_>>())?;
        unique("titles", "phrases", &self.titles.iter().map(|e| e.phrases.clone()).collect::<Vec<_>>())
    }

    fn validate_sizes(&self) -> Result<(), IcpError> {
        let mut above = None;
        for (i, band) in self.size_bands.iter().enumerate() {
            let key = |field| format!("{}.{field}", entry("size_bands", i));
            let free = match above {
                None => true,
                Some(None) => false,
                Some(Some(max)) => band.min > max,
            };
            check(free, key("min"), || format!("{} is not above the band before it", band.min))?;
            check(band.max.is_none_or(|max| max >= band.min), key("max"), || {
                format!("is below min = {}", band.min)
            })?;
            above = Some(band.max);
        }
        Ok(())
    }

    fn validate_geos(&self) -> Result<(), IcpError> {
        let mut seen = HashMap::new();
        for (i, geo) in self.geos.iter().enumerate() {
            for code in &geo.countries {
                let key = || format!("{}.countries", entry("geos", i));
                let sound = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
                check(sound, key(), || format!("{code:?} is not a country code such as \"US\""))?;
                check(seen.insert(code, i).is_none(), key(), || format!("{code:?} is listed twice"))?;
            }
        }
        Ok(())
    }

    fn validate_intent(&self) -> Result<(), IcpError> {
        let (levels, engagement) = (&self.intent, &self.engagement);
        check((1..=99).contains(&levels.medium_from), "intent.medium_from", || {
            "must be from 1 to 99".into()
        })?;
        check(levels.high_from > levels.medium_from && levels.high_from <= 100, "intent.high_from", || {
            format!("must be above medium_from = {} and at most 100", levels.medium_from)
        })?;
        check(engagement.high_from > engagement.medium_from, "engagement.high_from", || {
            format!("must be above medium_from = {}", engagement.medium_from)
        })?;
        check(engagement.believable_up_to >= engagement.high_from, "engagement.believable_up_to", || {
            format!("must be at least high_from = {}", engagement.high_from)
        })?;
        for handle in &self.executive_stealth.handles {
            let word = handle.folded();
            check(word.chars().all(char::is_alphabetic), "executive_stealth.handles", || {
                format!("{:?} is not a single word of letters", handle.text())
            })?;
        }
        check(
            FieldPath::parse(&format!("marketo.{}", engagement.field.text())).is_ok(),
            "engagement.field",
            || format!("{:?} is not a field name", engagement.field.text()),
        )?;
        Ok(())
    }
}

/// The key of an entry in a list of tables, counted from 1.
fn entry(table: &str, index: usize) -> String {
    format!("{table}[{}]", index + 1)
}

fn check(holds: bool, key: impl Display, problem: impl FnOnce() -> String) -> Result<(), IcpError> {
    if holds { Ok(()) } else { Err(IcpError::Value { key: key.to_string(), problem: problem() }) }
}

/// Refuses a word in two entries: the order of the file would decide which entry applies.
fn unique(table: &str, field: &str, entries: &[Vec<Term>]) -> Result<(), IcpError> {
    let mut seen = HashMap::new();
    for (i, words) in entries.iter().enumerate() {
        for word in words {
            let first = *seen.entry(word.folded()).or_insert(i);
            check(first == i, format!("{}.{field}", entry(table, i)), || {
                format!("{:?} is already listed in {}", word.text(), entry(table, first))
            })?;
        }
    }
    Ok(())
}
