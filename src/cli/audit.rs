use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;

use super::audit_cost::{self, CostArgs, CostAudit};
use super::context::Interrupt;
use super::notify::{Attempt, Notifier, NotifyArgs};
use super::repository;
use super::session::{self, Session, target_glob};
use super::{Failure, Format, Global, Outcome, exit};
use crate::apply::notify::{self, Notice};
use crate::audit::pending::in_sandbox;
use crate::audit::{
    Audit, AuditRequest, Baseline, CostPart, FAIL_ON, Outcome as Verdict, assemble,
};
use crate::cloud::Target;
use crate::config::Resolved;
use crate::model::{Control, Severity};
use crate::plan::build::PlanEnvironment;
use crate::render;

/// Everything that can be audited, in the order in which it is shown.
const AUDITED: [Control; 7] = [
    Control::Tags,
    Control::Budgets,
    Control::Lifecycle,
    Control::Alarms,
    Control::Backups,
    Control::Cost,
    Control::Readiness,
];

/// Report what is not as the policies say; changes nothing, ever
///
/// Without names everything that the stage's policies list is audited, each environment for its
/// own stage. What a plan would change is a finding too. The cost audit asks Cost Explorer, which
/// bills every question that is not in the cache; what it cost is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 no finding fails, 2 a new finding at or above --fail-on, 3 something that was asked for could not be seen (whatever was found)
`opsctl explain ID` says what a finding means and how to fix it.")]
pub struct AuditArgs {
    /// What to audit [default: all that the stage's policies list]
    // An id of its own: `controls` is that of the global --control.
    #[arg(id = "audited", value_name = "CONTROL", value_parser = controls())]
    pub names: Vec<Control>,
    /// Exit with 2 on findings of this severity or above
    #[arg(long, value_name = "SEVERITY", default_value = FAIL_ON.as_str(), value_parser = severities())]
    pub fail_on: Severity,
    /// An audit's JSON: what it holds, by id and address, does not fail
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
    #[command(flatten, next_help_heading = "Notification")]
    pub notify: NotifyArgs,
    #[command(flatten, next_help_heading = "Cost")]
    pub cost: CostArgs,
}

fn controls() -> impl TypedValueParser<Value = Control> {
    PossibleValuesParser::new(AUDITED.map(Control::as_str)).map(|text| {
        let mut all = AUDITED.into_iter();
        all.find(|c| c.as_str() == text).unwrap_or(Control::Tags)
    })
}

fn severities() -> impl TypedValueParser<Value = Severity> {
    PossibleValuesParser::new(Severity::ALL.map(Severity::as_str)).map(|text| {
        let mut all = Severity::ALL.into_iter();
        all.find(|s| s.as_str() == text).unwrap_or(FAIL_ON)
    })
}

pub async fn run(global: &Global, args: &AuditArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let notifier = Notifier::new(&args.notify, &session)?;
    if args.cost.explain {
        return explain(global, args, &session);
    }
    let audited = audit(global, args, &session, &interrupt).await;
    if let Some(code) = interrupt.code() {
        global.say("interrupted; nothing was changed");
        return Ok(code);
    }
    let audit = match audited {
        Ok(audit) => audit,
        Err(failure) => {
            if let Some(notifier) = &notifier {
                let attempt = attempt(global, args, &session, &failure);
                notifier.could_not_run(global, &session, attempt).await;
            }
            return Err(failure);
        }
    };
    let written = emit(global, &audit);
    let code = match audit.summary.outcome {
        Verdict::Pass => exit::OK,
        Verdict::Fail => exit::ATTENTION,
        Verdict::Incomplete => exit::BLIND,
    };
    let code = match notifier {
        Some(notifier) => {
            notifier
                .tell(global, &session, &notice(global, &audit), code)
                .await
        }
        None => code,
    };
    // Whom a full disk keeps from the page is told nevertheless.
    written.map(|()| code)
}

/// What tells one question from another; the same whether it was answered or not.
fn scope(global: &Global, environments: &BTreeSet<&str>, controls: &[Control]) -> String {
    let controls: Vec<&str> = controls.iter().map(|c| c.as_str()).collect();
    format!(
        "{environments:?} {controls:?} {:?} {:?}",
        global.regions, global.target
    )
}

