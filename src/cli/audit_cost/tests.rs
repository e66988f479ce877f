//! Asking: from the cache, under the lock, and what a refusal does to the rest.

use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;

use super::super::{Cli, Global};
use super::*;
use crate::sandbox::{Fault, Sandbox, scenario};

const NOON: &str = "2026-11-22T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn global() -> Global {
    Cli::try_parse_from(["opsctl", "audit", "cost", "--sandbox", "dartsyn"])
        .unwrap()
        .global
}

fn session(
    folder: &TempDir,
    now: Timestamp,
    faults: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static,
) -> Session {
    let opened = scenario::open("dartsyn", None).ok().unwrap();
    let sandbox = Sandbox::in_memory(opened.world)
        .at(now)
        .with_faults(Box::new(move |operation, _| faults(operation)));
    Session {
        loaded: opened.loaded,
        cloud: Box::new(sandbox),
        sandbox: Some("dartsyn".to_owned()),
        state: folder.path().to_owned(),
    }
}

fn args(max_age: Duration) -> CostArgs {
    CostArgs {
        explain: false,
        max_age,
        from: None,
    }
}

const HOURS: Duration = Duration::from_secs(8 * 3600);

fn audit(session: &Session, max_age: Duration, now: Timestamp) -> CostAudit {
    let global = global();
    let environments = session.environments(&global, None).ok().unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(collect_at(
            &global,
            session,
            &environments,
            &args(max_age),
            now,
        ))
        .unwrap_or_else(|e| panic!("{}", e.message))
}

fn requests(session: &Session) -> u64 {
    let api = session.cloud.meter().snapshot();
    let costs = api
        .by_operation
        .iter()
        .filter(|(o, _)| o.starts_with("ce:"));
    costs.map(|(_, n)| n).sum()
}

/// The kept answers.
fn kept(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let folder = folder.path().join("cache/cost");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect()
}

#[test]
fn a_second_audit_asks_nothing_and_says_the_same() {
    let folder = TempDir::new().unwrap();
    let first = session(&folder, noon(), |_| None);
    let before = audit(&first, HOURS, noon());
    let asked = requests(&first);
    assert!(asked > 0);
    // Three payers, at most 12 questions of each.
    let files = kept(&folder).len();
    assert!((3..=36).contains(&files), "{files}");
    let later = noon() + 7.hours();
    let second = session(&folder, later, |_| None);
    let after = audit(&second, HOURS, later);
    assert_eq!(requests(&second), 0);
    assert_eq!(second.cloud.meter().snapshot().cost_usd, "0.00");
    assert_eq!(before.entries, after.entries);
    // Too old, and never young enough.
    let third = session(&folder, later + 2.hours(), |_| None);
    audit(&third, HOURS, later + 2.hours());
    assert_eq!(requests(&third), asked);
    let fourth = session(&folder, later + 2.hours(), |_| None);
    audit(&fourth, Duration::ZERO, later + 2.hours());
    assert_eq!(requests(&fourth), asked);
}

#[test]
fn after_midnight_the_questions_are_others() {
    let folder = TempDir::new().unwrap();
    let late: Timestamp = "2026-11-30T23:50:00Z".parse().unwrap();
    let first = session(&folder, late, |_| None);
    let before = audit(&first, HOURS, late);
    assert_eq!(before.entries[0].month.as_deref(), Some("2026-11-01"));
    let early = late + 20.minutes();
    let second = session(&folder, early, |_| None);
    let after = audit(&second, HOURS, early);
    assert!(requests(&second) > 0);
    assert_eq!(after.entries[0].month.as_deref(), Some("2026-12-01"));
    assert_eq!(
        after.entries[0].compared_days, 0,
        "no day of December is complete"
    );
}

#[test]
fn broken_files_are_asked_for_again_and_written_anew() {
    let folder = TempDir::new().unwrap();
    let first = session(&folder, noon(), |_| None);
    let before = audit(&first, HOURS, noon());
    let files = kept(&folder);
    for (i, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(file).unwrap();
        match i % 4 {
            0 => std::fs::write(file, &text[..text.len() / 2]).unwrap(),
            1 => std::fs::write(file, b"\xff\x00 not JSON").unwrap(),
            2 => std::fs::write(file, "{}").unwrap(),
            // An answer to another question.
            _ => std::fs::write(file, text.replace("\"payer\":\"", "\"payer\":\"9")).unwrap(),
        }
    }
    let second = session(&folder, noon(), |_| None);
    let after = audit(&second, HOURS, noon());
    assert_eq!(requests(&second), requests(&first));
    assert_eq!(before.entries, after.entries);
    let third = session(&folder, noon(), |_| None);
    audit(&third, HOURS, noon());
    assert_eq!(requests(&third), 0);
}

