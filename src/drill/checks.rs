//! The checks of a drill over SQL, and what a lost connection says about them: nothing.

use std::time::Duration;

use super::driver::{Driver, Way};
use super::pace::poll;
use super::probe::Connection;
use super::record::CheckRecord;
use super::source::{Context, Stop};
use super::tunnel::Tunnel;

/// How often a check is tried whose connection is lost.
const TRIES: u32 = 3;
/// Most time between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// The step of a plan.
pub fn step(checks: usize) -> String {
    match checks {
        1 => "run 1 check".to_owned(),
        n => format!("run {n} checks"),
    }
}

/// Runs them one after the other.
///
/// A check whose connection is lost is tried again. If it is lost each time, and the server answers
/// otherwise, then it is the check that breaks it, and it has failed.
///
/// # Errors
/// The copy can no longer be reached, and no check had failed before.
pub async fn sql_checks(
    context: &Context<'_>,
    driver: Driver,
    connection: &Connection,
    tunnel: Option<&Tunnel>,
) -> Result<Vec<CheckRecord>, Stop> {
    let mut out: Vec<CheckRecord> = Vec::new();
    let checks = &context.spec.checks;
    for (i, check) in checks.iter().enumerate() {
        let number = format!("check {} of {}", i + 1, checks.len());
        context.progress(&number);
        let mut tries = 1;
        let (record, way) = loop {
            let (record, way) = driver
                .check(connection, check, context.spec.check_timeout)
                .await;
            // Silence has lasted for the whole time limit already.
            let silent = Duration::from_millis(record.duration_ms) > context.spec.check_timeout;
            if way == Way::Held || tries == TRIES || silent {
                break (record, way);
            }
            tries += 1;
            let why = record.error.as_deref().unwrap_or_default();
            context.progress(&format!("{number} again: {why}"));
            tokio::time::sleep(poll().min(PAUSE)).await;
        };
        if way == Way::Held {
            out.push(record);
            continue;
        }
        let why = record.error.clone().unwrap_or_default();
        let reachable = driver.ping(connection).await;
        match reachable {
            Ok(()) if way == Way::Lost => out.push(CheckRecord {
                error: Some(format!(
                    "the connection was lost in each of {tries} tries, and the server answers otherwise: {why}"
                )),
                ..record
            }),
            _ if out.iter().any(|c| !c.passed) => {
                out.push(record);
                break;
            }
            now => {
                let now = now.err().unwrap_or_else(|| "it answers again".to_owned());
                let said = tunnel.map(Tunnel::said).unwrap_or_default();
                let passed = match out.len() {
                    0 => "none had passed before".to_owned(),
                    n => format!("{n} of {} checks had passed", checks.len()),
                };
                return Err(Stop::CouldNotRun(
                    format!(
                        "the copy at {} could not be reached any more in {number}, and {passed}: {why}; then {now}{said}",
                        connection.shown()
                    ),
                    Some(
                        "a lost connection says nothing about the backup: see why it broke, and run the drill again"
                            .to_owned(),
                    ),
                ));
            }
        }
    }
    Ok(out)
}
