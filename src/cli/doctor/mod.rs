mod page_test;

use std::collections::BTreeSet;

use clap::Args;
use futures::future::join_all;
use jiff::{Timestamp, ToSpan};

use super::context::{Interrupt, Progress};
use super::iam::facts;
use super::notify;
use super::session::{Session, target, want};
use super::{Format, Global, Outcome, exit};
use crate::apply::notify::Wanted;
use crate::cloud::health::{Caller, Health};
use crate::cloud::{CloudError, Target, Want};
use crate::config::Resolved;
use crate::cost::question::{Filter, Granularity, Question};
use crate::doctor::command::Commands;
use crate::doctor::{Check, Place, Report, State, account, permissions, services};
use crate::iam::policy::{Because, because};
use crate::iam::{Part, Role};
use crate::inventory::EnvironmentInventory;
use crate::model::Control;
use crate::render;

/// Look whether everything that opsctl needs is in order, and say how to fix what is not
///
/// Credentials, the account guard, clocks, regions, permissions, billing switches, Resource
/// Explorer, subscriptions, buckets, files. Each line is ok, a problem, or could not be told, which
/// is never taken for ok. Nothing is changed. With --page-test: prove that an alarm reaches the
/// people behind it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 all in order, 2 a problem, 3 something could not be told (whatever else was found), 1 the files cannot be used")]
pub struct DoctorArgs {
    /// Only the permissions for this purpose (repeatable) [default: all that the profile has]
    #[arg(long = "for", value_name = "PURPOSE", value_enum)]
    pub purposes: Vec<Role>,
    /// Also ask Cost Explorer, which bills 0.01 USD a request: two for each paying account
    #[arg(long)]
    pub spend: bool,
    /// Do not exit with 3 when something could not be told
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Set this alarm to ALARM, show that its topics took the message, and put its state back: those
    /// who are subscribed get it
    #[arg(long, value_name = "ALARM", conflicts_with_all = ["purposes", "spend"])]
    pub page_test: Option<String>,
    /// Page test: do not ask
    #[arg(long, requires = "page_test")]
    pub yes: bool,
    /// Page test: also for an alarm that does more than to notify: stop instances, scale
    #[arg(long, requires = "page_test")]
    pub force: bool,
}

