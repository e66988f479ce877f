use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::config::Loaded;
use crate::config::load::SHIPPED;
use crate::inventory::{
    DrillPassed, EnvironmentInventory, SnapshotFact, TableFact, VersioningFact,
};
use crate::model::settings::{Settings, Versioning};
use crate::model::{Risk, Tags};
use crate::plan::Operation;

const POLICY: &str = r#"
retention_days = 7
deletion_protection = true
copy_tags_to_snapshot = true
point_in_time_recovery = true
snapshot_max_age = "26h"
drill_every = "90d"
"#;

const DRILL: &str = r#"
[backups.drill.orders]
source = "rds:orders"
objective = { rpo = "1h" }
"#;

/// The environment `prod`, at a stage from so many users on.
fn resolved_at(policy: &str, users: u64) -> Resolved {
    let dir = tempfile::TempDir::new().unwrap();
    let stage = format!(
        "[stage]\nname = \"stage-1\"\ntitle = \"t\"\nusers = {{ from = {users}, to = 900_000 }}\n\
         monthly_cost_usd = {{ from = 20, to = 100 }}\npolicies = [\"tags\", \"backups\"]\n"
    );
    let tags = "[tags]\n[tags.exempt.old]\nmatch = { name = \"legacy\" }\nreason = \"r\"\nuntil = \"2027-01-01\"\n";
    let policy = format!("[backups]\n{policy}");
    let workspace = "[project]\nname = \"shop\"\n[environments.prod]\naccount = \"123456789012\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\n";
    for (path, text) in SHIPPED.into_iter().chain([
        ("opsctl.toml", workspace),
        ("policies/backups.toml", policy.as_str()),
        ("policies/tags.toml", tags),
        ("stacks/stage-1.toml", stage.as_str()),
    ]) {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:#?}", loaded.diagnostics);
    loaded.resolve(Some("prod"), "stage-1").unwrap()
}

fn resolved(policy: &str) -> Resolved {
    resolved_at(policy, 10_000)
}

fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

type Spoil = fn(&mut DatabaseFact);

/// A database as the policy wants it.
fn good() -> DatabaseFact {
    DatabaseFact {
        settings: Settings {
            retention_days: Some(7),
            deletion_protection: Some(true),
            copy_tags_to_snapshot: Some(true),
            copied_to: Some(BTreeSet::new()),
            ..Settings::default()
        },
        status: "available".into(),
        engine: "postgres".into(),
        encrypted: true,
        multi_az: true,
        restorable: Some(now() - SignedDuration::from_mins(5)),
        resource_id: Some("db-A".into()),
        ..DatabaseFact::default()
    }
}

fn inventory() -> EnvironmentInventory {
    let mut out = EnvironmentInventory {
        environment: "prod".into(),
        account: "123456789012".into(),
        regions: vec!["eu-west-1".into()],
        ..EnvironmentInventory::default()
    };
    out.backups.at = Some(now());
    for kind in [
        ResourceType::RDS_SNAPSHOT,
        ResourceType::RDS_CLUSTER_SNAPSHOT,
    ] {
        let key = ("eu-west-1".to_owned(), kind);
        out.backups
            .snapshots
            .insert(key, Observed::Known(Vec::new()));
    }
    out
}

fn add(inventory: &mut EnvironmentInventory, arn: &str, tags: &[(&str, &str)]) {
    let parsed = crate::model::Arn::parse(arn).unwrap();
    let (kind, name) = parsed.classify();
    let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    inventory.resources.push(Resource {
        arn: arn.into(),
        kind,
        name: name.into(),
        region: "eu-west-1".into(),
        tags: Observed::Known(tags.collect::<Tags>()),
    });
}

fn db(name: &str) -> String {
    format!("arn:aws:rds:eu-west-1:123456789012:db:{name}")
}

fn with_database(name: &str, change: impl FnOnce(&mut DatabaseFact)) -> EnvironmentInventory {
    let mut inventory = inventory();
    let mut fact = good();
    change(&mut fact);
    add(&mut inventory, &db(name), &[]);
    inventory.backups.databases.insert(db(name), fact);
    inventory
}

fn judged(resolved: &Resolved, inventory: &EnvironmentInventory, audit: bool) -> Verdict {
    judge(
        &Input {
            resolved,
            inventory,
            today: date(2026, 11, 22),
            only: None,
            destroy: false,
            controls: &[Control::Backups],
        },
        audit,
    )
}

fn ids(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|f| f.id.as_str()).collect()
}

