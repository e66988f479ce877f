//! Plans to look at.

use std::collections::BTreeMap;

use super::samples::{Tag, counts, finding, gap, lifecycle, plan, tags};
use crate::inventory::NotChecked;
use crate::model::{Control, Risk, Severity};
use crate::plan::{Accepted, Change, Counts, Plan};

/// A bit of everything.
pub fn small() -> Plan {
    let mut risky = tags(
        "prod",
        "rds-instance",
        "orders-prod",
        &[
            ("environment", Some("production"), Some("prod"), 9),
            ("Environment", Some("production"), None, 13),
            ("team", None, Some("platform"), 18),
        ],
    );
    risky.risk = Risk::High;
    let mut plan = plan(vec![
        risky,
        tags(
            "prod",
            "s3-bucket",
            "findash-logs",
            &[
                ("environment", None, Some("prod"), 17),
                ("team", None, Some("platform"), 18),
            ],
        ),
        tags(
            "prod",
            "log-group",
            "/aws/lambda/findash-prod-payment-reconciliation-nightly-export-to-the-ledger",
            &[("project", None, Some("findash"), 16)],
        ),
        lifecycle(
            "prod",
            "findash-invoices",
            &[
                (
                    "opsctl-tiering",
                    None,
                    Some(
                        "moves objects to STANDARD_IA after 30 days and to GLACIER_IR after 90 days, noncurrent versions to STANDARD_IA after 30 days, and deletes noncurrent versions after 365 days but the newest 3",
                    ),
                ),
                (
                    "opsctl-multipart",
                    Some("aborts unfinished uploads after 30 days"),
                    Some("aborts unfinished uploads after 7 days"),
                ),
            ],
            2,
            Some("-34.20"),
            Some(
                "3,412 GB older than 30 days × (0.0230 − 0.0125) USD = −35.83 USD, plus 163,000 transitions × 0.01 USD per 1,000 spread over 12 months",
            ),
        ),
        lifecycle(
            "staging",
            "findash-staging-dumps",
            &[(
                "opsctl-multipart",
                None,
                Some("aborts unfinished uploads after 7 days"),
            )],
            0,
            None,
            Some("no size data: the daily storage metrics have no data points"),
        ),
        lifecycle(
            "staging",
            "findash-staging-old",
            &[(
                "opsctl-old",
                Some("aborts unfinished uploads after 7 days"),
                None,
            )],
            0,
            Some("0.00"),
            None,
        ),
    ]);
    plan.findings = (0..7)
        .map(|i| {
            let mut finding = finding(
                "tags.missing",
                Severity::Medium,
                &format!("prod/eu-west-1/sqs-queue/jobs-{i}#tags"),
                "the required tag `cost-center` is missing and no policy gives it a default",
            );
            finding.remediation =
                "add `cost-center` to tags.defaults, or tag the resource by hand".into();
            finding
        })
        .collect();
    plan.findings.push(finding(
        "lifecycle.conflict",
        Severity::High,
        "prod/eu-west-1/s3-bucket/findash-media#lifecycle",
        "the rule `old-cleanup` deletes objects after 20 days, before opsctl-tiering would move them",
    ));
    let counts = Counts {
        checked: 80,
        compliant: 45,
        ignored: 3,
        copies: 1,
        exempt: 2,
        owned_elsewhere: 14,
        unobserved: 0,
        outside_regions: Vec::new(),
    };
    plan.counts.insert(
        "prod".into(),
        BTreeMap::from([
            (Control::Tags, counts),
            (
                Control::Lifecycle,
                Counts {
                    outside_regions: (1..8).map(|i| format!("legacy-{i} (us-west-2)")).collect(),
                    ..Counts::default()
                },
            ),
        ]),
    );
    plan.counts.insert(
        "staging".into(),
        BTreeMap::from([(Control::Tags, Counts::default())]),
    );
    for region in ["eu-west-1", "us-east-1"] {
        for kind in ["ec2-instance", "ec2-volume"] {
            plan.types_not_checked.push(NotChecked {
                kind: kind.into(),
                region: region.into(),
                reason: "only those that have or had a tag".into(),
            });
        }
    }
    plan.notes = vec![
        "budgets, alarms and backups are validated but not yet reconciled by this version".into(),
    ];
    plan
}

