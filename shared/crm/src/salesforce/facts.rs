use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use lead::{Failure, FailureClass};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::Instant;

use super::Salesforce;
use super::api::{Api, Call, Response};
use super::describe::text_of;
use super::errors::Meaning;
use super::shared::interrupted;
use crate::lanes::{Lanes, Pacer};
use crate::{About, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity, Object, ObjectMapping};

/// How long account searches pause after a failed one.
const ACCOUNT_SEARCH_PAUSE: Duration = Duration::from_mins(10);
/// The maximum number of leads whose facts are read in one composite call.
const MAX_PEOPLE: usize = 20;
/// The maximum length of the search for accounts, percent-encoded. A path may have 16,384 bytes.
const MAX_SEARCH: usize = 14_000;

/// The end of the pause of account searches by website, if there is one.
#[derive(Default)]
struct AccountSearch(Mutex<Option<Instant>>);

impl AccountSearch {
    fn is_available(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= Instant::now())
    }

    fn pause(&self, code: &str) {
        tracing::warn!(code, "Salesforce account search by website failed, paused for 10 minutes");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + ACCOUNT_SEARCH_PAUSE);
    }
}

/// The queries for facts, which leads share.
pub(super) struct Facts {
    queries: Arc<Queries>,
    people: Lanes<(), u64, Person, Result<Found, Failure>>,
    deals: Lanes<(), u64, Related, Result<Deals, Failure>>,
    last: AtomicU64,
}

/// Sends the queries of a batch of leads.
struct Queries {
    api: Arc<Api>,
    accounts: AccountSearch,
    /// The timeout of the composite call with the account search.
    account_wait: Duration,
}

/// A lead to look up. `key` is the name of the external id field of leads.
#[derive(Clone)]
struct Person {
    about: About,
    key: String,
}

/// The records of a person and a company.
#[derive(Clone, Default)]
struct Found {
    own: Option<Value>,
    lead: Option<Value>,
    contact: Option<Value>,
    account: Option<Value>,
    account_unread: bool,
}

/// The records whose open opportunities are read.
#[derive(Clone, Default)]
struct Related {
    accounts: Vec<String>,
    contact: Option<String>,
    /// The account to read as well.
    read_account: Option<String>,
}

/// Open opportunities, those of the accounts first, and the account that was read.
#[derive(Clone, Default)]
struct Deals {
    opportunities: Vec<Value>,
    account: Option<Value>,
}

impl Facts {
    pub(super) fn new(api: Arc<Api>, account_wait: Duration) -> Self {
        let pacer = || -> Arc<dyn Pacer> { Arc::clone(&api) as _ };
        Self {
            people: Lanes::new(MAX_PEOPLE, pacer()),
            deals: Lanes::new(MAX_PEOPLE, pacer()),
            queries: Arc::new(Queries { api, accounts: AccountSearch::default(), account_wait }),
            last: AtomicU64::new(0),
        }
    }

    async fn find(&self, person: Person) -> Result<Found, Failure> {
        let queries = Arc::clone(&self.queries);
        let run = move |(), people: Vec<Person>| {
            let queries = Arc::clone(&queries);
            async move { queries.people(&people).await }.boxed()
        };
        self.people.call((), self.next_key(), person, run).await.unwrap_or_else(|lost| Err(interrupted(lost)))
    }

    async fn deals(&self, related: Related) -> Result<Deals, Failure> {
        let queries = Arc::clone(&self.queries);
        let run = move |(), related: Vec<Related>| {
            let queries = Arc::clone(&queries);
            async move { queries.deals(&related).await }.boxed()
        };
        self.deals.call((), self.next_key(), related, run).await.unwrap_or_else(|lost| Err(interrupted(lost)))
    }

    fn next_key(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed)
    }
}

