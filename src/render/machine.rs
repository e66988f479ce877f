//! What the formats for machines have in common: where a finding is, and what tells it from others.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::text::escape;
use crate::audit::Audit;
use crate::plan::Reason;

/// Where findings are shown that name no file of the project.
const WORKSPACE: &str = "opsctl.toml";

/// The file, relative to the project folder, and the line that asks for it.
pub(super) fn place(reason: &Reason) -> (String, u32) {
    let file = reason.file.strip_prefix("builtin:").unwrap_or(&reason.file);
    let file = file.strip_prefix("./").unwrap_or(file);
    if file.is_empty() {
        (WORKSPACE.to_owned(), 1)
    } else {
        (file.replace('\\', "/"), reason.line.max(1))
    }
}

/// One for each finding, from its id and address alone: the same again in every run, whatever
/// happens to lines and messages. Findings that agree in both are counted through.
pub(super) fn fingerprints(audit: &Audit) -> Vec<String> {
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    audit
        .findings
        .iter()
        .map(|finding| {
            let key = (finding.id.as_str(), finding.address.as_str());
            let nth = seen.entry(key).or_default();
            *nth += 1;
            let mut hash = Sha256::new();
            for part in [key.0, key.1, &nth.to_string()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            hex::encode(&hash.finalize()[..16])
        })
        .collect()
}

/// `address: message`, safe to show.
pub(super) fn sentence(finding: &crate::plan::Finding) -> String {
    format!(
        "{}: {}",
        escape(finding.address.as_str()),
        escape(&finding.message)
    )
}
