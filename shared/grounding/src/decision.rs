use lead::{Decision, Fit, Intent};

/// The decision matrix: the strongest action that a fit and an intent allow.
///
/// | | intent HIGH | MEDIUM | LOW |
/// |---|---|---|---|
/// | fit HIGH | `ROUTE_TO_SDR` | `NURTURE` | `NURTURE` |
/// | fit MEDIUM | `MANUAL_REVIEW` | `NURTURE` | `NURTURE` |
/// | fit LOW | `IGNORE` | `IGNORE` | `IGNORE` |
///
/// A medium fit with high intent is the only case in which the signs disagree and waiting may lose the deal:
/// the person is ready, but the fit of the company is uncertain. A person decides.
pub fn decide(fit: Fit, intent: Intent) -> Decision {
    match (fit, intent) {
        (Fit::Low, _) => Decision::Ignore,
        (Fit::High, Intent::High) => Decision::RouteToSdr,
        (Fit::Medium, Intent::High) => Decision::ManualReview,
        (Fit::High | Fit::Medium, _) => Decision::Nurture,
    }
}

/// The final decision: the model's own, or the matrix's if that is weaker.
///
/// A manual review is always allowed, because it triggers nothing by itself.
pub(crate) fn lowered(proposed: Decision, fit: Fit, intent: Intent) -> Decision {
    match proposed {
        Decision::ManualReview => proposed,
        _ => proposed.min(decide(fit, intent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_has_these_nine_cells() {
        use Decision::{Ignore, ManualReview, Nurture, RouteToSdr};
        for (fit, row) in [
            (Fit::High, [RouteToSdr, Nurture, Nurture]),
            (Fit::Medium, [ManualReview, Nurture, Nurture]),
            (Fit::Low, [Ignore, Ignore, Ignore]),
        ] {
            let decided = [Intent::High, Intent::Medium, Intent::Low].map(|intent| decide(fit, intent));
            assert_eq!(decided, row, "{fit}");
        }
    }

    #[test]
    fn stronger_decision_is_lowered_and_weaker_one_kept() {
        assert_eq!(lowered(Decision::RouteToSdr, Fit::High, Intent::Medium), Decision::Nurture);
        assert_eq!(lowered(Decision::RouteToSdr, Fit::Medium, Intent::High), Decision::ManualReview);
        assert_eq!(lowered(Decision::RouteToSdr, Fit::Low, Intent::High), Decision::Ignore);
        assert_eq!(lowered(Decision::Nurture, Fit::Medium, Intent::High), Decision::Nurture);
        assert_eq!(lowered(Decision::Ignore, Fit::High, Intent::High), Decision::Ignore);
    }

    #[test]
    fn manual_review_is_always_allowed() {
        for &fit in Fit::ALL {
            for &intent in Intent::ALL {
                assert_eq!(lowered(Decision::ManualReview, fit, intent), Decision::ManualReview);
            }
        }
    }
}
