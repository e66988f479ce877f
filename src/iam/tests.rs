use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::policy::{MANAGED_LIMIT, policy};
use super::table::rows;
use super::trust::Trust;
use super::{Part, Role};

/// A profile that uses everything.
fn everything() -> Facts {
    let set = |items: &[&str]| {
        items
            .iter()
            .map(|s| (*s).to_owned())
            .collect::<BTreeSet<_>>()
    };
    Facts {
        environment: "prod".to_owned(),
        partition: "aws".to_owned(),
        account: "123456789012".to_owned(),
        regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
        base: "opsctl-shop-prod".to_owned(),
        managed: "shop/prod".to_owned(),
        alarm_prefixes: set(&["shop-prod-", "opsctl-shop-prod-"]),
        topics: set(&["arn:aws:sns:eu-west-1:123456789012:ops"]),
        addresses: vec!["ops@example.com".to_owned()],
        tag_keys: vec!["environment".to_owned(), "team".to_owned()],
        lock: Some(("shop-opsctl".to_owned(), "opsctl/shop.lock".to_owned())),
        evidence: Some(("shop-opsctl".to_owned(), "evidence/shop/".to_owned())),
        notified: set(&["arn:aws:sns:eu-west-1:123456789012:ops"]),
        dumps: [("shop-dumps".to_owned(), "orders/".to_owned())].into(),
        role: Some("arn:aws:iam::123456789012:role/opsctl".to_owned()),
        databases: set(&["orders"]),
        clusters: set(&["ledger"]),
        tables: set(&["sessions"]),
        parts: [
            Part::Resources,
            Part::Tags,
            Part::Buckets,
            Part::Lifecycle,
            Part::Sizes,
            Part::Budgets,
            Part::Anomaly,
            Part::CostTags,
            Part::BillingMetric,
            Part::Topics,
            Part::Mail,
            Part::Alarms,
            Part::AlarmTopics,
            Part::Attributes,
            Part::Metrics,
            Part::Cost,
            Part::Backups,
            Part::BackupDatabases,
            Part::BackupTables,
            Part::BackupVersioning,
            Part::BackupCopies,
            Part::Lock,
            Part::Evidence,
            Part::Notify,
            Part::Simulate,
            Part::Drill,
            Part::RdsDrill,
            Part::AuroraDrill,
            Part::DynamoDrill,
            Part::DumpDrill,
        ]
        .into(),
    }
}

#[test]
fn every_operation_has_one_row() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert!(seen.insert(row.operation), "{} twice", row.operation);
    }
}

/// What the AWS side names as operations, in its sources.
fn operations_in_sources() -> BTreeMap<String, String> {
    fn walk(folder: &std::path::Path, out: &mut BTreeMap<String, String>) {
        let pattern = regex_lite::Regex::new("\"([a-z][a-z0-9-]+:[A-Z][A-Za-z0-9]+)\"").unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    walk(&path, out);
                }
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod").next().unwrap();
                for found in pattern.captures_iter(code) {
                    // Not AWS: condition keys, and what opsctl calls itself.
                    if found[1].starts_with("aws:") || found[1].starts_with("opsctl:") {
                        continue;
                    }
                    out.insert(found[1].to_owned(), path.display().to_string());
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws"),
        &mut out,
    );
    out
}

