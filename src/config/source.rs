//! Files as read, and places in them.

use std::fmt;
use std::path::Path;

/// No file that people write comes near this; what is larger was named by mistake.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// One file: the name that messages use, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// A place in a file, cheap to copy; [`Sources`] turns it into file, line and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    pub source: u32,
    pub start: u32,
    pub end: u32,
}

/// All files of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.0.push(Source {
            name: name.into(),
            text: text.into(),
        });
        (self.0.len() - 1) as u32
    }

    /// All files that were read, in that order.
    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    pub fn get(&self, id: u32) -> &Source {
        &self.0[id as usize]
    }

    pub fn file(&self, origin: Origin) -> &str {
        &self.get(origin.source).name
    }

    /// Counted from 1.
    pub fn line(&self, origin: Origin) -> u32 {
        let text = &self.get(origin.source).text;
        let end = (origin.start as usize).min(text.len());
        text.as_bytes()[..end]
            .iter()
            .filter(|b| **b == b'\n')
            .count() as u32
            + 1
    }

    /// `file:line`.
    pub fn place(&self, origin: Origin) -> String {
        format!("{}:{}", self.file(origin), self.line(origin))
    }
}

/// Why a file could not be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}: no such file")]
    Missing(String),
    #[error(
        "{name}: {bytes} bytes, more than the {MAX_FILE_BYTES} that a configuration file may have; is this the right file?"
    )]
    TooLarge { name: String, bytes: u64 },
    #[error("{name}: not text: byte {at} is not valid UTF-8; is this the right file?")]
    Binary { name: String, at: usize },
    #[error("{name}: {error}")]
    Io { name: String, error: std::io::Error },
}

/// Reads a text file, refusing what cannot be one before it is in memory.
pub fn read_text(path: &Path, name: &str) -> Result<String, ReadError> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => ReadError::Missing(name.to_owned()),
        _ => ReadError::Io {
            name: name.to_owned(),
            error,
        },
    };
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        return Err(ReadError::Io {
            name: name.to_owned(),
            error: std::io::Error::other("not a regular file"),
        });
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge {
            name: name.to_owned(),
            bytes: meta.len(),
        });
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let bytes = bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .map(<[u8]>::to_vec)
        .unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(ReadError::Binary {
            name: name.to_owned(),
            at,
        });
    }
    String::from_utf8(bytes).map_err(|e| ReadError::Binary {
        name: name.to_owned(),
        at: e.utf8_error().valid_up_to(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// A mistake, or something doubtful, with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub level: Level,
    pub message: String,
    pub origin: Option<Origin>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(origin: Origin, message: impl Into<String>) -> Self {
        Diagnostic {
            level: Level::Error,
            message: message.into(),
            origin: Some(origin),
            help: None,
        }
    }

    pub fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Diagnostic {
            level: Level::Warning,
            ..Diagnostic::error(origin, message)
        }
    }

    /// About no place in a file.
    pub fn plain(message: impl Into<String>) -> Self {
        Diagnostic {
            level: Level::Error,
            message: message.into(),
            origin: None,
            help: None,
        }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The closest of `known` to what was written, if one is close.
pub fn suggest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = written.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|k| {
            let score = strsim::jaro_winkler(&folded, &k.to_lowercase().replace('_', "-"));
            (k, score)
        })
        .filter(|(_, score)| *score > 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(k, _)| k)
}
