//! The machine with a source that fails, hangs or leaves things behind in every step, and the
//! properties of the chain of records.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use opsctl::cloud::Target;
use opsctl::drill::chain::Chain;
use opsctl::drill::expect::Expect;
use opsctl::drill::machine::{Finished, Request, draft, run};
use opsctl::drill::record::{
    CheckRecord, Cleanup, CopyRecord, Outcome, Record, RecoveryPoint, Trigger,
};
use opsctl::drill::source::{Context, Preflight, Silent, Source, Stop};
use opsctl::drill::spec::{Check, SourceId, Spec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Preflight,
    Restore,
    Wait,
    Verify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Fail,
    Miss,
    CannotRun,
    Hang,
}

/// Counts what it made; cleaning up takes it away.
struct Fake {
    trouble: Option<(Step, Way)>,
    stuck: bool,
    passes: bool,
    age: f64,
    made: Arc<AtomicU32>,
    cleaned: Arc<AtomicU32>,
}

impl Fake {
    async fn reach(&self, step: Step) -> Result<(), Stop> {
        match self.trouble {
            Some((at, way)) if at == step => match way {
                Way::Fail => Err(Stop::failed("broken")),
                Way::Miss => Err(Stop::Missed("late".to_owned())),
                Way::CannotRun => Err(Stop::could_not_run("denied")),
                Way::Hang => std::future::pending().await,
            },
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Source for Fake {
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop> {
        self.reach(Step::Preflight).await?;
        Ok(Preflight {
            recovery_point: Some(RecoveryPoint {
                kind: "dump".to_owned(),
                arn: "arn".to_owned(),
                data_time: now,
                data_time_basis: "LastModified".to_owned(),
                age_seconds: self.age,
                size_bytes: None,
            }),
            ..Preflight::default()
        })
    }

    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop> {
        context
            .step("restore", async {
                self.made.fetch_add(1, Ordering::SeqCst);
                self.reach(Step::Restore).await?;
                Ok(((), String::new()))
            })
            .await?;
        Ok(CopyRecord {
            id: "copy".to_owned(),
            ..CopyRecord::default()
        })
    }

    async fn wait(&mut self, context: &Context<'_>) -> Result<(), Stop> {
        context
            .step("wait", async {
                Ok((self.reach(Step::Wait).await?, String::new()))
            })
            .await
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        self.reach(Step::Verify).await?;
        let check = &context.spec.checks[0];
        Ok(vec![CheckRecord {
            sql: check.sql.clone(),
            expect: check.expect.clone(),
            actual: Some("1".to_owned()),
            passed: self.passes,
            duration_ms: 1,
            error: None,
        }])
    }

    async fn cleanup(&mut self) -> Cleanup {
        self.cleaned.fetch_add(1, Ordering::SeqCst);
        if !self.stuck {
            self.made.store(0, Ordering::SeqCst);
        }
        Cleanup {
            deleted: !self.stuck,
            proof: vec!["looked".to_owned()],
            ..Cleanup::default()
        }
    }
}

fn spec() -> Spec {
    Spec {
        name: "orders".to_owned(),
        project: "shop".to_owned(),
        target: Target {
            environment: "prod".to_owned(),
            account: "123456789012".to_owned(),
            regions: vec!["eu-west-1".to_owned()],
            profile: None,
            role_arn: None,
            external_id: None,
        },
        id: SourceId::parse("s3-dump:bucket/prefix").unwrap(),
        source: "s3-dump:bucket/prefix".to_owned(),
        method: Default::default(),
        rto: Some(Duration::from_secs(600)),
        rpo: Some(Duration::from_secs(3600)),
        restore: Default::default(),
        connect: None,
        timeout: Duration::from_millis(300),
        check_timeout: Duration::from_secs(1),
        cost_usd: 5.into(),
        every: None,
        checks: vec![Check {
            sql: "select 1".to_owned(),
            expect: "= 1".to_owned(),
            expectation: Expect::parse("= 1").unwrap(),
        }],
        table_checks: Vec::new(),
        policy_file: "policies/backups.toml".to_owned(),
        policy_line: 3,
        policy_sha256: "00".to_owned(),
    }
}

fn trigger() -> Trigger {
    Trigger {
        kind: "user".to_owned(),
        name: "ada".to_owned(),
        detail: None,
    }
}

struct Ended {
    finished: Finished,
    made: u32,
    cleaned: u32,
}

async fn go(fake: Fake, cancel_after: Option<Duration>, state: &Path) -> Ended {
    // A lock that a process of another test holds until it has started is not that of this run.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let spec = Spec {
        source: format!("s3-dump:bucket/{}", RUNS.fetch_add(1, Ordering::SeqCst)),
        ..spec()
    };
    let (made, cleaned) = (Arc::clone(&fake.made), Arc::clone(&fake.cleaned));
    let cancel = CancellationToken::new();
    if let Some(after) = cancel_after {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            cancel.cancel();
        });
    }
    let run_id = opsctl::drill::journal::new_run_id();
    let request = Request {
        spec: &spec,
        run_id: &run_id,
        state,
        sandbox: None,
        trigger: trigger(),
        bucket: None,
        metrics: None,
        cancel: &cancel,
        interrupted_by: &|| "interrupted (SIGINT)".to_owned(),
        listener: &Silent,
    };
    let finished = run(Box::new(fake), &request).await.unwrap();
    Ended {
        finished,
        made: made.load(Ordering::SeqCst),
        cleaned: cleaned.load(Ordering::SeqCst),
    }
}

