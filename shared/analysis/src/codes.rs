//! The reasons for which an AI service gives no answer. `docs/ai.md` lists them for operators.

/// 5xx and the like: transient.
pub(crate) const UNAVAILABLE: &str = "ai_unavailable";
/// The breaker is open after transient failures: transient as well, so that leads go on without the AI in the end.
pub(crate) const AWAY: &str = "ai_away";
/// Something came, and it holds no answer: transient, the next may.
pub(crate) const ANSWER_UNUSABLE: &str = "ai_answer_unusable";
/// It said something that is no answer of the shape asked for: transient as well.
pub(crate) const ANSWER_UNREADABLE: &str = "ai_answer_unreadable";
/// One call may cost more than a whole day's budget: permanent.
pub(crate) const BUDGET_TOO_SMALL: &str = "ai_budget_too_small";
/// Too many requests or tokens a minute: deferral.
pub(crate) const RATE_LIMITED: &str = "ai_rate_limited";
/// Nothing is left for hours: deferral.
pub(crate) const QUOTA_EXHAUSTED: &str = "ai_quota_exhausted";
/// The key, the account or its rights: permanent, for every lead.
pub(crate) const CREDENTIALS_REFUSED: &str = "ai_credentials_refused";
/// No such model, any more or under this id: permanent, for every lead.
pub(crate) const MODEL_RETIRED: &str = "ai_model_retired";
/// The request as such: permanent.
pub(crate) const REQUEST_REFUSED: &str = "ai_request_refused";
/// A filter of the service: permanent, for this lead.
pub(crate) const BLOCKED: &str = "ai_blocked";
/// The answer is longer than is paid for: permanent, for this lead.
pub(crate) const ANSWER_CUT: &str = "ai_answer_cut";
