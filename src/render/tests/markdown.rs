use super::{plans, samples};
use crate::render::markdown::plan as render;

#[test]
fn small_plan() {
    insta::assert_snapshot!("markdown_small", render(&plans::small()));
}

#[test]
fn empty_and_blind_plans() {
    insta::assert_snapshot!("markdown_empty", render(&samples::plan(Vec::new())));
    insta::assert_snapshot!("markdown_blind", render(&plans::blind(Vec::new())));
}

#[test]
fn nobody_is_mentioned_and_nothing_breaks_out() {
    let text = render(&plans::hostile());
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
            continue;
        }
        // In a fence nothing is a mention and nothing is HTML.
        if !fenced {
            assert!(!line.contains("@platform"), "{line}");
            assert!(!line.contains("<img"), "{line}");
            assert!(!line.contains("[click]"), "{line}");
        }
    }
    assert!(!fenced);
    insta::assert_snapshot!("markdown_hostile", text);
}

#[test]
fn a_comment_is_never_too_long() {
    let text = render(&plans::large());
    assert!(text.chars().count() <= 65_000);
    assert!(text.lines().count() < 400, "{}", text.lines().count());
    insta::assert_snapshot!("markdown_large", text);

    // As bad as it gets: nothing alike, long names, many environments, many errors.
    let mut changes = Vec::new();
    let values: Vec<String> = (0..3000)
        .map(|i| format!("{i}{}", "v".repeat(200)))
        .collect();
    for (i, value) in values.iter().enumerate() {
        let key = format!("key-{i}-{}", "k".repeat(100));
        changes.push(samples::tags(
            &format!("environment-{}", i % 100),
            "s3-bucket",
            &format!("bucket-{i}-{}", "n".repeat(40)),
            &[(key.as_str(), Some(value), None, 1)],
        ));
    }
    let mut plan = plans::blind(changes);
    for i in 0..2000 {
        let error = format!("error {i} {}", "e".repeat(500));
        let mut gap = plan.unobserved[0].clone();
        gap.error = error;
        gap.operation = format!("s3:Call{i}");
        plan.unobserved.push(gap);
        plan.notes.push("n".repeat(900));
        let mut finding = plans::hostile().findings[0].clone();
        finding.id = format!("tags.value{i}");
        plan.findings.push(finding);
    }
    let text = render(&plan);
    assert!(text.chars().count() <= 65_000);
    assert!(text.contains("NOT OBSERVED"));
}
