use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Until when a worker takes nothing more: a limit is reached that ends by itself, and every other lead would find out the
/// same. Unlike a pause it is this worker's own, and nobody has to end it.
#[derive(Default)]
pub(super) struct Hold(Mutex<Option<Timestamp>>);

impl Hold {
    /// Holds until a moment, and no shorter than it does already.
    pub(super) fn until(&self, until: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (*held).max(Some(until));
    }

    pub(super) fn is_on(&self, now: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }
}
