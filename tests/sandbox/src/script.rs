use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Scripted answers of a model, one per request. `POST /_says` adds answers, `GET` lists them, `DELETE`
/// removes them.
pub(crate) struct Script<S>(Arc<Mutex<VecDeque<S>>>);

/// An answer, and the number of requests that it applies to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines<S> {
    says: S,
    #[serde(default = "once")]
    times: u16,
}

fn once() -> u16 {
    1
}

impl<S> Clone for Script<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for Script<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S: Clone + Send + Serialize + DeserializeOwned + 'static> Script<S> {
    pub(crate) fn add(&self, says: impl IntoIterator<Item = S>) {
        self.lines().extend(says);
    }

    /// The next scripted answer; None if the script is empty.
    pub(crate) fn next(&self) -> Option<S> {
        self.lines().pop_front()
    }

    pub(crate) fn router(&self) -> Router {
        let list = |State(script): State<Self>| async move { Json(script.lines().clone()) };
        let add = |State(script): State<Self>, Json(lines): Json<Lines<S>>| async move {
            script.add((0..lines.times).map(|_| lines.says.clone()));
            StatusCode::NO_CONTENT
        };
        let clear = |State(script): State<Self>| async move {
            script.lines().clear();
            StatusCode::NO_CONTENT
        };
        Router::new().route("/_says", get(list).post(add).delete(clear)).with_state(self.clone())
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
