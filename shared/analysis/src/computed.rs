//! The scores and matches that the profile computes for a lead, as facts under `computed.*`.

use enrichment::{Enrichment, Firmographics, Mailbox};
use grounding::FactSheet;
use lead::{FitScore, Intent, Lead};
use serde_json::{Map, Value, json};

use crate::domain::{self, CompanyDomain};
use crate::facts::sender_facts;
use crate::icp::Icp;
use crate::label::{is_label, is_title};
use crate::opt_out::opt_outs;
use crate::text::{fold, holds_phrase, is_another_persons};

impl Icp {
    /// The facts under `computed.*`: the results of the profile for a lead.
    ///
    /// | fact | |
    /// |---|---|
    /// | `icp_version` | version of the profile |
    /// | `baseline_score` | the fit, 0 to 100: the clamped sum of the next six |
    /// | `industry_points`, `size_points`, `geo_points`, `tech_points` | points for the company |
    /// | `mailbox_points` | penalty for the kind of mailbox: 0 or negative |
    /// | `stealth_fit_points` | points for executive stealth |
    /// | `intent_score`, `intent_level` | readiness, 0 to 100: the sum of the next five, and its level (`HIGH`, ..) |
    /// | `engagement_points`, `signal_points`, `campaign_points`, `title_points`, `stealth_intent_points` | |
    /// | `mailbox` | `corporate`, `private` or `disposable` |
    /// | `executive_stealth` | an executive's handle in a private mailbox, on a high-value campaign |
    /// | `industry_match`, `size_band`, `geo_match`, `campaign_tier`, `title_level` | the profile's name for the match; absent without a match |
    /// | `tech_match` | the matched technologies, in the provider's spelling; absent without a match |
    /// | `signals` | names of the fired signals; absent without one |
    /// | `engagement_level` | `low`, `medium` or `high`; absent without a plausible score |
    /// | `matched_facts` | by path, the values that fired a signal or matched the profile; a score or intent above the computed one must cite one of them |
    /// | `company_domain` | `agrees` if the domain of the address is that of the named company, `contradicts` if it is another's; absent if unknown |
    /// | `domain_mixes_scripts` | true for a domain that may imitate another one; absent otherwise |
    /// | `opted_out` | the opt-outs from the sender ([`opt_outs`]); absent without one |
    ///
    /// A text that is not a label (markup, invisible characters, over 100 characters) matches nothing. A
    /// title that is not a title has no level.
    ///
    /// None of these facts contains the name, address, title or company of the person.
    pub fn computed(&self, lead: &Lead, enrichment: &Enrichment) -> Map<String, Value> {
        self.computed_from(lead, enrichment, &sender_facts(lead))
    }

    /// Same as [`computed`](Self::computed), with the sender's facts already extracted.
    pub(crate) fn computed_from(
        &self,
        lead: &Lead,
        enrichment: &Enrichment,
        sent: &FactSheet,
    ) -> Map<String, Value> {
        let mut facts = Map::new();
        facts.insert("icp_version".into(), self.version().into());

        let id = lead.campaign_id.as_str();
        let campaign = self
            .campaigns
            .iter()
            .find(|c| c.ids.iter().any(|pattern| pattern.matches(id) && (is_label(id) || pattern.is_any())));
        let mailbox = Mailbox::of(lead.email.domain());
        let stealth = mailbox == Mailbox::Private
            && campaign.is_some_and(|campaign| campaign.high_value)
            && self.executive_stealth.is_authority(lead.email.local_part());
        facts.insert("mailbox".into(), mailbox.as_str().into());
        facts.insert("executive_stealth".into(), stealth.into());

        let mut fit = Points::of(&mut facts);
        self.company(enrichment.found(), &mut fit);
        fit.add(
            "mailbox_points",
            match mailbox {
                Mailbox::Corporate => 0,
                Mailbox::Private => -i64::from(self.mailbox.private_penalty),
                Mailbox::Disposable => -i64::from(self.mailbox.disposable_penalty),
            },
        );
        fit.add("stealth_fit_points", if stealth { self.executive_stealth.fit_points.into() } else { 0 });
        let fit = fit.sum;
        facts.insert("baseline_score".into(), FitScore::clamped(fit).get().into());

        let mut intent = Points::of(&mut facts);
        self.person(lead, sent, &mut intent);
        intent.matched("campaign_tier", "campaign_points", campaign.map(|c| (c.tier.text(), c.points)));
        intent.add(
            "stealth_intent_points",
            if stealth { self.executive_stealth.intent_points.into() } else { 0 },
        );
        let intent = intent.sum.clamp(0, 100);
        facts.insert("intent_score".into(), intent.into());
        facts.insert("intent_level".into(), self.intent_level(intent).as_str().into());
        let matched = self.matched_facts(enrichment.found(), sent, &facts);
        if !matched.is_empty() {
            facts.insert("matched_facts".into(), Value::Object(matched));
        }
        if let Some(relation) = CompanyDomain::of(lead, enrichment.found()) {
            facts.insert("company_domain".into(), relation.as_str().into());
        }
        if domain::mixes_scripts(lead.email.domain()) {
            facts.insert("domain_mixes_scripts".into(), true.into());
        }
        let opted_out = opt_outs(lead);
        if !opted_out.is_empty() {
            facts.insert("opted_out".into(), json!(opted_out));
        }
        facts
    }