impl Salesforce {
    /// Reads the facts about a person and a company in one call, and in a second one if there is a contact or
    /// an account: their opportunities. An account search that times out costs another.
    pub(super) async fn known(&self, about: &About) -> Result<Known, Failure> {
        let key = self.mapping.object(Object::Lead).map_or("RevenueFlow_Id__c", ObjectMapping::external_id);
        let person = Person { about: about.clone(), key: key.to_owned() };
        let Found { own, lead, contact, mut account, account_unread } = self.facts.find(person).await?;
        let of_contact = contact.as_ref().and_then(|contact| text_of(contact, "AccountId"));
        let account_id = account.as_ref().and_then(|account| text_of(account, "Id"));
        let related = Related {
            accounts: [&account_id, &of_contact].into_iter().flatten().cloned().collect(),
            contact: contact.as_ref().and_then(|contact| text_of(contact, "Id")),
            read_account: of_contact.filter(|_| account.is_none()),
        };
        let mut deals = Deals::default();
        if !related.accounts.is_empty() || related.contact.is_some() {
            deals = self.facts.deals(related).await?;
            account = account.or(deals.account);
        }
        let account_unread = account_unread && account.is_none();
        Ok(Known {
            account_unread,
            lead: lead.map(|lead| known_lead(&lead, key)),
            own: own.map(|lead| Box::new(known_lead(&lead, key))),
            contact: contact
                .map(|contact| KnownContact { owner_id: text_of(&contact, "OwnerId"), stage: None }),
            account: account.map(|account| KnownAccount {
                owner_id: text_of(&account, "OwnerId"),
                kind: text_of(&account, "Type"),
            }),
            open_opportunities: open_opportunities(&deals.opportunities),
        })
    }
}

