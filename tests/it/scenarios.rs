//! Every scenario: pending changes, applied, nothing left.

use crate::support::{json, opsctl, project};
use tempfile::TempDir;

fn converges(scenario: &str) {
    let dir = TempDir::new().unwrap();
    let first = opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            scenario,
            "--detailed-exitcode",
            "--format",
            "json",
        ],
    );
    assert_eq!(first.code, 2, "{}", first.stderr);
    let planned = json(&first);
    assert!(!planned["changes"].as_array().unwrap().is_empty());
    assert_eq!(planned["unobserved"].as_array().unwrap().len(), 0);
    assert!(
        !dir.path().join(".opsctl").exists(),
        "a plan writes nothing"
    );

    let applied = opsctl(
        dir.path(),
        &["apply", "--sandbox", scenario, "--yes", "--format", "json"],
    );
    assert_eq!(applied.code, 0, "{}\n{}", applied.stderr, applied.stdout);
    for change in json(&applied)["changes"].as_array().unwrap() {
        assert_eq!(change["outcome"], "applied", "{change}");
    }

    let again = opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            scenario,
            "--detailed-exitcode",
            "--format",
            "json",
        ],
    );
    assert_eq!(again.code, 0, "{}", again.stdout);
    assert_eq!(json(&again)["changes"].as_array().unwrap().len(), 0);
}

#[test]
fn findash_converges() {
    converges("findash");
}

#[test]
fn dartsyn_converges() {
    converges("dartsyn");
}

#[test]
fn acme_converges() {
    converges("acme");
}

#[test]
fn medtrack_converges() {
    converges("medtrack");
}

#[test]
fn burst_converges() {
    converges("burst");
}

#[test]
fn stage_3_in_the_sandbox_is_the_findash_plan() {
    let dir = TempDir::new().unwrap();
    let by_stage = json(&opsctl(
        dir.path(),
        &["plan", "stage-3", "--sandbox", "--format", "json"],
    ));
    let by_name = json(&opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            "findash",
            "-e",
            "prod",
            "--format",
            "json",
        ],
    ));
    assert_eq!(by_stage["changes"], by_name["changes"]);
    assert!(!by_stage["changes"].as_array().unwrap().is_empty());
}

#[test]
fn a_denied_service_exits_3_and_is_named() {
    let dir = TempDir::new().unwrap();
    let plan = opsctl(dir.path(), &["plan", "--sandbox", "findash-denied"]);
    assert_eq!(plan.code, 3, "{}", plan.stdout);
    assert!(
        plan.stdout.contains("rds:DescribeDBInstances"),
        "{}",
        plan.stdout
    );
    let apply = opsctl(
        dir.path(),
        &[
            "apply",
            "--sandbox",
            "findash-denied",
            "--yes",
            "--format",
            "json",
        ],
    );
    assert_eq!(apply.code, 3, "blind also after an apply: {}", apply.stderr);
    let named = json(&apply)["changes"].to_string();
    assert!(
        !named.contains("prod/eu-west-1/rds-instance"),
        "nothing is planned for what was not seen"
    );
    let allowed = opsctl(
        dir.path(),
        &["plan", "--sandbox", "findash-denied", "--allow-incomplete"],
    );
    assert_eq!(allowed.code, 0);
}

#[test]
fn an_environment_can_be_planned_at_another_stage() {
    let dir = TempDir::new().unwrap();
    let none = opsctl(dir.path(), &["plan", "stage-2", "--sandbox"]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("prod is at stage-3"),
        "{}",
        none.stderr
    );
    let plan = json(&opsctl(
        dir.path(),
        &[
            "plan",
            "stage-4",
            "--sandbox",
            "-e",
            "prod",
            "--format",
            "json",
        ],
    ));
    assert_eq!(plan["scope"][0]["stage"], "stage-4");
}

#[test]
fn the_projects_policies_are_used_in_the_sandbox() {
    let dir = project(&[(
        "policies/tags.toml",
        "[tags]\nrequired = [\"cost-centre\"]\n[tags.defaults]\ncost-centre = \"42\"\n",
    )]);
    let plan = json(&opsctl(
        dir.path(),
        &["plan", "--sandbox", "--control", "tags", "--format", "json"],
    ));
    let change = &plan["changes"][0];
    assert_eq!(change["after"]["cost-centre"], "42", "{change}");
    assert_eq!(change["reason"]["file"], "policies/tags.toml");
    assert_eq!(change["reason"]["line"], 4);
}

/// Killed at many moments, the same apply converges, and nothing foreign is lost.
#[test]
fn a_killed_apply_converges_when_repeated() {
    let pristine = TempDir::new().unwrap();
    let expected = opsctl(
        pristine.path(),
        &["apply", "--sandbox", "acme", "--yes", "--format", "json"],
    );
    assert_eq!(expected.code, 0, "{}", expected.stderr);
    let state = |dir: &std::path::Path| -> serde_json::Value {
        let text = std::fs::read_to_string(dir.join(".opsctl/sandbox/acme.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let wanted = state(pristine.path());
    let mut cut_short = 0;
    for step in 0..20 {
        let dir = TempDir::new().unwrap();
        let mut child = crate::support::command(dir.path())
            .args(["apply", "--sandbox", "acme", "--yes", "--quiet"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Wait for so many lines of the journal, then strike.
        let started = std::time::Instant::now();
        loop {
            let lines: usize = std::fs::read_dir(dir.path().join(".opsctl/runs"))
                .into_iter()
                .flatten()
                .filter_map(|e| std::fs::read_to_string(e.ok()?.path()).ok())
                .map(|t| t.lines().count())
                .sum();
            let ended = child.try_wait().unwrap().is_some();
            if lines > step * 7 || ended || started.elapsed().as_secs() > 20 {
                break;
            }
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        cut_short += usize::from(!status.success());
        let again = opsctl(
            dir.path(),
            &["apply", "--sandbox", "acme", "--yes", "--format", "json"],
        );
        assert_eq!(again.code, 0, "after step {step}: {}", again.stdout);
        assert_eq!(state(dir.path()), wanted, "after step {step}");
    }
    assert!(
        cut_short > 5,
        "only {cut_short} of 20 were killed in time to mean anything"
    );
}

/// SIGINT finishes what is in flight and says what was and was not done.
#[test]
fn an_interrupted_apply_says_what_was_not_done() {
    let mut interrupted = 0;
    for _ in 0..10 {
        let dir = TempDir::new().unwrap();
        let child = crate::support::command(dir.path())
            .args([
                "apply",
                "--sandbox",
                "acme",
                "--yes",
                "--concurrency",
                "1",
                "--format",
                "json",
            ])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let runs = dir.path().join(".opsctl/runs");
        while !runs.exists() {
            std::thread::yield_now();
        }
        let _ = std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        let output = crate::support::ran(child.wait_with_output().unwrap());
        if output.code != 130 {
            continue;
        }
        let document = json(&output);
        let outcomes: Vec<&str> = document["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["outcome"].as_str().unwrap())
            .collect();
        assert!(
            outcomes.iter().all(|o| ["applied", "skipped"].contains(o)),
            "{outcomes:?}"
        );
        assert_eq!(document["interrupted"], true);
        let again = opsctl(dir.path(), &["apply", "--sandbox", "acme", "--yes"]);
        assert_eq!(again.code, 0);
        interrupted += 1;
        if interrupted == 3 {
            return;
        }
    }
    assert!(
        interrupted > 0,
        "no run was interrupted in time to mean anything"
    );
}
