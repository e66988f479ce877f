//! What `opsctl audit readiness` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[];