fn fake(trouble: Option<(Step, Way)>) -> Fake {
    Fake {
        trouble,
        stuck: false,
        passes: true,
        age: 60.0,
        made: Arc::default(),
        cleaned: Arc::default(),
    }
}

// Time passes only while nothing else does: a slow disk uses up no limit.
#[tokio::test(start_paused = true)]
async fn every_step_may_fail_in_every_way_and_nothing_is_left() {
    let state = TempDir::new().unwrap();
    let mut runs = 0;
    for step in [Step::Preflight, Step::Restore, Step::Wait, Step::Verify] {
        for (way, cancel, wanted, reason) in [
            (Way::Fail, None, Outcome::Failed, "broken"),
            (Way::Miss, None, Outcome::MissedObjective, "late"),
            (Way::CannotRun, None, Outcome::Aborted, "denied"),
            (Way::Hang, None, Outcome::Failed, "limits.timeout"),
            (
                Way::Hang,
                Some(Duration::from_millis(50)),
                Outcome::Aborted,
                "SIGINT",
            ),
        ] {
            let ended = go(fake(Some((step, way))), cancel, state.path()).await;
            let record = &ended.finished.appended.record;
            let case = format!("{step:?} {way:?}: {record:?}");
            assert_eq!(record.result, wanted, "{case}");
            assert!(record.reasons[0].contains(reason), "{case}");
            assert_eq!(ended.made, 0, "{case}");
            assert_eq!(ended.cleaned, u32::from(step != Step::Preflight), "{case}");
            assert!(record.cleanup.deleted, "{case}");
            if way == Way::Hang {
                let name = format!("{step:?}").to_lowercase();
                assert!(
                    record.reasons[0].contains(&format!("during `{name}`")),
                    "{case}"
                );
                assert!(
                    record
                        .timeline
                        .iter()
                        .any(|s| s.step == name && s.finished_at.is_none())
                );
            }
            runs += 1;
        }
    }
    let verified = Chain::new(state.path(), None).verify();
    assert_eq!((verified.records, verified.broken), (runs, Vec::new()));
    let (unfinished, trouble) =
        opsctl::drill::journal::Unfinished::find(&state.path().join("runs"));
    assert!(unfinished.is_empty() && trouble.is_empty());
}

// Time passes only while nothing else does: a slow disk uses up no limit.
#[tokio::test(start_paused = true)]
async fn results_follow_checks_objectives_and_cleanup() {
    let state = TempDir::new().unwrap();
    let result = async |fake: Fake| {
        let ended = go(fake, None, state.path()).await;
        let record = ended.finished.appended.record;
        (
            record.result,
            record.reasons.first().cloned().unwrap_or_default(),
            ended.cleaned,
        )
    };
    assert_eq!(
        result(fake(None)).await,
        (Outcome::Passed, String::new(), 1)
    );
    let (outcome, reason, _) = result(Fake {
        passes: false,
        ..fake(None)
    })
    .await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.starts_with("check failed: select 1"), "{reason}");
    let (outcome, reason, cleaned) = result(Fake {
        age: 7200.0,
        ..fake(None)
    })
    .await;
    assert_eq!((outcome, cleaned), (Outcome::MissedObjective, 0));
    assert!(reason.contains("nothing was restored"), "{reason}");
    let (outcome, reason, _) = result(Fake {
        stuck: true,
        ..fake(None)
    })
    .await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("cleanup is not complete"), "{reason}");
}

