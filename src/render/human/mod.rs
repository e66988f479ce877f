//! Plans and their outcomes for a terminal: in colour where there is some, complete without it.

mod apply;
mod audit;
mod change;
mod columns;
mod cost;
mod doctor;
mod drill;
mod drill_report;
mod explain;
mod report;
mod summary;
mod tags;
mod unobserved;

pub use super::{ApplyView, OutcomeView, Style};
pub use apply::apply;
pub use audit::audit;
pub(in crate::render) use cost::{aside, price_ahead};
pub use cost::{cost, cost_explained, cost_report};
pub use doctor::doctor;
pub use drill::{drill_list, drill_plans, drill_swept, drill_verified, drills};
pub use drill_report::drill_report;
pub use explain::{catalog, explain};
pub use summary::summary_report;
pub use tags::tags;

use super::alarms::Digest;
use super::group::{Environment, Group, by_action, environments, groups};
use super::paint::{Lines, Paint};
use super::text::{cut, escape, list, number, pad, plural, width, wrap};
use super::words;
use crate::plan::{ActionKind, Change, Plan};

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
    if let Some(note) = words::sandbox(plan.sandbox.as_deref()) {
        context.wrapped(&mut lines, 0, &note, Paint::yellow);
        lines.blank();
    }
    let environments = environments(plan);
    let mut sections: Vec<Vec<Section<'_>>> = environments
        .iter()
        .map(|e| {
            e.controls
                .iter()
                .map(|(_, c)| Section::new(&context, c))
                .collect()
        })
        .collect();
    share(sections.iter_mut().flatten().collect());
    for (environment, sections) in environments.iter().zip(sections) {
        heading(&context, &mut lines, plan, environment);
        for ((control, changes), section) in environment.controls.iter().zip(sections) {
            lines.blank();
            lines.push(format!(
                "  {}  {}",
                context.paint.bold(control.as_str()),
                actions(&context, changes)
            ));
            lines.blank();
            if let Some(digest) = &section.digest {
                told(&context, &mut lines, digest);
            }
            let (shown, more) = section.groups.split_at(section.shown);
            change::blocks(&context, &mut lines, shown);
            if let Some(digest) = &section.digest {
                change::asked(&context, &mut lines, digest);
            }
            rest(&context, &mut lines, more);
        }
        if !environment.controls.is_empty() {
            lines.blank();
        }
    }
    report::findings(&context, &mut lines, &plan.findings);
    report::left_alone(
        &context,
        &mut lines,
        &plan.counts,
        &plan.types_not_checked,
        &plan.notes,
    );
    summary(&context, &mut lines, plan);
    unobserved::unobserved(
        &context,
        &mut lines,
        &plan.unobserved,
        &plan.accepted_unobserved,
    );
    lines.finish()
}

/// The changes of one control in one environment, and how many groups of them are shown.
struct Section<'a> {
    groups: Vec<Group<'a>>,
    shown: usize,
    /// Many changes, which have to do with the lines there are.
    grouped: bool,
    /// New alarms that are told in sentences instead.
    digest: Option<Digest<'a>>,
}

impl<'a> Section<'a> {
    fn new(context: &Context, changes: &[&'a Change]) -> Self {
        let digest = match context.verbose {
            true => None,
            false => Digest::of(changes),
        };
        let changes = digest.as_ref().map_or(changes, |d| d.others.as_slice());
        let grouped = !context.verbose && changes.len() > GROUP_ABOVE;
        let groups = if grouped {
            groups(changes, MOST_GROUPS)
        } else {
            changes.iter().map(|c| Group::single(c)).collect()
        };
        Section {
            shown: groups.len(),
            groups,
            grouped,
            digest,
        }
    }

    /// Header, names and an empty line; most fields take one line.
    fn lines(groups: &[Group<'_>]) -> usize {
        groups.iter().map(|g| g.fields.len() + 3).sum()
    }

    fn fit(&mut self, budget: usize) {
        let fits = |n: &usize| {
            self.groups
                .get(..*n)
                .is_some_and(|g| Self::lines(g) <= budget)
        };
        let most = (0..=self.groups.len()).rev().find(fits).unwrap_or(0);
        // Saying that one more was left out takes as much room as showing a small one.
        let most = if most + 1 == self.groups.len() {
            most + 1
        } else {
            most
        };
        self.shown = most.max(LEAST_GROUPS).min(self.groups.len());
    }
}

/// Shares the lines for groups out: who needs few leaves the rest to the others.
fn share(mut sections: Vec<&mut Section<'_>>) {
    sections.retain(|s| s.grouped);
    sections.sort_by_key(|s| Section::lines(&s.groups));
    let mut budget = GROUP_LINES;
    let mut left = sections.len();
    for section in sections {
        section.fit(budget / left);
        let used = section
            .groups
            .get(..section.shown)
            .map_or(0, Section::lines);
        budget = budget.saturating_sub(used);
        left -= 1;
    }
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
fn actions(context: &Context, changes: &[&Change]) -> String {
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

/// Who is told of the new alarms: before the alarms, it decides whether they are of any use.
fn told(context: &Context, lines: &mut Lines, digest: &Digest<'_>) {
    let column = digest.told.iter().map(|(l, _)| width(l)).max().unwrap_or(0);
    let start = 6 + column;
    for (label, text) in &digest.told {
        let rows = wrap(text, context.width.saturating_sub(start));
        for (i, row) in rows.iter().enumerate() {
            let label = if i == 0 { label.as_str() } else { "" };
            let label = context.paint.bold(&pad(label, column));
            lines.push(format!("    {label}  {row}"));
        }
    }
    lines.blank();
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
    lines.push(
        context
            .paint
            .dim(&cut(&words::api(&plan.api), context.width)),
    );
}