/// Field by field: `retention_days: 1 day -> 7 days`.
fn fields(verdict: &Verdict) -> Vec<String> {
    let changes = verdict.changes.iter().flat_map(|c| &c.fields);
    changes
        .map(|f| {
            let text = |v: &Option<String>| v.clone().unwrap();
            format!("{}: {} -> {}", f.field, text(&f.before), text(&f.after))
        })
        .collect()
}

#[test]
fn what_is_as_it_should_be_is_compliant() {
    let inventory = with_database("orders", |_| ());
    let verdict = judged(&resolved(POLICY), &inventory, false);
    assert!(verdict.changes.is_empty() && verdict.findings.is_empty());
    assert_eq!((verdict.counts.checked, verdict.counts.compliant), (1, 1));
}

#[test]
fn each_setting_is_made_stronger_and_never_weaker() {
    let resolved = resolved(POLICY);
    let inventory = with_database("orders", |fact| {
        fact.settings.retention_days = Some(1);
        fact.settings.deletion_protection = Some(false);
        fact.settings.copy_tags_to_snapshot = Some(false);
    });
    let verdict = judged(&resolved, &inventory, false);
    let text = serde_json::to_string_pretty(&verdict.changes).unwrap();
    insta::assert_snapshot!("a_database", text);
    // A longer retention stays, and nothing that is on is switched off.
    let inventory = with_database("orders", |fact| fact.settings.retention_days = Some(30));
    assert!(judged(&resolved, &inventory, false).changes.is_empty());
    let off = POLICY.replace("true", "false").replace("= 7", "= 0");
    let inventory = with_database("orders", |_| ());
    assert!(
        judged(&self::resolved(&off), &inventory, false)
            .changes
            .is_empty()
    );
}

#[test]
fn switching_backups_on_is_an_outage() {
    let inventory = with_database("orders", |fact| fact.settings.retention_days = Some(0));
    let verdict = judged(&resolved(POLICY), &inventory, false);
    let [change] = verdict.changes.as_slice() else {
        panic!("{:?}", verdict.changes);
    };
    assert_eq!(change.risk, Risk::High);
    assert!(change.disruption().is_some());
    assert!(
        verdict.notes[0].contains("--allow-disruptive"),
        "{:?}",
        verdict.notes
    );
    // Between two lengths there is none.
    let inventory = with_database("orders", |fact| fact.settings.retention_days = Some(1));
    let verdict = judged(&resolved(POLICY), &inventory, false);
    assert_eq!(verdict.changes[0].disruption(), None);
    assert!(verdict.notes.is_empty());
}

#[test]
fn what_stands_in_the_way_is_a_finding_and_no_change() {
    let resolved = resolved(POLICY);
    let cases: [(&str, Spoil); 4] = [
        ("DBInstanceClass", |f| {
            f.pending = BTreeSet::from(["DBInstanceClass".to_owned()]);
        }),
        ("stopped", |f| f.status = "stopped".into()),
        ("docdb", |f| f.engine = "docdb".into()),
        ("custom-oracle-ee", |f| f.engine = "custom-oracle-ee".into()),
    ];
    for (evidence, change) in cases {
        let inventory = with_database("orders", |fact| {
            fact.settings.deletion_protection = Some(false);
            change(fact);
        });
        let verdict = judged(&resolved, &inventory, false);
        assert!(verdict.changes.is_empty(), "{evidence}");
        assert_eq!(ids(&verdict), ["backups.cannot-write"], "{evidence}");
        let finding = &verdict.findings[0];
        assert!(finding.evidence.contains(evidence), "{}", finding.evidence);
        assert!(finding.message.contains("deletion_protection"));
        assert_eq!(verdict.counts.compliant, 0);
    }
    // Nothing to write, so nothing is in the way of it.
    let inventory = with_database("orders", |f| f.status = "stopped".into());
    assert!(judged(&resolved, &inventory, false).findings.is_empty());
}

