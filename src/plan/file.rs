//! Saved plans: self-contained, stamped with a digest over everything that they say.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

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
    #[error("{path}: the plan cannot be read: {error}")]
    Invalid {
        path: String,
        error: serde_json::Error,
    },
}

fn digest_of(document: &Value) -> String {
    // serde_json keeps objects sorted by key, so the text is canonical.
    let text = serde_json::to_string(document).unwrap_or_default();
    format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))
}

fn digest_without(mut document: Value) -> String {
    if let Some(object) = document.as_object_mut() {
        object.remove("digest");
    }
    digest_of(&document)
}

/// Stamps a plan with the digest over everything else in it.
pub fn seal(plan: &mut Plan) {
    let document = serde_json::to_value(&*plan).unwrap_or_default();
    plan.digest = digest_without(document);
}

/// Saves a plan atomically: the file is complete or not there.
pub fn save(plan: &Plan, path: &Path) -> Result<(), PlanFileError> {
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    write_atomically(path, text.as_bytes()).map_err(|error| PlanFileError::Io {
        path: path.display().to_string(),
        error,
    })
}

/// Writes a file so that a reader sees the old one or the whole new one, also after a crash.
///
/// A symbolic link is followed; what is no regular file (`/dev/null`, a pipe) is written into.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = std::fs::metadata(path).ok();
    if existing.as_ref().is_some_and(|m| !m.is_file()) {
        return std::fs::File::options()
            .write(true)
            .open(path)?
            .write_all(bytes);
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
    file.write_all(bytes)?;
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
    let bytes = std::fs::metadata(path).map_err(io)?.len();
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
    if field("digest") != digest_without(document.clone()) {
        return Err(PlanFileError::Tampered { path: name });
    }
    serde_json::from_value(document).map_err(|error| PlanFileError::Invalid { path: name, error })
}
