//! What a copy is called and tagged as.

use jiff::Timestamp;

use crate::cloud::copies::CopyKind;
use crate::model::Tags;

/// Every name of a copy begins so.
pub const PREFIX: &str = "drill-";
/// The run that made the copy.
pub const RUN: &str = "opsctl:drill";
/// What survives a rename of the source: `DbiResourceId`, `DbClusterResourceId`, `TableId`.
pub const SOURCE: &str = "opsctl:drill-source";
/// When the run noted in its journal that it was about to make the copy, by AWS's clock.
pub const INTENT: &str = "opsctl:drill-intent";

/// Until when the run may be alive, cleanup included, by AWS's clock; only of runs that may take longer
/// than others expect, as other projects know nothing of their time limit.
pub const UNTIL: &str = "opsctl:drill-until";

/// Longest names. Source: API models of RDS (DBInstanceIdentifier) and DynamoDB (TableName).
fn longest(kind: CopyKind) -> usize {
    match kind {
        CopyKind::Instance | CopyKind::Cluster => 63,
        CopyKind::Table => 255,
    }
}

/// The part of the names of a run's copies by which they are its own.
pub fn stamp(run_id: &str) -> String {
    run_id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

/// `drill-<source>-<utc>`, with the run's random digits behind the time; for databases in the
/// letters, digits and single hyphens that RDS takes, and lower case, as it keeps them. A long name
/// of a source is cut.
pub fn copy_name(kind: CopyKind, source: &str, run_id: &str) -> String {
    let stamp = stamp(run_id);
    let room = longest(kind).saturating_sub(PREFIX.len() + 1 + stamp.len());
    let mut name = String::new();
    for c in source.chars() {
        match kind {
            CopyKind::Table if c.is_ascii_alphanumeric() || "._-".contains(c) => name.push(c),
            CopyKind::Instance | CopyKind::Cluster if c.is_ascii_alphanumeric() => {
                name.push(c.to_ascii_lowercase());
            }
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
        if name.len() >= room {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    match name {
        "" => format!("{PREFIX}{stamp}"),
        name => format!("{PREFIX}{name}-{stamp}"),
    }
}

/// The three tags of a copy, the one of a run that may take long, and no others.
pub fn tags(
    run_id: &str,
    source_resource_id: &str,
    intent: Timestamp,
    until: Option<Timestamp>,
) -> Tags {
    let mut tags = Tags::from_iter([
        (RUN.to_owned(), run_id.to_owned()),
        (SOURCE.to_owned(), source_resource_id.to_owned()),
        (INTENT.to_owned(), intent.to_string()),
    ]);
    tags.extend(until.map(|until| (UNTIL.to_owned(), until.to_string())));
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_rds_takes() {
        let run = "20261122T104000Z-0a1b2c";
        let name = |source: &str| copy_name(CopyKind::Instance, source, run);
        assert_eq!(
            name("orders-prod"),
            "drill-orders-prod-20261122t104000z0a1b2c"
        );
        assert_eq!(name("Orders--x"), "drill-orders-x-20261122t104000z0a1b2c");
        for long in [
            "a".repeat(63),
            format!("{}-{}", "b".repeat(33), "c".repeat(20)),
        ] {
            let name = name(&long);
            assert!(
                name.len() <= 63 && !name.contains("--") && !name.ends_with('-'),
                "{name}"
            );
        }
        let table = copy_name(CopyKind::Table, "App.Orders_1", run);
        assert_eq!(table, "drill-App.Orders_1-20261122t104000z0a1b2c");
    }
}