/// What is told of an audit that came to no result.
fn attempt<'a>(
    global: &Global,
    args: &AuditArgs,
    session: &Session,
    failure: &'a Failure,
) -> Attempt<'a> {
    let environments = session.environments(global, None).unwrap_or_default();
    // A mistake in the question itself: all that is known of it is how it was put.
    let controls = chosen(global, args, &environments).unwrap_or_else(|_| args.names.clone());
    let mut names: BTreeSet<&str> = environments
        .iter()
        .map(|(t, _)| t.environment.as_str())
        .collect();
    if names.is_empty() {
        names = global.environments.iter().map(String::as_str).collect();
    }
    let of = |all: Vec<&str>, none: &str| match all.is_empty() {
        true => none.to_owned(),
        false => all.join(", "),
    };
    Attempt {
        what: "audit",
        of: format!(
            "{} ({})",
            of(names.iter().copied().collect(), "all environments"),
            of(
                controls.iter().map(|c| c.as_str()).collect(),
                "all controls"
            )
        ),
        scope: scope(global, &names, &controls),
        failure,
    }
}

/// What is told of an audit. Another result is one with other findings, or another view of them.
fn notice(global: &Global, audit: &Audit) -> Notice {
    let outcome = match audit.summary.outcome {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Incomplete => "incomplete",
    };
    let mut parts = vec![outcome.to_owned()];
    let mut findings: Vec<String> = audit
        .findings
        .iter()
        .map(|f| format!("{} {} {}", f.id, f.address, f.severity.as_str()))
        .collect();
    findings.sort_unstable();
    parts.extend(findings);
    let unseen = audit
        .unobserved
        .iter()
        .map(|g| format!("{} {}", g.environment, g.operation));
    parts.extend(unseen.collect::<BTreeSet<_>>());
    let environments: BTreeSet<&str> = audit.scope.iter().map(|s| s.environment.as_str()).collect();
    Notice {
        what: "audit",
        outcome: outcome.to_owned(),
        attention: audit.summary.outcome != Verdict::Pass,
        lines: render::notice::audit(audit),
        scope: scope(global, &environments, &audit.controls),
        fingerprint: notify::fingerprint(parts.iter().map(String::as_str)),
    }
}

/// What the cost audit would ask and pay. Nothing is asked.
fn explain(global: &Global, args: &AuditArgs, session: &Session) -> Outcome {
    let environments = session.environments(global, None)?;
    if !chosen(global, args, &environments)?.contains(&Control::Cost) {
        return Err(
            Failure::new("--explain is about `audit cost`").help("opsctl audit cost --explain")
        );
    }
    let explanation = audit_cost::explain(global, session, &environments, &args.cost)?;
    let now = format!("{:.0}", Timestamp::now());
    match global.format {
        Format::Json => {
            let mut document = super::json_head("audit-cost-explain");
            if let (Some(document), Ok(serde_json::Value::Object(parts))) =
                (document.as_object_mut(), serde_json::to_value(&explanation))
            {
                document.extend(parts);
            }
            global.emit_json(&document)?;
        }
        Format::Markdown => {
            global.emit(&render::markdown::cost_explained(&explanation, &now))?;
        }
        _ => global.show(&render::human::cost_explained(
            &explanation,
            &now,
            &global.style(),
        ))?,
    }
    Ok(exit::OK)
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(format!("the baseline {name} cannot be read: {e}")))?;
    Baseline::parse(&name, &text).map_err(|e| {
        Failure::new(format!("the baseline {name} cannot be used: {e}"))
            .help("write one with: opsctl audit --format json -o FILE")
    })
}

/// What is audited: the names, else what any of the policies speaks of.
fn chosen(
    global: &Global,
    args: &AuditArgs,
    environments: &[(Target, Resolved)],
) -> Result<Vec<Control>, Failure> {
    let wanted = |control: Control| {
        let named = args.names.is_empty() || args.names.contains(&control);
        named && (global.controls.is_empty() || global.controls.contains(&control))
    };
    let listed = |control: Control| {
        !args.names.is_empty()
            || environments
                .iter()
                .any(|(_, resolved)| resolved.policies.has(control))
    };
    let chosen: Vec<Control> = AUDITED
        .into_iter()
        .filter(|c| wanted(*c) && listed(*c))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new("there is nothing to audit").help(
            "neither the names, --control and the stage's policies have anything in common",
        ));
    }
    if !chosen.iter().any(|c| c.audited()) {
        let names: Vec<&str> = chosen.iter().map(|c| c.as_str()).collect();
        let can: Vec<&str> = AUDITED
            .iter()
            .filter(|c| c.audited())
            .map(|c| c.as_str())
            .collect();
        return Err(Failure::new(format!(
            "this version cannot audit {}: its policy is read and checked, and nothing is compared with it",
            names.join(", ")
        ))
        .help(format!("it can audit {}", can.join(", "))));
    }
    Ok(chosen)
}

