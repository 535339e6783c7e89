//! How far the claims that passed support a conclusion.

use crate::ClaimType;
use crate::claim_rules::Passed;

/// The support of the evidence for each conclusion.
#[derive(Clone, Copy)]
pub(super) struct Supported {
    pub(super) fit: Support,
    pub(super) intent: Support,
}

/// How much the evidence supports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Support {
    Nothing,
    /// A level: fit through FIRMOGRAPHIC or SCORE, intent through BEHAVIOR or SCORE.
    Level,
    /// More than the computed value: fit through a FIRMOGRAPHIC fact that matched the profile, intent through
    /// a BEHAVIOR fact that fired a signal.
    Rise,
}

impl Support {
    /// The support from claims of one type and from SCORE claims.
    pub(super) fn by(claim_type: ClaimType, passed: &[Passed]) -> Self {
        let support = |claim: &Passed| match claim.claim_type {
            kind if kind == claim_type && claim.is_matched => Self::Rise,
            kind if kind == claim_type || kind == ClaimType::Score => Self::Level,
            _ => Self::Nothing,
        };
        passed.iter().map(support).max().unwrap_or(Self::Nothing)
    }
}
