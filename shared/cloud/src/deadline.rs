use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What `cargo lambda watch` gives: it does not say how long a call may take.
const UNLIMITED: Duration = Duration::from_secs(60);

/// The moment at which Lambda ends a call, given the deadline in its context. To be asked first of all: whatever is done
/// before takes from the time.
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
    fn a_deadline_that_is_none_leaves_time_and_one_that_is_over_leaves_none() {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(time_left(now + Duration::from_secs(120), now), Duration::from_secs(120));
        assert_eq!(time_left(now - Duration::from_secs(1), now), Duration::ZERO);
        assert_eq!(time_left(UNIX_EPOCH + Duration::from_secs(600), now), UNLIMITED);
    }
}