    fn company(&self, company: Option<&Firmographics>, fit: &mut Points) {
        let industry =
            company.and_then(|company| company.industry.as_deref()).filter(|name| is_label(name)).map(fold);
        let industry =
            self.industries.iter().find(|i| industry.as_deref().is_some_and(|name| i.is_called(name)));
        fit.matched("industry_match", "industry_points", industry.map(|i| (i.name.text(), i.points)));

        // A band counts by its lower end: the company has at least that many employees.
        let size = company
            .and_then(|company| company.employee_count.or(company.employee_range.map(|range| range.min)));
        let size = size.and_then(|size| {
            self.size_bands.iter().find(|band| band.min <= size && band.max.is_none_or(|max| size <= max))
        });
        fit.matched("size_band", "size_points", size.map(|band| (band.name.text(), band.points)));

        let country = company.and_then(|company| company.country.as_ref());
        let geo = self.geos.iter().find(|geo| country.is_some_and(|country| geo.countries.contains(country)));
        fit.matched("geo_match", "geo_points", geo.map(|geo| (geo.name.text(), geo.points)));

        let used: Vec<(&str, String)> = company
            .into_iter()
            .flat_map(|company| company.technologies.iter().take(Firmographics::MAX_TECHNOLOGIES))
            .filter(|technology| is_label(technology))
            .map(|technology| (technology.as_str(), fold(technology)))
            .collect();
        let mut words = Vec::new();
        let mut points = 0;
        for wanted in &self.technologies {
            if let Some((word, _)) = used.iter().find(|(_, folded)| wanted.is_called(folded)) {
                words.push(*word);
                points += i64::from(wanted.points);
            }
        }
        fit.list("tech_match", &words);
        fit.add("tech_points", points.min(self.technology_max_points.into()));
    }

    fn person(&self, lead: &Lead, sent: &FactSheet, intent: &mut Points) {
        let engagement = self.engagement.level(sent);
        intent.matched(
            "engagement_level",
            "engagement_points",
            engagement.map(|(level, _)| (level.as_str(), self.engagement.points(level))),
        );
        let fired = || self.signals.iter().filter(|signal| signal.fired_by(sent).is_some());
        intent.list("signals", &fired().map(|signal| signal.name.text()).collect::<Vec<_>>());
        intent.add("signal_points", fired().map(|signal| i64::from(signal.points)).sum());
        let title = lead.title.as_deref().and_then(|title| self.title_level(title));
        intent.matched("title_level", "title_points", title);
    }

    /// The level and points of a job title, from the longest phrase that it contains.
    fn title_level(&self, title: &str) -> Option<(&str, u8)> {
        if !is_title(title) {
            return None;
        }
        let title = fold(title);
        if self.title_exclusions.words.iter().any(|word| holds_phrase(&title, word.folded())) {
            return None;
        }
        let phrases =
            self.titles.iter().flat_map(|level| level.phrases.iter().map(move |phrase| (level, phrase)));
        // Among phrases of the same length the first one in the file wins; `max_by_key` returns the last.
        let (level, _) = phrases
            .rev()
            .filter(|(_, phrase)| {
                holds_phrase(&title, phrase.folded()) && !is_another_persons(&title, phrase.folded())
            })
            .max_by_key(|(_, phrase)| phrase.folded().split(' ').count())?;
        Some((level.level.text(), level.points))
    }

    fn intent_level(&self, score: i64) -> Intent {
        if score >= self.intent.high_from.into() {
            Intent::High
        } else if score >= self.intent.medium_from.into() {
            Intent::Medium
        } else {
            Intent::Low
        }
    }
}

/// Sums points and records each of them as a fact.
struct Points<'a> {
    facts: &'a mut Map<String, Value>,
    sum: i64,
}

impl<'a> Points<'a> {
    fn of(facts: &'a mut Map<String, Value>) -> Self {
        Self { facts, sum: 0 }
    }

    fn add(&mut self, fact: &str, points: i64) {
        self.facts.insert(fact.to_owned(), points.into());
        self.sum += points;
    }

    /// Adds the name and the points of a match; without a match only the points, which are 0.
    fn matched(&mut self, name_fact: &str, points_fact: &str, matched: Option<(&str, u8)>) {
        if let Some((name, _)) = matched {
            self.facts.insert(name_fact.to_owned(), name.into());
        }
        self.add(points_fact, matched.map_or(0, |(_, points)| points.into()));
    }

    fn list(&mut self, fact: &str, names: &[&str]) {
        if !names.is_empty() {
            self.facts.insert(fact.to_owned(), json!(names));
        }
    }
}
