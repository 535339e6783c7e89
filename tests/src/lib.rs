//! What end-to-end tests share: the product as its users run it, from the outside.
//!
//! The tests themselves are in `e2e/`, built with the `revenueflow` binary they start.

mod emulator;
mod function;
mod redis;
mod server;

pub use emulator::Emulator;
pub use function::Function;
pub use redis::Redis;
pub use server::{Answer, Server};

use std::time::{Duration, Instant};

/// Asks until the answer is yes; fails the test after a time that is long for any machine.
///
/// # Panics
///
/// When the answer is still no.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !holds() {
        assert!(Instant::now() < deadline, "still not so after two minutes: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
