use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lead::{Failure, FailureClass};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::Instant;

use super::Salesforce;
use super::api::{Call, Response};
use super::describe::text_of;
use super::errors::Meaning;
use crate::{About, Known, KnownAccount, KnownContact, KnownLead, KnownOpportunity, Object, ObjectMapping};

/// How long account searches pause after a failed one.
const ACCOUNT_SEARCH_PAUSE: Duration = Duration::from_mins(10);

/// The end of the pause of account searches by website, if there is one.
#[derive(Default)]
pub(super) struct AccountSearch(Mutex<Option<Instant>>);

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

impl Salesforce {
    /// Reads the facts about a person and a company, usually in two calls: one for the person and the
    /// company, one for their opportunities. An account search that times out costs a third.
    pub(super) async fn known(&self, about: &About) -> Result<Known, Failure> {
        let email = quoted(about.email.expose());
        let newest = "ORDER BY LastModifiedDate DESC LIMIT 1";
        let key = self.mapping.object(Object::Lead).map_or("RevenueFlow_Id__c", ObjectMapping::external_id);
        let lead = format!("SELECT Id, Status, OwnerId, CreatedById, IsConverted, {key} FROM Lead WHERE");
        let people = vec![
            format!("{lead} {key} = {}", quoted(about.lead_id.as_str())),
            format!("{lead} Email = {email} {newest}"),
            format!("SELECT Id, OwnerId, AccountId FROM Contact WHERE Email = {email} {newest}"),
        ];
        let sites = about.company_domain.as_ref().map(|domain| websites(domain));
        let account = sites.map(|sites| {
            format!("SELECT Id, OwnerId, Type FROM Account WHERE Website IN ({sites}) {newest}")
        });
        let (found, account_unread) = self.query_with_account(people, account).await?;
        let mut found = found.into_iter().map(|records| records.into_iter().next());
        let (own, lead) = (found.next().flatten(), found.next().flatten());
        let contact = found.next().flatten();
        let mut account = found.next().flatten();

        let of_contact = contact.as_ref().and_then(|contact| text_of(contact, "AccountId"));
        let account_id = account.as_ref().and_then(|account| text_of(account, "Id"));
        let mut queries = Vec::new();
        let accounts: Vec<String> =
            [&account_id, &of_contact].into_iter().flatten().map(|id| quoted(id)).collect();
        let select = "SELECT Id, StageName, Amount FROM Opportunity WHERE IsClosed = false AND";
        let newest = format!("ORDER BY LastModifiedDate DESC LIMIT {}", Known::MAX_OPPORTUNITIES);
        if !accounts.is_empty() {
            queries.push(format!("{select} AccountId IN ({}) {newest}", accounts.join(", ")));
        }
        if let Some(id) = contact.as_ref().and_then(|contact| text_of(contact, "Id")) {
            let roles =
                format!("SELECT OpportunityId FROM OpportunityContactRole WHERE ContactId = {}", quoted(&id));
            queries.push(format!("{select} Id IN ({roles}) {newest}"));
        }
        let opportunities = queries.len();
        if let (None, Some(id)) = (&account, &of_contact) {
            queries.push(format!("SELECT Id, OwnerId, Type FROM Account WHERE Id = {}", quoted(id)));
        }
        let mut found = self.query(&queries).await?;
        if found.len() > opportunities {
            account = found.pop().and_then(|records| records.into_iter().next());
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
            open_opportunities: open_opportunities(found),
        })
    }

    /// Runs the queries about the person and the one about the account. Returns their records, those of the
    /// account last, and whether the account could not be read.
    ///
    /// `Website` has no index, so the query may time out in an org with many accounts. Then the account stays
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
        let responses = tokio::time::timeout(self.settings.account_wait, self.api.composite(&calls)).await;
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
fn open_opportunities(found: Vec<Vec<Value>>) -> Vec<KnownOpportunity> {
    let mut seen = Vec::new();
    let mut opportunities = Vec::new();
    for record in found.into_iter().flatten() {
        let (Some(id), Some(stage)) = (text_of(&record, "Id"), text_of(&record, "StageName")) else {
            continue;
        };
        if opportunities.len() < Known::MAX_OPPORTUNITIES && !seen.contains(&id) {
            seen.push(id);
            opportunities.push(KnownOpportunity { stage, amount: record["Amount"].as_f64() });
        }
    }
    opportunities
}

/// The usual spellings of a company's website, as a list of SOQL literals. Exact values match no other
/// company.
fn websites(domain: &str) -> String {
    let mut sites = Vec::new();
    for scheme in ["", "http://", "https://"] {
        for host in ["", "www."] {
            for end in ["", "/"] {
                sites.push(quoted(&format!("{scheme}{host}{domain}{end}")));
            }
        }
    }
    sites.join(", ")
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