#[test]
fn a_retention_that_waits_counts_as_set() {
    let inventory = with_database("orders", |fact| fact.pending_retention = Some(7));
    let verdict = judged(&resolved(POLICY), &inventory, false);
    assert!(verdict.changes.is_empty());
    assert_eq!(ids(&verdict), ["backups.pending"]);
    assert_eq!(verdict.counts.compliant, 1, "low findings do not count");
}

#[test]
fn members_replicas_and_copies_are_nobodys_source() {
    let weak = |fact: &mut DatabaseFact| fact.settings.deletion_protection = Some(false);
    let resolved = resolved(POLICY);
    let cases: [Spoil; 3] = [
        |f| f.cluster = Some("main".into()),
        |f| f.replica_of = Some("primary".into()),
        |f| f.status = "deleting".into(),
    ];
    for change in cases {
        let inventory = with_database("orders", |fact| {
            weak(fact);
            change(fact);
        });
        let verdict = judged(&resolved, &inventory, true);
        assert_eq!(verdict, Verdict::default());
    }
    let tags = |names: &[&str]| {
        let tags = names.iter().map(|n| ((*n).to_owned(), "run".to_owned()));
        Observed::Known(Tags::from_iter(tags))
    };
    let all = ["opsctl:drill", "opsctl:drill-source", "opsctl:drill-intent"];
    let mut inventory = with_database("drill-orders-1", weak);
    inventory.resources[0].tags = tags(&all);
    assert_eq!(judged(&resolved, &inventory, true), Verdict::default());
    // Name or tags alone hide nothing.
    for (name, tagged) in [("orders", &all[..]), ("drill-orders-1", &all[..1])] {
        let mut inventory = with_database(name, weak);
        inventory.resources[0].tags = tags(tagged);
        assert_eq!(
            judged(&resolved, &inventory, true).counts.checked,
            1,
            "{name}"
        );
    }
}

#[test]
fn whose_it_is_decides() {
    let resolved = resolved(POLICY);
    let weak = |fact: &mut DatabaseFact| fact.settings.deletion_protection = Some(false);
    let mut ignored = with_database("orders", weak);
    ignored.resources[0].tags = Observed::Known(Tags::from([(
        "opsctl:ignore".to_owned(),
        "mine".to_owned(),
    )]));
    let verdict = judged(&resolved, &ignored, true);
    assert_eq!((verdict.counts.ignored, verdict.changes.len()), (1, 0));
    assert!(verdict.findings.is_empty());

    let exempt = with_database("legacy", weak);
    let verdict = judged(&resolved, &exempt, true);
    assert_eq!((verdict.counts.exempt, verdict.changes.len()), (1, 0));

    let mut owned = with_database("orders", weak);
    owned.resources[0].tags = Observed::Known(Tags::from([(
        "ManagedBy".to_owned(),
        "terraform".to_owned(),
    )]));
    let verdict = judged(&resolved, &owned, false);
    assert_eq!(ids(&verdict), ["backups.owned-elsewhere"]);
    assert_eq!(
        (verdict.counts.owned_elsewhere, verdict.changes.len()),
        (1, 0)
    );
    let write = self::resolved(&format!("owned_elsewhere = \"write\"{POLICY}"));
    assert_eq!(judged(&write, &owned, false).changes.len(), 1);

    let mut unseen = with_database("orders", weak);
    unseen.resources[0].tags = Observed::Unknown("denied".into());
    let verdict = judged(&resolved, &unseen, true);
    assert_eq!((verdict.counts.unobserved, verdict.changes.len()), (1, 0));

    let mut unlisted = with_database("orders", weak);
    unlisted.backups.databases.clear();
    let verdict = judged(&resolved, &unlisted, true);
    assert_eq!((verdict.counts.unobserved, verdict.changes.len()), (1, 0));
}

