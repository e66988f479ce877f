//! Mistakes in files: each told with file, line, the text, and what to write instead.

use std::time::{Duration, Instant};

use crate::support::{WORKSPACE, opsctl, project};

/// What `validate` prints for a project with the given files.
fn told(files: &[(&str, &str)]) -> String {
    let dir = project(files);
    let ran = opsctl(dir.path(), &["validate"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

fn workspace(with: &str) -> String {
    format!("{WORKSPACE}{with}")
}

#[test]
fn the_shipped_files_are_valid() {
    let dir = project(&[]);
    let ran = opsctl(dir.path(), &["validate"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
}

#[test]
fn an_unknown_key_gets_a_suggestion() {
    insta::assert_snapshot!(told(&[(
        "policies/tags.toml",
        "[tags]\nrequierd = [\"team\"]\n"
    )]));
}

#[test]
fn a_wrong_type_is_underlined() {
    insta::assert_snapshot!(told(&[(
        "policies/backups.toml",
        "[backups]\nretention_days = \"seven\"\n"
    )]));
}

#[test]
fn money_as_a_float_says_what_to_write() {
    insta::assert_snapshot!(told(&[(
        "opsctl.toml",
        &WORKSPACE.replace("= 50", "= 50.5")
    )]));
}

#[test]
fn an_unknown_stage() {
    insta::assert_snapshot!(told(&[(
        "opsctl.toml",
        &WORKSPACE.replace("stage-1", "stage1")
    )]));
}

/// The allowed values of a tag ship with opsctl: a name that is not among them is not a dead end.
#[test]
fn an_environment_of_another_name_is_told_what_to_do() {
    let text = "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.china]\naccount = \"123456789012\"\n\
        regions = [\"cn-north-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 50\n";
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("opsctl.toml"), text).unwrap();
    let refused = opsctl(dir.path(), &["validate"]);
    assert_eq!(refused.code, 1);
    let said = refused
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for part in [
        "`opsctl init` writes",
        "policies/tags.toml",
        "[tags.values]",
    ] {
        assert!(said.replace("│ ", "").contains(part), "{part}: {said}");
    }
    // Doing so works.
    assert_eq!(opsctl(dir.path(), &["init"]).code, 0);
    let path = dir.path().join("policies/tags.toml");
    let tags = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, tags.replace("\"dev\",", "\"dev\", \"china\",")).unwrap();
    let fine = opsctl(dir.path(), &["validate"]);
    assert_eq!(fine.code, 0, "{}", fine.stderr);
}

#[test]
fn a_missing_policy() {
    let stage = "[stage]\nname = \"stage-1\"\ntitle = \"One\"\nusers = { from = 0, to = 1000 }\nmonthly_cost_usd = { from = 20, to = 100 }\npolicies = [\"tags\", \"s3-lifecycel\"]\n";
    insta::assert_snapshot!(told(&[("stacks/stage-1.toml", stage)]));
}

#[test]
fn a_bad_tag_key_and_value() {
    insta::assert_snapshot!(told(&[(
        "policies/tags.toml",
        "[tags]\nrequired = [\"aws:team\"]\n[tags.defaults]\nteam = \"a;b\"\n"
    )]));
}

#[test]
fn an_invalid_lifecycle_rule() {
    insta::assert_snapshot!(told(&[(
        "policies/s3-lifecycle.toml",
        "[lifecycle.rule.bad]\nmatch = { name = \"*\" }\ntransition = [{ after_days = 30, to = \"STANDARD_IA\" }, { after_days = 40, to = \"GLACIER\" }]\n"
    )]));
}

#[test]
fn a_mistake_in_an_override_is_told_where_it_was_written() {
    let text = workspace(
        "[environments.prod.override.tags.values]\nenvironment = { one_off = [\"prod\"] }\n",
    );
    insta::assert_snapshot!(told(&[("opsctl.toml", &text)]));
}

#[test]
fn an_unknown_placeholder() {
    insta::assert_snapshot!(told(&[(
        "policies/tags.toml",
        "[tags]\n[tags.defaults]\nproject = \"{project.nmae}\"\n"
    )]));
}

#[test]
fn a_syntax_error() {
    insta::assert_snapshot!(told(&[(
        "policies/tags.toml",
        "[tags]\nrequired = [\"team\"\n[tags.defaults]\n"
    )]));
}

#[test]
fn several_mistakes_are_told_at_once() {
    insta::assert_snapshot!(told(&[(
        "opsctl.toml",
        "[project]\nname = \"x\"\n[environments.prod]\naccount = \"12\"\nregions = [\"eu-west\"]\nstage = \"stage-1\"\nnotify = [\"ops@example.com\"]\n"
    )]));
}

#[test]
fn warnings_do_not_fail_unless_asked() {
    let text = workspace(
        "[environments.staging]\naccount = \"123456789012\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\nmonthly_budget_usd = 5000\n",
    );
    let dir = project(&[("opsctl.toml", &text)]);
    let ran = opsctl(dir.path(), &["validate"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(ran.stderr);
    assert_eq!(opsctl(dir.path(), &["validate", "--strict"]).code, 1);
}

#[test]
fn hopeless_input_is_refused_politely_and_fast() {
    let nested = format!("a = {}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let many = (0..60_000)
        .map(|i| format!("[tags.a{i}]\n"))
        .collect::<String>();
    let huge = "# x\n".repeat(50 * 1024 * 1024 / 4);
    for (name, text) in [
        ("empty", ""),
        ("nested", nested.as_str()),
        ("huge", huge.as_str()),
        ("many tables", many.as_str()),
        ("binary", "\u{0}\u{1}\u{2}ELF"),
        ("dotted", &format!("{}=1", "a.".repeat(50_000))),
    ] {
        let dir = project(&[("opsctl.toml", text)]);
        let started = Instant::now();
        let ran = opsctl(dir.path(), &["validate"]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        assert!(
            !ran.stderr.contains("panicked") && ran.stderr.len() < 200_000,
            "{name}: {}",
            ran.stderr.len()
        );
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{name} took {:?}",
            started.elapsed()
        );
    }
    let dir = project(&[]);
    std::fs::write(dir.path().join("policies/tags.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let ran = opsctl(dir.path(), &["plan"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("policies/tags.toml"), "{}", ran.stderr);
}

const EXEMPT: &str =
    "[tags]\nrequired = [\"team\"]\n[tags.exempt.old]\nmatch = { name = \"old-*\" }\n";

/// A reason that says nothing and an end that never comes are no exemption.
#[test]
fn an_exemption_has_a_reason_and_an_end() {
    let policy = format!("{EXEMPT}reason = \" \"\nowner = \"\"\nuntil = \"2027-01-01\"\n");
    insta::assert_snapshot!(told(&[("policies/tags.toml", &policy)]));
    let spot = workspace(
        "\n[accept_unobserved.x]\noperation = \"rds:DescribeDBInstances\"\nreason = \"\"\nuntil = \"2027-01-01\"\n",
    );
    let text = told(&[("opsctl.toml", &spot)]);
    assert!(
        text.contains("[accept_unobserved.x]: reason is empty"),
        "{text}"
    );
    let policy = format!("{EXEMPT}reason = \"x\"\nuntil = \"9999-12-31\"\n");
    let dir = project(&[("policies/tags.toml", &policy)]);
    let ran = opsctl(dir.path(), &["validate"]);
    let text = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 0, "{text}");
    assert!(text.contains("as good as for ever"), "{text}");
}

#[test]
fn an_empty_folder_of_policies_is_one_mistake() {
    let dir = project(&[]);
    for entry in std::fs::read_dir(dir.path().join("policies")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let ran = opsctl(dir.path(), &["validate"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stderr);
}
