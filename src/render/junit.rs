//! JUnit XML: a suite for each control, a case for each finding.
//!
//! What fails the audit is a failure, what could not be seen an error, what the baseline holds is
//! skipped, and so is what could not be seen and is accepted, and a control that this version does not
//! have; findings below `--fail-on` pass and say so in their output.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::machine::{Unseen, Why, unseen};
use super::text::{escape, number, plural};
use crate::audit::{Audit, Outcome, Reported, judged};
use crate::inventory::Gap;
use crate::model::Control;

/// The audit as JUnit XML.
///
/// # Errors
/// What the XML writer says.
pub fn audit(audit: &Audit) -> Result<String, String> {
    let mut findings: BTreeMap<Control, Vec<&Reported>> = BTreeMap::new();
    let mut gaps: BTreeMap<Control, Vec<&Gap>> = BTreeMap::new();
    for control in &audit.controls {
        findings.entry(*control).or_default();
    }
    for finding in &audit.findings {
        findings.entry(finding.control).or_default().push(finding);
    }
    for gap in &audit.unobserved {
        findings.entry(gap.control).or_default();
        gaps.entry(gap.control).or_default().push(gap);
    }
    let tolerated: Vec<Unseen> = unseen(audit)
        .into_iter()
        .filter(|u| u.why != Why::Gap)
        .collect();
    for unseen in &tolerated {
        findings.entry(unseen.control).or_default();
    }
    let mut report = Report::new("opsctl audit");
    for (control, findings) in findings {
        let mut suite = TestSuite::new(control.as_str());
        // Of what this version does not have, nothing passes.
        if control.audited() {
            suite.add_test_case(passed(audit, control));
        }
        for unseen in tolerated.iter().filter(|u| u.control == control) {
            suite.add_test_case(skipped(unseen));
        }
        for gap in gaps.remove(&control).unwrap_or_default() {
            suite.add_test_case(unobserved(audit, gap));
        }
        let mut nth: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for finding in findings {
            let nth = nth
                .entry((&finding.id, finding.address.as_str()))
                .or_default();
            *nth += 1;
            suite.add_test_case(case(audit, finding, *nth));
        }
        report.add_test_suite(suite);
    }
    let text = report.to_string().map_err(|e| format!("JUnit: {e}"))?;
    Ok(without_disabled(&text))
}

/// The attribute that not every reader's schema has, which counts what is skipped. Text and attributes
/// of others hold no bare quotation mark, so this is never one of theirs.
fn without_disabled(text: &str) -> String {
    const NAME: &str = " disabled=\"";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(NAME) {
        out.push_str(before);
        rest = after.split_once('"').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

fn classname(control: Control) -> String {
    format!("opsctl.{control}")
}

/// What was found in order: there is always one case, so that a suite is never empty.
fn passed(audit: &Audit, control: Control) -> TestCase {
    let counts = audit.counts.iter().filter_map(|(environment, controls)| {
        let counts = controls.get(&control)?;
        Some(format!(
            "{}: {} of {} compliant",
            escape(environment),
            number(counts.compliant),
            plural(judged(counts), "resource", "resources")
        ))
    });
    let lines: Vec<String> = counts.collect();
    let mut case = TestCase::new("everything else", TestCaseStatus::success());
    case.set_classname(classname(control));
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

/// Not seen, and not to fail for it.
fn skipped(unseen: &Unseen) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status
        .set_type(unseen.why.title().to_lowercase())
        .set_message(unseen.message.clone());
    let name = match unseen.address.as_str() {
        "" => unseen.why.title().to_owned(),
        address => format!(
            "{}: {address} {}",
            unseen.why.title(),
            &unseen.fingerprint[..8]
        ),
    };
    let mut case = TestCase::new(escape(&name), status);
    case.set_classname(classname(unseen.control));
    case
}

fn unobserved(audit: &Audit, gap: &Gap) -> TestCase {
    let message = escape(&gap.error);
    let status = if audit.summary.outcome == Outcome::Incomplete {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("not observed").set_message(message);
        status
    } else {
        let mut status = TestCaseStatus::skipped();
        status.set_type("not observed").set_message(message);
        status
    };
    let resource = gap.resource.as_deref().unwrap_or("all resources");
    let name = format!(
        "{} {}/{} {resource}",
        gap.operation, gap.environment, gap.region
    );
    let mut case = TestCase::new(escape(&name), status);
    case.set_classname(classname(gap.control));
    case
}

fn case(audit: &Audit, finding: &Reported, nth: u32) -> TestCase {
    let mut name = format!("{} {}", finding.id, finding.address);
    if nth > 1 {
        name.push_str(&format!(" ({nth})"));
    }
    let message = escape(&format!(
        "{}: {}",
        finding.severity.as_str(),
        finding.message
    ));
    let details = details(finding);
    let mut passes = false;
    let status = if finding.in_baseline {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("in the baseline: {message}"));
        status
    } else if finding.severity >= audit.summary.fail_on {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_type(finding.id.clone())
            .set_message(message.clone())
            .set_description(details.clone());
        status
    } else {
        passes = true;
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(escape(&name), status);
    case.set_classname(classname(finding.control));
    if passes {
        case.set_system_out(format!("{message}\n{details}"));
    }
    case
}

fn details(finding: &Reported) -> String {
    let policy = format!(
        "{}:{} {}",
        finding.policy.file, finding.policy.line, finding.policy.rule
    );
    [
        ("address", finding.address.as_str()),
        ("arn", &finding.arn),
        ("evidence", &finding.evidence),
        ("fix", &finding.remediation),
        ("policy", &policy),
    ]
    .iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(name, text)| format!("{name}: {}", escape(text)))
    .collect::<Vec<_>>()
    .join("\n")
}