impl Queries {
    /// The records of people and their companies, in as few calls as the length of the queries allows.
    async fn people(&self, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let (mut results, mut left) = (Vec::with_capacity(people.len()), people);
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(fitting(left));
            match self.chunk(chunk).await {
                Ok(found) => results.extend(found.into_iter().map(Ok)),
                // One lead's values may be the reason.
                Err(failure) if failure.class() == FailureClass::Permanent && chunk.len() > 1 => {
                    for person in chunk {
                        let found = self.chunk(std::slice::from_ref(person)).await;
                        results.push(found.map(|mut found| found.pop().unwrap_or_default()));
                    }
                }
                Err(failure) => results.extend(chunk.iter().map(|_| Err(failure.clone()))),
            }
            left = rest;
        }
        results
    }

    async fn chunk(&self, people: &[Person]) -> Result<Vec<Found>, Failure> {
        let Some(first) = people.first() else { return Ok(Vec::new()) };
        let key = first.key.as_str();
        let keys = list(people.iter().map(|person| person.about.lead_id.as_str()));
        let emails = list(people.iter().map(|person| person.about.email.expose()));
        let newest = "ORDER BY LastModifiedDate DESC";
        let lead =
            format!("SELECT Id, Email, Status, OwnerId, CreatedById, IsConverted, {key} FROM Lead WHERE");
        let queries = vec![
            format!("{lead} {key} IN ({keys})"),
            format!("{lead} Email IN ({emails}) {newest}"),
            format!("SELECT Id, Email, OwnerId, AccountId FROM Contact WHERE Email IN ({emails}) {newest}"),
        ];
        let sites: Vec<String> =
            people.iter().filter_map(|person| Some(websites(person.domain()?))).collect();
        let account = (!sites.is_empty()).then(|| {
            let sites = sites.join(", ");
            format!("SELECT Id, Website, OwnerId, Type FROM Account WHERE Website IN ({sites}) {newest}")
        });
        let (found, account_unread) = self.query_with_account(queries, account).await?;
        let [own, leads, contacts, accounts] = std::array::from_fn(|index| found.get(index).cloned());
        let first_of = |records: &Option<Vec<Value>>, is_of: &dyn Fn(&Value) -> bool| {
            records.iter().flatten().find(|record| is_of(record)).cloned()
        };
        let of = |person: &Person| {
            let has = |record: &Value, field: &str, value: &str| {
                text_of(record, field).is_some_and(|held| held.to_lowercase() == value.to_lowercase())
            };
            let email = person.about.email.expose();
            let is_of_domain = |record: &Value| {
                let site = text_of(record, "Website").unwrap_or_default();
                person.domain().is_some_and(|domain| is_website(&site, domain))
            };
            Found {
                own: first_of(&own, &|record| has(record, key, person.about.lead_id.as_str())),
                lead: first_of(&leads, &|record| has(record, "Email", email)),
                contact: first_of(&contacts, &|record| has(record, "Email", email)),
                account: first_of(&accounts, &is_of_domain),
                account_unread: account_unread && person.domain().is_some(),
            }
        };
        Ok(people.iter().map(of).collect())
    }

    /// The open opportunities of each lead's records.
    async fn deals(&self, related: &[Related]) -> Vec<Result<Deals, Failure>> {
        match self.deals_of_all(related).await {
            Ok(deals) => deals.into_iter().map(Ok).collect(),
            Err(failure) => related.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn deals_of_all(&self, related: &[Related]) -> Result<Vec<Deals>, Failure> {
        let select = "SELECT Id, StageName, Amount, AccountId FROM Opportunity WHERE IsClosed = false AND";
        let newest = "ORDER BY LastModifiedDate DESC";
        let accounts = list(related.iter().flat_map(|one| one.accounts.iter().map(String::as_str)));
        let contacts = list(related.iter().filter_map(|one| one.contact.as_deref()));
        let to_read = list(related.iter().filter_map(|one| one.read_account.as_deref()));
        let roles = |field: &str| {
            format!("SELECT {field} FROM OpportunityContactRole WHERE ContactId IN ({contacts})")
        };
        let queries: Vec<Option<String>> = vec![
            (!accounts.is_empty()).then(|| format!("{select} AccountId IN ({accounts}) {newest}")),
            (!contacts.is_empty()).then(|| format!("{select} Id IN ({}) {newest}", roles("OpportunityId"))),
            (!contacts.is_empty()).then(|| roles("OpportunityId, ContactId")),
            (!to_read.is_empty())
                .then(|| format!("SELECT Id, OwnerId, Type FROM Account WHERE Id IN ({to_read})")),
        ];
        let mut found = self.query(&queries.iter().flatten().cloned().collect::<Vec<_>>()).await?.into_iter();
        let mut next = |query: &Option<String>| query.as_ref().and_then(|_| found.next()).unwrap_or_default();
        let [of_accounts, of_contacts, roles, accounts] =
            std::array::from_fn(|index| queries.get(index).map(&mut next).unwrap_or_default());
        let is = |record: &Value, field: &str, id: &str| text_of(record, field).as_deref() == Some(id);
        let of = |one: &Related| {
            let of_accounts =
                of_accounts.iter().filter(|deal| one.accounts.iter().any(|id| is(deal, "AccountId", id)));
            let is_in_role = |deal: &&Value| {
                roles.iter().any(|role| {
                    one.contact.as_ref().is_some_and(|contact| is(role, "ContactId", contact))
                        && text_of(role, "OpportunityId") == text_of(deal, "Id")
                })
            };
            let of_contact = of_contacts.iter().filter(is_in_role);
            let account = accounts
                .iter()
                .find(|account| one.read_account.as_ref().is_some_and(|id| is(account, "Id", id)));
            Deals {
                opportunities: of_accounts.chain(of_contact).cloned().collect(),
                account: account.cloned(),
            }
        };
        Ok(related.iter().map(of).collect())
    }

    /// Runs the queries about people and the one about accounts. Returns their records, those of the accounts
    /// last, and whether the accounts could not be read.
    ///
    /// `Website` has no index, so the query may time out in an org with many accounts. Then the accounts stay
    /// unknown and account searches pause for [`ACCOUNT_SEARCH_PAUSE`]. This does not count as a failure of
    /// the CRM, which answers all other calls.
    async fn query_with_account(
        &self,
        people: Vec<String>,
        account: Option<String>,
    ) -> Result<(Vec<Vec<Value>>, bool), Failure> {
        let Some(account) = account else { return Ok((self.query(&people).await?, false)) };
        if !self.accounts.is_available() {
            return Ok((self.query(&people).await?, true));
        }
        let queries: Vec<String> = people.iter().cloned().chain([account]).collect();
        let calls = self.calls(&queries);
        let responses = tokio::time::timeout(self.account_wait, self.api.composite(&calls)).await;
        let Ok(responses) = responses else {
            let found = self.query(&people).await?;
            self.accounts.pause("timeout");
            return Ok((found, true));
        };
        let mut responses = responses?;
        let account = responses.pop().map(records);
        let mut found = responses.into_iter().map(records).collect::<Result<Vec<_>, _>>()?;
        let account_unread = match account {
            Some(Ok(account)) => {
                found.push(account);
                false
            }
            Some(Err(failure)) if failure.class() == FailureClass::Deferral => return Err(failure),
            Some(Err(failure)) => {
                self.accounts.pause(&failure.code);
                true
            }
            None => true,
        };
        Ok((found, account_unread))
    }

    fn calls(&self, queries: &[String]) -> Vec<Call> {
        let call = |query: &String| {
            let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
            Call::get(format!("{}/query?q={query}", self.api.base))
        };
        queries.iter().map(call).collect()
    }

    /// Returns the records of each query. A query for an object or a field that is not visible returns none.
    async fn query(&self, queries: &[String]) -> Result<Vec<Vec<Value>>, Failure> {
        let responses = self.api.composite(&self.calls(queries)).await?;
        responses.into_iter().map(records).collect()
    }
}

impl Person {
    fn domain(&self) -> Option<&str> {
        self.about.company_domain.as_deref()
    }
}

/// The number of people, from the first, whose account search is short enough; at least one.
fn fitting(people: &[Person]) -> usize {
    let mut length = 0;
    let fits = people.iter().take_while(|person| {
        let sites = person.domain().map(websites).unwrap_or_default();
        length += utf8_percent_encode(&sites, NON_ALPHANUMERIC).map(str::len).sum::<usize>();
        length <= MAX_SEARCH
    });
    fits.count().clamp(1, MAX_PEOPLE)
}

/// A list of SOQL literals.
fn list<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut values: Vec<String> = values.map(quoted).collect();
    values.sort_unstable();
    values.dedup();
    values.join(", ")
}

