//! SQL, and the driver of PostgreSQL: what a check asks of a restored copy, in a read-only
//! transaction of its own with a time limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::expect::Actual;
use super::scratch::Secret;

/// Most time to be let in.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Longest value that is kept in the evidence, in characters.
const LONGEST: usize = 200;

#[derive(Debug, Clone)]
pub enum Address {
    /// The folder of a socket on this machine.
    Socket(PathBuf),
    Host(String),
}

/// How a database is reached. Nothing of it is printed but by fields.
#[derive(Debug, Clone)]
pub struct Connection {
    pub address: Address,
    pub port: u16,
    pub user: String,
    pub password: Option<Secret>,
    pub database: String,
    /// The authorities that the server's certificate has to come from, and the name that it has to
    /// bear. Without, TLS keeps out those who listen, not those who pretend: enough for a copy that
    /// we made a minute ago.
    pub authorities: Option<Authorities>,
}

/// What a server's certificate is held against.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// PEM.
    pub file: PathBuf,
    /// The server's own name, whatever address leads there.
    pub name: String,
}

impl Connection {
    /// From `postgres://user@host:port/database`; a password comes from `PGPASSWORD` or the URL.
    ///
    /// # Errors
    /// The URL is none. It is not repeated: it may hold a password.
    pub fn from_url(url: &str, password: Option<String>) -> Result<Connection, String> {
        let config: Config = url
            .parse()
            .map_err(|e| format!("`scratch` is not a PostgreSQL URL: {e}"))?;
        let address = match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => Address::Host(host.clone()),
            Some(tokio_postgres::config::Host::Unix(path)) => Address::Socket(path.clone()),
            None => return Err("`scratch` names no host".to_owned()),
        };
        let written = config
            .get_password()
            .map(|p| String::from_utf8_lossy(p).into_owned());
        let user = config.get_user().unwrap_or("postgres").to_owned();
        Ok(Connection {
            address,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            user,
            password: written.or(password).map(Secret::new),
            authorities: None,
        })
    }

    pub fn on(&self, database: &str) -> Connection {
        Connection {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The address for people.
    pub fn shown(&self) -> String {
        match &self.address {
            Address::Socket(_) => "a socket in the folder of the run".to_owned(),
            Address::Host(host) => format!("{host}:{}", self.port),
        }
    }

    /// The variables by which the client programs find the server.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let host = match &self.address {
            Address::Socket(folder) => folder.display().to_string(),
            Address::Host(host) => host.clone(),
        };
        let mut out = vec![
            ("PGHOST", host),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
        ];
        if let Some(password) = &self.password {
            out.push(("PGPASSWORD", password.reveal().to_owned()));
        }
        out
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn tls(authorities: Option<&Authorities>) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = if let Some(authorities) = authorities {
        let file = authorities.file.display();
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(&authorities.file).map_err(|e| format!("{file}: {e}"))?;
        roots.add_parsable_certificates(certificates.flatten());
        if roots.is_empty() {
            return Err(format!("{file}: there is no certificate in it"));
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth()
    };
    Ok(MakeRustlsConnect::new(config))
}

/// What the server said, with its code and without anything of the connection.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
            if let Some(detail) = db.detail() {
                text.push_str(": ");
                text.push_str(detail);
            }
            text
        }
        None => {
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(error) {
                text = format!("{text}: {cause}");
            }
            text
        }
    }
}

/// Why a query gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoValue {
    /// The server, or what is asked of a check, says no.
    Refused(String),
    /// The connection was lost: it says nothing about the data.
    Lost(String),
    /// None was to be had, so that nothing was asked.
    Unasked(String),
}

impl From<&str> for NoValue {
    fn from(why: &str) -> NoValue {
        NoValue::Refused(why.to_owned())
    }
}

/// A server that goes away says so: class 08 (connection exception), `too_many_connections`,
/// `admin_shutdown`, `crash_shutdown` and `cannot_connect_now`. Source: PostgreSQL documentation,
/// appendix A.
impl From<tokio_postgres::Error> for NoValue {
    fn from(error: tokio_postgres::Error) -> NoValue {
        let gone = |code: &str| {
            code.starts_with("08") || ["53300", "57P01", "57P02", "57P03"].contains(&code)
        };
        match error.as_db_error() {
            Some(db) if !gone(db.code().code()) => NoValue::Refused(told(&error)),
            _ => NoValue::Lost(told(&error)),
        }
    }
}

/// A session; the task that carries it ends when the client is dropped.
async fn connect(connection: &Connection, options: &str) -> Result<Client, String> {
    let mut config = Config::new();
    config
        .user(&connection.user)
        .dbname(&connection.database)
        .port(connection.port)
        .application_name("opsctl-drill")
        .connect_timeout(CONNECT)
        .ssl_mode(SslMode::Prefer);
    match (&connection.address, &connection.authorities) {
        (Address::Socket(folder), _) => config.host_path(folder),
        (Address::Host(host), None) => config.host(host),
        (Address::Host(host), Some(authorities)) => {
            // The certificate is held against the server's name, wherever a tunnel begins.
            let at = tokio::net::lookup_host((host.as_str(), connection.port))
                .await
                .map_err(|e| format!("{host}: {e}"))?
                .next()
                .ok_or_else(|| format!("{host} has no address"))?;
            config.ssl_mode(SslMode::Require);
            config.host(&authorities.name).hostaddr(at.ip())
        }
    };
    if let Some(password) = &connection.password {
        config.password(password.reveal());
    }
    if !options.is_empty() {
        config.options(options);
    }
    let opened = tokio::time::timeout(
        CONNECT * 2,
        config.connect(tls(connection.authorities.as_ref())?),
    )
    .await
    .map_err(|_| "no connection in time".to_owned())?;
    let (client, carrier) = opened.map_err(|e| told(&e))?;
    tokio::spawn(async move {
        // Its error is that of the query that was under way.
        let _ = carrier.await;
    });
    Ok(client)
}

