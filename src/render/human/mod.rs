//! Plans and their outcomes for a terminal: in colour where there is some, complete without it.

mod apply;
mod change;
mod columns;
mod report;
mod unobserved;

pub use super::{ApplyView, OutcomeView, Style};
pub use apply::apply;

use super::group::{Environment, Group, by_action, environments, groups};
use super::paint::{Lines, Paint};
use super::text::{cut, escape, list, number, plural, wrap};
use super::words;
use crate::plan::{ActionKind, Plan};

/// More changes than this of one control in one environment are shown in groups.
const GROUP_ABOVE: usize = 40;

/// Exact groups of one control, at most, before values that differ are put together.
const MOST_GROUPS: usize = 12;

/// Lines for groups, shared out among the controls that need them.
const GROUP_LINES: usize = 60;

/// Groups that each control gets, however many need them.
const LEAST_GROUPS: usize = 3;

/// What every part needs to know about the terminal.
#[derive(Debug, Clone, Copy)]
struct Context {
    paint: Paint,
    width: usize,
    verbose: bool,
}

impl Context {
    fn new(style: &Style) -> Self {
        Context {
            paint: Paint { on: style.colour },
            // Narrower than this no address fits, and every line would be broken.
            width: style.width.max(40),
            verbose: style.verbose,
        }
    }

    /// Adds wrapped text behind an indentation, each line painted.
    fn wrapped(
        &self,
        lines: &mut Lines,
        indent: usize,
        text: &str,
        paint: impl Fn(Paint, &str) -> String,
    ) {
        let room = self.width.saturating_sub(indent);
        for line in wrap(text, room) {
            lines.push(format!(
                "{}{}",
                " ".repeat(indent),
                paint(self.paint, &line)
            ));
        }
    }
}

/// The plan as `--format table` shows it.
pub fn plan(plan: &Plan, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    if let Some(note) = words::sandbox(plan) {
        context.wrapped(&mut lines, 0, &note, Paint::yellow);
        lines.blank();
    }
    let environments = environments(plan);
    let grouped = environments
        .iter()
        .flat_map(|e| &e.controls)
        .filter(|(_, c)| c.len() > GROUP_ABOVE)
        .count();
    let budget = GROUP_LINES / grouped.max(1);
    for environment in &environments {
        heading(&context, &mut lines, plan, environment);
        for (control, changes) in &environment.controls {
            lines.blank();
            lines.push(format!(
                "  {}  {}",
                context.paint.bold(control.as_str()),
                actions(&context, changes)
            ));
            lines.blank();
            if style.verbose || changes.len() <= GROUP_ABOVE {
                let singles: Vec<Group<'_>> = changes.iter().map(|c| Group::single(c)).collect();
                change::blocks(&context, &mut lines, &singles);
            } else {
                let all = groups(changes, MOST_GROUPS);
                let (shown, more) = all.split_at(fitting(&all, budget));
                change::blocks(&context, &mut lines, shown);
                rest(&context, &mut lines, more);
            }
        }
        if !environment.controls.is_empty() {
            lines.blank();
        }
    }
    report::findings(&context, &mut lines, &plan.findings);
    report::left_alone(&context, &mut lines, plan);
    summary(&context, &mut lines, plan);
    unobserved::unobserved(&context, &mut lines, plan);
    lines.finish()
}

/// How many of the groups fit the lines there are for them.
fn fitting(groups: &[Group<'_>], budget: usize) -> usize {
    let mut used = 0;
    let fit = groups
        .iter()
        .take_while(|group| {
            // Header, names and an empty line; most fields take one line.
            used += group.fields.len() + 3;
            used <= budget
        })
        .count();
    // Saying that one more was left out takes as much room as showing a small one.
    let fit = if fit + 1 == groups.len() {
        fit + 1
    } else {
        fit
    };
    fit.max(LEAST_GROUPS).min(groups.len())
}

/// `prod  account 210987654321  eu-west-1, us-east-1  stage-3`, and a line under it.
fn heading(context: &Context, lines: &mut Lines, plan: &Plan, environment: &Environment<'_>) {
    let regions: Vec<String> = environment.regions.iter().map(|r| escape(r)).collect();
    let mut facts = vec![context.paint.bold(&escape(environment.name))];
    if !environment.account.is_empty() {
        facts.push(format!("account {}", escape(environment.account)));
        facts.push(list(&regions, 4));
        facts.push(escape(environment.stage));
    }
    let blind = plan
        .unobserved
        .iter()
        .any(|gap| gap.environment == environment.name);
    match (environment.controls.is_empty(), blind) {
        (true, false) => facts.push("no changes".to_owned()),
        (false, false) => {}
        (true, true) => facts.push(context.paint.alarm("no changes in what was seen")),
        (false, true) => facts.push(context.paint.alarm("not fully observed")),
    }
    // Facts are kept whole: the heading goes on in the next line rather than breaking one.
    let mut line = String::new();
    let mut used = 0;
    for fact in facts {
        let fact_width = tabled::grid::util::string::get_line_width(&fact);
        if used > 0 && used + 2 + fact_width > context.width {
            lines.push(&line);
            line = "    ".to_owned();
            used = 4;
        } else if used > 0 {
            line.push_str("  ");
            used += 2;
        }
        line.push_str(&fact);
        used += fact_width;
    }
    lines.push(&line);
    if !environment.controls.is_empty() {
        let rule = "─".repeat(context.width.min(120));
        lines.push(context.paint.dim(&rule));
    }
}

/// `3 to create, 12 to update`, without what there is none of.
fn actions(context: &Context, changes: &[&crate::plan::Change]) -> String {
    let parts: Vec<String> = by_action(changes)
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(kind, n)| {
            let verb = match kind {
                ActionKind::Create => "create",
                ActionKind::Update => "update",
                ActionKind::Delete => "delete",
            };
            format!("{} to {verb}", number(n))
        })
        .collect();
    context.paint.dim(&parts.join(", "))
}

/// What did not get a group of its own.
fn rest(context: &Context, lines: &mut Lines, groups: &[Group<'_>]) {
    let changes: usize = groups.iter().map(|g| g.changes.len()).sum();
    if changes > 0 {
        let text = format!(
            "… and {} in {}; -v shows each one",
            plural(changes as u64, "more change", "more changes"),
            plural(groups.len() as u64, "other group", "other groups")
        );
        context.wrapped(lines, 2, &text, Paint::bold);
        lines.blank();
    }
}

/// The line that everybody scrolls for.
fn summary(context: &Context, lines: &mut Lines, plan: &Plan) {
    lines.blank();
    if plan.changes.is_empty() {
        let paint = if words::is_blind(plan) {
            Paint::alarm
        } else {
            Paint::bold
        };
        context.wrapped(lines, 0, &words::nothing_to_do(plan), paint);
        if !plan.findings.is_empty() {
            let text = format!(
                "{} to look at, see above.",
                plural(plan.findings.len() as u64, "finding", "findings")
            );
            context.wrapped(lines, 0, &text, Paint::yellow);
        }
    } else {
        let mut text = format!("Plan: {}.", words::counts(plan));
        if let Some(delta) = words::delta(plan) {
            text.push_str(&format!(" {delta}."));
        }
        context.wrapped(lines, 0, &text, Paint::bold);
        if let Some(missing) = words::without_estimate(plan) {
            context.wrapped(lines, 0, &format!("{missing}."), Paint::dim);
        }
    }
    lines.push(context.paint.dim(&cut(&words::api(plan), context.width)));
}
