use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::account::Settings;
use super::refusal::{CORRELATION_ID, Refusal};

/// `HubSpot`'s two rate limit windows per token, and the account's daily count.
#[derive(Default)]
pub(super) struct Usage {
    requests: BTreeMap<String, VecDeque<Timestamp>>,
    searches: BTreeMap<String, VecDeque<Timestamp>>,
    day: Option<i64>,
    today: usize,
}

/// The `X-HubSpot-RateLimit` headers of an answer.
pub(super) type Headers = Vec<(&'static str, String)>;

impl Usage {
    /// Counts a request; returns the headers of its answer, or the refusal of a request over a limit.
    pub(super) fn count(
        &mut self,
        settings: &Settings,
        token: &str,
        is_search: bool,
        now: Timestamp,
    ) -> Result<Headers, Refusal> {
        let day = (now.as_second() + settings.utc_offset_at(now) * 60).div_euclid(86_400);
        if self.day != Some(day) {
            (self.day, self.today) = (Some(day), 0);
        }
        if self.today >= settings.daily {
            return Err(too_many("daily", "DAILY"));
        }
        if is_search {
            let recent = recent(&mut self.searches, token, now, SignedDuration::from_secs(1));
            if recent.len() >= settings.searches {
                return Err(too_many("secondly", "SECONDLY"));
            }
            recent.push_back(now);
        }
        let recent = recent(&mut self.requests, token, now, SignedDuration::from_secs(10));
        if recent.len() >= settings.burst {
            return Err(too_many("ten_secondly_rolling", "TEN_SECONDLY_ROLLING"));
        }
        recent.push_back(now);
        let remaining = settings.burst - recent.len();
        self.today += 1;
        if is_search {
            return Ok(Vec::new()); // search answers have no rate limit headers
        }
        let mut headers = vec![
            ("x-hubspot-ratelimit-interval-milliseconds", "10000".to_owned()),
            ("x-hubspot-ratelimit-max", settings.burst.to_string()),
            ("x-hubspot-ratelimit-remaining", remaining.to_string()),
        ];
        // OAuth apps do not see the daily limit.
        if token == settings.token {
            headers.push(("x-hubspot-ratelimit-daily", settings.daily.to_string()));
            headers.push(("x-hubspot-ratelimit-daily-remaining", (settings.daily - self.today).to_string()));
        }
        Ok(headers)
    }
}

fn recent<'a>(
    of: &'a mut BTreeMap<String, VecDeque<Timestamp>>,
    token: &str,
    now: Timestamp,
    window: SignedDuration,
) -> &'a mut VecDeque<Timestamp> {
    let recent = of.entry(token.to_owned()).or_default();
    while recent.front().is_some_and(|at| now.duration_since(*at) >= window) {
        recent.pop_front();
    }
    recent
}

fn too_many(limit: &str, policy: &str) -> Refusal {
    let body = json!({
        "status": "error", "message": format!("You have reached your {limit} limit."), "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION_ID, "policyName": policy,
    });
    Refusal { status: 429, body, alone: false }
}
