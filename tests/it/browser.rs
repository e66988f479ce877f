//! The pages in a real browser: `tests/browser/run.mjs` opens them all, clicks, prints, and asks axe.
//!
//! `tests/run` installs what it needs and says where it is; without that the test fails, it does not
//! skip. Pages, screenshots and paper stay in the target folder, to be looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use opsctl::report::tags::TagReport;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulator;
use crate::report_drills as drills;
use crate::support::{Ran, WORKSPACE, opsctl, project, ran};

/// Rows of the page that must not freeze.
const MANY: usize = 20_000;

fn tool(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests with tests/run"))
        .into()
}

/// Where the pages are kept.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A page and the JSON of the same report.
fn both(folder: &Path, name: &str, report: &dyn Fn(&[&str]) -> Ran) -> Value {
    for format in ["html", "json"] {
        let path = folder.join(format!("{name}.{format}"));
        let path = path.to_str().unwrap();
        let args = [
            "report",
            "tags",
            "--no-history",
            "--format",
            format,
            "-o",
            path,
        ];
        let ran = report(&args);
        assert!([0, 3].contains(&ran.code), "{name}: {}", ran.stderr);
    }
    json!({"file": format!("{name}.html"), "report": format!("{name}.json")})
}

/// A report of very many resources, from one of a few.
fn many(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("tags-dartsyn.json")).unwrap();
    let mut report: TagReport = serde_json::from_str(&text).unwrap();
    let few = report.resources.clone();
    report.resources = (0..MANY)
        .filter_map(|n| {
            let mut one = few.get(n % few.len())?.clone();
            one.name = format!("{}-{n:05}", one.name);
            one.age_days = Some((n * 7 % 400) as i64);
            one.month_to_date = (n % 5 != 0).then(|| format!("{}.{:02}", n * 13 % 1000, n % 100));
            Some(one)
        })
        .collect();
    let page = opsctl::render::html::tags::page(&report).unwrap();
    std::fs::write(folder.join("tags-many.html"), page).unwrap();
    json!({"file": "tags-many.html", "rows": MANY})
}

/// The other reports, in the sandbox and on a year of drills: whole, broken, and hostile.
fn others(folder: &Path, dir: &Path) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut page = |dir: &Path, name: &str, args: &[&str], hostile: bool| {
        let path = folder.join(format!("{name}.html"));
        let path = path.to_str().unwrap();
        let ran = opsctl(
            dir,
            &[&["report"], args, &["--format", "html", "-o", path]].concat(),
        );
        assert!([0, 3].contains(&ran.code), "{name}: {}", ran.stderr);
        pages.push(json!({"file": format!("{name}.html"), "hostile": hostile}));
    };
    for scenario in ["findash", "dartsyn"] {
        let sandbox = ["--sandbox", scenario];
        page(
            dir,
            &format!("cost-{scenario}"),
            &[&["cost"], &sandbox[..]].concat(),
            false,
        );
        // The second one has something to compare with.
        opsctl(dir, &[&["report", "summary"], &sandbox[..]].concat());
        page(
            dir,
            &format!("summary-{scenario}"),
            &[&["summary"], &sandbox[..]].concat(),
            false,
        );
    }
    page(
        dir,
        "summary-denied",
        &["summary", "--sandbox", "findash-denied"],
        false,
    );
    let shop = drills::shop();
    page(shop.path(), "cost-unknown", &["cost"], false);
    page(shop.path(), "drills-none", &["drills"], false);
    drills::year(shop.path());
    page(shop.path(), "drills", &["drills"], false);
    let evidence = shop.path().join(".opsctl/evidence");
    let one = std::fs::read_dir(&evidence)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "json"))
        .unwrap();
    std::fs::remove_file(one).unwrap();
    page(shop.path(), "drills-broken", &["drills"], false);
    let hostile = drills::shop();
    let mut record = drills::record("orders", "rds:orders-prod", 1, "failed", 10);
    let text = "<script>hacked=1</script>\u{202e}\"'><img src=x onerror=hacked=1>";
    record.drill = text.to_owned();
    record.reasons = vec![text.to_owned(), text.to_owned()];
    record.checks[0].sql = text.to_owned();
    record.timeline[0].step = text.to_owned();
    record.cleanup.proof = vec![text.to_owned()];
    drills::keep(hostile.path(), vec![record]);
    page(hostile.path(), "drills-hostile", &["drills"], true);
    pages
}

#[test]
fn every_page_works_in_a_browser() {
    let folder = folder();
    let dir = TempDir::new().unwrap();
    let mut pages = Vec::new();
    for scenario in ["dartsyn", "findash", "findash-denied"] {
        // A run before it, so that there is something to compare with.
        opsctl(dir.path(), &["report", "tags", "--sandbox", scenario]);
        let report = |args: &[&str]| opsctl(dir.path(), &[args, &["--sandbox", scenario]].concat());
        pages.push(both(&folder, &format!("tags-{scenario}"), &report));
    }
    let moto = emulator::moto();
    moto.python("hostile.py", &[]);
    let text = WORKSPACE.replace(", \"us-east-1\"", "");
    let shop = project(&[("opsctl.toml", &text)]);
    let mut hostile = both(&folder, "tags-hostile", &|args| {
        moto.opsctl(shop.path(), args)
    });
    hostile["hostile"] = true.into();
    pages.push(hostile);
    pages.push(many(&folder));
    drop(moto);
    pages.extend(others(&folder, dir.path()));

    let list = folder.join("pages.json");
    std::fs::write(&list, json!(pages).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run.mjs");
    let output = Command::new(tool("OPSCTL_NODE"))
        .arg(script)
        .arg(&list)
        .env("CHROMIUM", tool("OPSCTL_CHROMIUM"))
        .env("MODULES", tool("OPSCTL_BROWSER_MODULES"))
        .output()
        .expect("node runs");
    let ran = ran(output);
    println!("{}", ran.stdout);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.lines().count(), pages.len(), "{}", ran.stdout);
}