async fn three(state: &Path) -> Vec<Record> {
    let chain = Chain::new(state, None);
    let mut out = Vec::new();
    for n in 0..3 {
        let record = draft(&spec(), &format!("run-{n}"), None, &trigger());
        out.push(chain.append(record, None).await.unwrap().record);
    }
    out
}

fn broken(state: &Path) -> Vec<String> {
    Chain::new(state, None).verify().broken
}

#[tokio::test]
async fn any_changed_byte_breaks_the_chain() {
    let state = TempDir::new().unwrap();
    let records = three(state.path()).await;
    assert_eq!(broken(state.path()), Vec::<String>::new());
    assert_eq!(records[0].previous_sha256, None);
    assert_eq!(
        records[2].previous_sha256.as_ref(),
        Some(&records[1].sha256)
    );
    let path = Chain::new(state.path(), None).path_of("run-1");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] = if changed[at] == b' ' { b'\t' } else { b' ' };
        std::fs::write(&path, &changed).unwrap();
        assert!(!broken(state.path()).is_empty(), "byte {at}");
    }
    for changed in [
        &whole[..whole.len() - 1],
        &[&whole[..], b"\n"].concat(),
        b"",
    ] {
        std::fs::write(&path, changed).unwrap();
        assert!(!broken(state.path()).is_empty());
    }
}

#[tokio::test]
async fn a_removed_renamed_or_reordered_record_breaks_the_chain() {
    for run in ["run-0", "run-1", "run-2"] {
        let state = TempDir::new().unwrap();
        three(state.path()).await;
        std::fs::remove_file(Chain::new(state.path(), None).path_of(run)).unwrap();
        let found = broken(state.path());
        assert!(
            found.iter().any(|b| b.contains("missing")),
            "{run}: {found:?}"
        );
        // A later record does not heal it.
        let chain = Chain::new(state.path(), None);
        chain
            .append(draft(&spec(), "run-9", None, &trigger()), None)
            .await
            .unwrap();
        assert!(!broken(state.path()).is_empty(), "{run}");
    }
    let state = TempDir::new().unwrap();
    let mut records = three(state.path()).await;
    let chain = Chain::new(state.path(), None);
    let (one, two) = (chain.path_of("run-1"), chain.path_of("run-2"));
    let (first, second) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    std::fs::write(&one, &second).unwrap();
    std::fs::write(&two, &first).unwrap();
    assert!(broken(state.path()).iter().any(|b| b.contains("renamed")));
    // Sealed anew in another order: every record holds by itself, the chain does not.
    let sha = records[0].sha256.clone();
    records[2].seal(2, Some(&sha));
    let sha = records[2].sha256.clone();
    records[1].seal(3, Some(&sha));
    std::fs::write(&one, records[1].text()).unwrap();
    std::fs::write(&two, records[2].text()).unwrap();
    assert!(
        broken(state.path())
            .iter()
            .any(|b| b.contains("HEAD names")),
        "{:?}",
        broken(state.path())
    );
    // A record of one's own making in the middle.
    std::fs::write(&one, &first).unwrap();
    std::fs::write(&two, &second).unwrap();
    assert!(broken(state.path()).is_empty());
    let mut better = records[1].clone();
    better.result = Outcome::Passed;
    better.seal(2, records[0].sha256.as_str().into());
    std::fs::write(&one, better.text()).unwrap();
    let found = broken(state.path());
    assert!(
        found.iter().any(|b| b.contains("does not follow")),
        "{found:?}"
    );
}

#[tokio::test]
async fn runs_at_the_same_time_share_one_chain() {
    let state = TempDir::new().unwrap();
    let runs = (0..12).map(|n| {
        let chain = Chain::new(state.path(), None);
        let record = draft(&spec(), &format!("run-{n:02}"), None, &trigger());
        async move { chain.append(record, None).await.unwrap() }
    });
    futures::future::join_all(runs).await;
    let verified = Chain::new(state.path(), None).verify();
    assert_eq!((verified.records, verified.broken), (12, Vec::new()));
}
