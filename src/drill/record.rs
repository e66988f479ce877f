//! The evidence of one drill: what an auditor files. Contract: `kind: "drill"`.
//!
//! A record is sealed by the SHA-256 of its canonical form (members sorted by name, no spaces)
//! without the member `sha256`, and names the seal of the record before it. The file holds exactly
//! the rendering of that form, so that not one byte of it can change unnoticed.

use std::time::Duration;

use super::folder::Folder;

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Version of the form of these records.
pub const FORMAT_VERSION: &str = "1.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Restored, every check as expected, within the objectives, nothing left behind.
    Passed,
    /// The backup could not be restored or is not what it should be, or something was left behind.
    Failed,
    /// Good data, but too old or too late.
    MissedObjective,
    /// Says nothing about the backup: the drill could not run, or was interrupted.
    Aborted,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::MissedObjective => "missed_objective",
            Outcome::Aborted => "aborted",
        }
    }
}

/// Who or what started a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// `user`, `ci` or `schedule`.
    pub kind: String,
    pub name: String,
    /// The CI job, or the host.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRef {
    pub file: String,
    pub line: u32,
    /// Of the file as it was read.
    pub sha256: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRecord {
    pub id: String,
    /// What survives a rename: `DbiResourceId`, the ARN of an object.
    pub resource_id: Option<String>,
    pub engine: Option<String>,
    pub engine_version: Option<String>,
    pub encrypted: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPoint {
    /// `snapshot`, `point-in-time`, `backup`, `dump`.
    pub kind: String,
    pub arn: String,
    #[schemars(with = "String")]
    pub data_time: Timestamp,
    /// Where `data_time` was read: `SnapshotDatabaseTime`, `SnapshotCreateTime`, `LastModified`, …
    pub data_time_basis: String,
    pub age_seconds: f64,
    pub size_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CopyRecord {
    pub id: String,
    pub resource_id: Option<String>,
    pub instance_class: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    pub step: String,
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// `null`: the run ended in this step.
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<Timestamp>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    pub rto_seconds: Option<f64>,
    pub rpo_seconds: Option<f64>,
}

/// Seconds from the beginning of the restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    pub time_to_available_seconds: Option<f64>,
    /// This one is held against the RTO: a database that nobody has looked into is not recovered.
    pub time_to_verified_seconds: Option<f64>,
    pub recovery_point_age_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRecord {
    pub sql: String,
    pub expect: String,
    /// As the database writes it; `null` where there is none, `"null"` for NULL.
    pub actual: Option<String>,
    pub passed: bool,
    pub duration_ms: u64,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cleanup {
    /// Nothing of the copy is left.
    pub deleted: bool,
    /// Who made the copy and deletes it, where that is not opsctl: `AWS Backup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_to: Option<String>,
    /// What was looked at to know that.
    pub proof: Vec<String>,
}

impl Cleanup {
    /// Removes a scratch folder, and notes what that left.
    pub async fn of_folder(&mut self, folder: Folder) {
        let removed = tokio::task::spawn_blocking(move || folder.remove()).await;
        match removed.unwrap_or_else(|e| Err(e.to_string())) {
            Ok(proof) => self.proof.extend(proof),
            Err(e) => {
                self.deleted = false;
                self.proof.push(e);
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Evidence of a restore drill")]
pub struct Record {
    pub format_version: String,
    /// `drill`
    pub kind: String,
    pub opsctl_version: String,
    pub run_id: String,
    /// Place in the chain, from 1.
    pub sequence: u64,
    /// The name in `[backups.drill.NAME]`.
    pub drill: String,
    /// The scenario, of a rehearsal in the sandbox; such records have a chain of their own.
    pub sandbox: Option<String>,
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    #[schemars(with = "String")]
    pub finished_at: Timestamp,
    pub triggered_by: Trigger,
    pub policy: PolicyRef,
    pub environment: String,
    pub account: String,
    pub region: String,
    pub source: SourceRecord,
    pub recovery_point: Option<RecoveryPoint>,
    pub copy: Option<CopyRecord>,
    pub timeline: Vec<StepRecord>,
    pub objective: Objective,
    pub measured: Measured,
    pub checks: Vec<CheckRecord>,
    pub cleanup: Cleanup,
    pub estimated_cost_usd: String,
    pub result: Outcome,
    /// Why the result is what it is, the decisive one first; of a passed one what was remarkable.
    pub reasons: Vec<String>,
    /// Of the record before; `null` in the first one.
    pub previous_sha256: Option<String>,
    pub sha256: String,
}

/// Now, in milliseconds: what finer times a step has do not matter.
pub fn now() -> Timestamp {
    to_millis(Timestamp::now())
}

pub fn to_millis(at: Timestamp) -> Timestamp {
    at.round(Unit::Millisecond).unwrap_or(at)
}

/// Seconds with three decimals.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// Seconds between two times, none below zero.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    let millis = to.as_millisecond() - from.as_millisecond();
    millis.max(0) as f64 / 1000.0
}

/// The members of all objects sorted by name, whatever the order in which they came; without
/// spaces, or with every member and item on a line of its own, so many levels deep.
fn canonical(value: &Value, depth: Option<usize>, out: &mut String) {
    let line = |out: &mut String, more: usize| {
        if let Some(depth) = depth {
            out.push('\n');
            out.push_str(&"  ".repeat(depth + more));
        }
    };
    let inner = depth.map(|d| d + 1);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(out, 1);
                out.push_str(&Value::String(key.clone()).to_string());
                out.push_str(if depth.is_some() { ": " } else { ":" });
                canonical(&map[key], inner, out);
            }
            line(out, 0);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(out, 1);
                canonical(item, inner, out);
            }
            line(out, 0);
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The seal of a document: SHA-256 over its canonical form without `sha256`.
fn seal_of(document: &Value) -> String {
    let mut document = document.clone();
    if let Some(map) = document.as_object_mut() {
        map.remove("sha256");
    }
    let mut text = String::new();
    canonical(&document, None, &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The members sorted, one on a line.
fn file_text(document: &Value) -> String {
    let mut text = String::new();
    canonical(document, Some(0), &mut text);
    text.push('\n');
    text
}

impl Record {
    /// Puts the record behind another one, and seals it.
    pub fn seal(&mut self, sequence: u64, previous: Option<&str>) {
        self.sequence = sequence;
        self.previous_sha256 = previous.map(str::to_owned);
        self.sha256 = String::new();
        let document = serde_json::to_value(&*self).unwrap_or_default();
        self.sha256 = seal_of(&document);
    }

    /// The one text that a file with this record holds.
    pub fn text(&self) -> String {
        file_text(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Reads what [`Record::text`] wrote, and nothing else. Seal and form are those of the document
    /// as it stands, so that records of other versions, with members more or less, hold too.
    ///
    /// # Errors
    /// What does not fit.
    pub fn read(bytes: &[u8]) -> Result<Record, String> {
        let not_one = |e: serde_json::Error| format!("it is not a record: {e}");
        let document: Value = serde_json::from_slice(bytes).map_err(not_one)?;
        let found = seal_of(&document);
        let seal = document["sha256"].as_str().unwrap_or_default();
        if found != seal {
            return Err(format!(
                "it was changed: its content has the SHA-256 {found}, its seal says {seal}"
            ));
        }
        if file_text(&document).as_bytes() != bytes {
            return Err(
                "it was changed: the file is not in the form in which it was written".to_owned(),
            );
        }
        serde_json::from_value(document).map_err(not_one)
    }

    /// From the beginning until the data was proven, in seconds. A drill that failed or could not run
    /// has proven nothing: its time is only that until the checks ended.
    pub fn recovery_seconds(&self) -> Option<f64> {
        let proven = matches!(self.result, Outcome::Passed | Outcome::MissedObjective);
        self.measured.time_to_verified_seconds.filter(|_| proven)
    }

    /// Ok for people who depend on the backup.
    pub fn passed(&self) -> bool {
        self.result == Outcome::Passed
    }
}
