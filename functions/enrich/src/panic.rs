use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use lead::Failure;

/// Turns a panic into a failure of this lead. The panic message may quote the lead, so the failure omits it.
pub(crate) async fn catch_panic(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let panicked =
        |_: Box<dyn Any + Send>| Failure::transient("panic", "the work panicked; the log says where");
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic)))
}
