//! Backup settings in the sandbox: outages only when they are meant, nothing that waits is set off,
//! each call refused or lost, and drills that passed or did not.

use std::collections::{BTreeMap, BTreeSet};

use opsctl::apply::{Limits, OutcomeKind};
use opsctl::cloud::{Cloud, MetricPoint, Target};
use opsctl::config::Loaded;
use opsctl::drill::metrics;
use opsctl::model::settings::{BackupCopy, Settings};
use opsctl::model::{Control, ResourceType, Tags};
use opsctl::plan::{Operation, Plan};
use opsctl::sandbox::backups::BackupSeed;
use opsctl::sandbox::world::{Account, BucketItem, Item, World};
use opsctl::sandbox::{Fault, Sandbox};
use tempfile::TempDir;

use crate::support::{apply, block_on, json, opsctl, plan_of, project};

const ACCOUNT: &str = "123456789012";

fn arn(kind: &str, name: &str) -> String {
    match kind {
        "s3-bucket" => format!("arn:aws:s3:::{name}"),
        "dynamodb-table" => format!("arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/{name}"),
        "rds-cluster" => format!("arn:aws:rds:eu-west-1:{ACCOUNT}:cluster:{name}"),
        _ => format!("arn:aws:rds:eu-west-1:{ACCOUNT}:db:{name}"),
    }
}

fn weak() -> BackupSeed {
    BackupSeed {
        retention_days: 1,
        deletion_protection: false,
        copy_tags_to_snapshot: false,
        point_in_time_recovery: false,
        versioning: opsctl::model::settings::Versioning::Off,
        ..BackupSeed::default()
    }
}

