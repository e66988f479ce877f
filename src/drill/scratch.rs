//! A PostgreSQL server of our own for the length of a drill: made by `initdb` in a private folder,
//! reached through a socket in that folder by nobody but us.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use zeroize::Zeroize;

use super::folder::Folder;
use super::probe::{self, Address, Connection};
use super::tools::Tools;

/// Most time from the start of the server to the first connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// The socket's name carries it; the folder is ours, so no other server can be in the way.
const PORT: u16 = 5432;

/// Settings of a server whose data nobody will miss.
const FAST: [&str; 17] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "max_connections=30",
    "autovacuum=off",
    "logging_collector=off",
    "log_statement=none",
    "log_min_error_statement=panic",
    "log_min_messages=fatal",
    "password_encryption=scram-sha-256",
    "listen_addresses=",
];

/// A password that lives in memory only.
#[derive(Clone)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// 160 random bits in 40 hex digits: the most that every engine of RDS takes.
    ///
    /// Source: RDS API reference, ModifyDBInstance, `MasterUserPassword` (MySQL and MariaDB: 8 to 41
    /// characters).
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Secret, String> {
        use std::io::Read;
        let mut bytes = [0u8; 20];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut f| f.read_exact(&mut bytes))
            .map_err(|e| format!("no random numbers for a password: {e}"))?;
        let secret = Secret(hex::encode(bytes));
        bytes.zeroize();
        Ok(secret)
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A running server.
#[derive(Debug)]
pub struct Scratch {
    child: Child,
    pub connection: Connection,
    pub tools: Tools,
}

/// A program of PostgreSQL with nothing of our environment: no credentials reach what runs inside
/// a dump.
///
/// It is not killed when its handle is dropped: a server that is killed leaves its shared memory
/// behind. Removing the folder ends everything in it in order.
pub fn program(tools: &Tools, name: &str, folder: &Folder) -> Command {
    let mut command = Command::new(tools.program(name));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("HOME", folder.path())
        .env("PGAPPNAME", "opsctl-drill")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(user) = folder.run_as {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// The last words of a program.
pub fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" · ")
}

impl Scratch {
    /// Makes and starts a server in the folder of the run, with the given superuser.
    ///
    /// # Errors
    /// What failed, in the program's own words.
    pub async fn start(folder: &Folder, tools: &Tools, user: &str) -> Result<Scratch, String> {
        let password = Secret::generate()?;
        let data = folder.path().join("data");
        let sockets = folder.sub("socket")?;
        initdb(folder, tools, &data, user).await?;
        set_password(folder, tools, &data, user, &password).await?;
        let rules = "local all all scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), rules)
            .map_err(|e| format!("{}: {e}", data.display()))?;
        let log = folder.path().join("server.log");
        let file = std::fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = program(tools, "postgres", folder);
        command.arg("-D").arg(&data).arg("-p").arg(PORT.to_string());
        command.arg("-k").arg(&sockets);
        for setting in FAST {
            command.arg("-c").arg(setting);
        }
        let child = command
            .stderr(file)
            .spawn()
            .map_err(|e| format!("postgres could not be started: {e}"))?;
        let connection = Connection {
            address: Address::Socket(sockets),
            port: PORT,
            user: user.to_owned(),
            password: Some(password),
            database: "postgres".to_owned(),
            authorities: None,
        };
        let mut scratch = Scratch {
            child,
            connection,
            tools: tools.clone(),
        };
        scratch.ready(&log).await?;
        Ok(scratch)
    }

    async fn ready(&mut self, log: &Path) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!(
                    "the scratch PostgreSQL ended at its start ({status}): {}",
                    last_words(&said)
                ));
            }
            match probe::ping(&self.connection).await {
                Ok(()) => return Ok(()),
                Err(e) if began.elapsed() > PATIENCE => {
                    return Err(format!("the scratch PostgreSQL did not come up: {e}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
    }

    /// Whether the server still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops the server at once; its data goes with the folder.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // An immediate shutdown takes the backends along, a SIGKILL would not.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let waited = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        if waited.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn run(mut command: Command, what: &str) -> Result<(), String> {
    let output = command
        .stderr(Stdio::piped())
        .output()
        .await
        .map_err(|e| format!("{what} could not be started: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{what} failed: {}", last_words(&said)))
}

async fn initdb(folder: &Folder, tools: &Tools, data: &Path, user: &str) -> Result<(), String> {
    let mut command = program(tools, "initdb", folder);
    command.arg("-D").arg(data).args([
        "--username",
        user,
        // Until the real rules are written, nobody gets in.
        "--auth-local=reject",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    run(command, "initdb").await
}

/// Through the standard input of a server without clients: the password is in no file, in no
/// argument and in no log; what the data folder holds is its SCRAM verifier.
async fn set_password(
    folder: &Folder,
    tools: &Tools,
    data: &Path,
    user: &str,
    password: &Secret,
) -> Result<(), String> {
    let mut command = program(tools, "postgres", folder);
    command.arg("--single").arg("-D").arg(data).args([
        "-c",
        "fsync=off",
        "-c",
        "password_encryption=scram-sha-256",
        "-c",
        "log_min_error_statement=panic",
        "postgres",
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("postgres could not be started: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let statement = probe::set_password(user, password.reveal());
        stdin
            .write_all(statement.as_bytes())
            .await
            .map_err(|e| format!("postgres --single: {e}"))?;
    }
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("postgres --single failed ({status})")),
        Err(e) => Err(format!("postgres --single: {e}")),
    }
}
