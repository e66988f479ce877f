//! What is not seen, and costs of another month.

use serde_json::{Value, json};

use super::*;
use crate::drill::review::review;
use crate::render::Style;

fn audit(findings: &[&str], accepted: bool) -> Audit {
    let finding = |name: &&str| {
        json!({
            "id": "tags.missing", "control": "tags", "severity": "medium",
            "address": format!("prod/eu-west-1/sqs-queue/{name}#tags"), "arn": "",
            "message": "team is missing", "evidence": "", "remediation": "",
            "policy": {"policy": "tags", "rule": "", "file": "policies/tags.toml", "line": 1},
            "monthly_cost_usd": null,
        })
    };
    let spots = match accepted {
        false => json!([]),
        true => json!([{
            "name": "no-queues", "operation": "sqs:ListQueues", "reason": "OPS-12", "until": "2027-01-01",
            "gaps": 1,
            "covers": [{"environment": "prod", "region": "eu-west-1", "control": "tags"}],
        }]),
    };
    serde_json::from_value(json!({
        "format_version": "1.0", "kind": "audit", "opsctl_version": "0", "generated_at": "2026-12-03T06:00:00Z",
        "scope": [{"environment": "prod", "account": "1", "region": "eu-west-1", "stage": "stage-1"}],
        "unobserved": [], "accepted_unobserved": spots,
        "api": serde_json::to_value(ApiUse::default()).unwrap(),
        "controls": ["tags"],
        "findings": findings.iter().map(finding).collect::<Vec<Value>>(),
        "summary": {"checked": 2, "compliant": 1, "by_severity": {}, "by_control": {}},
        "counts": {"prod": {"tags": counts(2, 1)}},
        "compliance": {"overall": {"compliant": 1, "checked": 2, "percent": "50.0"},
            "by_environment": {}, "by_key": {}, "by_service": {}, "by_team": {}, "by_region": {}},
    }))
    .unwrap()
}

fn counts(checked: u64, compliant: u64) -> Value {
    let counts = crate::plan::Counts {
        checked,
        compliant,
        ..Default::default()
    };
    serde_json::to_value(counts).unwrap()
}

fn run(
    audit: Audit,
    history: &[SummaryLine],
    costs: Option<(Vec<CostEntry>, Date)>,
) -> (SummaryReport, SummaryLine) {
    let now: Timestamp = "2026-12-03T06:00:00Z".parse().unwrap();
    assemble(&Inputs {
        project: "shop".to_owned(),
        audit,
        changes: &[],
        wants_cost: costs.is_some(),
        costs,
        drills: Drills {
            review: review(&[], &[], now, now),
            faults: Vec::new(),
        },
        history,
        run: format!("run-{}", history.len()),
        now,
    })
}

fn area(report: &SummaryReport, id: AreaId) -> &Area {
    report.areas.iter().find(|a| a.id == id).unwrap()
}

#[test]
fn what_an_accepted_blind_spot_hides_is_not_gone() {
    let (_, before) = run(audit(&["a", "b"], false), &[], None);
    let (report, hidden) = run(audit(&[], true), std::slice::from_ref(&before), None);
    assert_eq!(report.changed.fixed, None);
    let tags = area(&report, AreaId::Tags);
    assert_eq!((tags.standing, tags.accepted), (Standing::Unknown, 1));
    assert!(tags.text.iter().any(|t| t.contains("accepted")), "{tags:?}");
    // Without the blind spot they are.
    let (report, _) = run(audit(&[], false), std::slice::from_ref(&before), None);
    assert_eq!(report.changed.fixed, Some(2));
    // And when it ends, what is seen for the first time is not new.
    let (report, _) = run(audit(&["a", "c"], false), &[before, hidden], None);
    assert_eq!(
        (report.changed.new, report.changed.first_seen),
        (Some(0), 2)
    );
}

#[test]
fn every_format_tells_of_accepted_blind_spots() {
    let (report, _) = run(audit(&[], true), &[], None);
    for text in [
        crate::render::human::summary_report(&report, &Style::default()),
        crate::render::markdown::summary(&report),
        crate::render::html::summary::page(&report).unwrap(),
        serde_json::to_string(&report).unwrap(),
    ] {
        assert!(
            text.contains("OPS-12") && text.contains("sqs:ListQueues"),
            "{text}"
        );
    }
}

#[test]
fn narrow_terminals_are_wide_enough() {
    let (report, _) = run(audit(&["a"], true), &[], None);
    let style = Style {
        width: 40,
        ..Style::default()
    };
    let text = crate::render::human::summary_report(&report, &style);
    for line in text.lines().filter(|l| !l.contains("→")) {
        assert!(line.chars().count() <= 40, "{line}");
    }
}

#[test]
fn the_costs_of_another_month_say_nothing_of_this_one() {
    let entry = || CostEntry {
        environment: Some("prod".to_owned()),
        currency: "USD".to_owned(),
        month_to_date: Some("1900.00".to_owned()),
        forecast_month_end: Some("2000.00".to_owned()),
        budget: Some("1000.00".to_owned()),
        ..CostEntry::default()
    };
    let of = |day: &str| {
        run(
            audit(&[], false),
            &[],
            Some((vec![entry()], day.parse().unwrap())),
        )
    };
    let (report, line) = of("2026-11-28");
    let money = area(&report, AreaId::Money);
    assert_eq!(money.standing, Standing::Unknown);
    assert_eq!(money.label, "spent in November 2026, as of 2026-11-28");
    assert!(!money.text.iter().any(|t| t.contains("over")), "{money:?}");
    let titles: Vec<&str> = report.next.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(titles, ["Ask what things cost"]);
    assert!(line.blind && line.unseen.contains("prod/cost"));
    let (report, line) = of("2026-12-02");
    assert_eq!(area(&report, AreaId::Money).standing, Standing::Bad);
    assert_eq!(area(&report, AreaId::Money).label, "spent this month");
    assert!(!line.blind);
}

#[test]
fn where_there_is_nothing_to_judge_nothing_is_fine() {
    let mut nothing = audit(&[], false);
    nothing.controls = vec![
        crate::model::Control::Lifecycle,
        crate::model::Control::Alarms,
    ];
    nothing.counts = serde_json::from_value(json!({"prod": {
        "lifecycle": counts(0, 0),
        "alarms": counts(0, 0),
    }}))
    .unwrap();
    let (report, _) = run(nothing, &[], None);
    for id in [AreaId::Storage, AreaId::Alarms] {
        let area = area(&report, id);
        assert_eq!(area.standing, Standing::NotApplicable, "{area:?}");
        assert_eq!(area.value, None);
    }
}