pub async fn run(global: &Global, args: &DoctorArgs) -> Outcome {
    if let Some(alarm) = &args.page_test {
        return page_test::run(global, alarm, args.yes, args.force).await;
    }
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let environments = session.environments(global, None)?;
    let progress = Progress::spinner(global, "looking");
    let work = join_all(
        environments
            .iter()
            .map(|(target, resolved)| examine(global, args, &session, target, resolved)),
    );
    let ticking = async {
        loop {
            progress.say(format!(
                "looking: {} requests",
                session.cloud.meter().requests()
            ));
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let found = tokio::select! {
        found = work => found,
        () = ticking => Vec::new(),
        () = interrupt.cancel.cancelled() => {
            drop(progress);
            global.say("interrupted; nothing was changed");
            return Ok(interrupt.code().unwrap_or(exit::INTERRUPTED));
        }
    };
    drop(progress);
    let mut checks = services::config(
        &session.loaded,
        Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
    );
    checks.extend(notifications(&session));
    checks.extend(buckets(global, args, &session, &found).await);
    let (mut gaps, mut not_asked) = (Vec::new(), Vec::new());
    for examined in found {
        checks.extend(examined.checks);
        gaps.extend(examined.inventory.gaps);
        not_asked.extend(examined.not_asked);
    }
    if session.sandbox.is_some() {
        not_asked.push(
            "credentials, clocks, endpoints, IAM and Resource Explorer: the sandbox has none"
                .to_owned(),
        );
    }
    let report = Report {
        format_version: crate::plan::FORMAT_VERSION.to_owned(),
        kind: "doctor".to_owned(),
        opsctl_version: env!("CARGO_PKG_VERSION").to_owned(),
        generated_at: format!("{:.0}", Timestamp::now()),
        scope: environments
            .iter()
            .flat_map(|(t, r)| places(t, r))
            .collect(),
        unobserved: gaps,
        api: session.cloud.meter().snapshot(),
        summary: Report::count(&checks),
        checks,
        not_asked,
        sandbox: session.sandbox.clone(),
    };
    match global.format {
        Format::Json => global.emit_json(&report)?,
        Format::Markdown => global.show(&render::markdown::doctor(&report))?,
        _ => global.show(&render::human::doctor(&report, &global.style()))?,
    }
    Ok(match (report.summary.unknown, report.summary.problem) {
        (1.., _) if !args.allow_incomplete => exit::BLIND,
        (_, 1..) => exit::ATTENTION,
        _ => exit::OK,
    })
}

fn commands<'a>(global: &'a Global, target: &'a Target) -> Commands<'a> {
    Commands {
        target,
        profile: global.profile.as_deref(),
        endpoint_url: global.endpoint_url.as_deref(),
        sandbox: global.sandbox.as_deref(),
    }
}

fn places(target: &Target, resolved: &Resolved) -> Vec<Place> {
    let place = |region: &String| Place {
        environment: target.environment.clone(),
        account: target.account.clone(),
        region: region.clone(),
        stage: resolved.stage.name.value.clone(),
    };
    target.regions.iter().map(place).collect()
}

/// What one environment came to.
struct Examined {
    checks: Vec<Check>,
    /// The account is the right one and can be asked.
    entered: bool,
    inventory: EnvironmentInventory,
    not_asked: Vec<String>,
}

async fn examine(
    global: &Global,
    args: &DoctorArgs,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
) -> Examined {
    let health = session.cloud.health();
    let commands = &commands(global, target);
    let mut out = Examined {
        checks: Vec::new(),
        entered: false,
        inventory: EnvironmentInventory::default(),
        not_asked: Vec::new(),
    };
    let first = target.regions.first().map_or("us-east-1", String::as_str);
    let answer = health.caller(target, first).await;
    let (checks, entered) = account::caller(commands, &answer, Timestamp::now());
    out.checks = checks;
    let (Ok(caller), true) = (answer, entered) else {
        if !out.checks.iter().any(|c| c.state == State::Unknown) {
            let rest = Check::ok(
                &target.environment,
                "everything-else",
                "",
                "nothing is looked at in another account",
            );
            out.checks
                .push(rest.unknown("not looked at", "settle the line above, then run it again"));
        }
        return out;
    };
    out.entered = true;
    let want = wanted(args, resolved);
    let (regions, inventory, allowed) = futures::join!(
        other_regions(health, session, commands),
        session.cloud.observe(target, &want),
        permitted(global, args, session, target, resolved, &caller),
    );
    out.checks.extend(regions);
    let mut told = false;
    let answered = session.cloud.answered(target);
    for (role, needed, answer) in allowed {
        match answer {
            Ok(rulings) => {
                told |= role == Role::Plan;
                out.checks
                    .extend(permissions::simulated(role, commands, &rulings));
            }
            Err(e) => out.checks.extend(permissions::tried(
                role,
                commands,
                &e,
                &inventory.gaps,
                &needed,
                &answered,
            )),
        }
    }
    out.checks.extend(permissions::unseen(
        &target.environment,
        &inventory.gaps,
        told && session.sandbox.is_none(),
    ));
    silent_switches(args, session, commands, resolved, &inventory, &mut out).await;
    out.inventory = inventory;
    out
}

/// What a plan and an audit look at, without what is billed or slow and tells nothing here.
fn wanted(args: &DoctorArgs, resolved: &Resolved) -> Want {
    let mut want = want(&Control::ALL, resolved);
    want.sizes = false;
    want.anomaly = false;
    want.cost_tags &= args.spend;
    want
}

async fn other_regions(
    health: &dyn Health,
    session: &Session,
    commands: &Commands<'_>,
) -> Vec<Check> {
    let target = commands.target;
    if session.sandbox.is_some() {
        return Vec::new();
    }
    join_all(target.regions.iter().map(|region| async move {
        let begun = std::time::Instant::now();
        let answer = health.caller(target, region).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        account::region(commands, region, &answer, took)
    }))
    .await
}

/// The purpose, all that it needs, and what IAM said to it.
type Answer = (
    Role,
    Vec<Because>,
    Result<Vec<crate::cloud::health::Ruling>, CloudError>,
);

async fn permitted(
    global: &Global,
    args: &DoctorArgs,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
    caller: &Caller,
) -> Vec<Answer> {
    let all = [Role::Plan, Role::Apply, Role::Drill];
    let asked = all
        .into_iter()
        .filter(|r| args.purposes.is_empty() || args.purposes.contains(r));
    let mut out = Vec::new();
    for role in asked {
        let Ok(facts) = facts(global, role, session, target, resolved) else {
            continue;
        };
        if role == Role::Drill && !facts.parts.contains(&Part::Drill) {
            continue;
        }
        let cases = permissions::cases(role, &facts);
        out.push((
            role,
            because(role, &facts),
            session
                .cloud
                .health()
                .simulate(target, caller, &cases)
                .await,
        ));
    }
    out
}

async fn silent_switches(
    args: &DoctorArgs,
    session: &Session,
    commands: &Commands<'_>,
    resolved: &Resolved,
    inventory: &EnvironmentInventory,
    out: &mut Examined,
) {
    let (target, environment) = (commands.target, commands.environment());
    let asked = wanted(args, resolved);
    if asked.billing_metric {
        out.checks.push(services::billing(
            environment,
            &inventory.money.billing_metric,
        ));
    }
    // The sandbox has no Resource Explorer that could be on or off.
    if asked.tags && session.sandbox.is_none() {
        out.checks
            .extend(services::explorer(commands, &target.regions, inventory));
    }
    out.checks.extend(services::topics(commands, inventory));
    let pays = resolved.payer.as_ref().is_none_or(|p| p == environment);
    let keys: BTreeSet<String> = resolved
        .policies
        .tags
        .iter()
        .flat_map(|t| &t.required)
        .map(|k| k.value.clone())
        .collect();
    if !pays {
        return;
    }
    if !args.spend {
        out.not_asked.push(format!(
            "{environment}: Cost Explorer and cost allocation tags, which --spend asks for (0.02 USD)"
        ));
        return;
    }
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let question = Question::Usage {
        start: today.saturating_sub(2.days()),
        end: today.saturating_sub(1.day()),
        granularity: Granularity::Daily,
        group_by: Vec::new(),
        filter: Filter::default(),
    };
    let answer = session.cloud.ask_cost(target, &question).await.map(drop);
    out.checks
        .push(services::cost_explorer(environment, &answer));
    if asked.cost_tags {
        out.checks
            .push(services::cost_tags(commands, &keys, inventory));
    }
}

/// Whether the addresses that `[notify]` needs are there.
fn notifications(session: &Session) -> Vec<Check> {
    let workspace = session.loaded.workspace.as_ref();
    let targets = workspace
        .and_then(|w| w.notify.as_ref())
        .map(|n| n.targets.as_slice());
    let check = Check::ok(
        "",
        "notify",
        "",
        "a notification without an address is not sent",
    );
    let mut out = Vec::new();
    for text in targets.unwrap_or_default() {
        let (Ok(wanted), true) = (crate::apply::notify::parse(text), session.sandbox.is_none())
        else {
            continue;
        };
        let found = match wanted {
            Wanted::Slack => notify::secret(crate::apply::notify::SLACK),
            Wanted::Url => notify::secret(crate::apply::notify::URL),
            _ => continue,
        };
        out.push(match found {
            Ok(secret) => Check {
                found: format!("{}: an address at {}", text.value, secret.host()),
                ..check.clone()
            },
            Err(failure) => check
                .clone()
                .problem(failure.message, failure.help.unwrap_or_default()),
        });
    }
    out
}

/// The buckets of the lock and of the evidence, in accounts that were entered.
async fn buckets(
    global: &Global,
    args: &DoctorArgs,
    session: &Session,
    found: &[Examined],
) -> Vec<Check> {
    let mut out = Vec::new();
    let (Ok(workspace), None) = (session.workspace(), &session.sandbox) else {
        return out;
    };
    let entered = |name: &str| {
        found
            .iter()
            .any(|e| e.entered && e.checks.iter().any(|c| c.environment == name))
    };
    // Only apply takes the lock, and only its role may look at that bucket.
    let locks = args.purposes.is_empty() || args.purposes.contains(&Role::Apply);
    let places = workspace
        .lock
        .iter()
        .filter(|_| locks)
        .map(|l| ("lock", &l.environment.value, &l.bucket))
        .chain(
            workspace
                .evidence
                .iter()
                .map(|e| ("evidence", &e.environment.value, &e.bucket)),
        );
    for (what, name, bucket) in places {
        let Some(environment) = workspace.environments.get(name).filter(|_| entered(name)) else {
            continue;
        };
        let target = target(name, environment);
        let asked_in = target.regions.first().cloned().unwrap_or_default();
        let answer = session
            .cloud
            .objects()
            .own_bucket_region(&target, &asked_in, bucket)
            .await;
        out.push(services::bucket(
            &commands(global, &target),
            what,
            bucket,
            &answer,
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_test_has_options_of_its_own() {
        use clap::Parser;
        let parse =
            |args: &[&str]| crate::cli::Cli::try_parse_from([&["opsctl", "doctor"], args].concat());
        assert!(parse(&["--yes"]).is_err());
        assert!(parse(&["--page-test", "a", "--spend"]).is_err());
        assert!(parse(&["--page-test", "a", "--yes", "--force"]).is_ok());
        assert!(parse(&["--for", "plan", "--for", "drill"]).is_ok());
    }
}
