//! The posts of a campaign, and their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use enrichment::{EnrichmentProvider as _, Fixtures};
use lead::{CampaignId, EmailAddress, LeadId};
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::body::Style;
use super::lead::{Company, generator, invent, revise};

/// Maximum distance between two posts of a lead, in posts.
const MAX_DISTANCE: u64 = 50;

/// Purposes of random numbers. Each has its own generator, so that more duplicates do not change the leads.
mod purpose {
    pub(super) const CONTENT: u64 = 1;
    pub(super) const STYLE: u64 = 2;
    pub(super) const REVISION: u64 = 3;
    pub(super) const SCHEDULE: u64 = 4;
}

/// The parameters of a campaign.
pub(super) struct Settings {
    pub(super) leads: u32,
    /// Per cent of the leads.
    pub(super) duplicates: u32,
    /// Per cent of the leads.
    pub(super) revisions: u32,
    pub(super) seed: u64,
    pub(super) campaign: CampaignId,
}

/// The kind of a post among those of its lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    First,
    /// Repeats the previous post, which is the first or the revision.
    Duplicate,
    Revision,
}

/// One request to make.
pub(super) struct Post {
    pub(super) lead_id: LeadId,
    pub(super) kind: Kind,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Resolves when the lead's previous post has ended. This post waits for it.
    pub(super) after: Option<oneshot::Receiver<()>>,
    /// Dropped when this post has ended, which releases the lead's next post.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// An iterator over the posts of a campaign. It creates them on demand, so that a million leads take no more
/// memory than a hundred.
pub(super) struct Campaign {
    settings: Settings,
    known: Vec<Company>,
    next_lead: u32,
    position: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The receivers of the waiting posts, by lead.
    links: std::collections::HashMap<u32, oneshot::Receiver<()>>,
}

/// A later post of a lead, with the position from which on it is due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: u64,
    lead: u32,
    kind: Kind,
    then: Option<Kind>,
}

impl Campaign {
    pub(super) async fn new(settings: Settings) -> Self {
        let (waiting, links) = (BinaryHeap::new(), std::collections::HashMap::new());
        Self { settings, known: known_companies().await, next_lead: 0, position: 0, waiting, links }
    }

    /// Total number of posts.
    pub(super) fn posts(&self) -> u64 {
        (0..self.settings.leads).map(|lead| 1 + self.further(lead).0.iter().flatten().count() as u64).sum()
    }

    /// The posts after the first one of a lead, in order, and the generator after drawing them.
    fn further(&self, lead: u32) -> ([Option<Kind>; 2], Xoshiro256PlusPlus) {
        let mut random = generator(self.settings.seed, lead, purpose::SCHEDULE);
        let mut drawn = |percent, kind| (random.random_range(0..100) < percent).then_some(kind);
        let duplicate = drawn(self.settings.duplicates, Kind::Duplicate);
        let revision = drawn(self.settings.revisions, Kind::Revision);
        let kinds = if random.random_bool(0.5) { [duplicate, revision] } else { [revision, duplicate] };
        (kinds, random)
    }

    fn post(&mut self, lead: u32, kind: Kind, next: Option<(Kind, Option<Kind>, u64)>) -> Option<Post> {
        let seed = self.settings.seed;
        let campaign = self.settings.campaign.as_str();
        let mut fields = invent(&mut generator(seed, lead, purpose::CONTENT), lead, campaign, &self.known);
        // A duplicate repeats the previous post, which may be the revision.
        let is_revised = kind == Kind::Revision
            || (kind == Kind::Duplicate && self.further(lead).0 == [Some(Kind::Revision), Some(kind)]);
        if is_revised {
            revise(&mut generator(seed, lead, purpose::REVISION), &mut fields);
        }
        let lead_id = LeadId::derive(&email(&fields)?, &self.settings.campaign);
        let style = Style::draw(&mut generator(seed, lead, purpose::STYLE));
        let after = self.links.remove(&lead);
        let done = next.map(|(kind, then, distance)| {
            let (done, after) = oneshot::channel();
            self.links.insert(lead, after);
            self.waiting.push(Reverse(Waiting { due: self.position + distance, lead, kind, then }));
            done
        });
        self.position += 1;
        Some(Post {
            lead_id,
            kind,
            content_type: style.content_type(),
            body: style.write(fields),
            after,
            done,
        })
    }
}

impl Iterator for Campaign {
    type Item = Post;

    fn next(&mut self) -> Option<Post> {
        let is_due = |Reverse(waiting): &Reverse<Waiting>| waiting.due <= self.position;
        let all_begun = self.next_lead == self.settings.leads;
        if self.waiting.peek().is_some_and(|first| all_begun || is_due(first)) {
            let Reverse(Waiting { lead, kind, then, .. }) = self.waiting.pop()?;
            let distance = self.further(lead).1.random_range(1..=MAX_DISTANCE);
            return self.post(lead, kind, then.map(|then| (then, None, distance)));
        }
        if all_begun {
            return None;
        }
        let lead = self.next_lead;
        self.next_lead += 1;
        let (kinds, mut random) = self.further(lead);
        let mut kinds = kinds.into_iter().flatten();
        let distance = random.random_range(1..=MAX_DISTANCE);
        let next = kinds.next().map(|kind| (kind, kinds.next(), distance));
        self.post(lead, Kind::First, next)
    }
}

