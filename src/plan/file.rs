//! Saved plans: self-contained, stamped with a digest over everything that they say.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::check::check;
use super::{FORMAT_VERSION, Plan};

/// A saved plan is larger than a configuration file, but not without end.
const MAX_PLAN_BYTES: u64 = 512 * 1024 * 1024;

/// Why a saved plan is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("{path}: {bytes} bytes: too large to be a plan")]
    TooLarge { path: String, bytes: u64 },
    #[error("{path}: not a saved plan: {error}")]
    NotJson {
        path: String,
        error: serde_json::Error,
    },
    #[error("{path}: not a saved plan: its kind is {kind}")]
    NotAPlan { path: String, kind: String },
    #[error(
        "{path}: written in format {found}, this opsctl reads {FORMAT_VERSION}: use the opsctl that wrote it, or a newer one"
    )]
    NewerFormat { path: String, found: String },
    #[error(
        "{path}: the plan was changed after it was saved: its digest does not match. Make a new one with `opsctl plan --out`"
    )]
    Tampered { path: String },
    #[error("{path}: refused: {error}. Make a new one with `opsctl plan --out`")]
    Inconsistent { path: String, error: String },
    #[error("{path}: not a regular file")]
    NotAFile { path: String },
    #[error("{path}: the plan cannot be read: {error}")]
    Invalid {
        path: String,
        error: serde_json::Error,
    },
}

/// Hashes what is written into it.
struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Hasher {
    /// serde_json keeps objects sorted by key, so the text is canonical.
    fn add(&mut self, value: &Value) {
        // Hashing in memory cannot fail.
        let _ = serde_json::to_writer(&mut *self, value);
        self.0.update(b"\n");
    }

    fn finish(self) -> String {
        format!("sha256:{}", hex::encode(self.0.finalize()))
    }
}

/// The digest of a saved plan: over the document without its digest and its lists of changes and
/// findings, then over each change and each finding, a line each.
pub fn digest(mut document: Value) -> String {
    let mut hasher = Hasher(Sha256::new());
    let mut take = |key: &str| document.as_object_mut().and_then(|o| o.remove(key));
    take("digest");
    let lists = [take("changes"), take("findings")];
    hasher.add(&document);
    for value in lists.iter().flatten() {
        match value.as_array() {
            Some(items) => items.iter().for_each(|item| hasher.add(item)),
            None => hasher.add(value),
        }
    }
    hasher.finish()
}

/// Stamps a plan with the digest over everything else in it; one change at a time, since a plan can
/// be large.
pub fn seal(plan: &mut Plan) {
    let changes = std::mem::take(&mut plan.changes);
    let findings = std::mem::take(&mut plan.findings);
    let mut head = serde_json::to_value(&*plan).unwrap_or_default();
    if let Some(object) = head.as_object_mut() {
        for key in ["digest", "changes", "findings"] {
            object.remove(key);
        }
    }
    let mut hasher = Hasher(Sha256::new());
    hasher.add(&head);
    for change in &changes {
        hasher.add(&serde_json::to_value(change).unwrap_or_default());
    }
    for finding in &findings {
        hasher.add(&serde_json::to_value(finding).unwrap_or_default());
    }
    plan.digest = hasher.finish();
    plan.changes = changes;
    plan.findings = findings;
}

/// Writes a value as indented JSON.
pub fn write_json(value: &impl Serialize, out: &mut dyn Write) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Saves a plan atomically: the file is complete or not there.
pub fn save(plan: &Plan, path: &Path) -> Result<(), PlanFileError> {
    write_atomically_with(path, &mut |out| write_json(plan, out)).map_err(|error| {
        PlanFileError::Io {
            path: path.display().to_string(),
            error,
        }
    })
}

/// Writes a file so that a reader sees the old one or the whole new one, also after a crash.
///
/// A symbolic link is followed; what is no regular file (`/dev/null`, a pipe) is written into.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_atomically_with(path, &mut |out| out.write_all(bytes))
}

/// As [`write_atomically`], for what is too large to be made in memory first.
pub fn write_atomically_with(
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = std::fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|m| !m.is_file()) {
        return write(&mut std::fs::File::options().write(true).open(path)?);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    // The permissions of the old file, else what the umask leaves of the usual ones.
    let permissions = existing.map_or_else(
        || std::fs::Permissions::from_mode(0o666),
        |m| m.permissions(),
    );
    let mut file = tempfile::Builder::new()
        .permissions(permissions)
        .tempfile_in(folder)?;
    write(&mut file)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Reads a saved plan and checks that it is one, of a format that we know, and unchanged.
pub fn load(path: &Path) -> Result<Plan, PlanFileError> {
    let name = path.display().to_string();
    let io = |error| PlanFileError::Io {
        path: name.clone(),
        error,
    };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(PlanFileError::NotAFile { path: name });
    }
    let bytes = metadata.len();
    if bytes > MAX_PLAN_BYTES {
        return Err(PlanFileError::TooLarge { path: name, bytes });
    }
    let text = std::fs::read(path).map_err(io)?;
    let document: Value =
        serde_json::from_slice(&text).map_err(|error| PlanFileError::NotJson {
            path: name.clone(),
            error,
        })?;
    let field = |key: &str| {
        document
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if field("kind") != "plan" {
        return Err(PlanFileError::NotAPlan {
            path: name,
            kind: format!("`{}`", field("kind")),
        });
    }
    if field("format_version") != FORMAT_VERSION {
        return Err(PlanFileError::NewerFormat {
            found: field("format_version").to_owned(),
            path: name,
        });
    }
    if field("digest") != digest(document.clone()) {
        return Err(PlanFileError::Tampered { path: name });
    }
    let plan = serde_json::from_value(document).map_err(|error| PlanFileError::Invalid {
        path: name.clone(),
        error,
    })?;
    check(&plan).map_err(|error| PlanFileError::Inconsistent { path: name, error })?;
    Ok(plan)
}