async fn audit(
    global: &Global,
    args: &AuditArgs,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<Audit, Failure> {
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let environments = session.environments(global, None)?;
    let only = target_glob(global)?;
    let controls = chosen(global, args, &environments)?;
    let observed: Vec<Control> = controls
        .iter()
        .copied()
        .filter(|c| *c != Control::Cost)
        .collect();
    let asked = controls
        .contains(&Control::Cost)
        .then(|| environments.clone());
    let environments = if observed.is_empty() {
        unobserved(environments)
    } else {
        session
            .observe(global, environments, &observed, true, interrupt)
            .await?
    };
    let cost = match &asked {
        Some(environments) => tokio::select! {
            found = ask(global, args, session, environments, observed.is_empty()) => Some(found?),
            () = interrupt.cancel.cancelled() => {
                return Err(Failure::new("interrupted; nothing was changed"));
            }
        },
        None => None,
    };
    let judged = session.judged(&environments, &observed, only.as_ref());
    let mut audit = assemble(
        &environments,
        judged,
        cost,
        &AuditRequest {
            controls: &controls,
            only: only.as_ref(),
            fail_on: args.fail_on,
            baseline: baseline.as_ref(),
            allow_incomplete: args.allow_incomplete,
            api: session.cloud.meter().snapshot(),
        },
    );
    if let Some(scenario) = &session.sandbox {
        for reported in &mut audit.findings {
            let remediation = &mut reported.finding.remediation;
            *remediation = in_sandbox(remediation, scenario);
        }
    }
    Ok(audit)
}

/// Environments of which nothing but the costs is looked at.
fn unobserved(environments: Vec<(Target, Resolved)>) -> Vec<PlanEnvironment> {
    environments
        .into_iter()
        .map(|(target, resolved)| PlanEnvironment {
            target,
            resolved,
            inventory: Default::default(),
        })
        .collect()
}

/// The costs, from an account that is the right one.
async fn ask(
    global: &Global,
    args: &AuditArgs,
    session: &Session,
    environments: &[(Target, Resolved)],
    guard: bool,
) -> Result<CostPart, Failure> {
    // An export is read without any account.
    if guard && args.cost.from.is_none() {
        let targets: Vec<&Target> = environments.iter().map(|(t, _)| t).collect();
        session::guard(session.cloud.as_ref(), &targets).await?;
    }
    let CostAudit {
        findings,
        entries,
        gaps,
        notes,
    } = audit_cost::collect(global, session, environments, &args.cost).await?;
    Ok(CostPart {
        findings,
        entries,
        gaps,
        notes,
    })
}

/// Writes the audit in the format asked for.
fn emit(global: &Global, audit: &Audit) -> Result<(), Failure> {
    let text = match global.format {
        Format::Json => return global.emit_json(audit),
        Format::Table => render::github::defuse(&render::human::audit(audit, &global.style())),
        Format::Markdown => render::github::defuse(&render::markdown::audit(audit)),
        Format::Sarif => render::sarif::audit(audit, &places(global)?),
        Format::Junit => render::junit::audit(audit).map_err(Failure::new)?,
        Format::Csv => render::csv::audit(audit).map_err(Failure::new)?,
        Format::Gitlab => render::gitlab::audit(audit, &places(global)?),
        // No format of audits: refused before.
        Format::Html => return Ok(()),
        Format::Github => {
            step_summary(global, audit);
            render::github::audit(audit, &places(global)?)
        }
    };
    global.show(&text)
}

/// Where the project lies in its repository, which is what GitHub and GitLab see.
fn places(global: &Global) -> Result<render::Places, Failure> {
    let dir = session::project_dir(global)?.unwrap_or_else(|| PathBuf::from("."));
    let env = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    Ok(render::Places::new(&repository::folder(&dir, env)))
}

/// Adds the Markdown page to the summary of the GitHub step, where there is one. That it cannot be
/// written is worth a warning and no more: the annotations are there.
fn step_summary(global: &Global, audit: &Audit) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|p| !p.is_empty()) else {
        return;
    };
    let page = format!("{}\n", render::markdown::audit(audit));
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(page.as_bytes()));
    if let Err(e) = written {
        global.say(&format!(
            "warning: the step summary {} was not written: {e}",
            Path::new(&path).display()
        ));
    }
}
