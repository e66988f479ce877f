//! How often AWS is asked how far it is.

use std::time::{Duration, Instant};

/// Against AWS: even, so that the measured times are off by no more than this. (The SDK's own
/// waiters back off to half an hour between looks.)
const POLL: Duration = Duration::from_secs(15);
/// So many looks without a trace of a copy, after it was asked for, mean that there is none: a new
/// name can be unknown to the service for a while.
const LOOKS: u32 = 8;
const VARIABLE: &str = "OPSCTL_DRILL_POLL";

/// Between two looks; `OPSCTL_DRILL_POLL` (`"500ms"`) sets another pace for emulators.
pub fn poll() -> Duration {
    std::env::var(VARIABLE)
        .ok()
        .and_then(|text| humantime::parse_duration(&text).ok())
        .map_or(POLL, |d| d.max(Duration::from_millis(10)))
}

/// Looks for a copy that was asked for and is not seen yet.
#[derive(Debug)]
pub struct Unseen {
    began: Instant,
    looks: u32,
}

impl Unseen {
    /// From now on.
    pub fn begin() -> Unseen {
        Unseen {
            began: Instant::now(),
            looks: 0,
        }
    }

    /// Counts a look without a trace; whether it may still come. So many looks or so long, whichever
    /// is more: a look may take a while itself.
    pub fn may_come(&mut self) -> bool {
        self.looks += 1;
        self.looks <= LOOKS || self.began.elapsed() < settle()
    }
}

/// How long a copy that was asked for may be unseen.
pub fn settle() -> Duration {
    poll() * LOOKS
}
