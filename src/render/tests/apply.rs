use super::plans;
use crate::render::{ApplyView, OutcomeView, Style, human, markdown};

fn row(address: &str, outcome: &str, error: Option<&str>) -> OutcomeView {
    OutcomeView {
        address: address.into(),
        sign: '~',
        outcome: outcome.into(),
        error: error.map(str::to_owned),
        duration_ms: 740,
    }
}

fn view(rows: Vec<OutcomeView>, interrupted: bool) -> ApplyView {
    ApplyView {
        environments: vec!["prod".into(), "staging".into()],
        rows,
        interrupted,
        run_id: "20261120T080000Z-4f2a".into(),
        journal: ".opsctl/runs/20261120T080000Z-4f2a.jsonl".into(),
    }
}

fn mixed() -> Vec<OutcomeView> {
    let denied = "AccessDenied: not authorized to perform sqs:TagQueue on resource @platform";
    let mut rows = vec![
        row(
            "prod/eu-west-1/s3-bucket/findash-logs#tags",
            "applied",
            None,
        ),
        row(
            "prod/eu-west-1/s3-bucket/findash-invoices#lifecycle",
            "applied",
            None,
        ),
        row(
            "staging/eu-west-1/s3-bucket/findash-staging-dumps#lifecycle",
            "applied",
            None,
        ),
        row(
            "prod/eu-west-1/rds-instance/orders-prod#tags",
            "stale",
            Some("team is \"data\" now, the plan saw it missing"),
        ),
    ];
    rows.extend((0..3).map(|i| {
        row(
            &format!("prod/eu-west-1/sqs-queue/jobs-{i}#tags"),
            "failed",
            Some(denied),
        )
    }));
    rows.push(row(
        "prod/eu-west-1/sns-topic/alerts#tags",
        "skipped",
        Some("interrupted"),
    ));
    rows
}

#[test]
fn outcomes() {
    let plan = plans::small();
    let view = view(mixed(), true);
    insta::assert_snapshot!("apply_mixed", human::apply(&plan, &view, &Style::default()));
    insta::assert_snapshot!("markdown_apply_mixed", markdown::apply(&plan, &view));
}

#[test]
fn many_outcomes_are_counted() {
    let plan = plans::large();
    let rows = plan
        .changes
        .iter()
        .map(|c| row(c.address.as_str(), "applied", None))
        .collect();
    let view = view(rows, false);
    insta::assert_snapshot!("apply_large", human::apply(&plan, &view, &Style::default()));
    assert!(markdown::apply(&plan, &view).chars().count() <= 65_000);
}

#[test]
fn what_was_not_seen_is_said_after_applying_too() {
    let plan = plans::blind(Vec::new());
    let text = human::apply(&plan, &view(Vec::new(), false), &Style::default());
    assert!(text.contains("Apply: 0 applied, 0 stale, 0 failed, 0 skipped."));
    assert!(text.contains("NOT OBSERVED"));
}
