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
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (i, line) in code.lines().enumerate() {
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
    let found = lines_with(
        &[
            "aws_sdk",
            "aws_config",
            "aws_smithy",
            "aws_credential",
            "aws_types",
        ],
        &["aws/"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_apply_asks_the_cloud_to_write() {
    let found = lines_with(&[".execute("], &["apply/", "aws/"]);
    assert!(found.is_empty(), "{found:#?}");
    let found = lines_with(&[".put_object("], &["apply/", "aws/", "drill/", "history/"]);
    assert!(found.is_empty(), "{found:#?}");
    let found = lines_with(&[".put_metrics("], &["aws/", "drill/"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_probes_of_drills_speak_sql() {
    let found = lines_with(&["tokio_postgres"], &["drill/probe"]);
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
        &[
            "Timestamp::now",
            "SystemTime",
            "std::env",
            "std::fs",
            "Instant::now",
        ],
        &[
            "apply/",
            "aws/",
            "cli/",
            "sandbox/",
            "config/",
            "cost/export/",
            "drill/",
            "history/",
            "plan/file.rs",
            "cost/cache.rs",
            // Project folders for their tests.
            "controls/alarms/tests.rs",
            "controls/backups/tests.rs",
            // The sources that name operations.
            "iam/tests.rs",
        ],
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// `UPDATE_DOCS=1 cargo test` writes them anew.
#[test]
fn the_kept_schemas_are_those_of_the_types() {
    for (name, schema) in opsctl::config::schema::all() {
        kept(
            &format!("schema/{name}.json"),
            &opsctl::config::schema::to_text(&schema),
        );
    }
}

/// Compares a generated page with the one that is kept, or writes it with `UPDATE_DOCS=1`.
fn kept(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/reference")
        .join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is out of date: UPDATE_DOCS=1 cargo test writes it anew",
        path.display()
    );
}

/// The page of a control is the doc comment of its file.
#[test]
fn the_pages_of_the_controls_are_their_doc_comments() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/controls");
    for (name, file) in [
        ("tags", "tags.rs"),
        ("alarms", "alarms/mod.rs"),
        ("backups", "backups/mod.rs"),
        ("budgets", "budgets/mod.rs"),
        ("lifecycle", "lifecycle/mod.rs"),
        ("saving", "saving.rs"),
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let page: String = text
            .lines()
            .map_while(|l| l.strip_prefix("//!"))
            .map(|l| format!("{}\n", l.strip_prefix(' ').unwrap_or(l)))
            .collect();
        assert!(page.len() > 200, "{name}");
        kept(&format!("controls/{name}.md"), &page);
    }
}

#[test]
fn the_kept_command_line_is_that_of_the_binary() {
    fn page(command: &mut clap::Command, path: &str, out: &mut String) {
        let help = command
            .clone()
            .term_width(90)
            .render_long_help()
            .to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        out.push_str(&format!(
            "## {path}\n\n```text\n{}\n```\n\n",
            help.join("\n").trim()
        ));
        for sub in command.get_subcommands_mut() {
            let name = format!("{path} {}", sub.get_name());
            if sub.get_name() != "help" {
                page(sub, &name, out);
            }
        }
    }
    let mut text = String::from("# Command line\n\n");
    let mut command = opsctl::cli::command();
    command.build();
    page(&mut command, "opsctl", &mut text);
    kept("cli.md", &text);
}

/// What ships is valid by the schemas that editors use.
#[test]
fn the_shipped_files_are_valid_by_their_schemas() {
    let schemas: std::collections::BTreeMap<_, _> =
        opsctl::config::schema::all().into_iter().collect();
    for (path, text) in opsctl::config::load::SHIPPED {
        let value: toml::Value = toml::from_str(text).unwrap();
        let value = serde_json::to_value(value).unwrap();
        let schema = if path.starts_with("stacks") {
            "stage"
        } else {
            "policy"
        };
        let validator = jsonschema::validator_for(schemas[schema].as_value()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| format!("{path}: {e}"))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}
