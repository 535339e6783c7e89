use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use lead::Failure;

/// Makes a panic a failure of this one lead. What it says stays out of the failure, for it may quote the lead.
pub(crate) async fn caught(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let panicked =
        |_: Box<dyn Any + Send>| Failure::transient("panic", "the work panicked; the log says where");
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic)))
}
