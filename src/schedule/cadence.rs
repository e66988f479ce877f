//! How often a job runs, in what every calendar of every scheduler can say.

use std::time::Duration;

use serde::Serialize;

const DAY: u64 = 86_400;
/// A clock that is set back by daylight saving makes one gap an hour longer.
const CLOCK: u64 = 3600;

/// From seldom to often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "every", content = "hours")]
pub enum Cadence {
    /// On the first of January, April, July and October.
    Quarter,
    /// On the first of every odd month.
    TwoMonths,
    /// On the first of the month.
    Month,
    /// On the 1st and the 15th.
    HalfMonth,
    /// On Mondays.
    Week,
    /// On Mondays, Wednesdays and Fridays.
    ThriceAWeek,
    Day,
    /// So many hours; a divisor of 24.
    Hours(u8),
}

impl Cadence {
    pub const ALL: [Cadence; 14] = [
        Cadence::Quarter,
        Cadence::TwoMonths,
        Cadence::Month,
        Cadence::HalfMonth,
        Cadence::Week,
        Cadence::ThriceAWeek,
        Cadence::Day,
        Cadence::Hours(12),
        Cadence::Hours(8),
        Cadence::Hours(6),
        Cadence::Hours(4),
        Cadence::Hours(3),
        Cadence::Hours(2),
        Cadence::Hours(1),
    ];

    /// The longest time between two starts, in seconds: July and August have 62 days, the longest
    /// quarter 92, from the 15th to the 1st it is up to 17.
    pub fn longest_gap_seconds(self) -> u64 {
        match self {
            Cadence::Quarter => 92 * DAY,
            Cadence::TwoMonths => 62 * DAY,
            Cadence::Month => 31 * DAY,
            Cadence::HalfMonth => 17 * DAY,
            Cadence::Week => 7 * DAY,
            Cadence::ThriceAWeek => 3 * DAY,
            Cadence::Day => DAY,
            Cadence::Hours(n) => u64::from(n) * 3600,
        }
    }

    pub fn words(self) -> String {
        match self {
            Cadence::Quarter => "on the first day of every quarter".to_owned(),
            Cadence::TwoMonths => "on the first of every second month".to_owned(),
            Cadence::Month => "on the first of every month".to_owned(),
            Cadence::HalfMonth => "on the 1st and 15th of every month".to_owned(),
            Cadence::Week => "every Monday".to_owned(),
            Cadence::ThriceAWeek => "every Monday, Wednesday and Friday".to_owned(),
            Cadence::Day => "every day".to_owned(),
            Cadence::Hours(1) => "every hour".to_owned(),
            Cadence::Hours(n) => format!("every {n} hours"),
        }
    }

    fn hours(self, hour: u16) -> Vec<u16> {
        match self {
            Cadence::Hours(n) => (0..24)
                .filter(|h| h % u16::from(n) == hour % u16::from(n))
                .collect(),
            _ => vec![hour],
        }
    }

    /// The five fields of cron, for a minute of the day.
    pub fn cron(self, minute: u16) -> String {
        let hours = self.hours(minute / 60);
        let hours = match hours.len() {
            24 => "*".to_owned(),
            _ => list(&hours, ""),
        };
        let days = match self {
            Cadence::Quarter => "1 1,4,7,10 *",
            Cadence::TwoMonths => "1 1,3,5,7,9,11 *",
            Cadence::Month => "1 * *",
            Cadence::HalfMonth => "1,15 * *",
            Cadence::Week => "* * 1",
            Cadence::ThriceAWeek => "* * 1,3,5",
            Cadence::Day | Cadence::Hours(_) => "* * *",
        };
        format!("{} {hours} {days}", minute % 60)
    }

