//! JSON Schemas of the files that users write and of the documents that opsctl writes.

use schemars::{Schema, schema_for};

use super::policy::Policies;
use super::workspace::{StageFile, Workspace};
use crate::audit::Audit;
use crate::doctor::Report;
use crate::drill::record::Record;
use crate::plan::Plan;
use crate::report::cost::CostReport;
use crate::report::summary::SummaryReport;
use crate::report::tags::TagReport;

/// The schemas by name; `docs/reference/schema/<name>.json` holds them.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("workspace", schema_for!(Workspace)),
        ("stage", schema_for!(StageFile)),
        ("policy", schema_for!(Policies)),
        ("plan", schema_for!(Plan)),
        ("audit", schema_for!(Audit)),
        ("evidence", schema_for!(Record)),
        ("doctor", schema_for!(Report)),
        ("report-cost", schema_for!(CostReport)),
        ("report-summary", schema_for!(SummaryReport)),
        ("report-tags", schema_for!(TagReport)),
    ]
}

/// A schema as the text that is printed and kept.
pub fn to_text(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}
