//! The synthetic lead, which a deployment posts to itself to measure the time from acceptance to completion.
//!
//! It has a fixed address and campaign, hence a fixed [`LeadId`]. The domain ends in `.invalid`, which RFC
//! 2606 section 2 reserves for names that never exist, so no person has the address. Posting it therefore
//! cannot keep any other lead out of the CRM.

use crate::LeadId;

/// The address of the synthetic lead, in its normal form.
pub const SYNTHETIC_EMAIL: &str = "synthetic-lead@revenueflow.invalid";

/// The campaign of the synthetic lead, in its normal form.
pub const SYNTHETIC_CAMPAIGN: &str = "revenueflow-synthetic-lead";

/// The id derived from [`SYNTHETIC_EMAIL`] and [`SYNTHETIC_CAMPAIGN`].
pub const SYNTHETIC_LEAD_ID: &str = "d73443ea420d178028e43ad667f9a7cbafe358f1712f834858a62e34cf152378";

impl LeadId {
    /// Whether this is the synthetic lead, which never reaches a CRM.
    pub fn is_synthetic(&self) -> bool {
        self.as_str() == SYNTHETIC_LEAD_ID
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CampaignId, EmailAddress};

    fn id(email: &str, campaign: &str) -> LeadId {
        LeadId::derive(&EmailAddress::parse(email).unwrap(), &CampaignId::parse(campaign).unwrap())
    }

    #[test]
    fn only_address_and_campaign_together_are_synthetic() {
        assert_eq!(id(SYNTHETIC_EMAIL, SYNTHETIC_CAMPAIGN).as_str(), SYNTHETIC_LEAD_ID);
        assert!(id(" Synthetic-Lead@REVENUEFLOW.invalid ", " revenueflow-synthetic-lead").is_synthetic());
        for (email, campaign) in [
            (SYNTHETIC_EMAIL, "launch_2024"),
            ("ann@revenueflow.invalid", SYNTHETIC_CAMPAIGN),
            ("synthetic-lead@revenueflow.com", SYNTHETIC_CAMPAIGN),
            ("synthetic-lead+1@revenueflow.invalid", SYNTHETIC_CAMPAIGN),
            (SYNTHETIC_EMAIL, "Revenueflow-Synthetic-Lead"),
        ] {
            assert!(!id(email, campaign).is_synthetic(), "{email} {campaign}");
        }
    }
}