#[test]
fn every_operation_of_the_aws_side_has_a_row() {
    let table: BTreeSet<&str> = rows().map(|r| r.operation).collect();
    let made = operations_in_sources();
    assert!(made.len() > 80, "{}", made.len());
    let missing: Vec<_> = made
        .iter()
        .filter(|(o, _)| !table.contains(o.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "src/iam/table.rs has no row for {missing:#?}"
    );
}

/// No statement of any role reaches over the account, and none has a star for a service.
#[test]
fn nothing_is_granted_wholesale() {
    for role in [Role::Plan, Role::Apply, Role::Drill] {
        for statement in policy(role, &everything()).statement {
            for action in &statement.action {
                assert!(!action.contains('*'), "{action}");
            }
            for resource in &statement.resource {
                let named = resource.contains(":123456789012:");
                let owned = resource.starts_with("arn:aws:s3:::")
                    && statement.condition["StringEquals"].contains_key("aws:ResourceAccount");
                assert!(
                    named || owned || resource == "*",
                    "{}: {resource}",
                    statement.sid
                );
            }
        }
    }
}

#[test]
fn plan_writes_nothing_but_its_own_history_and_notifications() {
    let writes = [
        "Put", "Create", "Delete", "Update", "Modify", "Set", "Tag", "Untag", "Add", "Remove",
        "Restore", "Start",
    ];
    let found: Vec<String> = policy(Role::Plan, &everything())
        .statement
        .into_iter()
        .flat_map(|s| s.action)
        .filter(|a| {
            writes
                .iter()
                .any(|w| a.split(':').nth(1).unwrap().starts_with(w))
        })
        .collect();
    assert_eq!(found, ["s3:PutObject"]);
}

#[test]
fn a_part_that_is_not_in_the_profile_grants_nothing() {
    for part in everything().parts {
        let mut facts = everything();
        facts.parts.remove(&part);
        let mut changed = false;
        for role in [Role::Plan, Role::Apply, Role::Drill] {
            changed |= policy(role, &facts) != policy(role, &everything());
        }
        // What several parts need stays for the others.
        let shared = [
            Part::Resources,
            Part::Metrics,
            Part::Sizes,
            Part::BillingMetric,
        ];
        assert!(changed || shared.contains(&part), "{part:?}");
    }
    let nothing = Facts {
        parts: BTreeSet::new(),
        ..everything()
    };
    assert!(policy(Role::Apply, &nothing).statement.is_empty());
}

/// All pieces are small enough, and together they are what the whole was.
#[test]
fn a_policy_is_split_without_loss() {
    let flat = |policies: &[super::policy::Policy]| -> BTreeSet<String> {
        policies
            .iter()
            .flat_map(|p| &p.statement)
            .flat_map(|s| {
                s.action.iter().flat_map(move |a| {
                    s.resource
                        .iter()
                        .map(move |r| format!("{a} {r} {:?}", s.condition))
                })
            })
            .collect()
    };
    for role in [Role::Plan, Role::Apply, Role::Drill] {
        let whole = policy(role, &everything());
        for limit in [700, 1_500, MANAGED_LIMIT] {
            let parts = whole.split(limit).unwrap();
            assert!(parts.iter().all(|p| p.size() <= limit));
            assert_eq!(flat(&parts), flat(std::slice::from_ref(&whole)));
        }
        assert!(whole.split(100).is_err());
    }
}

#[test]
fn a_trust_names_exactly_whom_it_means() {
    let policy =
        Trust::parse("github:acme/shop:production")
            .unwrap()
            .policy("aws", "123456789012", None);
    let condition = &policy["Statement"][0]["Condition"];
    assert_eq!(
        condition["StringEquals"]["token.actions.githubusercontent.com:aud"],
        "sts.amazonaws.com"
    );
    assert_eq!(
        condition["StringEquals"]["token.actions.githubusercontent.com:sub"],
        "repo:acme/shop:environment:production"
    );
    let policy = Trust::parse("github:acme/shop")
        .unwrap()
        .policy("aws", "123456789012", None);
    let condition = &policy["Statement"][0]["Condition"];
    assert_eq!(
        condition["StringLike"]["token.actions.githubusercontent.com:sub"],
        "repo:acme/shop:*"
    );
    let role = Trust::parse("role:arn:aws:iam::210987654321:role/ci").unwrap();
    let policy = role.policy("aws", "123456789012", Some("abc"));
    assert_eq!(
        policy["Statement"][0]["Principal"]["AWS"],
        "arn:aws:iam::210987654321:role/ci"
    );
    assert_eq!(
        policy["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"],
        "abc"
    );
    for bad in [
        "github:acme",
        "github:*/shop",
        "github:acme/*",
        "github:acme/shop:",
        "github:acme/shop:*",
        "role:*",
        "role:arn:aws:iam::*:role/ci",
        "role:arn:aws:iam::210987654321:root",
        "role:arn:aws:iam::210987654321:role/",
        "role:arn:aws:iam::210987654321:role/../ci",
        "role:arn:aws:iam::210987654321:role/${aws:username}",
        "role:arn:aws:iam:eu-west-1:210987654321:role/ci",
        "role:arn:aws:iam::21098765432x:role/ci",
        "github:acme/..",
        "github:./shop",
        "github:acme/shop:${aws:username}",
        "github:acme/shop:..",
        "acme/shop",
        "",
    ] {
        assert!(Trust::parse(bad).is_err(), "{bad}");
    }
    // All branches may plan, and no more than that.
    let branches = Trust::parse("github:acme/shop").unwrap();
    assert!(branches.suits(Role::Plan, "aws").is_ok());
    for purpose in [Role::Apply, Role::Drill] {
        assert!(
            branches
                .suits(purpose, "aws")
                .unwrap_err()
                .contains(":ENVIRONMENT")
        );
    }
    assert!(role.suits(Role::Apply, "aws").is_ok());
    assert!(role.suits(Role::Plan, "aws-cn").is_err());
}