/// Denied here and there.
pub fn blind(changes: Vec<Change>) -> Plan {
    let mut plan = plan(changes);
    let denied = "AccessDenied: User: arn:aws:sts::210987654321:assumed-role/opsctl-plan/ci is not authorized to perform: s3:GetLifecycleConfiguration because no identity-based policy allows it";
    for i in 0..5 {
        let bucket = format!("bucket-{i}");
        for control in [Control::Tags, Control::Lifecycle] {
            plan.unobserved.push(gap(
                "eu-west-1",
                control,
                "s3:GetBucketLifecycleConfiguration",
                Some(&bucket),
                denied,
            ));
        }
    }
    plan.unobserved.push(gap(
        "us-east-1",
        Control::Tags,
        "rds:DescribeDBInstances",
        None,
        "connection: timed out after 30 s",
    ));
    plan.summary.unobserved = 6;
    plan.counts.insert(
        "prod".into(),
        BTreeMap::from([(Control::Tags, counts(45, 6))]),
    );
    plan.accepted_unobserved.push(Accepted {
        name: "no-proxies".into(),
        operation: "rds:DescribeDBProxies".into(),
        reason: "denied by the organisation's policy, ticket OPS-12".into(),
        until: "2027-03-31".into(),
        gaps: 2,
        covers: Default::default(),
    });
    plan
}

/// 2,000 tag changes and 120 lifecycle changes, as an account has them that was never tagged.
pub fn large() -> Plan {
    let kinds = [
        "s3-bucket",
        "sqs-queue",
        "lambda-function",
        "log-group",
        "sns-topic",
    ];
    let owners: Vec<String> = (0..90).map(|i| format!("owner-{i}")).collect();
    let mut changes = Vec::new();
    for i in 0..2000usize {
        let name = format!("findash-{}-{i:04}", ["api", "etl", "web"][i % 3]);
        let mut fields: Vec<Tag<'_>> = vec![("team", None, Some("platform"), 18)];
        if i % 2 == 0 {
            fields.insert(0, ("environment", Some("production"), Some("prod"), 9));
        }
        if i % 5 == 0 {
            fields.insert(0, ("Owner", Some(&owners[i % 90]), None, 13));
        }
        if i % 7 == 0 {
            fields.push(("project", None, Some("findash"), 16));
        }
        changes.push(tags("prod", kinds[i % 5], &name, &fields));
    }
    for i in 0..120 {
        changes.push(lifecycle(
            "prod",
            &format!("findash-data-{i:03}"),
            &[(
                "opsctl-multipart",
                None,
                Some("aborts unfinished uploads after 7 days"),
            )],
            i % 2,
            Some("-0.25"),
            Some("0.0230 USD per GB"),
        ));
    }
    plan(changes)
}

/// What somebody who can set tags may try.
pub fn hostile() -> Plan {
    let mut plan = plan(vec![tags(
        "prod",
        "s3-bucket",
        "logs",
        &[
            (
                "team",
                Some("a\nNo changes.\u{1b}[2J\u{1b}[31m"),
                Some("platform"),
                18,
            ),
            (
                "note",
                Some(
                    "\u{202e}dorp\u{202c} \u{200b}```\n@@ +1 @@\n</details> @platform | #12 \"quoted\" \\",
                ),
                None,
                13,
            ),
            ("long", Some(&"x".repeat(256)), Some(&"語".repeat(100)), 9),
            (
                "a-key-that-is-longer-than-any-column-could-be-and-goes-on-and-on-and-on-and-on",
                None,
                Some("1"),
                19,
            ),
        ],
    )]);
    plan.findings.push(finding(
        "tags.value",
        Severity::Low,
        "prod/eu-west-1/cloudwatch-alarm/a`b|c @everyone\u{7}#tags",
        "the tag has the value <img src=x> [click](http://evil) @findash/platform | **bold** $x$ #12\r\n# heading",
    ));
    plan.unobserved.push(gap(
        "eu-west-1",
        Control::Tags,
        "sqs:ListQueueTags",
        Some("q"),
        "AccessDenied: \u{1b}]0;pwned\u{7} @platform | `x`",
    ));
    plan.summary.unobserved = 1;
    plan
}
