//! A second and a third opinion: what these emulators lack or lie about is listed in
//! `tests/emulators/README.md`, and never worked around in the product.

use crate::emulator::{localstack, ministack};
use crate::support::{json, project};

fn workspace() -> tempfile::TempDir {
    // The account of an emulator that does not read it from the access key is taken from STS.
    let text = crate::support::WORKSPACE.replace(", \"us-east-1\"", "");
    project(&[("opsctl.toml", &text)])
}

/// Lies: a top-level prefix is lost, `And` gains members, the minimum-size header is not kept, so
/// its buckets here have plain filters; RDS, CloudWatch and log groups are not in its tagging API.
#[test]
fn ministack_converges() {
    // It has no Cost Explorer and no billing metric; budgets have a test of their own there.
    let emulator = ministack().only("tags,lifecycle");
    emulator.python("seed_plain.py", &[]);
    let dir = workspace();
    let first = emulator.opsctl(
        dir.path(),
        &["plan", "--detailed-exitcode", "--format", "json"],
    );
    assert_eq!(
        first.code,
        2,
        "{}\n{}",
        first.stderr,
        json(&first)["unobserved"]
    );
    let applied = emulator.opsctl(dir.path(), &["apply", "--yes", "--format", "json"]);
    let document = json(&applied);
    for change in document["changes"].as_array().unwrap() {
        assert_eq!(change["outcome"], "applied", "{change}");
    }
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let again = emulator.opsctl(
        dir.path(),
        &["plan", "--detailed-exitcode", "--format", "json"],
    );
    assert_eq!(again.code, 0, "{}", again.stdout);
}

/// localstack-core has no RDS: exit 3 with RDS named is the right answer.
#[test]
fn localstack_is_blind_to_rds_and_says_so() {
    let Some(emulator) = localstack() else {
        println!("no Python of 3.12 or newer on this machine, so no localstack");
        return;
    };
    emulator.python("seed_plain.py", &["--only-s3"]);
    let dir = workspace();
    let ran = emulator.opsctl(dir.path(), &["plan", "--format", "json"]);
    assert_eq!(ran.code, 3, "{}\n{}", ran.stderr, ran.stdout);
    let plan = json(&ran);
    assert!(
        plan["unobserved"]
            .to_string()
            .contains("rds:DescribeDBInstances"),
        "{}",
        plan["unobserved"]
    );
    let buckets = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["control"] == "lifecycle")
        .count();
    assert!(buckets > 0, "what it has is planned all the same");
}
