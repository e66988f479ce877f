//! What tells one finding from another, in every format that compares runs.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Reported;

/// From an id and an address alone: the same again in every run, whatever happens to lines and
/// messages. Those that agree in both are counted through.
pub fn fingerprint(id: &str, address: &str, nth: u32) -> String {
    let mut hash = Sha256::new();
    for part in [id, address, &nth.to_string()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// Gives each finding its own.
pub(super) fn fill(findings: &mut [Reported]) {
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    for reported in findings {
        let finding = &reported.finding;
        let key = (finding.id.clone(), finding.address.as_str().to_owned());
        let nth = seen.entry(key).or_default();
        *nth += 1;
        reported.fingerprint = fingerprint(&finding.id, finding.address.as_str(), *nth);
    }
}
