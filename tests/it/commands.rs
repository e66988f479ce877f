//! The other commands, and what all have in common.

use crate::support::{command, json, opsctl, project, ran};
use tempfile::TempDir;

#[test]
fn init_writes_files_that_pass_validate_and_never_overwrites() {
    for stage in ["stage-1", "stage-2", "stage-3", "stage-4"] {
        let dir = TempDir::new().unwrap();
        let ran = opsctl(dir.path(), &["init", "--stage", stage]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let valid = opsctl(dir.path(), &["validate", "--strict"]);
        assert_eq!(valid.code, 0, "{stage}: {}", valid.stderr);
        std::fs::write(dir.path().join("policies/tags.toml"), "# mine\n[tags]\n").unwrap();
        let again = opsctl(dir.path(), &["init"]);
        assert_eq!(again.code, 0);
        assert!(
            again.stdout.contains("kept   policies/tags.toml"),
            "{}",
            again.stdout
        );
        let kept = std::fs::read_to_string(dir.path().join("policies/tags.toml")).unwrap();
        assert_eq!(kept, "# mine\n[tags]\n");
    }
}

#[test]
fn stages_are_listed_shown_and_compared() {
    let dir = TempDir::new().unwrap();
    insta::assert_snapshot!("stage_list", opsctl(dir.path(), &["stage", "list"]).stdout);
    insta::assert_snapshot!(
        "stage_show",
        opsctl(dir.path(), &["stage", "show", "stage-3"]).stdout
    );
    insta::assert_snapshot!(
        "stage_diff",
        opsctl(dir.path(), &["stage", "diff", "stage-2", "stage-3"]).stdout
    );
    let resolved = opsctl(dir.path(), &["stage", "show", "stage-3", "--resolved"]).stdout;
    assert!(
        resolved.contains("backups.retention_days = 14"),
        "{resolved}"
    );
    assert!(
        resolved.contains("# builtin:stacks/stage-3.toml:"),
        "{resolved}"
    );
    assert!(
        resolved.contains("# builtin:policies/tags.toml:"),
        "{resolved}"
    );
    let unknown = opsctl(dir.path(), &["stage", "show", "stage-33"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("did you mean"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn layers_win_in_their_order() {
    let dir = project(&[(
        "opsctl.toml",
        &format!(
            "{}\n[environments.prod.override.backups]\nretention_days = 30\n",
            crate::support::WORKSPACE
        ),
    )]);
    let shown = json(&opsctl(
        dir.path(),
        &[
            "stage",
            "show",
            "stage-1",
            "--resolved",
            "-e",
            "prod",
            "--format",
            "json",
        ],
    ));
    let values = shown["stages"][0]["values"].as_array().unwrap();
    let of = |key: &str| values.iter().find(|v| v["key"] == key).unwrap().clone();
    assert_eq!(of("backups.retention_days")["value"], "30");
    assert!(
        of("backups.retention_days")["from"]
            .as_str()
            .unwrap()
            .starts_with("opsctl.toml:")
    );
    assert!(
        of("backups.drill_every")["from"]
            .as_str()
            .unwrap()
            .starts_with("stacks/stage-1.toml:")
    );
    assert!(
        of("backups.copy_tags_to_snapshot")["from"]
            .as_str()
            .unwrap()
            .starts_with("policies/backups.toml:")
    );
    assert_eq!(of("tags.defaults.project")["value"], "\"shop\"");
}

#[test]
fn usage_mistakes_exit_1_and_help_exits_0() {
    let dir = TempDir::new().unwrap();
    for args in [
        &["plan", "--nonsense"][..],
        &["frobnicate"],
        &["plan", "--control", "taggs"],
        &["plan", "--timeout", "soon"],
    ] {
        let ran = opsctl(dir.path(), args);
        assert_eq!(ran.code, 1, "{args:?}");
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty());
    }
    for args in [&["--help"][..], &["plan", "--help"], &["--version"]] {
        let ran = opsctl(dir.path(), args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
    }
    let nowhere = opsctl(dir.path(), &["plan"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("opsctl init"), "{}", nowhere.stderr);
    let stage = opsctl(dir.path(), &["plan", "--sandbox", "stage-3"]);
    assert!(
        stage.stderr.contains("opsctl plan stage-3 --sandbox"),
        "{}",
        stage.stderr
    );
}

#[test]
fn results_go_to_a_file_and_stdout_stays_clean_json() {
    let dir = TempDir::new().unwrap();
    let ran = opsctl(
        dir.path(),
        &[
            "plan",
            "--sandbox",
            "--format",
            "json",
            "-o",
            "out/plan.json",
        ],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let text = std::fs::read_to_string(dir.path().join("out/plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["kind"], "plan");
    let verbose = opsctl(
        dir.path(),
        &["plan", "--sandbox", "--format", "json", "-vv"],
    );
    assert_eq!(json(&verbose)["changes"], plan["changes"]);
    let colour = opsctl(dir.path(), &["plan", "--sandbox", "--color", "always"]).stdout;
    let plain = opsctl(dir.path(), &["plan", "--sandbox"]).stdout;
    assert!(colour.contains('\u{1b}') && !plain.contains('\u{1b}'));
}

/// The plan's JSON is what its schema says.
#[test]
fn the_plan_is_valid_by_its_schema() {
    let dir = TempDir::new().unwrap();
    let schema: serde_json::Value = json(&opsctl(dir.path(), &["schema", "plan"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for scenario in ["findash", "findash-denied"] {
        let plan = json(&opsctl(
            dir.path(),
            &["plan", "--sandbox", scenario, "--format", "json"],
        ));
        let errors: Vec<String> = validator
            .iter_errors(&plan)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn accepted_blind_spots_are_shown_and_end() {
    let workspace = |until: &str| {
        format!(
            "{}\n[accept_unobserved.no-rds]\noperation = \"rds:DescribeDBInstances\"\nreason = \"ticket 12\"\nuntil = \"{until}\"\n",
            crate::support::WORKSPACE
        )
    };
    let dir = project(&[("opsctl.toml", &workspace("2099-01-01"))]);
    // The sandbox brings its own environments, so that this is checked without them.
    let valid = opsctl(dir.path(), &["validate"]);
    assert_eq!(valid.code, 0, "{}", valid.stderr);
}

#[test]
fn completions_and_manual_are_generated() {
    let dir = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = opsctl(dir.path(), &["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("opsctl"), "{shell}");
    }
    assert!(opsctl(dir.path(), &["man"]).stdout.contains(".TH opsctl"));
    assert!(
        opsctl(dir.path(), &["man", "plan"])
            .stdout
            .contains(".TH opsctl-plan")
    );
}

#[test]
fn the_sandbox_can_be_shown_and_reset() {
    let dir = TempDir::new().unwrap();
    let list = opsctl(dir.path(), &["sandbox", "list"]);
    assert!(
        list.stdout.contains("dartsyn") && list.stdout.contains("as seeded"),
        "{}",
        list.stdout
    );
    assert_eq!(
        opsctl(dir.path(), &["apply", "--sandbox", "burst", "--yes"]).code,
        0
    );
    assert!(
        opsctl(dir.path(), &["sandbox", "list"])
            .stdout
            .contains("changed by an apply")
    );
    assert_eq!(opsctl(dir.path(), &["sandbox", "reset", "burst"]).code, 0);
    let plan = opsctl(
        dir.path(),
        &["plan", "--sandbox", "burst", "--detailed-exitcode"],
    );
    assert_eq!(plan.code, 2);
}

/// What a command writes to a terminal of ten lines, and what its pager gets.
#[cfg(target_os = "linux")]
fn on_a_terminal(args: &str) -> (String, Option<String>) {
    let dir = TempDir::new().unwrap();
    let plain = command(dir.path());
    let line = format!(
        "stty rows 10 cols 80; {} {args}",
        plain.get_program().to_string_lossy()
    );
    // From util-linux: runs a command behind a pseudo-terminal.
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]);
    terminal.current_dir(dir.path()).env_clear();
    terminal.stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal
        .env("TERM", "xterm")
        .env("OPSCTL_PAGER", "tee paged");
    let shown = ran(terminal.output().unwrap()).stdout;
    (
        shown,
        std::fs::read_to_string(dir.path().join("paged")).ok(),
    )
}

#[cfg(target_os = "linux")]
#[test]
fn long_pages_go_through_the_pager_and_the_spinner_minds_the_colour() {
    for args in [
        "doctor --sandbox --color never",
        "doctor --sandbox --color never --format markdown",
        "iam plan -e prod --explain --sandbox",
    ] {
        let (shown, paged) = on_a_terminal(args);
        let paged = paged.unwrap_or_else(|| panic!("{args}: not paged: {shown}"));
        assert!(paged.lines().count() > 10, "{args}: {paged}");
    }
    let dim = "\u{1b}[2m";
    let (plain, _) = on_a_terminal("doctor --sandbox --color never");
    assert!(
        plain.contains("looking") && !plain.contains(dim),
        "{plain:?}"
    );
    let (coloured, _) = on_a_terminal("doctor --sandbox");
    assert!(coloured.contains(dim), "{coloured:?}");
}
