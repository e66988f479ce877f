use super::{plans, samples};
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
    nothing.summary.unchanged = 0;
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
