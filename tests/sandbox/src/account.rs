use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

const WINDOW: Duration = Duration::from_secs(60);

/// An account with an enrichment provider: its credits and its rate limit. `GET /_account` returns both, `PUT
/// /_account` changes them.
#[derive(Clone)]
pub(crate) struct Account(Arc<Mutex<AccountState>>);

struct AccountState {
    terms: Terms,
    window_began: Instant,
    requests: u64,
}

#[derive(Clone, Copy, Serialize)]
struct Terms {
    credits: u64,
    per_minute: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    credits: Option<u64>,
    per_minute: Option<u64>,
}

/// The state of the rate limit in the current minute.
#[derive(Clone, Copy)]
pub(crate) struct Minute {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Seconds until the next minute begins.
    pub(crate) ends_in: u64,
}

impl Minute {
    /// The start of the next minute, in seconds since 1970.
    pub(crate) fn ends_at(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs() + self.ends_in
    }
}

impl Account {
    /// An account with a thousand credits.
    pub(crate) fn new(per_minute: u64) -> Self {
        let terms = Terms { credits: 1_000, per_minute };
        Self(Arc::new(Mutex::new(AccountState { terms, window_began: Instant::now(), requests: 0 })))
    }

    /// Counts a request; an error once the minute's limit is reached.
    pub(crate) fn count_request(&self) -> Result<Minute, Minute> {
        let mut state = self.state();
        if state.window_began.elapsed() >= WINDOW {
            state.window_began = Instant::now();
            state.requests = 0;
        }
        let limit = state.terms.per_minute;
        let ends_in = WINDOW.saturating_sub(state.window_began.elapsed()).as_secs() + 1;
        if state.requests >= limit {
            return Err(Minute { limit, remaining: 0, ends_in });
        }
        state.requests += 1;
        Ok(Minute { limit, remaining: limit - state.requests, ends_in })
    }

    /// Spends one credit; false if none is left.
    pub(crate) fn spend_credit(&self) -> bool {
        let mut state = self.state();
        let left = state.terms.credits.checked_sub(1);
        state.terms.credits = left.unwrap_or(0);
        left.is_some()
    }

    pub(crate) fn credits(&self) -> u64 {
        self.state().terms.credits
    }

    pub(crate) fn router(&self) -> Router {
        let read = |State(account): State<Self>| async move { Json(account.state().terms) };
        let change = |State(account): State<Self>, Json(change): Json<Change>| async move {
            let mut state = account.state();
            state.terms.credits = change.credits.unwrap_or(state.terms.credits);
            state.terms.per_minute = change.per_minute.unwrap_or(state.terms.per_minute);
            Json(state.terms)
        };
        Router::new().route("/_account", get(read).put(change)).with_state(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, AccountState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