#[test]
fn tables_and_buckets() {
    let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/carts";
    let mut inventory = inventory();
    add(&mut inventory, table, &[]);
    let off = Observed::Known(TableFact::default());
    inventory.backups.tables.insert(table.into(), off);
    for (name, state, mfa) in [
        ("shop-backups", Versioning::Off, false),
        ("pg-dumps", Versioning::Suspended, false),
        ("old-backup", Versioning::Suspended, true),
        ("done-backup", Versioning::Enabled, false),
        ("images", Versioning::Off, false),
    ] {
        add(&mut inventory, &format!("arn:aws:s3:::{name}"), &[]);
        let fact = VersioningFact {
            state,
            mfa_delete: mfa,
        };
        let fact = Observed::Known(fact);
        inventory.backups.buckets.insert(name.into(), fact);
    }
    let verdict = judged(&resolved(POLICY), &inventory, false);
    assert_eq!(
        fields(&verdict),
        [
            "point_in_time_recovery: off -> on",
            "versioning: off -> enabled",
            "versioning: suspended -> enabled",
        ]
    );
    assert_eq!(ids(&verdict), ["backups.cannot-write"]);
    assert_eq!(verdict.counts.checked, 5, "images is no backup");
    let named = resolved(&format!(
        "versioned_buckets = {{ name = \"images\" }}\n{POLICY}"
    ));
    let verdict = judged(&named, &inventory, false);
    let buckets: Vec<_> = verdict.changes.iter().map(|c| &c.resource.name).collect();
    assert_eq!(buckets, ["carts", "images"]);

    let denied = Observed::Unknown("AccessDenied".into());
    inventory.backups.tables.insert(table.into(), denied);
    let verdict = judged(&resolved(POLICY), &inventory, false);
    assert_eq!(verdict.counts.unobserved, 1);
    assert!(!fields(&verdict)[0].contains("point_in_time"));
}

#[test]
fn copies_in_another_region() {
    let policy = format!("copy_to_region = \"eu-central-1\"\n{POLICY}");
    let resolved = resolved(&policy);
    let inventory = with_database("orders", |fact| {
        fact.settings.copied_to = Some(BTreeSet::from(["us-east-1".to_owned()]));
    });
    let verdict = judged(&resolved, &inventory, false);
    assert_eq!(
        fields(&verdict),
        ["copied_to: us-east-1 -> eu-central-1, us-east-1"]
    );
    let Operation::Settings { copy, .. } = &verdict.changes[0].operation else {
        panic!("{:?}", verdict.changes[0].operation);
    };
    let copy = copy.as_ref().unwrap();
    assert_eq!(
        (copy.region.as_str(), copy.retention_days),
        ("eu-central-1", 7)
    );
    assert_eq!(
        copy.kms_key.as_deref(),
        Some("arn:aws:kms:eu-central-1:123456789012:alias/aws/rds")
    );
    let done = with_database("orders", |fact| {
        fact.settings.copied_to = Some(BTreeSet::from(["eu-central-1".to_owned()]));
    });
    assert!(judged(&resolved, &done, false).changes.is_empty());
    // Without automated backups there is nothing to copy yet: first they are switched on.
    let none = with_database("orders", |fact| fact.settings.retention_days = Some(0));
    let verdict = judged(&resolved, &none, false);
    assert_eq!(fields(&verdict), ["retention_days: 0 days -> 7 days"]);
    assert_eq!(ids(&verdict), ["backups.copy-not-possible"]);
    // AWS copies no automated backups of clusters.
    let arn = "arn:aws:rds:eu-west-1:123456789012:cluster:main";
    let mut cluster = self::inventory();
    add(&mut cluster, arn, &[]);
    let mut fact = good();
    fact.settings.copied_to = None;
    cluster.backups.databases.insert(arn.into(), fact);
    let verdict = judged(&resolved, &cluster, false);
    assert!(verdict.changes.is_empty());
    assert_eq!(ids(&verdict), ["backups.copy-not-possible"]);
    // Of tables only the audit speaks, and not of global ones.
    let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/carts";
    for (global, expected) in [(false, true), (true, false)] {
        let mut inventory = self::inventory();
        add(&mut inventory, table, &[("environment", "dev")]);
        let replicas = global.then(|| "eu-central-1".to_owned());
        let fact = TableFact {
            point_in_time_recovery: true,
            restorable: None,
            replicas: replicas.into_iter().collect(),
        };
        inventory
            .backups
            .tables
            .insert(table.into(), Observed::Known(fact));
        assert!(judged(&resolved, &inventory, false).findings.is_empty());
        let told = judged(&resolved, &inventory, true);
        assert_eq!(ids(&told).contains(&"backups.copy-not-possible"), expected);
    }
}

