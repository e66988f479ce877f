//! What the compiler does not hold: one door to the cloud, one place that writes, generated
//! references that are up to date.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn lines_with(needles: &[&str], allowed: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30);
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        if allowed.iter().any(|a| name.starts_with(a)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if needles.iter().any(|n| code.contains(n)) {
                found.push(format!("{name}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn only_the_aws_side_names_aws_crates() {
    let found = lines_with(&["aws_sdk", "aws_config", "aws_smithy", "aws_credential", "aws_types"], &["aws/"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_apply_asks_the_cloud_to_write() {
    let found = lines_with(&[".execute("], &["apply/", "aws/"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_command_line_prints() {
    let found = lines_with(&["println!", "print!(", "stdout()", "dbg!"], &["cli/"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn controls_have_no_clock_and_no_environment() {
    let found = lines_with(
        &["Timestamp::now", "SystemTime", "std::env", "std::fs", "Instant::now"],
        &["apply/", "aws/", "cli/", "sandbox/", "config/", "plan/file.rs"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// `UPDATE_DOCS=1 cargo test` writes them anew.
#[test]
fn the_kept_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/schema");
    for (name, schema) in opsctl::config::schema::all() {
        let path = folder.join(format!("{name}.json"));
        let text = opsctl::config::schema::to_text(&schema);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{} is out of date: UPDATE_DOCS=1 cargo test writes it anew", path.display());
    }
}

/// What ships is valid by the schemas that editors use.
#[test]
fn the_shipped_files_are_valid_by_their_schemas() {
    let schemas: std::collections::BTreeMap<_, _> = opsctl::config::schema::all().into_iter().collect();
    for (path, text) in opsctl::config::load::SHIPPED {
        let value: toml::Value = toml::from_str(text).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let schema = if path.starts_with("stacks") { "stage" } else { "policy" };
        let validator = jsonschema::validator_for(schemas[schema].as_value()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| format!("{path}: {e}")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}
