use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a model is to say to the next questions, one each. `/_says` tells it (`POST`), looks at it (`GET`) and forgets it (`DELETE`).
pub(crate) struct Script<S>(Arc<Mutex<VecDeque<S>>>);

/// What is to be said, and to how many questions.
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

    /// What is to be said now; none where the model is left to itself.
    pub(crate) fn next(&self) -> Option<S> {
        self.lines().pop_front()
    }

    pub(crate) fn router(&self) -> Router {
        let look = |State(script): State<Self>| async move { Json(script.lines().clone()) };
        let add = |State(script): State<Self>, Json(lines): Json<Lines<S>>| async move {
            script.add((0..lines.times).map(|_| lines.says.clone()));
            StatusCode::NO_CONTENT
        };
        let forget = |State(script): State<Self>| async move {
            script.lines().clear();
            StatusCode::NO_CONTENT
        };
        Router::new().route("/_says", get(look).post(add).delete(forget)).with_state(self.clone())
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