/// Converts a lead record. A lead with an external id that its creator owns has no owner yet: the creator is
/// the integration's user.
fn known_lead(lead: &Value, key: &str) -> KnownLead {
    let owner = text_of(lead, "OwnerId");
    let is_ours = text_of(lead, key).is_some();
    let is_taken = !is_ours || owner != text_of(lead, "CreatedById");
    KnownLead {
        status: text_of(lead, "Status"),
        owner_id: owner.filter(|_| is_taken),
        converted: lead["IsConverted"] == true,
    }
}

/// The records of a query's response; none if the query was refused for a missing right or field.
pub(super) fn records(response: Response) -> Result<Vec<Value>, Failure> {
    match response.success() {
        Ok(mut body) => Ok(body["records"].as_array_mut().map(std::mem::take).unwrap_or_default()),
        Err(refusal) if refusal.meaning == Meaning::Access => {
            tracing::warn!(code = %refusal.failure.code, "Salesforce query refused");
            Ok(Vec::new())
        }
        Err(refusal) => Err(refusal.failure),
    }
}

/// The opportunities without duplicates, those of the account first.
fn open_opportunities(found: &[Value]) -> Vec<KnownOpportunity> {
    let mut seen = Vec::new();
    let mut opportunities = Vec::new();
    for record in found {
        let (Some(id), Some(stage)) = (text_of(record, "Id"), text_of(record, "StageName")) else {
            continue;
        };
        if opportunities.len() < Known::MAX_OPPORTUNITIES && !seen.contains(&id) {
            seen.push(id);
            opportunities.push(KnownOpportunity { stage, amount: record["Amount"].as_f64() });
        }
    }
    opportunities
}

/// The usual spellings of a company's website. Exact values match no other company.
fn spellings(domain: &str) -> impl Iterator<Item = String> {
    let schemes = ["", "http://", "https://"].into_iter();
    let hosts = schemes.flat_map(|scheme| ["", "www."].map(|host| (scheme, host)));
    hosts.flat_map(move |(scheme, host)| ["", "/"].map(|end| format!("{scheme}{host}{domain}{end}")))
}

/// The usual spellings of a company's website, as a list of SOQL literals.
fn websites(domain: &str) -> String {
    spellings(domain).map(|site| quoted(&site)).collect::<Vec<_>>().join(", ")
}

/// Whether a website is one of those spellings. SOQL compares without case.
fn is_website(site: &str, domain: &str) -> bool {
    let site = site.to_lowercase();
    spellings(&domain.to_lowercase()).any(|spelling| spelling == site)
}

/// Quotes and escapes a text as a SOQL string literal.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_cannot_end_its_literal() {
        assert_eq!(quoted(r"o'brien\' OR Id != ''"), r"'o\'brien\\\' OR Id != \'\''");
        assert_eq!(quoted("a\nb"), r"'a\nb'");
        assert_eq!(websites("x.io").matches("x.io").count(), 12);
    }
}
