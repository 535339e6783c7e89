//! Facts about a person and a company, read from Salesforce before the analysis.

mod queries;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use lead::Failure;
use serde_json::Value;

use self::queries::{Deals, Found, Person, Queries, Related};
use super::Salesforce;
use super::api::{Api, Response};
use super::describe::text_of;
use super::errors::Meaning;
use super::shared::interrupted;
use crate::lanes::{Lanes, Pacer};
use crate::{About, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity, Object, ObjectMapping};

/// The maximum number of leads whose facts are read in one composite call.
const MAX_PEOPLE: usize = 20;
/// The queries for facts, which leads share.
pub(super) struct Facts {
    queries: Arc<Queries>,
    people: Lanes<(), u64, Person, Result<Found, Failure>>,
    deals: Lanes<(), u64, Related, Result<Deals, Failure>>,
    last: AtomicU64,
}

impl Facts {
    pub(super) fn new(api: Arc<Api>, account_wait: Duration) -> Self {
        let pacer = || -> Arc<dyn Pacer> { Arc::clone(&api) as _ };
        Self {
            people: Lanes::new(MAX_PEOPLE, pacer()),
            deals: Lanes::new(MAX_PEOPLE, pacer()),
            queries: Arc::new(Queries::new(api, account_wait)),
            last: AtomicU64::new(0),
        }
    }

    async fn find(&self, person: Person) -> Result<Found, Failure> {
        let queries = Arc::clone(&self.queries);
        let run = move |(), people: Vec<Person>| {
            let queries = Arc::clone(&queries);
            async move { queries.people(&people).await }.boxed()
        };
        self.people
            .call((), self.next_key(), person, run)
            .await
            .unwrap_or_else(|lost| Err(interrupted(&lost)))
    }

    async fn deals(&self, related: Related) -> Result<Deals, Failure> {
        let queries = Arc::clone(&self.queries);
        let run = move |(), related: Vec<Related>| {
            let queries = Arc::clone(&queries);
            async move { queries.deals(&related).await }.boxed()
        };
        self.deals
            .call((), self.next_key(), related, run)
            .await
            .unwrap_or_else(|lost| Err(interrupted(&lost)))
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
    }
}
