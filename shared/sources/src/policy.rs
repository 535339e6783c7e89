use serde::Deserialize;

/// What a source may use, and what its leads need before a person is involved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Limits on the source's leads.
    pub limits: Limits,
    /// A lead needs one of these before it can be routed to a person; empty: it needs none.
    pub call_needs: Vec<CallNeed>,
}

/// Limits on the leads of one source. Leads above a limit are accepted all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many leads a minute are processed; the others wait for their turn. None: no limit.
    pub per_minute: Option<u32>,
    /// How many leads a day (UTC) are enriched and judged by the AI; the others are judged by the rules on
    /// what their sender sent. None: no limit.
    pub per_day: Option<u32>,
    /// The share of the AI's daily budget that the source may use, above 0 and at most 1. Above it, its leads
    /// are judged by the rules. None: all of it.
    pub ai_share: Option<f64>,
}

/// Evidence that a lead is worth a person's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallNeed {
    /// The source states that the person owns the address.
    VerifiedEmail,
    /// The domain of the address agrees with the company.
    CompanyDomain,
}

impl CallNeed {
    /// The word in the sources file and in `computed.call_lacks`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifiedEmail => "verified_email",
            Self::CompanyDomain => "company_domain",
        }
    }
}

impl Limits {
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.per_minute == Some(0) || self.per_day == Some(0) {
            Some("a limit must be at least 1; remove the source to accept nothing of it")
        } else if self.ai_share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            Some("ai_share must be above 0 and at most 1")
        } else {
            None
        }
    }
}
