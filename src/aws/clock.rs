//! The cloud's clock, by the `Date` header of its newest answer.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// What AWS's clock shows beyond this machine's.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<SignedDuration>>);

impl Clock {
    /// Notes the `Date` of an answer that has just come: whole seconds, and some time ago, so that
    /// the clock lags by up to a second or two and never leads.
    pub fn heard(&self, date: &str) {
        // RFC 9110 writes the zone as GMT, which RFC 2822 calls obsolete.
        if let Ok(at) = jiff::fmt::rfc2822::parse(date) {
            let beyond = at.timestamp().duration_since(Timestamp::now());
            *self.0.lock().unwrap_or_else(|e| e.into_inner()) = Some(beyond);
        }
    }

    /// Seconds that the cloud's clock is ahead of this machine's; `None` before the first answer.
    pub fn ahead(&self) -> Option<f64> {
        let beyond = *self.0.lock().unwrap_or_else(|e| e.into_inner());
        beyond.map(|b| b.as_secs_f64())
    }

    /// This machine's time before the first answer.
    pub fn now(&self) -> Timestamp {
        let beyond = *self.0.lock().unwrap_or_else(|e| e.into_inner());
        let here = Timestamp::now();
        let there = here.checked_add(beyond.unwrap_or_default()).unwrap_or(here);
        there.round(jiff::Unit::Millisecond).unwrap_or(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_that_of_the_answers() {
        let clock = Clock::default();
        clock.heard("Tue, 01 Jan 2030 00:00:00 GMT");
        let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert!(clock.now().duration_since(at).abs() < SignedDuration::from_secs(5));
        clock.heard("no date");
        assert!(clock.now().duration_since(at).abs() < SignedDuration::from_secs(5));
    }
}
