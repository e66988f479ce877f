//! SARIF 2.1.0, the part of it that GitHub code scanning reads.
//!
//! A finding is located at the line of the policy that asks for it, relative to the project folder.
//! Sources: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning".

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Location, Message, MultiformatMessageString, Notification,
    PhysicalLocation, PropertyBag, Region, ReportingConfiguration, ReportingDescriptor,
    Result as SarifResult, ResultLevel, Run, Sarif, Tool, ToolComponent,
};

use super::machine::{fingerprints, place, sentence};
use super::text::{escape, number};
use crate::audit::{Audit, Outcome};
use crate::catalog;
use crate::inventory::Gap;
use crate::model::Severity;

/// GitHub refuses a run with more results.
const MOST_RESULTS: usize = 25_000;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The audit as a SARIF log with one run.
pub fn audit(audit: &Audit) -> String {
    let mut rules: Vec<ReportingDescriptor> = Vec::new();
    let mut index: BTreeMap<&str, i64> = BTreeMap::new();
    for finding in &audit.findings {
        index.entry(&finding.id).or_insert_with(|| {
            // Findings come worst first, so a rule bears the severity of its worst.
            rules.push(rule(&finding.id, finding.severity));
            rules.len() as i64 - 1
        });
    }
    let results: Vec<SarifResult> = audit
        .findings
        .iter()
        .zip(fingerprints(audit))
        .take(MOST_RESULTS)
        .map(|(finding, fingerprint)| {
            let (file, line) = place(&finding.policy);
            let mut advice = sentence(finding);
            if !finding.remediation.is_empty() {
                advice.push_str(&format!(" Fix: {}", escape(&finding.remediation)));
            }
            let mut properties = BTreeMap::new();
            for (key, value) in [
                ("address", finding.address.as_str()),
                ("arn", &finding.arn),
                ("evidence", &finding.evidence),
                ("severity", finding.severity.as_str()),
            ] {
                properties.insert(key.to_owned(), json!(escape(value)));
            }
            let location = Location::builder()
                .physical_location(
                    PhysicalLocation::builder()
                        .artifact_location(
                            ArtifactLocation::builder()
                                .uri(uri(&file))
                                .uri_base_id("%SRCROOT%")
                                .build(),
                        )
                        .region(Region::builder().start_line(i64::from(line)).build())
                        .build(),
                )
                .build();
            let mut result = SarifResult::builder()
                .rule_id(finding.id.clone())
                .rule_index(index.get(finding.id.as_str()).copied().unwrap_or(-1))
                .level(match finding.severity {
                    Severity::Critical | Severity::High => ResultLevel::Error,
                    Severity::Medium => ResultLevel::Warning,
                    Severity::Low => ResultLevel::Note,
                })
                .message(text(advice))
                .locations(vec![location])
                .partial_fingerprints(BTreeMap::from([
                    // The name that GitHub compares; its value is not a line's hash here, because
                    // many findings share one line.
                    ("primaryLocationLineHash".to_owned(), fingerprint.clone()),
                    ("opsctlFinding/v1".to_owned(), fingerprint),
                ]))
                .properties(bag(properties))
                .build();
            if audit.summary.baseline.is_some() {
                let state = if finding.in_baseline {
                    "unchanged"
                } else {
                    "new"
                };
                result.baseline_state = Some(json!(state));
            }
            result
        })
        .collect();
    let driver = ToolComponent::builder()
        .name("opsctl")
        .semantic_version(audit.opsctl_version.clone())
        .version(audit.opsctl_version.clone())
        .rules(rules)
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .results(results)
        .invocations(vec![invocation(audit)])
        .column_kind(json!("unicodeCodePoints"))
        .build();
    let log = Sarif::builder()
        .schema(SCHEMA)
        .version(json!("2.1.0"))
        .runs(vec![run])
        .build();
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

fn rule(id: &str, severity: Severity) -> ReportingDescriptor {
    let entry = catalog::find(id);
    let say = |pick: fn(&catalog::Entry) -> &'static str| entry.map_or(id, pick).to_owned();
    let plain = |text: String| MultiformatMessageString::builder().text(text).build();
    let help = match entry {
        Some(entry) => MultiformatMessageString::builder()
            .text(format!(
                "{}\n\n{}\n\n{}",
                entry.means, entry.matters, entry.fix
            ))
            .markdown(super::markdown::help(entry))
            .build(),
        None => plain(id.to_owned()),
    };
    let control = id.split('.').next().unwrap_or_default();
    ReportingDescriptor::builder()
        .id(id)
        .name(id)
        .short_description(plain(say(|e| e.title)))
        .full_description(plain(say(|e| e.means)))
        .help(help)
        .default_configuration(
            ReportingConfiguration::builder()
                .level(level(severity))
                .build(),
        )
        .properties(
            PropertyBag::builder()
                .tags(vec!["opsctl".to_owned(), control.to_owned()])
                .additional_properties(BTreeMap::new())
                .build(),
        )
        .build()
}

/// How the run went: what could not be seen is an error of the tool, not a result.
fn invocation(audit: &Audit) -> Invocation {
    let mut notices: Vec<Notification> = audit
        .unobserved
        .iter()
        .map(|gap| notification("error", not_observed(gap)))
        .collect();
    if audit.findings.len() > MOST_RESULTS {
        let more = audit.findings.len() - MOST_RESULTS;
        notices.push(notification(
            "warning",
            format!(
                "{} findings are left out: code scanning takes no more than {}",
                number(more as u64),
                number(MOST_RESULTS as u64)
            ),
        ));
    }
    let (code, seen) = match audit.summary.outcome {
        Outcome::Pass => (0, true),
        Outcome::Fail => (2, true),
        Outcome::Incomplete => (3, false),
    };
    Invocation::builder()
        .execution_successful(seen)
        .exit_code(code)
        .tool_execution_notifications(notices)
        .build()
}

fn not_observed(gap: &Gap) -> String {
    escape(&format!(
        "not observed: {} in {}/{} ({}): {}",
        gap.operation, gap.environment, gap.region, gap.control, gap.error
    ))
}

fn notification(level: &str, words: String) -> Notification {
    Notification::builder()
        .level(json!(level))
        .message(text(words))
        .build()
}

fn text(words: String) -> Message {
    Message::builder().text(words).build()
}

fn bag(properties: BTreeMap<String, Value>) -> PropertyBag {
    PropertyBag::builder()
        .additional_properties(properties)
        .build()
}

fn level(severity: Severity) -> Value {
    json!(match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    })
}

/// The path as a relative reference (RFC 3986): what is not unreserved is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
