//! What `opsctl audit backups` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[];
