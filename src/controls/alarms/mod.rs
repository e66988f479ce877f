//! # Alarms

use super::Input;
use crate::cloud::Want;
use crate::config::Resolved;
use crate::plan::Verdict;

/// What the control needs to see.
pub fn want(_resolved: &Resolved, _want: &mut Want) {}

/// Plans one environment.
pub fn plan(_input: &Input) -> Verdict {
    Verdict {
        notes: vec![
            "alarms: not yet reconciled by this version; the policy was read and is valid"
                .to_owned(),
        ],
        ..Verdict::default()
    }
}
