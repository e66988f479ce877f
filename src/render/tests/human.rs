use proptest::prelude::*;

use super::{plans, samples};
use crate::model::{Control, Severity};
use crate::plan::Plan;
use crate::render::Style;
use crate::render::human::plan as render;
use crate::render::text::width;

fn style(width: usize) -> Style {
    Style {
        width,
        ..Style::default()
    }
}

/// Rendered at a width, which no line may exceed.
fn at(plan: &Plan, columns: usize) -> String {
    let text = render(plan, &style(columns));
    for line in text.lines() {
        assert!(width(line) <= columns, "{} columns: {line}", width(line));
    }
    text
}

#[test]
fn small_plan() {
    let plan = plans::small();
    insta::assert_snapshot!("small_60", at(&plan, 60));
    insta::assert_snapshot!("small_80", at(&plan, 80));
    insta::assert_snapshot!("small_120", at(&plan, 120));
}

#[test]
fn colour_adds_nothing_but_colour() {
    for plan in [plans::small(), plans::blind(Vec::new()), plans::large()] {
        let colour = Style {
            colour: true,
            ..Style::default()
        };
        let painted = render(&plan, &colour);
        assert!(painted.contains('\u{1b}'));
        let stripped = anstream::adapter::strip_str(&painted).to_string();
        assert_eq!(stripped, render(&plan, &Style::default()));
    }
}

#[test]
fn empty_plan() {
    insta::assert_snapshot!("empty", at(&samples::plan(Vec::new()), 80));
    let mut nothing = samples::plan(Vec::new());
    nothing.counts.clear();
    nothing.findings.clear();
    assert!(at(&nothing, 80).contains("No changes. Nothing was found"));
}

#[test]
fn blind_plan() {
    let plan = plans::blind(Vec::new());
    insta::assert_snapshot!("blind_60", at(&plan, 60));
    insta::assert_snapshot!("blind_80", at(&plan, 80));
    insta::assert_snapshot!("blind_120", at(&plan, 120));
}

#[test]
fn blindness_is_never_called_fine() {
    let mut plan = plans::blind(Vec::new());
    plan.unobserved.clear();
    plan.summary.unobserved = 0;
    // Only an accepted blind spot is left: still not everything was seen.
    assert!(!at(&plan, 80).contains("No changes. "));
}

#[test]
fn two_thousand_changes_stay_readable() {
    let text = at(&plans::large(), 80);
    assert!(text.lines().count() < 100, "{}", text.lines().count());
    insta::assert_snapshot!("large_80", text);
    let verbose = Style {
        verbose: true,
        ..Style::default()
    };
    let all = render(&plans::large(), &verbose);
    assert!((0..2000).all(|i| all.contains(&format!("-{i:04}\n"))));
}

#[test]
fn hostile_values_are_shown_for_what_they_are() {
    let plan = plans::hostile();
    for columns in [40, 60, 80, 120] {
        let text = at(&plan, columns);
        let raw = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!text.contains(raw), "{text}");
        assert!(!text.lines().any(|l| l.starts_with("No changes.")));
    }
    insta::assert_snapshot!("hostile_80", at(&plan, 80));
    let verbose = Style {
        verbose: true,
        ..Style::default()
    };
    insta::assert_snapshot!("hostile_verbose_80", render(&plan, &verbose));
}

#[test]
fn many_environments_share_the_screen() {
    let names: Vec<String> = (0..6).map(|i| format!("env-{i}")).collect();
    let mut changes = Vec::new();
    for i in 0..3000usize {
        // Nothing is alike but the keys, and of those there are many sets.
        let values: Vec<String> = (0..4).map(|k| format!("{i}-{k}")).collect();
        let keys = ["team", "project", "owner", "environment"];
        let fields: Vec<samples::Tag<'_>> = (0..4)
            .filter(|k| i >> k & 1 == 1 || *k == 0)
            .map(|k| (keys[k], None, Some(values[k].as_str()), 7))
            .collect();
        changes.push(samples::tags(
            &names[i % 6],
            "sqs-queue",
            &format!("q-{i}"),
            &fields,
        ));
    }
    let text = at(&samples::plan(changes), 80);
    assert!(text.lines().count() < 200, "{}", text.lines().count());
    assert!(text.contains("different values"));
    assert!(text.contains("-v shows each one"));
}

#[test]
fn many_gaps_are_put_together() {
    let mut plan = plans::blind(Vec::new());
    for i in 0..400 {
        plan.unobserved.push(samples::gap(
            "us-east-1",
            Control::Tags,
            &format!("service{}:List", i % 20),
            Some(&format!("r{i}")),
            &format!("AccessDenied (request {i})"),
        ));
    }
    let text = at(&plan, 100);
    assert!(text.lines().count() < 90, "{}", text.lines().count());
    assert!(text.contains("and 19 other errors"));
    assert!(text.contains("more calls; -v shows each one"));
}

#[test]
fn a_rule_of_others_that_would_be_lost_is_no_small_print() {
    let mut change =
        samples::lifecycle("prod", "b", &[("opsctl-a", None, Some("x"))], 2, None, None);
    if let crate::plan::Operation::Lifecycle {
        after: Some(after), ..
    } = &mut change.operation
    {
        after.rules.remove(0);
    }
    let text = at(&samples::plan(vec![change]), 80);
    assert!(text.contains("1 rule of others stays untouched"));
    assert!(text.contains("1 rule of others would be changed or lost"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_aws_says_no_line_is_too_long_or_moves_the_cursor(
        texts in proptest::collection::vec("\\PC{0,90}|[\\x00-\\x7f\\u{80}-\\u{2fff}]{0,90}", 7),
        columns in 40usize..140,
    ) {
        let t: Vec<&str> = texts.iter().map(String::as_str).collect();
        let fields = [
            (t[0], Some(t[1]), Some(t[2]), 1),
            (t[3], None, Some(t[1]), 20_000),
            (t[4], Some(t[5]), None, 3),
        ];
        let mut plan = samples::plan(vec![
            samples::tags("prod", "s3-bucket", t[6], &fields),
            samples::lifecycle("prod", t[0], &[(t[1], Some(t[2]), Some(t[3]))], 1, Some("1.5"), Some(t[4])),
        ]);
        plan.unobserved.push(samples::gap(t[0], Control::Tags, t[1], Some(t[2]), t[3]));
        plan.findings.push(samples::finding("tags.value", Severity::High, t[5], t[6]));
        plan.notes.push(t[0].to_owned());
        let text = at(&plan, columns);
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        let verbose = Style { width: columns, verbose: true, colour: false };
        let text = render(&plan, &verbose);
        prop_assert!(text.lines().all(|l| width(l) <= columns), "{}", text);
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        prop_assert!(crate::render::markdown::plan(&plan).chars().count() <= 65_000);
    }
}
