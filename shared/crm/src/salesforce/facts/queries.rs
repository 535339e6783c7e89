//! The queries for the facts of several leads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lead::{Failure, FailureClass};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::Instant;

use super::{MAX_PEOPLE, quoted, records};
use crate::About;
use crate::salesforce::api::{Api, Call};
use crate::salesforce::describe::text_of;

/// How long account searches pause after a failed one.
const ACCOUNT_SEARCH_PAUSE: Duration = Duration::from_mins(10);
/// The maximum length of the search for accounts, percent-encoded. A path may have 16,384 bytes.
const MAX_SEARCH: usize = 14_000;

/// The maximum number of records that a query returns at once.
const PAGE: usize = 2_000;

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

/// Sends the queries of a batch of leads.
pub(super) struct Queries {
    api: Arc<Api>,
    accounts: AccountSearch,
    /// The timeout of the composite call with the account search.
    account_wait: Duration,
}

/// A lead to look up. `key` is the name of the external id field of leads.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) about: About,
    pub(super) key: String,
}

/// The records of a person and a company.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) own: Option<Value>,
    pub(super) lead: Option<Value>,
    pub(super) contact: Option<Value>,
    pub(super) account: Option<Value>,
    pub(super) account_unread: bool,
}

/// The records whose open opportunities are read.
#[derive(Clone, Default)]
pub(super) struct Related {
    pub(super) accounts: Vec<String>,
    pub(super) contact: Option<String>,
    /// The account to read as well.
    pub(super) read_account: Option<String>,
}

/// Open opportunities, those of the accounts first, and the account that was read.
#[derive(Clone, Default)]
pub(super) struct Deals {
    pub(super) opportunities: Vec<Value>,
    pub(super) account: Option<Value>,
}

impl Queries {
    pub(super) fn new(api: Arc<Api>, account_wait: Duration) -> Self {
        Self { api, accounts: AccountSearch::default(), account_wait }
    }

    /// The records of people and their companies, in as few calls as the length of the queries allows.
    pub(super) async fn people(&self, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let (mut results, mut left) = (Vec::with_capacity(people.len()), people);
        while !left.is_empty() {
            let (chunk, rest) = left.split_at(fitting(left));
            match self.chunk(chunk).await {
                Ok(Some(found)) => results.extend(found.into_iter().map(Ok)),
                Ok(None) => results.extend(self.one_by_one(chunk).await),
                // One lead's values may be the reason.
                Err(failure) if failure.class() == FailureClass::Permanent && chunk.len() > 1 => {
                    results.extend(self.one_by_one(chunk).await);
                }
                Err(failure) => results.extend(chunk.iter().map(|_| Err(failure.clone()))),
            }
            left = rest;
        }
        results
    }

    async fn one_by_one(&self, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let mut results = Vec::with_capacity(people.len());
        for person in people {
            let found = self.chunk(std::slice::from_ref(person)).await;
            results.push(found.map(|found| found.and_then(|mut found| found.pop()).unwrap_or_default()));
        }
        results
    }

    /// The records of people and their companies in one call. None if several people have more records than a
    /// query returns at once: the newest of each may not be among them.
    async fn chunk(&self, people: &[Person]) -> Result<Option<Vec<Found>>, Failure> {
        let Some(first) = people.first() else { return Ok(None) };
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
        if people.len() > 1 && found.iter().any(|records| records.len() >= PAGE) {
            return Ok(None);
        }
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
        Ok(Some(people.iter().map(of).collect()))
    }

    /// The open opportunities of each lead's records.
    pub(super) async fn deals(&self, related: &[Related]) -> Vec<Result<Deals, Failure>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_of_a_website_match_and_no_other() {
        assert_eq!(websites("x.io").matches("x.io").count(), 12);
        assert!(is_website("HTTPS://www.X.io/", "x.io") && !is_website("notx.io", "x.io"));
    }
}
