//! Checks on restored copies of MySQL and MariaDB: the same promises as for PostgreSQL in
//! [`super::probe`].

use std::time::Duration;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, Row, SslOpts, Value};

use super::expect::Actual;
use super::probe::{Address, CONNECT, Connection, NoValue};

/// What the server said, with its code and without anything of the connection.
fn told(error: &Error) -> String {
    match error {
        Error::Server(e) => format!("{} (error {}, SQLSTATE {})", e.message, e.code, e.state),
        other => other.to_string(),
    }
}

/// A server that goes away says so: `ER_CON_COUNT_ERROR` and `ER_SERVER_SHUTDOWN`. Source: MySQL 8.4
/// error message reference.
impl From<Error> for NoValue {
    fn from(error: Error) -> NoValue {
        let lost = match &error {
            Error::Server(e) => [1040, 1053].contains(&e.code),
            Error::Driver(e) => matches!(
                e,
                DriverError::ConnectionClosed | DriverError::PoolDisconnected
            ),
            Error::Io(_) => true,
            Error::Url(_) | Error::Other(_) => false,
        };
        match lost {
            true => NoValue::Lost(told(&error)),
            false => NoValue::Refused(told(&error)),
        }
    }
}

async fn open(connection: &Connection, tls: bool) -> Result<Conn, Error> {
    let mut options = OptsBuilder::default()
        .tcp_port(connection.port)
        .prefer_socket(false)
        .user(Some(&connection.user))
        .pass(connection.password.as_ref().map(|p| p.reveal()))
        .db_name(Some(&connection.database));
    options = match &connection.address {
        Address::Host(host) => options.ip_or_hostname(host.clone()),
        Address::Socket(path) => options.socket(Some(path.display().to_string())),
    };
    if tls {
        let ssl = match &connection.authorities {
            Some(authorities) => SslOpts::default()
                .with_root_certs(vec![authorities.file.clone().into()])
                .with_disable_built_in_roots(true)
                .with_danger_tls_hostname_override(Some(authorities.name.clone())),
            None => SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        };
        options = options.ssl_opts(Some(ssl));
    }
    Conn::new(options).await
}

/// A session, over TLS where the server has it.
async fn connect(connection: &Connection) -> Result<Conn, String> {
    // Whoever comes first decides for the process; it is the same choice everywhere here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opening = async {
        let over_network = matches!(connection.address, Address::Host(_));
        match open(connection, over_network).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer))
                if connection.authorities.is_none() =>
            {
                open(connection, false).await
            }
            other => other,
        }
    };
    tokio::time::timeout(CONNECT * 2, opening)
        .await
        .map_err(|_| "no connection in time".to_owned())?
        .map_err(|e| told(&e))
}

/// Whether the server lets us in.
///
/// # Errors
/// Why not.
pub async fn ping(connection: &Connection) -> Result<(), String> {
    let mut session = connect(connection).await?;
    session.ping().await.map_err(|e| told(&e))
}

/// The version of the server, as it says it: `8.0.41`, `10.11.19-MariaDB-log`.
///
/// # Errors
/// What the server answers.
pub async fn version(connection: &Connection) -> Result<String, String> {
    version_of(&mut connect(connection).await?).await
}

async fn version_of(session: &mut Conn) -> Result<String, String> {
    let found: Option<String> = session
        .query_first("select version()")
        .await
        .map_err(|e| told(&e))?;
    Ok(found.unwrap_or_default())
}

/// The one value of a query.
///
/// The session only reads, the transaction only reads, and preparing refuses a second statement.
pub(super) async fn ask(
    connection: &Connection,
    sql: &str,
    limit: Duration,
) -> Result<Actual, NoValue> {
    let mut session = connect(connection).await.map_err(NoValue::Unasked)?;
    // Milliseconds there, seconds here. Sources: MySQL 8.4 manual, `max_execution_time`; MariaDB
    // documentation, `max_statement_time`.
    let time_limit = if version_of(&mut session)
        .await
        .map_err(NoValue::Unasked)?
        .contains("MariaDB")
    {
        format!(
            "SET SESSION max_statement_time = {:.3}",
            limit.as_secs_f64()
        )
    } else {
        let millis = limit.as_millis().max(1);
        format!("SET SESSION max_execution_time = {millis}")
    };
    for first in [
        &time_limit,
        "SET SESSION TRANSACTION READ ONLY",
        "START TRANSACTION READ ONLY",
    ] {
        session.query_drop(first).await?;
    }
    let statement = session.prep(sql).await?;
    let columns = statement.columns();
    let kind = match &*columns {
        [one] => one.column_type(),
        [] => {
            return Err("the statement gives no value: a check is a query of one value".into());
        }
        many => {
            return Err(NoValue::Refused(format!(
                "the query gives {} columns: a check is a query of one value",
                many.len()
            )));
        }
    };
    let mut result = session.exec_iter(&statement, ()).await?;
    let mut value: Option<Value> = None;
    while let Some(row) = result.next().await? {
        let row: Row = row;
        if value.is_some() {
            return Err(
                "the query gives more than one row: a check is a query of one value".into(),
            );
        }
        value = row.unwrap().into_iter().next();
    }
    let value = value.ok_or("the query gives no row: a check is a query of one value")?;
    drop(result);
    let _ = session.disconnect().await;
    Ok(match text(&value) {
        None => Actual::Null,
        Some(text) if kind.is_numeric_type() => Actual::Number(text),
        // `TIME` is a length of time as well as a time of the day.
        Some(text) if kind == ColumnType::MYSQL_TYPE_TIME => Actual::Interval(text),
        Some(text) => Actual::Text(text),
    })
}

/// A value as the server's own client prints it.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::NULL => return None,
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Double(n) => n.to_string(),
        Value::Date(year, month, day, 0, 0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let fraction = fraction(*micros);
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}")
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if *negative { "-" } else { "" };
            let hours = u64::from(*days) * 24 + u64::from(*hours);
            let fraction = fraction(*micros);
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
        }
    })
}

fn fraction(micros: u32) -> String {
    match micros {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_client_does() {
        let cases = [
            (Value::NULL, None),
            (Value::Bytes(b"12.50".to_vec()), Some("12.50")),
            (Value::Int(-3), Some("-3")),
            (Value::UInt(u64::MAX), Some("18446744073709551615")),
            (Value::Double(0.25), Some("0.25")),
            (Value::Date(2026, 11, 2, 0, 0, 0, 0), Some("2026-11-02")),
            (
                Value::Date(2026, 11, 2, 3, 4, 5, 60),
                Some("2026-11-02 03:04:05.000060"),
            ),
            (Value::Time(true, 1, 2, 3, 4, 0), Some("-26:03:04")),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }
}
