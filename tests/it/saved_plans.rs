//! Saved plans are executed exactly, or refused.

use crate::support::{json, opsctl};
use tempfile::TempDir;

type Edit = Box<dyn Fn(&mut serde_json::Value)>;

fn saved(dir: &TempDir) -> String {
    let ran = opsctl(dir.path(), &["plan", "--sandbox", "--out", "plan.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    std::fs::read_to_string(dir.path().join("plan.json")).unwrap()
}

#[test]
fn a_saved_plan_is_executed_and_then_has_nothing_left_to_do() {
    let dir = TempDir::new().unwrap();
    saved(&dir);
    let first = opsctl(
        dir.path(),
        &["apply", "plan.json", "--yes", "--format", "json"],
    );
    assert_eq!(first.code, 0, "{}", first.stderr);
    let again = opsctl(
        dir.path(),
        &["apply", "plan.json", "--yes", "--format", "json"],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    for change in json(&again)["changes"].as_array().unwrap() {
        assert_eq!(change["outcome"], "skipped", "{change}");
    }
}

#[test]
fn any_change_to_what_it_says_is_refused() {
    let dir = TempDir::new().unwrap();
    let text = saved(&dir);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut edits: Vec<Edit> = vec![
        Box::new(|d| d["targets"][0]["account"] = "999999999999".into()),
        Box::new(|d| d["changes"][0]["after"] = serde_json::Value::Null),
        Box::new(|d| d["changes"][0]["resource"]["name"] = "another".into()),
        Box::new(|d| d["generated_at"] = "2020-01-01T00:00:00Z".into()),
        Box::new(|d| d["sandbox"] = serde_json::Value::Null),
        Box::new(|d| d["extra"] = 1.into()),
        Box::new(|d| d["digest"] = "sha256:00".into()),
    ];
    edits.push(Box::new(|d| {
        d["changes"].as_array_mut().unwrap().pop();
    }));
    for (i, edit) in edits.iter().enumerate() {
        let mut changed = document.clone();
        edit(&mut changed);
        assert_ne!(changed, document, "edit {i}");
        std::fs::write(dir.path().join("bad.json"), changed.to_string()).unwrap();
        let ran = opsctl(dir.path(), &["apply", "bad.json", "--yes"]);
        assert_eq!(ran.code, 1, "edit {i}: {}", ran.stdout);
        assert!(
            ran.stderr.contains("changed after it was saved"),
            "edit {i}: {}",
            ran.stderr
        );
    }
    assert!(!dir.path().join(".opsctl").exists(), "nothing was written");
}

#[test]
fn a_newer_format_another_kind_and_garbage_are_refused() {
    let dir = TempDir::new().unwrap();
    let text = saved(&dir);
    let newer = text.replace("\"format_version\": \"1.0\"", "\"format_version\": \"1.1\"");
    for (name, content, expected) in [
        ("newer.json", newer.as_str(), "format 1.1"),
        ("kind.json", "{\"kind\": \"audit\"}", "not a saved plan"),
        ("garbage.json", "\u{0}\u{1}", "not a saved plan"),
        ("empty.json", "", "not a saved plan"),
    ] {
        std::fs::write(dir.path().join(name), content).unwrap();
        let ran = opsctl(dir.path(), &["apply", name, "--yes"]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(expected), "{name}: {}", ran.stderr);
    }
    let missing = opsctl(dir.path(), &["apply", "missing.json", "--yes"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("missing.json"),
        "{}",
        missing.stderr
    );
}

#[test]
fn what_moved_since_is_stale_and_names_the_field() {
    let dir = TempDir::new().unwrap();
    saved(&dir);
    // Somebody else changes what the plan has read, through an apply of another policy.
    let applied = opsctl(dir.path(), &["apply", "--sandbox", "--yes"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let path = dir.path().join(".opsctl/sandbox/findash.json");
    let mut state: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for (_, account) in state["accounts"].as_object_mut().unwrap() {
        for (_, item) in account["resources"].as_object_mut().unwrap() {
            item["tags"]["team"] = "somebody-else".into();
        }
    }
    std::fs::write(&path, state.to_string()).unwrap();
    let ran = opsctl(
        dir.path(),
        &["apply", "plan.json", "--yes", "--format", "json"],
    );
    assert_eq!(ran.code, 1);
    let stale: Vec<String> = json(&ran)["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["outcome"] == "stale")
        .map(|c| c["error"].as_str().unwrap().to_owned())
        .collect();
    assert!(!stale.is_empty());
    assert!(
        stale.iter().all(|e| e.contains("tag team moved")),
        "{stale:?}"
    );
}

#[test]
fn limits_stop_before_the_first_write() {
    let dir = TempDir::new().unwrap();
    let many = opsctl(
        dir.path(),
        &["apply", "--sandbox", "--yes", "--max-changes", "1"],
    );
    assert_eq!(many.code, 1, "{}", many.stdout);
    assert!(
        many.stderr.contains("nothing was changed"),
        "{}",
        many.stderr
    );
    assert!(!dir.path().join(".opsctl").exists());
    let enough = opsctl(
        dir.path(),
        &["apply", "--sandbox", "--yes", "--max-changes", "1000"],
    );
    assert_eq!(enough.code, 0, "{}", enough.stderr);
    let deletes = opsctl(
        dir.path(),
        &[
            "apply",
            "--sandbox",
            "--destroy",
            "--yes",
            "--max-deletes",
            "0",
        ],
    );
    assert_eq!(deletes.code, 1, "{}", deletes.stdout);
    assert!(
        deletes.stderr.contains("--max-deletes allows 0"),
        "{}",
        deletes.stderr
    );
}

#[test]
fn nothing_is_asked_without_a_terminal() {
    let dir = TempDir::new().unwrap();
    let ran = opsctl(dir.path(), &["apply", "--sandbox"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(!dir.path().join(".opsctl").exists());
}

#[test]
fn destroy_removes_our_rules_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let state = |dir: &TempDir| -> serde_json::Value {
        serde_json::from_str(
            &std::fs::read_to_string(dir.path().join(".opsctl/sandbox/findash.json")).unwrap(),
        )
        .unwrap()
    };
    assert_eq!(opsctl(dir.path(), &["apply", "--sandbox", "--yes"]).code, 0);
    let before = state(&dir);
    let ran = opsctl(dir.path(), &["apply", "--sandbox", "--destroy", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let after = state(&dir);
    let mut ours_before = 0;
    for (environment, account) in before["accounts"].as_object().unwrap() {
        for (name, bucket) in account["buckets"].as_object().unwrap() {
            let rules = |b: &serde_json::Value| -> Vec<serde_json::Value> {
                b["lifecycle"]["rules"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            };
            let ours =
                |r: &serde_json::Value| r["id"].as_str().unwrap_or("").starts_with("opsctl-");
            let now = rules(&after["accounts"][environment]["buckets"][name]);
            ours_before += rules(bucket).iter().filter(|r| ours(r)).count();
            let foreign: Vec<_> = rules(bucket).into_iter().filter(|r| !ours(r)).collect();
            let kept: Vec<_> = now.iter().filter(|r| !ours(r)).cloned().collect();
            assert_eq!(kept, foreign, "{name}");
        }
        // Alarms and topics that opsctl made go, all else keeps its tags.
        let kept = |account: &serde_json::Value| {
            let mut all = account["resources"].as_object().unwrap().clone();
            all.retain(|_, item| item["tags"]["opsctl:managed"].is_null());
            all
        };
        let now = &after["accounts"][environment];
        assert_eq!(kept(now), kept(account), "tags stay");
    }
    assert!(ours_before > 0);
    // A topic that alarms notify goes once they are gone: with the next run.
    let ran = opsctl(dir.path(), &["apply", "--sandbox", "--destroy", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let again = opsctl(
        dir.path(),
        &["plan", "--sandbox", "--destroy", "--detailed-exitcode"],
    );
    assert_eq!(again.code, 0, "{}", again.stdout);
}

/// A plan with a digest of somebody's own making: what is shown has to be what is done.
#[test]
fn a_plan_that_shows_other_than_it_does_is_refused() {
    let dir = TempDir::new().unwrap();
    let document: serde_json::Value = serde_json::from_str(&saved(&dir)).unwrap();
    let changes = document["changes"].as_array().unwrap();
    let find = |control: &str| {
        changes
            .iter()
            .position(|c| c["control"] == control)
            .unwrap()
    };
    let (tags, lifecycle) = (find("tags"), find("lifecycle"));
    let foreign = changes
        .iter()
        .position(|c| {
            let rules = c["operation"]["before"]["rules"].as_array();
            rules.is_some_and(|r| {
                r.iter()
                    .any(|r| !r["id"].as_str().unwrap().starts_with("opsctl-"))
            })
        })
        .unwrap();
    let edits: Vec<Edit> = vec![
        Box::new(move |d| d["changes"][tags]["operation"]["after"]["team"] = "evil".into()),
        Box::new(move |d| {
            d["changes"][lifecycle]["operation"]["after"]["rules"][0]["expiration"] =
                serde_json::json!({"days": 1});
        }),
        Box::new(move |d| {
            let rules = d["changes"][foreign]["operation"]["after"]["rules"]
                .as_array_mut()
                .unwrap();
            rules.retain(|r| r["id"].as_str().unwrap().starts_with("opsctl-"));
        }),
        Box::new(move |d| {
            d["changes"][tags]["resource"]["arn"] = "arn:aws:sqs:eu-west-1:999999999999:q".into()
        }),
        Box::new(move |d| {
            d["changes"][tags]["address"] = "prod/eu-west-1/sqs-queue/other#tags".into()
        }),
        Box::new(move |d| {
            let again = d["changes"][tags].clone();
            d["changes"].as_array_mut().unwrap().push(again);
        }),
        Box::new(|d| d["summary"]["delete"] = 7.into()),
        Box::new(|d| d["summary"]["monthly_cost_delta_usd"] = "-1000.00".into()),
    ];
    for (i, edit) in edits.iter().enumerate() {
        let mut changed = document.clone();
        edit(&mut changed);
        assert_ne!(changed, document, "edit {i}");
        changed["digest"] = opsctl::plan::file::digest(changed.clone()).into();
        std::fs::write(dir.path().join("own.json"), changed.to_string()).unwrap();
        let ran = opsctl(dir.path(), &["apply", "own.json", "--yes"]);
        assert_eq!(ran.code, 1, "edit {i}: {}", ran.stdout);
        assert!(ran.stderr.contains("refused"), "edit {i}: {}", ran.stderr);
    }
    assert!(!dir.path().join(".opsctl").exists(), "nothing was written");
}

/// The guard of opsctl.toml holds for saved plans too.
#[test]
fn a_saved_plan_for_another_account_than_the_projects_is_refused() {
    let dir = crate::support::project(&[]);
    assert_eq!(
        opsctl(dir.path(), &["plan", "--sandbox", "--out", "plan.json"]).code,
        0
    );
    let text = std::fs::read_to_string(dir.path().join("plan.json")).unwrap();
    let mut plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    plan.as_object_mut().unwrap().remove("sandbox");
    plan["digest"] = opsctl::plan::file::digest(plan.clone()).into();
    std::fs::write(dir.path().join("own.json"), plan.to_string()).unwrap();
    let ran = opsctl(dir.path(), &["apply", "own.json", "--yes"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("opsctl.toml"), "{}", ran.stderr);
}

/// What is no regular file is written into, not replaced; a link is followed.
#[test]
fn results_do_not_replace_devices_and_links() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let ran = opsctl(dir.path(), &["stage", "list", "-o", "pipe"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(reader.join().unwrap().contains("stage-3"));
    std::fs::write(dir.path().join("real"), "old").unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
    assert_eq!(opsctl(dir.path(), &["stage", "list", "-o", "link"]).code, 0);
    assert!(
        std::fs::read_to_string(dir.path().join("real"))
            .unwrap()
            .contains("stage-3")
    );
    assert!(dir.path().join("link").is_symlink());
}

/// Between plan and apply the alarms came to belong to another project with the same names.
#[test]
fn what_belongs_to_another_project_by_now_is_left_alone() {
    let dir = TempDir::new().unwrap();
    assert_eq!(opsctl(dir.path(), &["apply", "--sandbox", "--yes"]).code, 0);
    let args = ["--control", "alarms", "--destroy", "--out", "plan.json"];
    let planned = opsctl(
        dir.path(),
        &[&["plan", "--sandbox", "--format", "json"][..], &args].concat(),
    );
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let path = dir.path().join(".opsctl/sandbox/findash.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let taken = text.replace(
        "\"opsctl:managed\":\"findash/",
        "\"opsctl:managed\":\"findash-two/",
    );
    assert!(taken != text, "nothing is ours");
    std::fs::write(&path, &taken).unwrap();
    let ran = opsctl(
        dir.path(),
        &["apply", "plan.json", "--yes", "--format", "json"],
    );
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let changes = json(&ran)["changes"].as_array().unwrap().clone();
    assert!(changes.len() > 20, "{}", changes.len());
    for change in &changes {
        let error = change["error"].as_str().unwrap();
        let outcome = change["outcome"].as_str().unwrap();
        // Parts of a composite alarm stay with it.
        match outcome {
            "stale" => assert!(error.contains("findash-two/"), "{error}"),
            _ => assert!(
                outcome == "failed" && error.starts_with("not tried"),
                "{error}"
            ),
        }
    }
    let after: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let before: serde_json::Value = serde_json::from_str(&taken).unwrap();
    for (environment, account) in before["accounts"].as_object().unwrap() {
        assert_eq!(after["accounts"][environment]["alarms"], account["alarms"]);
    }
}
