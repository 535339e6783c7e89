use crate::ClaimType;
use crate::claim_rules::Passed;

/// What the evidence carries of each conclusion.
#[derive(Clone, Copy)]
pub(super) struct Carried {
    pub(super) fit: Carries,
    pub(super) intent: Carries,
}

/// How much evidence of the right kind carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carries {
    Nothing,
    /// A level: fit by FIRMOGRAPHIC or SCORE, intent by BEHAVIOR or SCORE.
    Level,
    /// More than was computed: fit by a FIRMOGRAPHIC fact that matched the profile, intent by a BEHAVIOR fact that fired a signal.
    Rise,
}

impl Carries {
    /// By claims of one type and SCORE claims.
    pub(super) fn by(claim_type: ClaimType, passed: &[Passed]) -> Self {
        let carries = |claim: &Passed| match claim.claim_type {
            kind if kind == claim_type && claim.is_matched => Self::Rise,
            kind if kind == claim_type || kind == ClaimType::Score => Self::Level,
            _ => Self::Nothing,
        };
        passed.iter().map(carries).max().unwrap_or(Self::Nothing)
    }
}
