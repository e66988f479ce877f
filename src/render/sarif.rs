//! SARIF 2.1.0, the part of it that GitHub code scanning reads.
//!
//! A finding is located at the line of the policy that asks for it, relative to the root of the
//! repository. What could not be seen is a result as well as a notification: GitHub closes the alerts
//! of a run that do not come again, and somebody has to learn that these are hidden and not mended.
//! Sources: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning".

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Location, Message, MultiformatMessageString, Notification,
    PhysicalLocation, PropertyBag, Region, ReportingConfiguration, ReportingDescriptor,
    Result as SarifResult, ResultLevel, Run, Sarif, Tool, ToolComponent,
};

use super::machine::{Places, Unseen, Why, closed, sentence, unseen};
use super::text::{escape, number};
use crate::audit::{Audit, Outcome};
use crate::catalog;
use crate::model::Severity;

/// GitHub refuses a run with more results.
const MOST_RESULTS: usize = 25_000;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The audit as a SARIF log with one run.
pub fn audit(audit: &Audit, places: &Places) -> String {
    let unseen = unseen(audit);
    let mut rules: Vec<ReportingDescriptor> = Vec::new();
    let mut index: BTreeMap<&str, i64> = BTreeMap::new();
    for finding in &audit.findings {
        index.entry(&finding.id).or_insert_with(|| {
            // Findings come worst first, so a rule bears the severity of its worst.
            rules.push(rule(&finding.id, finding.severity));
            rules.len() as i64 - 1
        });
    }
    let gaps: Vec<&Unseen> = unseen.iter().filter(|u| u.why == Why::Gap).collect();
    if !gaps.is_empty() {
        index.insert(Why::Gap.id(), rules.len() as i64);
        rules.push(unseen_rule());
    }
    let blind = gaps.iter().map(|gap| {
        let level = match gap.why.counts(audit) {
            true => ResultLevel::Error,
            false => ResultLevel::Warning,
        };
        SarifResult::builder()
            .rule_id(Why::Gap.id())
            .rule_index(index.get(Why::Gap.id()).copied().unwrap_or(-1))
            .level(level)
            .message(text(gap.message.clone()))
            .locations(vec![location(places.workspace())])
            .partial_fingerprints(fingerprints(&gap.fingerprint))
            .properties(bag(BTreeMap::from([(
                "address".to_owned(),
                json!(escape(&gap.address)),
            )])))
            .build()
    });
    let found = audit.findings.iter().map(|finding| {
        let mut advice = closed(&sentence(finding));
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
        let mut result = SarifResult::builder()
            .rule_id(finding.id.clone())
            .rule_index(index.get(finding.id.as_str()).copied().unwrap_or(-1))
            .level(match finding.severity {
                Severity::Critical | Severity::High => ResultLevel::Error,
                Severity::Medium => ResultLevel::Warning,
                Severity::Low => ResultLevel::Note,
            })
            .message(text(advice))
            .locations(vec![location(places.of(&finding.policy))])
            .partial_fingerprints(fingerprints(&finding.fingerprint))
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
    });
    let results: Vec<SarifResult> = blind.chain(found).take(MOST_RESULTS).collect();
    let driver = ToolComponent::builder()
        .name("opsctl")
        .semantic_version(audit.opsctl_version.clone())
        .version(audit.opsctl_version.clone())
        .rules(rules)
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .results(results)
        .invocations(vec![invocation(audit, &unseen)])
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

/// The place of a result.
fn location((file, line): (String, u32)) -> Location {
    Location::builder()
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
        .build()
}

fn fingerprints(own: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        // The name that GitHub compares; its value is not a line's hash here, because many findings
        // share one line.
        ("primaryLocationLineHash".to_owned(), own.to_owned()),
        ("opsctlFinding/v1".to_owned(), own.to_owned()),
    ])
}

/// The rule of what is no finding.
fn unseen_rule() -> ReportingDescriptor {
    let plain = |text: &str| MultiformatMessageString::builder().text(text).build();
    ReportingDescriptor::builder()
        .id(Why::Gap.id())
        .name(Why::Gap.id())
        .short_description(plain("Something could not be seen"))
        .full_description(plain(
            "A call that the audit needs was denied or failed. What is behind it is not known: earlier findings there may be hidden, not mended.",
        ))
        .help(plain("`opsctl doctor` says which permission is missing, and `opsctl iam` writes the policy that has it. What is never to be seen is accepted in opsctl.toml, with a reason and an end."))
        .default_configuration(
            ReportingConfiguration::builder()
                .level(level(Severity::High))
                .build(),
        )
        .properties(
            PropertyBag::builder()
                .tags(vec!["opsctl".to_owned()])
                .additional_properties(BTreeMap::new())
                .build(),
        )
        .build()
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
fn invocation(audit: &Audit, unseen: &[Unseen]) -> Invocation {
    let mut notices: Vec<Notification> = unseen
        .iter()
        .map(|unseen| {
            let level = match unseen.why {
                Why::Gap => "error",
                Why::Accepted | Why::NotAudited => "note",
            };
            notification(level, unseen.message.clone())
        })
        .collect();
    let results = audit.findings.len() + audit.unobserved.len();
    if results > MOST_RESULTS {
        let more = results - MOST_RESULTS;
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