fn snapshot(name: &str, change: impl FnOnce(&mut SnapshotFact)) -> SnapshotFact {
    let mut fact = SnapshotFact {
        arn: format!("arn:aws:rds:eu-west-1:123456789012:snapshot:{name}"),
        name: name.into(),
        source: "orders".into(),
        resource_id: Some("db-A".into()),
        made: "manual".into(),
        status: "available".into(),
        encrypted: true,
        data_time: Some(ago(2)),
        shared: Observed::Absent,
        tags: Tags::new(),
    };
    change(&mut fact);
    fact
}

fn with_snapshots(
    mut inventory: EnvironmentInventory,
    all: Vec<SnapshotFact>,
) -> EnvironmentInventory {
    let key = ("eu-west-1".to_owned(), ResourceType::RDS_SNAPSHOT);
    inventory
        .backups
        .snapshots
        .insert(key, Observed::Known(all));
    inventory
}

#[test]
fn how_old_the_newest_recovery_point_is() {
    let resolved = resolved(&format!("production = false\n{POLICY}"));
    let with_rpo = self::resolved(&format!("production = false\n{POLICY}{DRILL}"));
    let stale = || with_database("orders", |fact| fact.restorable = Some(ago(30)));
    assert_eq!(
        ids(&judged(&resolved, &stale(), true)),
        ["backups.recovery-point-old"]
    );
    // A snapshot that is newer will do; one of a database that had the name before will not.
    let newer = with_snapshots(stale(), vec![snapshot("s", |_| ())]);
    assert!(ids(&judged(&resolved, &newer, true)).is_empty());
    let other = vec![snapshot("s", |s| s.resource_id = Some("db-B".into()))];
    let other = with_snapshots(stale(), other);
    assert_eq!(
        ids(&judged(&resolved, &other, true)),
        ["backups.recovery-point-old"]
    );
    // The RPO of the drill is stricter than snapshot_max_age.
    let two_hours = with_database("orders", |fact| fact.restorable = Some(ago(2)));
    assert!(ids(&judged(&resolved, &two_hours, true)).is_empty());
    let told = judged(&with_rpo, &two_hours, true);
    assert_eq!(ids(&told)[0], "backups.recovery-point-old");
    assert!(
        told.findings[0].message.contains("1 h"),
        "{}",
        told.findings[0].message
    );
    assert!(told.findings[0].policy.rule.contains("drill.orders"));
    // None at all: automated ones are off, and there is no snapshot.
    let none = with_database("orders", |fact| {
        fact.settings.retention_days = Some(0);
        fact.restorable = Some(ago(1));
    });
    assert_eq!(
        ids(&judged(&resolved, &none, true)),
        ["backups.no-recovery-point"]
    );
    // What was not seen may be newer.
    let mut unseen = stale();
    let key = ("eu-west-1".to_owned(), ResourceType::RDS_SNAPSHOT);
    let denied = Observed::Unknown("AccessDenied".into());
    unseen.backups.snapshots.insert(key, denied);
    assert!(ids(&judged(&resolved, &unseen, true)).is_empty());
    // A stopped database does not change, so it does not get older.
    let stopped = with_database("orders", |fact| {
        fact.restorable = Some(ago(300));
        fact.status = "stopped".into();
    });
    assert!(ids(&judged(&resolved, &stopped, true)).is_empty());
}

