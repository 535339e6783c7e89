//! Codes of the failures of an AI service. `docs/ai.md` lists them for operators.

/// The service failed (5xx and similar). Transient.
pub(crate) const UNAVAILABLE: &str = "ai_unavailable";
/// The breaker is open after transient failures. Transient as well, so that attempts count and leads finally
/// go on without the AI.
pub(crate) const BREAKER_OPEN: &str = "ai_away";
/// The reply contains no answer. Transient: the next one may.
pub(crate) const ANSWER_UNUSABLE: &str = "ai_answer_unusable";
/// The answer does not have the required shape. Transient: the next one may.
pub(crate) const ANSWER_UNREADABLE: &str = "ai_answer_unreadable";
/// One call may cost more than a whole day's budget. Permanent.
pub(crate) const BUDGET_TOO_SMALL: &str = "ai_budget_too_small";
/// Too many requests or tokens per minute. Deferral.
pub(crate) const RATE_LIMITED: &str = "ai_rate_limited";
/// A quota is exhausted for hours. Deferral.
pub(crate) const QUOTA_EXHAUSTED: &str = "ai_quota_exhausted";
/// The key, the account or its permissions are not sufficient. Permanent, for every lead.
pub(crate) const CREDENTIALS_REFUSED: &str = "ai_credentials_refused";
/// The model does not exist, or no longer does. Permanent, for every lead.
pub(crate) const MODEL_RETIRED: &str = "ai_model_retired";
/// The service refuses the request as such. Permanent.
pub(crate) const REQUEST_REFUSED: &str = "ai_request_refused";
/// A filter of the service blocked the question or the answer. Permanent, for this lead.
pub(crate) const BLOCKED: &str = "ai_blocked";
/// The answer exceeds the limit of output tokens. Permanent, for this lead.
pub(crate) const ANSWER_TRUNCATED: &str = "ai_answer_cut";
