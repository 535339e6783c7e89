use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The time limit under `cargo lambda watch`, which reports none.
const UNLIMITED: Duration = Duration::from_secs(60);

/// The moment at which Lambda ends a call, from the deadline in its context. Must be called first, because
/// earlier steps use up the time.
pub fn ends_at(deadline: SystemTime) -> Instant {
    Instant::now() + time_left(deadline, SystemTime::now())
}

/// `cargo lambda watch` gives every call the same deadline, in the first minutes of 1970.
fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    if deadline < UNIX_EPOCH + Duration::from_hours(24) {
        return UNLIMITED;
    }
    deadline.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_deadline_leaves_time_and_a_past_one_none() {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(time_left(now + Duration::from_secs(120), now), Duration::from_secs(120));
        assert_eq!(time_left(now - Duration::from_secs(1), now), Duration::ZERO);
        assert_eq!(time_left(UNIX_EPOCH + Duration::from_secs(600), now), UNLIMITED);
    }
}