/// Returns `None` for an invalid address. The invented ones are valid, as a test checks.
fn email(fields: &Map<String, Value>) -> Option<EmailAddress> {
    EmailAddress::parse(fields.get("email")?.as_str()?).ok()
}

/// The companies of the enrichment fixtures, in a stable order.
async fn known_companies() -> Vec<Company> {
    let fixtures = Fixtures::built_in();
    let mut companies = Vec::new();
    for domain in fixtures.domains() {
        let company = fixtures.company(domain).await.ok().flatten();
        let name = company.and_then(|company| company.name).unwrap_or_else(|| domain.to_owned());
        companies.push(Company { domain: domain.to_owned(), name });
    }
    companies.sort_unstable_by(|a, b| a.domain.cmp(&b.domain));
    companies
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use enrichment::Mailbox;
    use intake::parse_lead;

    use super::*;

    async fn posts(leads: u32, duplicates: u32, revisions: u32, seed: u64) -> Vec<Post> {
        let campaign = CampaignId::parse("launch_test").unwrap();
        let settings = Settings { leads, duplicates, revisions, seed, campaign };
        let campaign = Campaign::new(settings).await;
        let expected = campaign.posts();
        let posts: Vec<_> = campaign.collect();
        assert_eq!(posts.len() as u64, expected);
        posts
    }

    #[tokio::test]
    async fn webhook_accepts_every_lead_under_the_announced_id() {
        let posts = posts(1_000, 20, 20, 7).await;
        let mut ids = HashSet::new();
        for post in &posts {
            let lead = parse_lead(&post.body).unwrap();
            assert_eq!(lead.id(), post.lead_id);
            if post.kind == Kind::First {
                assert!(ids.insert(post.lead_id.clone()), "two leads with one id");
            }
        }
        assert_eq!(ids.len(), 1_000);
    }

    #[tokio::test]
    async fn posts_depend_on_the_seed_alone() {
        let bodies = |posts: Vec<Post>| posts.into_iter().map(|post| post.body).collect::<Vec<_>>();
        let first = bodies(posts(200, 10, 10, 1).await);
        assert_eq!(first, bodies(posts(200, 10, 10, 1).await));
        assert_ne!(first, bodies(posts(200, 10, 10, 2).await));
    }

    #[tokio::test]
    async fn duplicate_repeats_the_previous_post() {
        let mut last = HashMap::new();
        let (mut duplicates, mut revisions) = (0, 0);
        for post in posts(1_000, 30, 30, 3).await {
            let content = parse_lead(&post.body).unwrap().content_hash();
            let before = last.insert(post.lead_id, content.clone());
            assert_eq!(post.after.is_some(), before.is_some());
            match post.kind {
                Kind::First => assert_eq!(before, None),
                Kind::Duplicate => {
                    assert_eq!(before, Some(content));
                    duplicates += 1;
                }
                Kind::Revision => {
                    assert!(before.is_some_and(|before| before != content));
                    revisions += 1;
                }
            }
        }
        assert!((250..350).contains(&duplicates), "{duplicates} of 1000 for 30 %");
        assert!((250..350).contains(&revisions), "{revisions} of 1000 for 30 %");
    }

    #[tokio::test]
    async fn post_waits_for_the_previous_one_of_its_lead() {
        let mut ends = HashMap::new();
        for post in posts(300, 50, 50, 5).await {
            if let Some(mut after) = post.after {
                let end: oneshot::Sender<()> =
                    ends.remove(&post.lead_id).expect("an earlier post of the lead");
                assert!(after.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
                drop(end);
                assert!(after.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
            }
            ends.extend(post.done.map(|done| (post.lead_id.clone(), done)));
        }
        assert!(ends.is_empty(), "every announced post is made");
    }

    #[tokio::test]
    async fn campaign_is_mixed_and_no_account_dominates() {
        let mut accounts: HashMap<String, u32> = HashMap::new();
        let (mut private, mut reserved, mut forms) = (0, 0, 0);
        for post in posts(2_000, 0, 0, 11).await {
            let lead = parse_lead(&post.body).unwrap();
            let domain = lead.email.domain();
            match Mailbox::of(domain) {
                Mailbox::Corporate => *accounts.entry(domain.to_owned()).or_default() += 1,
                _ => private += 1,
            }
            reserved += u32::from(domain.ends_with(".example"));
            forms += u32::from(post.content_type != "application/json");
        }
        assert!((400..600).contains(&private), "{private} private mailboxes");
        assert!(reserved > 500, "{reserved} reserved domains");
        assert!((120..280).contains(&forms), "{forms} forms");
        let largest = accounts.values().max().copied().unwrap_or_default();
        assert!(largest <= 40, "{largest} of 2000 leads on one account");
    }
}
