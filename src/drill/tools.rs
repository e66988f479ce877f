//! The PostgreSQL programs of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What to say when there are none.
pub const INSTALL: &str = "install PostgreSQL:  apt-get install postgresql  ·  dnf install postgresql-server postgresql  ·  brew install postgresql@17  \
(a server on this machine need not be running), name its folder in OPSCTL_POSTGRES_BINDIR, or name a server: restore = { scratch = \"postgres://user@host/database\" }";

/// For a scratch server.
const SERVER: [&str; 4] = ["initdb", "postgres", "pg_restore", "psql"];
/// For a server somewhere else.
const CLIENT: [&str; 2] = ["pg_restore", "psql"];

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    pub bin: PathBuf,
    pub major: u32,
    /// As `--version` says it.
    pub version: String,
}

impl Tools {
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// All complete installations in the order in which they are preferred: PATH, `pg_config
    /// --bindir`, then the folders of the packages, newest first.
    pub fn find(server: bool) -> Vec<Tools> {
        let wanted: &[&str] = if server { &SERVER } else { &CLIENT };
        let mut out: Vec<Tools> = Vec::new();
        for folder in folders() {
            let real = std::fs::canonicalize(&folder).unwrap_or(folder);
            if out.iter().any(|t| t.bin == real) || !wanted.iter().all(|n| real.join(n).is_file()) {
                continue;
            }
            if let Some((major, version)) = version_of(&real.join(wanted[wanted.len() - 2])) {
                out.push(Tools {
                    bin: real,
                    major,
                    version,
                });
            }
        }
        out
    }

    /// The preferred installation that can read dumps of this version, else the preferred one.
    pub fn for_version(found: &[Tools], major: Option<u32>) -> Option<&Tools> {
        let fits = |t: &&Tools| major.is_none_or(|m| t.major >= m);
        found.iter().find(fits).or_else(|| found.first())
    }
}

fn folders() -> Vec<PathBuf> {
    // Says it outright; nothing else is looked at then.
    if let Some(folder) = std::env::var_os("OPSCTL_POSTGRES_BINDIR").filter(|v| !v.is_empty()) {
        return vec![folder.into()];
    }
    let mut out: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    let asked = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    if let Ok(answer) = asked
        && answer.status.success()
    {
        out.push(String::from_utf8_lossy(&answer.stdout).trim().into());
    }
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
        ("/opt/local/lib", "postgresql", "bin"),
    ] {
        out.extend(versions(Path::new(parent), prefix, rest));
    }
    out.push("/usr/local/pgsql/bin".into());
    out.push("/usr/libexec/postgresql".into());
    out
}

/// `PARENT/PREFIX<number>…/REST`, the highest number first.
fn versions(parent: &Path, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name
                .to_str()?
                .strip_prefix(prefix)?
                .trim_start_matches(['@', '-'])
                .split('.')
                .next()?
                .parse()
                .ok()?;
            Some((number, entry.path().join(rest)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `pg_restore (PostgreSQL) 15.14 (Debian …)`: 15.
fn version_of(program: &Path) -> Option<(u32, String)> {
    let answer = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let number = text.split_whitespace().find_map(major_of)?;
    let version = text
        .split_once(") ")
        .map_or(text.as_str(), |(_, version)| version)
        .to_owned();
    Some((number, version))
}

/// The major version in `15.14`, `17devel`, `18beta1`.
pub fn major_of(word: &str) -> Option<u32> {
    let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_new_enough_is_chosen() {
        let tools = |major: u32| Tools {
            bin: format!("/pg/{major}").into(),
            major,
            version: String::new(),
        };
        let found = [tools(15), tools(17), tools(16)];
        let chosen = |m| Tools::for_version(&found, m).map(|t| t.major);
        assert_eq!(chosen(None), Some(15));
        assert_eq!(chosen(Some(15)), Some(15));
        assert_eq!(chosen(Some(16)), Some(17));
        assert_eq!(chosen(Some(18)), Some(15));
        assert_eq!(Tools::for_version(&[], None), None);
    }

    #[test]
    fn versions_are_read_from_words() {
        assert_eq!(major_of("15.14"), Some(15));
        assert_eq!(major_of("18beta1"), Some(18));
        assert_eq!(major_of("(PostgreSQL)"), None);
    }
}