    /// A calendar event of systemd, for a minute of the day.
    pub fn systemd(self, minute: u16) -> String {
        let days = match self {
            Cadence::Quarter => "*-01,04,07,10-01",
            Cadence::TwoMonths => "*-01,03,05,07,09,11-01",
            Cadence::Month => "*-*-01",
            Cadence::HalfMonth => "*-*-01,15",
            Cadence::Week => "Mon *-*-*",
            Cadence::ThriceAWeek => "Mon,Wed,Fri *-*-*",
            Cadence::Day | Cadence::Hours(_) => "*-*-*",
        };
        let hours = self.hours(minute / 60);
        format!("{days} {}:{:02}:00 UTC", list(&hours, "0"), minute % 60)
    }
}

/// Numbers with commas, filled up to two digits.
fn list(numbers: &[u16], fill: &str) -> String {
    let one = |n: &u16| match fill {
        "" => n.to_string(),
        _ => format!("{n:02}"),
    };
    numbers.iter().map(one).collect::<Vec<_>>().join(",")
}

/// A cadence, and whether it leaves room for a run that fails or never starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub cadence: Cadence,
    /// One run may be missed, and the next one still is in time.
    pub spare: bool,
}

/// The seldomest cadence with which a passed drill is never older than `every`, one run that fails
/// or never starts included; without that spare where `every` is too short for it.
///
/// A drill counts from when it has passed. In the worst case one run passes at once and the one
/// that counts next takes its longest: the gaps between their starts, `longest`, and `jitter` have
/// to fit into `every`.
///
/// Nothing if not even an hourly run fits.
pub fn choose(every: Duration, longest: Duration, jitter: Duration) -> Option<Chosen> {
    let room = every
        .as_secs()
        .checked_sub(longest.as_secs() + jitter.as_secs() + CLOCK)?;
    let fits = |gaps: u64| {
        let mut all = Cadence::ALL.into_iter();
        all.find(|c| {
            // A run has to end before the next one starts.
            let apart = c.longest_gap_seconds() > longest.as_secs() + jitter.as_secs();
            apart && c.longest_gap_seconds() * gaps <= room
        })
    };
    fits(2)
        .map(|cadence| Chosen {
            cadence,
            spare: true,
        })
        .or_else(|| {
            fits(1).map(|cadence| Chosen {
                cadence,
                spare: false,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn days(n: u64) -> Duration {
        Duration::from_secs(n * DAY)
    }

    #[test]
    fn the_shipped_stages_get_room_for_one_failure() {
        let chosen = |every| choose(every, 4 * HOUR, HOUR / 4).map(|c| (c.cadence, c.spare));
        assert_eq!(chosen(days(365)), Some((Cadence::Quarter, true)));
        assert_eq!(chosen(days(180)), Some((Cadence::TwoMonths, true)));
        assert_eq!(chosen(days(90)), Some((Cadence::Month, true)));
        assert_eq!(chosen(days(45)), Some((Cadence::HalfMonth, true)));
        assert_eq!(chosen(days(30)), Some((Cadence::Week, true)));
        assert_eq!(chosen(days(7)), Some((Cadence::ThriceAWeek, true)));
    }

    #[test]
    fn what_is_too_short_for_a_spare_run_says_so_and_what_cannot_fit_is_refused() {
        let tight = choose(HOUR * 12, 4 * HOUR, HOUR / 4).unwrap();
        assert_eq!(tight.cadence, Cadence::Hours(6));
        assert!(!tight.spare);
        assert_eq!(choose(HOUR * 5, 4 * HOUR, HOUR), None);
        assert_eq!(choose(Duration::ZERO, HOUR, HOUR), None);
    }

    #[test]
    fn hours_keep_the_minute_and_divide_the_day() {
        assert_eq!(Cadence::Hours(6).cron(3 * 60 + 7), "7 3,9,15,21 * * *");
        assert_eq!(Cadence::Hours(1).cron(7), "7 * * * *");
        assert_eq!(
            Cadence::Hours(12).systemd(3 * 60 + 7),
            "*-*-* 03,15:07:00 UTC"
        );
    }
}