/// Whether the server lets us in.
///
/// # Errors
/// Why not.
pub async fn ping(connection: &Connection) -> Result<(), String> {
    let client = connect(connection, "").await?;
    client
        .simple_query("select 1")
        .await
        .map_err(|e| told(&e))?;
    Ok(())
}

/// The version of the server, as it says it.
///
/// # Errors
/// What the server answers.
pub async fn version(connection: &Connection) -> Result<String, String> {
    let client = connect(connection, "").await?;
    let rows = client
        .simple_query("show server_version")
        .await
        .map_err(|e| told(&e))?;
    Ok(rows
        .iter()
        .find_map(|m| match m {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap_or_default())
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement that gives a user a password; the password is one that we made, of hex digits.
pub fn set_password(user: &str, password: &str) -> String {
    format!(
        "ALTER USER {} PASSWORD '{}';\n",
        identifier(user),
        password.replace('\'', "''")
    )
}

/// Makes an empty database.
///
/// # Errors
/// What the server answers.
pub async fn create_database(connection: &Connection, name: &str) -> Result<(), String> {
    let client = connect(connection, "").await?;
    client
        .batch_execute(&format!(
            "CREATE DATABASE {} TEMPLATE template0",
            identifier(name)
        ))
        .await
        .map_err(|e| told(&e))
}

/// Removes a database of a drill; others are refused here.
///
/// # Errors
/// It is not one of a drill, or what the server answers.
pub async fn drop_database(connection: &Connection, name: &str) -> Result<(), String> {
    if !name.starts_with("opsctl_drill_") {
        return Err(format!("{name} is not a database of a drill"));
    }
    let client = connect(connection, "").await?;
    // By its own sessions only: somebody who looks at the copy by hand has to make way.
    client
        .batch_execute(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            identifier(name)
        ))
        .await
        .map_err(|e| told(&e))
}

/// Whether a database is there.
///
/// # Errors
/// What the server answers.
pub async fn has_database(connection: &Connection, name: &str) -> Result<bool, String> {
    let client = connect(connection, "").await?;
    let found = client
        .query("select 1 from pg_database where datname = $1", &[&name])
        .await
        .map_err(|e| told(&e))?;
    Ok(!found.is_empty())
}

/// Runs statements that fill a database of the sandbox.
///
/// # Errors
/// What the server answers.
pub async fn fill(connection: &Connection, statements: &str) -> Result<(), String> {
    let client = connect(connection, "").await?;
    client.batch_execute(statements).await.map_err(|e| told(&e))
}

/// A value as it is kept in the evidence.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The one value of a query.
///
/// The session only reads, the transaction only reads, and preparing refuses a second statement, so
/// that none can end the transaction and begin another. A function that escapes all that (`dblink`,
/// say) reaches a copy that is thrown away.
pub(super) async fn ask(
    connection: &Connection,
    sql: &str,
    limit: Duration,
) -> Result<Actual, NoValue> {
    let millis = limit.as_millis().max(1);
    let options = format!(
        "-c default_transaction_read_only=on -c statement_timeout={millis} -c idle_in_transaction_session_timeout=60000"
    );
    let client = connect(connection, &options)
        .await
        .map_err(NoValue::Unasked)?;
    client.batch_execute("BEGIN TRANSACTION READ ONLY").await?;
    let statement = client.prepare(sql).await?;
    let kind = match statement.columns() {
        [one] => one.type_().clone(),
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
    // The simple protocol gives every type as the text that PostgreSQL itself would print.
    let rows = client.simple_query_raw(sql).await?;
    pin_mut!(rows);
    let mut value: Option<Option<String>> = None;
    while let Some(message) = rows.next().await {
        if let SimpleQueryMessage::Row(row) = message? {
            if value.is_some() {
                return Err(
                    "the query gives more than one row: a check is a query of one value".into(),
                );
            }
            value = Some(row.get(0).map(str::to_owned));
        }
    }
    let value = value.ok_or("the query gives no row: a check is a query of one value")?;
    Ok(match value {
        None => Actual::Null,
        Some(text) if kind == Type::BOOL => Actual::Bool(text == "t"),
        Some(text) if numeric(&kind) => Actual::Number(text),
        Some(text) if kind == Type::INTERVAL => Actual::Interval(text),
        Some(text) => Actual::Text(text),
    })
}

fn numeric(kind: &Type) -> bool {
    [
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::NUMERIC,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::OID,
    ]
    .contains(kind)
}