/// An account with these, by type and name.
pub fn world(things: &[(&'static str, &str, BackupSeed)]) -> World {
    let mut account = Account {
        id: ACCOUNT.into(),
        home: "eu-west-1".into(),
        ..Account::default()
    };
    for (kind, name, seed) in things {
        let arn = arn(kind, name);
        account.resources.insert(
            arn.clone(),
            Item {
                kind: ResourceType::new(*kind),
                name: (*name).into(),
                region: "eu-west-1".into(),
                tags: Tags::from([("team".to_owned(), "core".to_owned())]),
            },
        );
        account.protection.insert(arn, seed.clone());
        if *kind == "s3-bucket" {
            account.buckets.insert(
                (*name).into(),
                BucketItem {
                    region: "eu-west-1".into(),
                    ..BucketItem::default()
                },
            );
        }
    }
    World {
        scenario: "backups".into(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    }
}

fn all() -> World {
    world(&[
        ("rds-instance", "orders", weak()),
        ("rds-cluster", "main", weak()),
        ("dynamodb-table", "carts", weak()),
        ("s3-bucket", "shop-backups", weak()),
    ])
}

const COPIES: &str = "\n[environments.prod.override.backups]\nretention_days = 14\ncopy_to_region = \"eu-central-1\"\n";

pub fn loaded() -> Loaded {
    let workspace = format!("{}{COPIES}", crate::support::WORKSPACE);
    let dir = project(&[("opsctl.toml", &workspace)]);
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

pub async fn plan(cloud: &dyn Cloud, loaded: &Loaded) -> Plan {
    plan_of(cloud, loaded, &[Control::Backups]).await
}

fn seeds(sandbox: &Sandbox) -> BTreeMap<String, BackupSeed> {
    sandbox.world().accounts["prod"].protection.clone()
}

#[test]
fn what_is_applied_needs_nothing_more_and_spares_the_rest() {
    let loaded = loaded();
    let sandbox = Sandbox::in_memory(all());
    block_on(async {
        let first = plan(&sandbox, &loaded).await;
        assert_eq!(first.changes.len(), 4, "{:#?}", first.changes);
        for outcome in apply(&sandbox, &first).await {
            assert_eq!(outcome.outcome, OutcomeKind::Applied, "{:?}", outcome.error);
        }
        let again = plan(&sandbox, &loaded).await;
        assert!(again.changes.is_empty(), "{:#?}", again.changes);
        // Executing it once more finds all of it done.
        for outcome in apply(&sandbox, &first).await {
            assert_eq!(outcome.outcome, OutcomeKind::Skipped);
        }
    });
    let seeds = seeds(&sandbox);
    let orders = &seeds[&arn("rds-instance", "orders")];
    assert_eq!(
        *orders,
        BackupSeed {
            retention_days: 14,
            copied_to: BTreeMap::from([("eu-central-1".to_owned(), 14)]),
            point_in_time_recovery: false,
            versioning: opsctl::model::settings::Versioning::Off,
            ..BackupSeed::default()
        },
        "only what was planned has changed"
    );
}

#[test]
fn an_outage_has_to_be_allowed() {
    let off = BackupSeed {
        retention_days: 0,
        ..BackupSeed::default()
    };
    let loaded = loaded();
    let sandbox = Sandbox::in_memory(world(&[
        ("rds-instance", "old", off),
        ("dynamodb-table", "carts", weak()),
    ]));
    let before = sandbox.world();
    block_on(async {
        let plan = plan(&sandbox, &loaded).await;
        assert!(plan.notes.iter().any(|n| n.contains("--allow-disruptive")));
        let refused = Limits::default().check(&plan).unwrap_err();
        assert!(
            refused.contains("old#backups")
                && refused.contains("--allow-disruptive")
                && refused.contains("nothing was changed"),
            "{refused}"
        );
        assert_eq!(sandbox.world(), before);
        let allowed = Limits {
            allow_disruptive: true,
            ..Limits::default()
        };
        allowed.check(&plan).unwrap();
        for outcome in apply(&sandbox, &plan).await {
            assert_eq!(outcome.outcome, OutcomeKind::Applied, "{:?}", outcome.error);
        }
    });
    assert_eq!(
        seeds(&sandbox)[&arn("rds-instance", "old")].retention_days,
        14
    );
}

/// What waits for the maintenance window is never set off, whenever it came.
#[test]
fn what_waits_goes_on_waiting() {
    let loaded = loaded();
    let waiting = BTreeSet::from(["DBInstanceClass".to_owned()]);
    let seed = BackupSeed {
        pending: waiting.clone(),
        ..weak()
    };
    let sandbox = Sandbox::in_memory(world(&[("rds-instance", "orders", seed)]));
    block_on(async {
        let plan = plan(&sandbox, &loaded).await;
        assert!(plan.changes.is_empty(), "{:#?}", plan.changes);
        assert_eq!(plan.findings[0].id, "backups.cannot-write");
        assert!(plan.findings[0].evidence.contains("DBInstanceClass"));
    });
    // It came after the plan was made.
    let off = BackupSeed {
        retention_days: 0,
        ..weak()
    };
    let sandbox = Sandbox::in_memory(world(&[("rds-instance", "orders", off)]));
    block_on(async {
        let old = plan(&sandbox, &loaded).await;
        assert_eq!(old.changes.len(), 1);
        let mut moved = sandbox.world();
        let account = moved.accounts.get_mut("prod").unwrap();
        let seed = account.protection.values_mut().next().unwrap();
        seed.pending = waiting.clone();
        let later = Sandbox::in_memory(moved.clone());
        let outcomes = apply(&later, &old).await;
        assert_eq!(outcomes[0].outcome, OutcomeKind::Stale);
        let why = outcomes[0].error.as_deref().unwrap();
        assert!(why.contains("DBInstanceClass"), "{why}");
        assert_eq!(later.world(), moved);
    });
}

/// Plans on a healthy account, then applies with the faults.
fn apply_with(
    faults: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static,
) -> (Plan, Vec<opsctl::apply::Outcome>, World) {
    let loaded = loaded();
    let plan = block_on(async { plan(&Sandbox::in_memory(all()), &loaded).await });
    let sandbox = Sandbox::in_memory(all()).with_faults(Box::new(faults));
    let outcomes = block_on(apply(&sandbox, &plan));
    (plan, outcomes, sandbox.world())
}

const WRITES: [(&str, &str); 5] = [
    ("rds:ModifyDBInstance", "rds-instance"),
    (
        "rds:StartDBInstanceAutomatedBackupsReplication",
        "rds-instance",
    ),
    ("rds:ModifyDBCluster", "rds-cluster"),
    ("dynamodb:UpdateContinuousBackups", "dynamodb-table"),
    ("s3:PutBucketVersioning", "s3-bucket"),
];

#[test]
fn a_refused_write_fails_alone_and_says_why() {
    for (operation, kind) in WRITES {
        let (plan, outcomes, _) = apply_with(move |op, _| {
            (op == operation).then(|| Fault::Refuse("AccessDenied".into()))
        });
        for (change, outcome) in plan.changes.iter().zip(&outcomes) {
            if change.resource.kind == kind {
                assert_eq!(outcome.outcome, OutcomeKind::Failed, "{operation}");
                let error = outcome.error.as_deref().unwrap();
                assert!(
                    error.contains(operation) && error.contains("AccessDenied"),
                    "{error}"
                );
            } else {
                assert_eq!(outcome.outcome, OutcomeKind::Applied, "{:?}", outcome.error);
            }
        }
    }
}

#[test]
fn a_lost_answer_and_a_throttled_call_are_settled_by_looking() {
    for (operation, _) in WRITES {
        for fault in [Fault::AnswerLost, Fault::Refuse("Throttling".into())] {
            let once = std::sync::atomic::AtomicBool::new(true);
            let armed = fault.clone();
            let (_, outcomes, after) = apply_with(move |op, _| {
                let first =
                    op == operation && once.swap(false, std::sync::atomic::Ordering::SeqCst);
                first.then(|| armed.clone())
            });
            for outcome in outcomes {
                assert_eq!(
                    outcome.outcome,
                    OutcomeKind::Applied,
                    "{operation} {fault:?} {:?}",
                    outcome.error
                );
            }
            let loaded = loaded();
            let left = block_on(async { plan(&Sandbox::in_memory(after), &loaded).await });
            assert!(left.changes.is_empty(), "{operation}");
        }
    }
}

#[test]
fn nothing_is_written_where_it_could_not_be_read_again() {
    for (read, kind) in [
        ("rds:DescribeDBInstances", "rds-instance"),
        ("rds:DescribeDBClusters", "rds-cluster"),
        ("dynamodb:DescribeContinuousBackups", "dynamodb-table"),
        ("s3:GetBucketVersioning", "s3-bucket"),
        ("tag:GetResources", ""),
    ] {
        let (plan, outcomes, after) =
            apply_with(move |op, _| (op == read).then(|| Fault::Refuse("AccessDenied".into())));
        for (change, outcome) in plan.changes.iter().zip(&outcomes) {
            if kind.is_empty() || change.resource.kind == kind {
                assert_eq!(outcome.outcome, OutcomeKind::Failed, "{read}");
                let error = outcome.error.as_deref().unwrap();
                assert!(error.contains("nothing was changed"), "{error}");
                let arn = &change.resource.arn;
                assert_eq!(after.accounts["prod"].protection[arn], weak(), "{read}");
            }
        }
    }
}

#[test]
fn what_cannot_be_seen_is_unobserved_and_never_changed() {
    let loaded = loaded();
    for (read, kind) in [
        ("rds:DescribeDBInstances", "rds-instance"),
        ("rds:DescribeDBClusters", "rds-cluster"),
        ("dynamodb:ListTables", "dynamodb-table"),
        ("dynamodb:DescribeContinuousBackups", "dynamodb-table"),
        ("s3:GetBucketVersioning", "s3-bucket"),
        ("s3:ListBuckets", "s3-bucket"),
    ] {
        let sandbox = Sandbox::in_memory(all()).with_faults(Box::new(move |op, _| {
            (op == read).then(|| Fault::Refuse("AccessDenied".into()))
        }));
        let plan = block_on(async { plan(&sandbox, &loaded).await });
        assert!(
            plan.unobserved
                .iter()
                .any(|g| g.operation == read && g.control == Control::Backups),
            "{read}: {:?}",
            plan.unobserved
        );
        let kinds: Vec<&str> = plan
            .changes
            .iter()
            .map(|c| c.resource.kind.as_str())
            .collect();
        assert!(
            !kinds.contains(&kind) && kinds.len() == 3,
            "{read}: {kinds:?}"
        );
    }
}

/// A saved plan that somebody made weaker, with a digest of its own, is refused.
#[test]
fn no_plan_weakens_anything() {
    let loaded = loaded();
    let sandbox = Sandbox::in_memory(all());
    let good = block_on(async { plan(&sandbox, &loaded).await });
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("plan.json");
    let save = |plan: &Plan| {
        let mut plan = plan.clone();
        opsctl::plan::file::seal(&mut plan);
        opsctl::plan::file::save(&plan, &path).unwrap();
        opsctl::plan::file::load(&path).map_err(|e| e.to_string())
    };
    save(&good).unwrap();
    let tamper: [fn(&mut opsctl::plan::Change); 5] = [
        |c| with(c, |_, after, _| after.retention_days = Some(0)),
        |c| with(c, |_, after, _| after.deletion_protection = Some(false)),
        |c| {
            with(c, |before, after, _| {
                before.deletion_protection = Some(true);
                after.deletion_protection = Some(false);
            })
        },
        |c| with(c, |_, _, copy| *copy = None),
        |c| c.risk_and_kind("dynamodb-table"),
    ];
    for (i, change) in tamper.into_iter().enumerate() {
        let mut bad = good.clone();
        let target = bad
            .changes
            .iter_mut()
            .find(|c| c.resource.kind == "rds-instance");
        change(target.unwrap());
        let error = save(&bad).unwrap_err();
        assert!(error.contains("refused"), "{i}: {error}");
    }
}

/// Changes what is executed, and what is shown of it.
fn with(
    change: &mut opsctl::plan::Change,
    f: impl FnOnce(&mut Settings, &mut Settings, &mut Option<BackupCopy>),
) {
    let Operation::Settings {
        before,
        after,
        copy,
        ..
    } = &mut change.operation
    else {
        panic!("not a change of settings");
    };
    f(before, after, copy);
    change.before = serde_json::to_value(&*before).unwrap();
    change.after = serde_json::to_value(&*after).unwrap();
}

trait Kind {
    fn risk_and_kind(&mut self, kind: &str);
}

impl Kind for opsctl::plan::Change {
    /// The same settings of a resource that has none of them.
    fn risk_and_kind(&mut self, kind: &str) {
        self.resource.kind = kind.to_owned();
        self.resource.arn = arn(kind, &self.resource.name);
        self.address =
            opsctl::model::Address::new("prod", "eu-west-1", kind, &self.resource.name, "backups");
    }
}

#[test]
fn the_sandbox_knows_what_drills_published() {
    let sandbox = Sandbox::in_memory(all());
    let target = Target {
        environment: "prod".into(),
        account: ACCOUNT.into(),
        regions: vec!["eu-west-1".into()],
        profile: None,
        role_arn: None,
        external_id: None,
    };
    let metric = metrics::metric(metrics::PASSED, "shop", "prod", "orders");
    let points = [MetricPoint {
        metric: metric.clone(),
        value: 1.0,
        unit: "Count",
    }];
    block_on(async {
        sandbox
            .put_metrics(&target, "eu-west-1", &points)
            .await
            .unwrap();
        let found = sandbox
            .list_metrics(&target, "eu-west-1", metrics::NAMESPACE, None)
            .await
            .unwrap();
        assert_eq!(found, [metric]);
    });
}

/// findash's drill passed twelve days ago on another machine; dartsyn's never did.
#[test]
fn drills_that_passed_and_drills_that_are_overdue() {
    let dir = TempDir::new().unwrap();
    let status = |scenario: &str| {
        let ran = opsctl(
            dir.path(),
            &["drill", "status", "--sandbox", scenario, "--format", "json"],
        );
        (ran.code, json(&ran)["status"][0].clone())
    };
    let (code, fine) = status("findash");
    assert_eq!((code, fine["state"].as_str()), (0, Some("ok")), "{fine}");
    assert_eq!(fine["shown_by"], "metric opsctl/Drill Passed");
    let (code, overdue) = status("dartsyn");
    assert_eq!(
        (code, overdue["state"].as_str()),
        (2, Some("overdue")),
        "{overdue}"
    );

    let ids = |scenario: &str| {
        let ran = opsctl(
            dir.path(),
            &[
                "audit",
                "backups",
                "--sandbox",
                scenario,
                "--format",
                "json",
            ],
        );
        let found = json(&ran)["findings"].as_array().unwrap().clone();
        let ids: Vec<String> = found
            .iter()
            .map(|f| f["id"].as_str().unwrap().to_owned())
            .collect();
        (ran.code, ids)
    };
    let (_, found) = ids("findash");
    assert!(
        !found.contains(&"backups.drill-overdue".to_owned()),
        "{found:?}"
    );
    let (code, found) = ids("dartsyn");
    assert_eq!(code, 2);
    for id in [
        "backups.drill-overdue",
        "backups.snapshot-public",
        "backups.cannot-write",
        "backups.owned-elsewhere",
    ] {
        assert!(found.contains(&id.to_owned()), "{id}: {found:?}");
    }
    let refused = opsctl(
        dir.path(),
        &["drill", "status", "--sandbox", "findash", "--publish"],
    );
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("real accounts"),
        "{}",
        refused.stderr
    );
}
