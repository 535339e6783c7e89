use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

const WINDOW: Duration = Duration::from_secs(60);

/// An account with an enrichment provider: its credits, and how much it may ask. `GET` and `PUT /_account` look at it and
/// change it.
#[derive(Clone)]
pub(crate) struct Account(Arc<Mutex<Standing>>);

struct Standing {
    terms: Terms,
    window_began: Instant,
    asked: u64,
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

/// Where an account stands in its minute.
#[derive(Clone, Copy)]
pub(crate) struct Minute {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until the next minute begins, in seconds.
    pub(crate) ends_in: u64,
}

impl Minute {
    /// When the next minute begins, in seconds since 1970.
    pub(crate) fn ends_at(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs() + self.ends_in
    }
}

impl Account {
    /// An account with a thousand credits.
    pub(crate) fn new(per_minute: u64) -> Self {
        let terms = Terms { credits: 1_000, per_minute };
        Self(Arc::new(Mutex::new(Standing { terms, window_began: Instant::now(), asked: 0 })))
    }

    /// Counts a question; refused where it is one too many for the minute.
    pub(crate) fn ask(&self) -> Result<Minute, Minute> {
        let mut standing = self.standing();
        if standing.window_began.elapsed() >= WINDOW {
            standing.window_began = Instant::now();
            standing.asked = 0;
        }
        let limit = standing.terms.per_minute;
        let ends_in = WINDOW.saturating_sub(standing.window_began.elapsed()).as_secs() + 1;
        if standing.asked >= limit {
            return Err(Minute { limit, remaining: 0, ends_in });
        }
        standing.asked += 1;
        Ok(Minute { limit, remaining: limit - standing.asked, ends_in })
    }

    /// Takes a credit; false where none is left.
    pub(crate) fn pay(&self) -> bool {
        let mut standing = self.standing();
        let left = standing.terms.credits.checked_sub(1);
        standing.terms.credits = left.unwrap_or(0);
        left.is_some()
    }

    pub(crate) fn credits(&self) -> u64 {
        self.standing().terms.credits
    }

    pub(crate) fn router(&self) -> Router {
        let look = |State(account): State<Self>| async move { Json(account.standing().terms) };
        let change = |State(account): State<Self>, Json(change): Json<Change>| async move {
            let mut standing = account.standing();
            standing.terms.credits = change.credits.unwrap_or(standing.terms.credits);
            standing.terms.per_minute = change.per_minute.unwrap_or(standing.terms.per_minute);
            Json(standing.terms)
        };
        Router::new().route("/_account", get(look).put(change)).with_state(self.clone())
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
