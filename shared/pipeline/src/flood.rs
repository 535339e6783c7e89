//! Counting of leads by domain and by address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use enrichment::Mailbox;
use jiff::Timestamp;
use lead::EmailAddress;
use variables::{ConfigError, Variables};

use crate::source_rules::RulesOnly;

/// Maximum number of domains and addresses that are counted. Above it new ones are not, until the next hour.
const MAX_COUNTED: usize = 100_000;
/// One hour in seconds.
const HOUR: i64 = 60 * 60;

/// How many leads of one domain and of one address are judged by the AI within an hour, in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimits {
    /// Of one company's domain; 0: any number. Private mailboxes share their domain with strangers and are
    /// counted by address only.
    pub domain_per_hour: u32,
    /// Of one address; 0: any number.
    pub address_per_hour: u32,
}

impl FloodLimits {
    /// No limits.
    pub const NONE: Self = Self { domain_per_hour: 0, address_per_hour: 0 };

    /// Reads `FLOOD_DOMAIN_PER_HOUR` and `FLOOD_ADDRESS_PER_HOUR`.
    ///
    /// # Errors
    /// When a variable is not a number.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            domain_per_hour: variables.number("FLOOD_DOMAIN_PER_HOUR", 500, 0..=u32::MAX)?,
            address_per_hour: variables.number("FLOOD_ADDRESS_PER_HOUR", 20, 0..=u32::MAX)?,
        })
    }
}

/// The leads of the present hour.
pub(crate) struct Floods {
    limits: FloodLimits,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    hour: i64,
    counts: HashMap<String, u32>,
}

impl Floods {
    pub(crate) fn new(limits: FloodLimits) -> Self {
        Self { limits, counted: Mutex::default() }
    }

    /// Counts a lead, and says whether it is over a limit.
    pub(crate) fn count(&self, email: &EmailAddress, now: Timestamp) -> Option<RulesOnly> {
        let FloodLimits { domain_per_hour, address_per_hour } = self.limits;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.as_second().div_euclid(HOUR);
        if counted.hour != hour {
            *counted = Counted { hour, counts: HashMap::new() };
        }
        let is_company = Mailbox::of(email.domain()) == Mailbox::Corporate;
        let over_domain = is_company && counted.is_over(email.domain(), domain_per_hour);
        let over_address = counted.is_over(email.expose(), address_per_hour);
        if over_address {
            Some(RulesOnly::AddressFlood)
        } else {
            over_domain.then_some(RulesOnly::DomainFlood)
        }
    }
}

impl Counted {
    fn is_over(&mut self, scope: &str, most: u32) -> bool {
        if most == 0 {
            return false;
        }
        if let Some(count) = self.counts.get_mut(scope) {
            *count = count.saturating_add(1);
            return *count > most;
        }
        if self.counts.len() < MAX_COUNTED {
            self.counts.insert(scope.to_owned(), 1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(floods: &Floods, address: &str, seconds: i64) -> Option<&'static str> {
        let now = Timestamp::from_second(seconds).unwrap();
        floods.count(&EmailAddress::parse(address).unwrap(), now).map(RulesOnly::as_str)
    }

    #[test]
    fn leads_over_a_limit_are_found_until_the_next_hour() {
        let floods = Floods::new(FloodLimits { domain_per_hour: 3, address_per_hour: 2 });
        assert_eq!(count(&floods, "a@acme.example", 0), None);
        assert_eq!(count(&floods, "a@acme.example", 0), None);
        assert_eq!(count(&floods, "a@acme.example", 0), Some("address_flood"));
        assert_eq!(count(&floods, "b@acme.example", 0), Some("domain_flood"));
        assert_eq!(count(&floods, "b@other.example", 0), None, "other domains are not concerned");
        assert_eq!(count(&floods, "b@acme.example", HOUR), None);
    }

    #[test]
    fn private_mailboxes_are_counted_by_address_only() {
        let floods = Floods::new(FloodLimits { domain_per_hour: 1, address_per_hour: 1 });
        assert_eq!(count(&floods, "a@gmail.com", 0), None);
        assert_eq!(count(&floods, "b@gmail.com", 0), None);
        assert_eq!(count(&floods, "b@gmail.com", 0), Some("address_flood"));
        let off = Floods::new(FloodLimits::NONE);
        assert!((0..99).all(|_| count(&off, "a@acme.example", 0).is_none()));
    }
}
