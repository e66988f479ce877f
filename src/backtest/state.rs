//! The state of a metric alarm from its data points, as CloudWatch evaluates it.
//!
//! Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data".

use super::AlarmState;

/// What a missing point counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Missing {
    /// As AWS writes it; anything else is the default.
    pub fn parse(text: &str) -> Missing {
        match text {
            "ignore" => Missing::Ignore,
            "breaching" => Missing::Breaching,
            "notBreaching" => Missing::NotBreaching,
            _ => Missing::Missing,
        }
    }
}

/// Periods that are looked at for N evaluation periods. The guide's examples have 5 for 3; for other
/// periods and resolutions AWS does not say.
pub fn evaluation_range(evaluation_periods: usize) -> usize {
    evaluation_periods + 2
}

/// M of N, and what missing points count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// M.
    pub datapoints_to_alarm: usize,
    /// N.
    pub evaluation_periods: usize,
    pub missing: Missing,
}

/// One evaluation. `range` are the points of the evaluation range, the newest last: `Some(true)` is
/// breaching, `None` missing. `now` is the state before it.
pub fn evaluate(rules: Rules, range: &[Option<bool>], now: AlarmState) -> AlarmState {
    let (m, n) = (rules.datapoints_to_alarm, rules.evaluation_periods);
    let real: Vec<bool> = range.iter().rev().flatten().copied().take(n).collect();
    let breaching = real.iter().filter(|b| **b).count();
    let decided = |alarm: bool| match alarm {
        true => AlarmState::Alarm,
        false => AlarmState::Ok,
    };
    // Enough real points: how missing ones are treated does not matter.
    if real.len() >= n {
        return decided(breaching >= m);
    }
    match rules.missing {
        Missing::Breaching => decided(breaching + (n - real.len()) >= m),
        Missing::NotBreaching => decided(breaching >= m),
        Missing::Missing | Missing::Ignore if breaching >= m => AlarmState::Alarm,
        Missing::Missing | Missing::Ignore if breaching < real.len() => AlarmState::Ok,
        Missing::Ignore => now,
        Missing::Missing if real.is_empty() => AlarmState::InsufficientData,
        // All that is there breaches, but it is less than M. The alarm waits for further points
        // until the oldest one is as old as M ("premature transitions").
        Missing::Missing => {
            let oldest = range.iter().position(|p| p == &Some(true));
            let age = oldest.map_or(0, |at| range.len() - at);
            if age >= m { AlarmState::Alarm } else { now }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in a cell of the guide's tables.
    #[derive(Clone, Copy, PartialEq)]
    enum Cell {
        Ok,
        Alarm,
        Insufficient,
        Retain,
    }
    use Cell::{Alarm, Insufficient, Ok, Retain};

    fn points(text: &str) -> Vec<Option<bool>> {
        text.split(' ')
            .map(|p| match p {
                "X" => Some(true),
                "0" => Some(false),
                _ => None,
            })
            .collect()
    }

    fn check(m: usize, text: &str, cells: [Cell; 4]) {
        let treatments = [
            Missing::Missing,
            Missing::Ignore,
            Missing::Breaching,
            Missing::NotBreaching,
        ];
        for (missing, cell) in treatments.into_iter().zip(cells) {
            for now in [
                AlarmState::Ok,
                AlarmState::Alarm,
                AlarmState::InsufficientData,
            ] {
                let rules = Rules {
                    datapoints_to_alarm: m,
                    evaluation_periods: 3,
                    missing,
                };
                let expected = match cell {
                    Ok => AlarmState::Ok,
                    Alarm => AlarmState::Alarm,
                    Insufficient => AlarmState::InsufficientData,
                    Retain => now,
                };
                let found = evaluate(rules, &points(text), now);
                assert_eq!(found, expected, "{m} of 3, {text}, {missing:?}, {now:?}");
            }
        }
    }

    /// The first table of the guide, row by row; the columns are missing, ignore, breaching,
    /// notBreaching.
    #[test]
    fn three_of_three_with_missing_points() {
        check(3, "0 - X - X", [Ok, Ok, Ok, Ok]);
        check(3, "0 - - - -", [Ok, Ok, Ok, Ok]);
        check(3, "- - - - -", [Insufficient, Retain, Alarm, Ok]);
        check(3, "0 X X - X", [Alarm, Alarm, Alarm, Alarm]);
        check(3, "- - X - -", [Alarm, Retain, Alarm, Ok]);
    }

    /// The second table.
    #[test]
    fn two_of_three_with_missing_points() {
        check(2, "0 - X - X", [Alarm, Alarm, Alarm, Alarm]);
        check(2, "0 0 X 0 X", [Alarm, Alarm, Alarm, Alarm]);
        check(2, "0 - X - -", [Ok, Ok, Alarm, Ok]);
        check(2, "- - - - 0", [Ok, Ok, Alarm, Ok]);
        check(2, "- - - X -", [Alarm, Retain, Alarm, Ok]);
    }

    /// "Avoiding premature transitions to alarm state".
    #[test]
    fn a_lone_breaching_point_waits() {
        let rules = |m| Rules {
            datapoints_to_alarm: m,
            evaluation_periods: 3,
            missing: Missing::Missing,
        };
        for text in ["- - - - X", "- - - X -"] {
            let found = evaluate(rules(3), &points(text), AlarmState::Ok);
            assert_eq!(found, AlarmState::Ok, "{text}");
        }
        for text in ["- - - X 0", "- - X - 0"] {
            let found = evaluate(rules(3), &points(text), AlarmState::Alarm);
            assert_eq!(found, AlarmState::Ok, "{text}");
        }
    }

    #[test]
    fn enough_breaching_points_alarm_whatever_is_missing() {
        for missing in ["missing", "ignore", "breaching", "notBreaching"] {
            let rules = Rules {
                datapoints_to_alarm: 2,
                evaluation_periods: 5,
                missing: Missing::parse(missing),
            };
            let found = evaluate(rules, &points("- - - X - - X"), AlarmState::Ok);
            assert_eq!(found, AlarmState::Alarm, "{missing}");
        }
    }
}