#[test]
fn a_refusal_spares_the_questions_that_would_be_refused_too() {
    let folder = TempDir::new().unwrap();
    let denied = session(&folder, noon(), |operation| {
        (operation == "ce:GetCostAndUsage")
            .then(|| Fault::Refuse("AccessDeniedException".to_owned()))
    });
    let found = audit(&denied, HOURS, noon());
    let api = denied.cloud.meter().snapshot();
    // Once for each of the three payers, however many questions it would answer.
    assert_eq!(api.by_operation.get("ce:GetCostAndUsage"), Some(&3));
    assert!(found.entries.iter().all(|e| e.month_to_date.is_none()));
    let operations: BTreeSet<&str> = found.gaps.iter().map(|g| g.operation.as_str()).collect();
    assert_eq!(operations, ["ce:GetCostAndUsage"].into());
    assert!(found.gaps.iter().all(|g| g.control == Control::Cost));
    // Throttled out: nothing else is tried, and nothing is kept.
    let folder = TempDir::new().unwrap();
    let throttled = session(&folder, noon(), |operation| {
        operation
            .starts_with("ce:")
            .then(|| Fault::Refuse("LimitExceededException".to_owned()))
    });
    let found = audit(&throttled, HOURS, noon());
    assert_eq!(requests(&throttled), 3);
    assert!(kept(&folder).is_empty());
    assert!(found.gaps.len() > 3, "{:#?}", found.gaps);
}

#[test]
fn an_anomaly_that_cannot_be_seen_hides_nothing_else() {
    let folder = TempDir::new().unwrap();
    let session = session(&folder, noon(), |operation| {
        (operation == "ce:GetAnomalies").then(|| Fault::Refuse("AccessDeniedException".to_owned()))
    });
    let found = audit(&session, HOURS, noon());
    for entry in &found.entries {
        assert!(entry.month_to_date.is_some());
        assert_eq!(entry.anomalies, None);
    }
    assert!(found.gaps.iter().all(|g| g.operation == "ce:GetAnomalies"));
    assert!(!found.gaps.is_empty());
}

#[test]
fn two_audits_at_once_pay_once() {
    let folder = TempDir::new().unwrap();
    let alone = {
        let folder = TempDir::new().unwrap();
        let session = session(&folder, noon(), |_| None);
        audit(&session, HOURS, noon());
        requests(&session)
    };
    let sum: u64 = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let session = session(&folder, noon(), |_| None);
                    audit(&session, HOURS, noon());
                    requests(&session)
                })
            })
            .collect();
        runs.into_iter().map(|r| r.join().unwrap()).sum()
    });
    assert_eq!(sum, alone);
}

#[test]
fn kept_amounts_that_cannot_be_added_up_are_asked_for_again() {
    let folder = TempDir::new().unwrap();
    let before = audit(&session(&folder, noon(), |_| None), HOURS, noon());
    let mut absurd = 0;
    for file in kept(&folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        let edited = text.replace("\"amount\":\"", "\"amount\":\"70000000000000000000");
        if edited != text {
            std::fs::write(&file, edited).unwrap();
            absurd += 1;
        }
    }
    assert!(absurd > 3);
    let again = session(&folder, noon(), |_| None);
    let after = audit(&again, HOURS, noon());
    assert!(requests(&again) >= absurd);
    assert_eq!(before.entries, after.entries);
}

#[test]
fn an_export_asks_nobody_and_says_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("focus.csv");
    let header =
        "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ServiceName,SubAccountId";
    let run = |last: &str| {
        let lines = format!(
            "{header}\n2,USD,Usage,2026-10-01,Lambda,310987654321\n2,USD,Usage,{last},Lambda,310987654321\n"
        );
        std::fs::write(&file, lines).unwrap();
        let mut session = session(&folder, noon(), |_| None);
        let policy = "[cost]\nusers_metric = { namespace = \"Shop\", metric = \"Users\" }\n";
        let node = session
            .loaded
            .parse("policies/cost.toml", policy.to_owned());
        session
            .loaded
            .policies
            .insert("cost".to_owned(), node.unwrap());
        let global = global();
        let environments = session.environments(&global, None).ok().unwrap();
        let args = CostArgs {
            from: Some(file.clone()),
            ..args(HOURS)
        };
        let found = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(collect_at(&global, &session, &environments, &args, noon()));
        assert_eq!(session.cloud.meter().requests(), 0);
        found.unwrap_or_else(|e| panic!("{}", e.message))
    };
    let fresh = run("2026-11-22");
    let lacking: Vec<&str> = fresh.gaps.iter().map(|g| g.environment.as_str()).collect();
    assert_eq!(lacking, ["prod", "staging"]);
    let notes = &fresh.entries[0].notes;
    assert!(
        notes.iter().any(|n| n.contains("Shop Users is not asked")),
        "{notes:?}"
    );
    let old = run("2026-11-10");
    assert_eq!(old.gaps.len(), 3);
    assert!(old.gaps[0].error.contains("2026-11-10"), "{:?}", old.gaps);
}

#[test]
fn explaining_asks_nothing_and_knows_what_is_kept() {
    let folder = TempDir::new().unwrap();
    let now = Timestamp::now();
    let session = session(&folder, now, |_| None);
    let global = global();
    let environments = session.environments(&global, None).ok().unwrap();
    let explain = || {
        super::explain(&global, &session, &environments, &args(HOURS))
            .ok()
            .unwrap()
    };
    let before = explain();
    assert_eq!(session.cloud.meter().requests(), 0);
    assert_eq!(before.payers.len(), 3);
    assert!(before.requests_at_least > 0);
    assert!(before.questions_at_most <= 36);
    audit(&session, HOURS, now);
    let asked = session.cloud.meter().requests();
    let after = explain();
    assert_eq!(session.cloud.meter().requests(), asked);
    assert_eq!(after.requests_at_least, 0);
    assert_eq!(after.cost_usd_at_least, "0.00");
}
