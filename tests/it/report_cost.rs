//! `opsctl report cost`: the numbers of the audit, and nothing asked that is paid for.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, command, json, opsctl, project, ran};

fn report(dir: &Path, arguments: &[&str]) -> Ran {
    opsctl(dir, &[&["report", "cost"], arguments].concat())
}

/// Cents of a decimal string.
fn cents(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    whole.parse::<i64>().expect("a number") * 100 + sign * part.parse::<i64>().expect("cents")
}

#[test]
fn the_numbers_are_those_of_the_audit_in_every_format() {
    crate::support::not_over_midnight();
    let dir = TempDir::new().expect("a folder");
    for scenario in ["findash", "dartsyn", "acme", "medtrack", "burst"] {
        let with = |format| {
            let ran = report(dir.path(), &["--sandbox", scenario, "--format", format]);
            assert_eq!(ran.code, 0, "{scenario} {format}: {}", ran.stderr);
            ran
        };
        let document = json(&with("json"));
        let audit = json(&opsctl(
            dir.path(),
            &["audit", "cost", "--sandbox", scenario, "--format", "json"],
        ));
        let html = with("html").stdout;
        let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut totals: BTreeMap<String, i64> = BTreeMap::new();
        for line in with("csv").stdout.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let (environment, split, month, now) = (cells[0], cells[4], cells[3], cells[6]);
            if now.is_empty() {
                continue;
            }
            match split {
                "total" => {
                    totals.insert(environment.to_owned(), cents(now));
                }
                // Of last month too.
                "day" if !cells[5].starts_with(&month[..7]) => {}
                "day" | "service" => {
                    *sums
                        .entry((environment.to_owned(), split.to_owned()))
                        .or_default() += cents(now);
                }
                _ => {}
            }
        }
        for (entry, audited) in document["cost"]
            .as_array()
            .expect("costs")
            .iter()
            .zip(audit["cost"].as_array().expect("costs"))
        {
            for key in [
                "environment",
                "month_to_date",
                "forecast_month_end",
                "budget",
            ] {
                assert_eq!(entry[key], audited[key], "{scenario} {key}");
            }
            let name = entry["environment"].as_str().unwrap_or("(all)");
            let spent = entry["month_to_date"].as_str().expect("an amount");
            assert_eq!(totals[name], cents(spent), "{scenario} {name}");
            for split in ["day", "service"] {
                let sum = sums.get(&(name.to_owned(), split.to_owned())).copied();
                assert_eq!(sum.unwrap_or(0), cents(spent), "{scenario} {name} {split}");
            }
        }
        assert!(html.contains("The month added up"), "{scenario}");
        if let Some(keep) = std::env::var_os("OPSCTL_KEEP_PAGES") {
            let path = Path::new(&keep).join(format!("cost-{scenario}.html"));
            std::fs::write(path, html).expect("kept");
        }
    }
}

/// An endpoint that counts who calls.
fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    std::thread::spawn(move || {
        for _ in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, calls)
}

#[test]
fn without_being_told_to_nothing_is_asked_and_unknown_stays_unknown() {
    let dir = project(&[]);
    let (url, calls) = counting();
    let with = |arguments: &[&str]| {
        ran(command(dir.path())
            .args(
                [
                    &["report", "cost", "--endpoint-url", url.as_str()],
                    arguments,
                ]
                .concat(),
            )
            .env("AWS_ACCESS_KEY_ID", "123456789012")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("opsctl runs"))
    };
    for format in ["html", "markdown", "table", "csv", "json"] {
        let ran = with(&["--format", format]);
        assert_eq!(ran.code, 3, "{format}: {}", ran.stderr);
        assert!(ran.stderr.contains("opsctl audit cost"), "{}", ran.stderr);
        match format {
            "html" => {
                assert!(ran.stdout.contains("What was spent is not known"));
                assert!(ran.stdout.contains("What each day cost is not known"));
                assert!(!ran.stdout.contains(">0.00"), "unknown is not nothing");
            }
            "csv" => {
                let total = ran.stdout.lines().nth(1).expect("a total");
                assert!(total.contains(",total,,,"), "{total}");
            }
            "json" => {
                let document: Value = json(&ran);
                assert_eq!(document["cost"][0]["month_to_date"], Value::Null);
                assert_eq!(document["as_of"], Value::Null);
            }
            _ => assert!(ran.stdout.contains("unknown"), "{format}: {}", ran.stdout),
        }
    }
    assert_eq!(with(&["--allow-incomplete"]).code, 0);
    // Accepted until a date: said all the same, and still not known.
    let settings = dir.path().join("opsctl.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let accepted = "[accept_unobserved.no-costs]\noperation = \"ce:GetCostAndUsage\"\n\
        reason = \"ticket OPS-12\"\nuntil = \"2999-12-31\"\n";
    std::fs::write(&settings, format!("{text}\n{accepted}")).unwrap();
    for format in ["html", "markdown", "table", "json"] {
        let ran = with(&["--format", format]);
        assert_eq!(ran.code, 0, "{format}: {}", ran.stderr);
        assert!(ran.stdout.contains("OPS-12"), "{format}: {}", ran.stdout);
    }
    std::fs::write(&settings, text).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 0, "somebody was asked");
    // Told to, it asks, and says that it could not.
    assert_eq!(with(&["--ask", "--timeout", "30s"]).code, 1);
    for _ in 0..600 {
        if calls.load(Ordering::SeqCst) > 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("nobody was asked");
}
