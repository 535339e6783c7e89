//! Support for end-to-end tests, which run the product from the outside.
//!
//! The tests themselves are in `e2e/`, built with the `revenueflow` binary that they start.

mod emulator;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod function;
mod half_open;
mod node;
mod proxy;
mod redis;
mod server;

pub use emulator::Emulator;
pub use function::Function;
pub use half_open::HalfOpen;
pub use node::Node;
pub use proxy::Proxy;
pub use redis::Redis;
pub use server::{Answer, Server};

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A sample event of `events/`, by its name without the ending.
///
/// # Panics
///
/// When there is no such event.
pub fn sample(name: &str) -> serde_json::Value {
    let file = format!("{}/../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("a sample event");
    serde_json::from_str(&text).expect("a sample is JSON")
}

/// A free port for a server that is stopped and started again. It lies below the range from which the system
/// assigns ports by itself (32768 and up on Linux).
///
/// # Panics
///
/// When thousands of ports are taken.
pub fn stable_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Each process starts its search at a different port.
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    for _ in 0..COUNT {
        let offset = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed)) + start;
        let port = FIRST + u16::try_from(offset % u32::from(COUNT)).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT - 1)
}

/// Polls until the condition holds; fails the test after two minutes.
///
/// # Panics
///
/// When the condition does not hold in time.
pub fn eventually(condition: &str, holds: impl FnMut() -> bool) {
    eventually_within(Duration::from_mins(2), condition, holds);
}

/// Polls until the condition holds; fails the test after `timeout`.
///
/// # Panics
///
/// When the condition does not hold in time.
pub fn eventually_within(timeout: Duration, condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !holds() {
        assert!(Instant::now() < deadline, "not so after {} s: {condition}", timeout.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
