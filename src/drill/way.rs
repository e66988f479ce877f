//! Whether the way to a copy leads to the copy.

use std::time::Duration;

use super::driver::Driver;
use super::machine::span;
use super::probe::Connection;
use super::source::Stop;
use crate::config::later::Via;

/// By how much a server may seem to be up longer than the copy exists, without a word.
const SLACK: Duration = Duration::from_secs(15 * 60);
/// By how much, before nothing is asked of it: production is up for days, and a pooler or a clock
/// that is off does not explain this much.
const TOO_LONG: Duration = Duration::from_secs(3 * 3600);

/// Refuses a command whose tunnel nothing ties to the copy.
///
/// # Errors
/// What it lacks.
pub fn leads_to_the_copy(via: &Via) -> Result<(), Stop> {
    let Via::Command(command) = via else {
        return Ok(());
    };
    if !command.contains("{local_port}") {
        return Err(Stop::could_not_run(
            "the command of connect.via has no {local_port}: the tunnel has to begin at a port of opsctl's choosing",
        ));
    }
    if !command.contains("{endpoint}") && !command.contains("{host}") {
        return Err(Stop::could_not_run(
            "the command of connect.via has neither {endpoint} nor {host}: nothing says that the tunnel ends at the copy, so nothing was asked or restored",
        ));
    }
    Ok(())
}

/// Looks whether a fixed address leads to a server that was up before the copy existed, `age` ago:
/// the password may fit another server as well, and one that trusts everybody takes any. What comes
/// back is a warning.
///
/// # Errors
/// The server is not the copy.
pub async fn is_the_copy(
    driver: Driver,
    connection: &Connection,
    via: &Via,
    age: Duration,
) -> Result<Option<String>, Stop> {
    if !matches!(via, Via::Address(_)) {
        return Ok(None);
    }
    let at = connection.shown();
    match driver.uptime(connection).await {
        Ok(up) if up > age + TOO_LONG => Err(Stop::CouldNotRun(
            format!(
                "the server at {at} has been up for {}, longer than the copy exists: it is not the copy",
                span(up.as_secs_f64())
            ),
            Some("connect.via has to lead to the copy: a command with {endpoint} opens a tunnel to it".to_owned()),
        )),
        Ok(up) if up > age + SLACK => Ok(Some(format!(
            "it is not proven that {at} is the copy: the server there has been up for {}, and the copy exists for {}",
            span(up.as_secs_f64()),
            span(age.as_secs_f64())
        ))),
        Ok(_) => Ok(None),
        Err(e) => Ok(Some(format!(
            "it is not proven that {at} is the copy: how long the server is up cannot be told: {e}"
        ))),
    }
}
