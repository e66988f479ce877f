//! The command of `connect.via` that opens a tunnel to the copy.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::config::later::Via;

/// How long a tunnel may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long its processes may take to end by themselves.
const MANNERS: Duration = Duration::from_secs(3);
/// Last lines of what it says that are kept.
const LINES: usize = 8;

/// The command runs in a process group of its own, beside a watcher that ends the group when our
/// end of its standard input closes: however opsctl dies, no tunnel outlives it.
const WATCHED: &str = r#"exec 3<&0
( cat <&3 >/dev/null 2>&1; kill -TERM 0 ) &
exec 3<&- </dev/null
eval "$OPSCTL_TUNNEL""#;

/// A running tunnel; it ends with [`Tunnel::close`], or with the value.
#[derive(Debug)]
pub struct Tunnel {
    child: Child,
    group: Option<Pid>,
    pub port: u16,
    said: Arc<Mutex<Vec<String>>>,
}

/// The command with its placeholders filled in: `{host}` or `{endpoint}`, `{port}`, `{local_port}`.
///
/// # Errors
/// A host that could be taken for more than a host by a shell.
pub fn fill(command: &str, host: &str, port: u16, local: u16) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(format!("`{host}` is not the name of a host"));
    }
    Ok(command
        .replace("{host}", host)
        .replace("{endpoint}", host)
        .replace("{port}", &port.to_string())
        .replace("{local_port}", &local.to_string()))
}

fn keep(stream: Option<impl AsyncRead + Unpin + Send + 'static>, said: &Arc<Mutex<Vec<String>>>) {
    let Some(stream) = stream else { return };
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut said = said.lock().unwrap_or_else(|e| e.into_inner());
            if said.len() >= LINES {
                said.remove(0);
            }
            said.push(line);
        }
    });
}

/// The address by which a copy is reached, and the tunnel that has to be closed afterwards.
///
/// # Errors
/// What is wrong with the address, or what the command said.
pub async fn reach(
    via: &Via,
    host: &str,
    port: u16,
) -> Result<(String, u16, Option<Tunnel>), String> {
    match via {
        Via::Direct => Ok((host.to_owned(), port, None)),
        Via::Address(address) => address
            .rsplit_once(':')
            .and_then(|(host, port)| {
                let host = host.trim_matches(['[', ']']).to_owned();
                Some((host, port.parse().ok()?, None))
            })
            .ok_or_else(|| format!("`{address}` is no address")),
        Via::Command(command) => {
            let tunnel = Tunnel::open(command, host, port).await?;
            Ok(("127.0.0.1".to_owned(), tunnel.port, Some(tunnel)))
        }
    }
}

impl Tunnel {
    /// Starts the command and waits until its port on this machine answers.
    ///
    /// # Errors
    /// What happened instead, with what the command said.
    pub async fn open(command: &str, host: &str, port: u16) -> Result<Tunnel, String> {
        let local = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|l| l.local_addr())
            .map_err(|e| format!("no free port for the tunnel: {e}"))?
            .port();
        let filled = fill(command, host, port, local)?;
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(WATCHED)
            .env("OPSCTL_TUNNEL", &filled)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("the tunnel command could not be started: {e}"))?;
        let said = Arc::default();
        keep(child.stderr.take(), &said);
        keep(child.stdout.take(), &said);
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut tunnel = Tunnel {
            child,
            group,
            port: local,
            said,
        };
        let began = Instant::now();
        loop {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, local))
                .await
                .is_ok()
            {
                return Ok(tunnel);
            }
            let ended = tunnel.child.try_wait().ok().flatten();
            let why = match ended {
                Some(status) => format!("it ended with {status}"),
                None if began.elapsed() > PATIENCE => format!(
                    "port {local} did not answer within {} s",
                    PATIENCE.as_secs()
                ),
                None => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // What it said on its way out may still be in the pipe.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let said = tunnel.said();
            tunnel.close().await;
            return Err(format!("the tunnel command: {why}{said}"));
        }
    }

    /// Its last words, for an error.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(|e| e.into_inner());
        match said.is_empty() {
            true => String::new(),
            false => format!(": {}", said.join(" | ")),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An empty group is what is wanted.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    fn alive(&self) -> bool {
        self.group
            .is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    }

    /// Ends the command and everything that it started.
    pub async fn close(mut self) {
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < MANNERS {
            // Reaped, so that it does not count as alive.
            let _ = self.child.try_wait();
            if !self.alive() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
        self.group = None;
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