#[test]
fn who_may_restore_a_snapshot() {
    let shared = |who: &[&str]| {
        let who = who.iter().map(|w| (*w).to_owned()).collect();
        snapshot("s", |s| s.shared = Observed::Known(who))
    };
    let resolved = resolved(&format!("production = false\n{POLICY}"));
    let look = |snapshot: SnapshotFact| {
        let inventory = with_snapshots(with_database("orders", |_| ()), vec![snapshot]);
        let verdict = judged(&resolved, &inventory, true);
        let found = verdict.findings.iter();
        found
            .map(|f| (f.id.clone(), f.severity))
            .collect::<Vec<_>>()
    };
    let public = look(shared(&["all"]));
    assert_eq!(
        public,
        [("backups.snapshot-public".to_owned(), Severity::Critical)]
    );
    let lent = look(shared(&["111122223333"]));
    assert_eq!(
        lent,
        [("backups.snapshot-shared".to_owned(), Severity::High)]
    );
    let open = look(snapshot("s", |s| s.encrypted = false));
    assert_eq!(
        open,
        [("backups.snapshot-unencrypted".to_owned(), Severity::Medium)]
    );
    // Every night brings another one: they are told together, on the database.
    let automated = look(snapshot("rds:s", |s| {
        s.encrypted = false;
        s.made = "automated".into();
    }));
    assert_eq!(
        automated,
        [("backups.snapshot-unencrypted".to_owned(), Severity::Medium)]
    );
    let ignored = look(snapshot("s", |s| {
        s.shared = Observed::Known(BTreeSet::from(["all".to_owned()]));
        s.tags = Tags::from([("opsctl:ignore".to_owned(), "a public sample".to_owned())]);
    }));
    assert!(ignored.is_empty());
}

#[test]
fn production_asks_for_more() {
    let weak = |tags: &[(&str, &str)]| {
        let mut inventory = with_database("orders", |fact| fact.multi_az = false);
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        inventory.resources[0].tags = Observed::Known(tags.collect());
        inventory
    };
    let told = |resolved: &Resolved, tags: &[(&str, &str)]| {
        let verdict = judged(resolved, &weak(tags), true);
        let found = verdict.findings.iter();
        found
            .map(|f| format!("{} {}", f.id, f.severity.as_str()))
            .collect::<Vec<_>>()
    };
    let both = ["backups.single-az medium", "backups.no-drill medium"];
    assert_eq!(told(&resolved(POLICY), &[]), both);
    // In a small stage one zone is a choice.
    assert_eq!(
        told(&resolved_at(POLICY, 0), &[])[0],
        "backups.single-az low"
    );
    // The tag says more than the name of the environment.
    assert!(told(&resolved(POLICY), &[("Env", "staging")]).is_empty());
    let not = resolved(&format!("production = false\n{POLICY}"));
    assert!(told(&not, &[]).is_empty());
    assert_eq!(told(&not, &[("environment", "prod")]), both);
    // One that is drilled, and a policy that asks for no drills.
    let drilled = resolved(&format!("{POLICY}{DRILL}"));
    assert_eq!(told(&drilled, &[]), ["backups.single-az medium"]);
    let without = resolved(&POLICY.replace("drill_every = \"90d\"\n", ""));
    assert_eq!(told(&without, &[]), ["backups.single-az medium"]);
}

#[test]
fn drills_that_did_not_pass_in_time() {
    let resolved = resolved(&format!("{POLICY}{DRILL}"));
    let look = |passed: Option<Observed<DrillPassed>>| {
        let mut inventory = with_database("orders", |_| ());
        let found = passed.map(|p| ("orders".to_owned(), p));
        inventory.backups.drills = found.into_iter().collect::<BTreeMap<_, _>>();
        judged(&resolved, &inventory, true)
    };
    let passed = |days: i64| {
        Some(Observed::Known(DrillPassed {
            at: ago(days * 24),
            shown_by: "20260101T000000Z-abc".into(),
        }))
    };
    assert!(look(passed(89)).findings.is_empty());
    for (verdict, says) in [
        (look(passed(91)), "91 d"),
        (look(Some(Observed::Absent)), "not passed"),
    ] {
        let [finding] = verdict.findings.as_slice() else {
            panic!("{:?}", verdict.findings);
        };
        assert_eq!(finding.id, "backups.drill-overdue");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.message.contains(says), "{}", finding.message);
        assert_eq!(
            finding.address.as_str(),
            "prod/eu-west-1/restore-drill/orders#backups"
        );
        assert_eq!(finding.arn, db("orders"));
    }
    // What could not be seen is neither fine nor overdue: a gap says so.
    assert!(
        look(Some(Observed::Unknown("denied".into())))
            .findings
            .is_empty()
    );
    assert!(look(None).findings.is_empty());
}
