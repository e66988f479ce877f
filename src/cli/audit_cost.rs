//! `opsctl audit cost`: asks, or reads an export, and audits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rust_decimal::Decimal;

use super::session::{Session, guard, target};
use super::{Failure, Global};
use crate::cloud::{CloudError, SeriesQuery, Target, TimeSpan};
use crate::config::Resolved;
use crate::config::later::UsersMetric;
use crate::cost::cache::{Cache, PayerLock};
use crate::cost::days::Days;
use crate::cost::explain::{self, Explanation, no_room};
use crate::cost::export;
use crate::cost::question::{Answer, Answered, Filter, Question, Row};
use crate::cost::steps::{
    ForecastScope, Need, Outcome, PayerAnswers, PayerScope, Purpose, Step, is_denied, is_hopeless,
    need, operation, steps,
};
use crate::cost::{self, AuditInput, CostEntry, EnvironmentInput, Users, tag_keys};
use crate::inventory::Gap;
use crate::model::Control;
use crate::model::object::MetricId;
use crate::plan::Finding;

/// How long another audit of the same payer is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Args)]
pub struct CostArgs {
    /// Cost: say what would be asked and what it costs, and ask nothing
    #[arg(long)]
    pub explain: bool,
    /// Cost: answers up to this age are taken from the cache; 0: always ask
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = age)]
    pub max_age: Duration,
    /// Cost: read a FOCUS or CUR 2.0 export (file, folder or s3://bucket/prefix) instead of asking
    #[arg(long, value_name = "EXPORT")]
    pub from: Option<PathBuf>,
}

/// A plain 0 needs no unit.
fn age(text: &str) -> Result<Duration, humantime::DurationError> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => humantime::parse_duration(text),
    }
}

/// What the cost audit adds to an audit.
#[derive(Debug, Default)]
pub struct CostAudit {
    pub findings: Vec<Finding>,
    /// One for each environment, then the whole.
    pub entries: Vec<CostEntry>,
    pub gaps: Vec<Gap>,
    pub notes: Vec<String>,
}

/// A payer account with what is asked of it.
struct Payer {
    target: Target,
    scope: PayerScope,
    max_questions: usize,
}

/// Audits the costs of the environments, whose accounts the caller has guarded; a payer that is none
/// of them is guarded in here before its first question.
///
/// # Errors
/// Files that cannot be used, or credentials of another account. What is refused by Cost Explorer
/// is a gap.
pub async fn collect(
    global: &Global,
    session: &Session,
    environments: &[(Target, Resolved)],
    args: &CostArgs,
) -> Result<CostAudit, Failure> {
    collect_at(global, session, environments, args, Timestamp::now()).await
}

async fn collect_at(
    global: &Global,
    session: &Session,
    environments: &[(Target, Resolved)],
    args: &CostArgs,
    now: Timestamp,
) -> Result<CostAudit, Failure> {
    // Once: an audit that runs over midnight is about the day on which it began.
    let days = Days::of(now.to_zoned(TimeZone::UTC).date());
    let (mut payers, mut places) = payers(session, environments)?;
    if args.from.is_some() {
        // An export is of one payer, and holds all of its accounts.
        payers = one_payer(payers).into_iter().collect();
        places.fill(0);
    }
    let cache = cache(global, session, args);
    let answers = join_all(payers.iter().map(|payer| {
        let guarded = environments
            .iter()
            .any(|(t, _)| t.environment == payer.target.environment);
        let cache = &cache;
        let days = &days;
        async move {
            match &args.from {
                Some(from) => read(session, payer, from, days, now).await,
                None => ask(session, cache, payer, guarded, days, now)
                    .await
                    .map(|answers| (answers, Vec::new())),
            }
        }
    }));
    let users = join_all(environments.iter().map(|(target, resolved)| {
        let span = TimeSpan {
            from: now - 72.hours(),
            to: now,
        };
        async move {
            match args.from {
                Some(_) => (users_without_asking(resolved), None),
                None => users(session, target, resolved, &span).await,
            }
        }
    }));
    let (answers, users) = tokio::join!(answers, users);
    let answers: Vec<(PayerAnswers, Vec<String>)> =
        answers.into_iter().collect::<Result<_, _>>()?;
    let (answers, of_exports): (Vec<PayerAnswers>, Vec<Vec<String>>) = answers.into_iter().unzip();
    let mut gaps = match &args.from {
        Some(from) => not_in_export(from, environments, &answers, &days),
        None => Vec::new(),
    };
    let mut inputs = Vec::new();
    for (((target, resolved), payer), (users, gap)) in environments.iter().zip(places).zip(users) {
        gaps.extend(gap);
        inputs.push(EnvironmentInput {
            resolved,
            account: target.account.clone(),
            payer,
            users,
        });
    }
    let accounts = accounts(session);
    let report = cost::audit(&AuditInput {
        today: days.today,
        environments: &inputs,
        payers: &answers,
        accounts: &accounts,
        narrowed: !global.environments.is_empty(),
    });
    gaps.extend(report.gaps);
    Ok(CostAudit {
        findings: report.findings,
        entries: report.entries,
        gaps,
        notes: report
            .notes
            .into_iter()
            .chain(of_exports.into_iter().flatten())
            .collect(),
    })
}

/// The accounts of all environments of the project.
fn accounts(session: &Session) -> BTreeSet<String> {
    session
        .loaded
        .workspace
        .iter()
        .flat_map(|w| w.environments.values())
        .map(|e| e.account.value.clone())
        .collect()
}

/// What [`collect`] would ask and pay. Asks nothing.
///
/// # Errors
/// Files that cannot be used.
pub fn explain(
    global: &Global,
    session: &Session,
    environments: &[(Target, Resolved)],
    args: &CostArgs,
) -> Result<Explanation, Failure> {
    if args.from.is_some() {
        return Ok(Explanation::of(Vec::new()));
    }
    let now = Timestamp::now();
    let days = Days::of(now.to_zoned(TimeZone::UTC).date());
    let (payers, _) = payers(session, environments)?;
    let cache = cache(global, session, args);
    let explained = payers.iter().map(|payer| {
        let kept = |step: &Step| cache.get(&payer.scope.account, &step.question, now);
        explain::payer(
            &payer.scope,
            &payer.target.environment,
            &days,
            payer.max_questions,
            &kept,
        )
    });
    Ok(Explanation::of(explained.collect()))
}

fn cache(global: &Global, session: &Session, args: &CostArgs) -> Cache {
    let source = match (&session.sandbox, &global.endpoint_url) {
        (Some(name), _) => format!("sandbox {name} {}", env!("CARGO_PKG_VERSION")),
        (None, Some(url)) => format!("endpoint {url}"),
        (None, None) => "aws".to_owned(),
    };
    Cache::new(
        session.state.join("cache").join("cost"),
        source,
        args.max_age,
    )
}

/// The payers of the environments, and which one each environment has.
fn payers(
    session: &Session,
    environments: &[(Target, Resolved)],
) -> Result<(Vec<Payer>, Vec<usize>), Failure> {
    let mut payers: Vec<Payer> = Vec::new();
    let mut places = Vec::new();
    for (own, resolved) in environments {
        let paying = match &resolved.payer {
            Some(name) if *name != own.environment => {
                let workspace = session.loaded.workspace.as_ref();
                let found = workspace.and_then(|w| w.environments.get(name));
                let environment = found.ok_or_else(|| {
                    Failure::new(format!("[payer] names `{name}`, which is not configured"))
                })?;
                target(name, environment)
            }
            _ => own.clone(),
        };
        let index = match payers
            .iter()
            .position(|p| p.scope.account == paying.account)
        {
            Some(index) => index,
            None => {
                payers.push(Payer {
                    scope: PayerScope {
                        account: paying.account.clone(),
                        filter: filter(resolved),
                        ..PayerScope::default()
                    },
                    target: paying,
                    max_questions: 0,
                });
                payers.len() - 1
            }
        };
        places.push(index);
        let Some(payer) = payers.get_mut(index) else {
            continue;
        };
        // The payer's own policy decides what counts, where it is audited too.
        if payer.target.environment == own.environment {
            payer.scope.filter = filter(resolved);
        }
        let max = resolved.policies.cost.as_ref().map_or_else(
            || crate::config::later::Cost::default().max_questions(),
            |c| c.max_questions(),
        );
        payer.max_questions = payer.max_questions.max(max);
        for key in tag_keys(resolved) {
            if !payer.scope.tags.contains(&key) {
                payer.scope.tags.push(key);
            }
        }
        if resolved.neighbours.is_empty() {
            payer.scope.forecasts.push(ForecastScope {
                environment: own.environment.clone(),
                account: own.account.clone(),
            });
        } else {
            payer.scope.shared.insert(own.account.clone());
        }
    }
    Ok((payers, places))
}

/// Everything that is to be known of several payers, of one.
fn one_payer(payers: Vec<Payer>) -> Option<Payer> {
    let mut all = payers.into_iter();
    let mut one = all.next()?;
    one.scope.export = true;
    for more in all {
        one.scope.forecasts.extend(more.scope.forecasts);
        one.scope.shared.extend(more.scope.shared);
        for key in more.scope.tags {
            if !one.scope.tags.contains(&key) {
                one.scope.tags.push(key);
            }
        }
    }
    Some(one)
}

/// Reads an export instead of asking: every question is answered in one pass, for nothing.
async fn read(
    session: &Session,
    payer: &Payer,
    from: &Path,
    days: &Days,
    now: Timestamp,
) -> Result<(PayerAnswers, Vec<String>), Failure> {
    let steps = steps(&payer.scope, days);
    let questions: Vec<Question> = steps.iter().map(|s| s.question.clone()).collect();
    let place = from.to_string_lossy();
    let export = match export::s3_place(&place) {
        Some(_) => {
            let cloud = session.cloud.as_ref();
            export::read_s3(cloud, &payer.target, &place, &questions, days.today).await
        }
        None => export::read(from, &questions, days.today),
    };
    let export = export.map_err(|e| {
        Failure::new(e.to_string())
            .help("without --from Cost Explorer is asked; `--explain` says what that costs")
    })?;
    let answers = PayerAnswers {
        scope: payer.scope.clone(),
        environment: payer.target.environment.clone(),
        steps: steps
            .into_iter()
            .zip(export.answers)
            .map(|(step, answer)| {
                let answered = Answered {
                    answer,
                    asked_at: now,
                    pages: 0,
                };
                (step, Outcome::Answered(answered))
            })
            .collect(),
    };
    Ok((answers, export.notes))
}

/// What an export should tell of and does not: costs of nothing and costs that are not known look
/// alike in it.
fn not_in_export(
    from: &Path,
    environments: &[(Target, Resolved)],
    answers: &[PayerAnswers],
    days: &Days,
) -> Vec<Gap> {
    let daily = answers.first().and_then(|a| a.answer(&Purpose::Daily));
    let rows = match daily {
        Some(Answer::Usage { rows, .. }) => rows.as_slice(),
        _ => &[],
    };
    let last = rows.iter().map(|row| row.start).max();
    let ends = match last {
        None => Some("it has no costs of this and of last month".to_owned()),
        // Exports come at least once a day, some hours late.
        Some(last) if last < days.today.saturating_sub((cost::audit::LAG + 1).days()) => Some(
            format!("its last costs are of {last}: what was spent since is not known"),
        ),
        Some(_) => None,
    };
    let gap = |target: &Target, error: String| Gap {
        environment: target.environment.clone(),
        account: target.account.clone(),
        region: "global".to_owned(),
        control: Control::Cost,
        operation: "export".to_owned(),
        resource: Some(from.display().to_string()),
        error,
    };
    let mut gaps = Vec::new();
    for (target, _) in environments {
        let account = target.account.as_str();
        let has = |row: &Row| row.keys.first().is_some_and(|key| key == account);
        if let Some(error) = &ends {
            gaps.push(gap(target, error.clone()));
        } else if !rows.iter().any(has) {
            gaps.push(gap(
                target,
                format!("it has no line of the account {account}: it may be of another payer"),
            ));
        }
    }
    gaps
}

/// What counts, so that amounts compare with the budget.
fn filter(resolved: &Resolved) -> Filter {
    let budgets = resolved.policies.budgets.as_ref();
    let mut without = BTreeSet::new();
    if budgets.is_none_or(|b| !b.include_credits) {
        without.insert("Credit".to_owned());
        without.insert("Refund".to_owned());
    }
    if budgets.is_some_and(|b| !b.include_tax) {
        without.insert("Tax".to_owned());
    }
    Filter {
        accounts: BTreeSet::new(),
        without_record_types: without,
    }
}

/// Asks one payer, one question after the other: what is worth asking hangs on the answers, and
/// Cost Explorer wants to be asked slowly.
async fn ask(
    session: &Session,
    cache: &Cache,
    payer: &Payer,
    guarded: bool,
    days: &Days,
    now: Timestamp,
) -> Result<PayerAnswers, Failure> {
    let account = &payer.scope.account;
    let mut out = PayerAnswers {
        scope: payer.scope.clone(),
        environment: payer.target.environment.clone(),
        steps: Vec::new(),
    };
    let mut room = payer.max_questions;
    let mut asking: Option<Asking> = None;
    let mut hopeless: Option<CloudError> = None;
    let mut denied: Vec<CloudError> = Vec::new();
    for step in steps(&payer.scope, days) {
        let not_asked = |reason: String, wanted| Outcome::NotAsked { reason, wanted };
        let outcome = match need(&step, &out.steps) {
            Need::No(why) | Need::Perhaps(why) => not_asked(why, false),
            Need::Yes if room == 0 => not_asked(no_room(payer.max_questions), true),
            Need::Yes => {
                room -= 1;
                let operation = operation(&step.question);
                let known = hopeless
                    .as_ref()
                    .or_else(|| denied.iter().find(|e| e.operation == operation));
                if let Some(answered) = cache.get(account, &step.question, now) {
                    Outcome::Answered(answered)
                } else if let Some(error) = known {
                    Outcome::Failed(CloudError {
                        operation: operation.to_owned(),
                        ..error.clone()
                    })
                } else {
                    if asking.is_none() {
                        asking = Some(Asking::begin(session, cache, payer, guarded).await?);
                    }
                    // Whoever held the lock before us may have asked the same.
                    match cache.get(account, &step.question, now) {
                        Some(answered) => Outcome::Answered(answered),
                        None => match session.cloud.ask_cost(&payer.target, &step.question).await {
                            Ok(answered) => {
                                if let Err(e) = cache.put(account, &step.question, &answered) {
                                    tracing::warn!(
                                        "the answer could not be kept in {}: {e}",
                                        cache.folder().display()
                                    );
                                }
                                Outcome::Answered(answered)
                            }
                            Err(error) => {
                                if is_hopeless(&error) {
                                    hopeless = Some(error.clone());
                                } else if is_denied(&error) {
                                    denied.push(error.clone());
                                }
                                Outcome::Failed(error)
                            }
                        },
                    }
                }
            }
        };
        out.steps.push((step, outcome));
    }
    Ok(out)
}

/// The right to ask one payer: nobody else does at the same time, and it is the right account.
struct Asking {
    _lock: Option<PayerLock>,
}

impl Asking {
    async fn begin(
        session: &Session,
        cache: &Cache,
        payer: &Payer,
        guarded: bool,
    ) -> Result<Asking, Failure> {
        let account = &payer.scope.account;
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(100);
        let lock = loop {
            match cache.try_lock(account) {
                Ok(Some(lock)) => break Some(lock),
                Ok(None) if waited >= LONGEST_WAIT => {
                    return Err(Failure::new(format!(
                        "another audit has been asking about account {account} for more than {} minutes",
                        LONGEST_WAIT.as_secs() / 60
                    ))
                    .help("see what it is doing, or end it; its lock ends with it"));
                }
                Ok(None) => {
                    if waited.is_zero() {
                        tracing::info!("waiting for another audit of account {account}");
                    }
                    tokio::time::sleep(step).await;
                    waited += step;
                }
                Err(e) => {
                    tracing::warn!(
                        "answers cannot be kept in {}: {e}",
                        cache.folder().display()
                    );
                    break None;
                }
            }
        };
        cache.sweep();
        if !guarded {
            guard(session.cloud.as_ref(), &[&payer.target]).await?;
        }
        Ok(Asking { _lock: lock })
    }
}

/// How many users an environment has, as far as the files say: with an export nobody is asked.
fn users_without_asking(resolved: &Resolved) -> Users {
    let policy = resolved.policies.cost.as_ref();
    match policy.and_then(|c| c.users_metric.as_ref()) {
        Some(metric) => Users::Unknown(format!(
            "with --from the metric {} {} is not asked",
            metric.value.namespace, metric.value.metric
        )),
        None => configured_users(resolved),
    }
}

fn configured_users(resolved: &Resolved) -> Users {
    let configured = resolved.config.as_ref().and_then(|c| c.users);
    configured.map_or(Users::NotTold, Users::Configured)
}

/// How many users an environment has, and what could not be seen of it.
async fn users(
    session: &Session,
    target: &Target,
    resolved: &Resolved,
    span: &TimeSpan,
) -> (Users, Option<Gap>) {
    let policy = resolved.policies.cost.as_ref();
    let Some(metric) = policy.and_then(|c| c.users_metric.as_ref()) else {
        return (configured_users(resolved), None);
    };
    let UsersMetric {
        namespace,
        metric,
        dimensions,
        statistic,
        region,
    } = &metric.value;
    let region = region
        .as_deref()
        .or(target.regions.first().map(String::as_str))
        .unwrap_or("us-east-1");
    let query = SeriesQuery {
        metric: MetricId {
            namespace: namespace.clone(),
            metric: metric.clone(),
            dimensions: dimensions.clone(),
        },
        statistic: statistic.clone().unwrap_or_else(|| "Maximum".to_owned()),
        period: 3600,
    };
    let name = format!("{namespace} {metric}");
    let answers = session
        .cloud
        .metric_data(target, region, &[query], span)
        .await;
    match answers.into_iter().next() {
        Some(Ok(series)) => match series.last().map(|(_, value)| Decimal::try_from(*value)) {
            Some(Ok(count)) if cost::amount::sane(count).is_none() => {
                (Users::Unknown(format!("{name} says {count}")), None)
            }
            Some(Ok(count)) => (Users::Measured(count, name), None),
            Some(Err(e)) => (Users::Unknown(format!("{name}: {e}")), None),
            None => (
                Users::Unknown(format!("{name} has no data point in the last 3 days")),
                None,
            ),
        },
        Some(Err(error)) => (
            Users::Unknown(format!("{name}: {}", error.code)),
            Some(Gap {
                environment: target.environment.clone(),
                account: target.account.clone(),
                region: region.to_owned(),
                control: Control::Cost,
                operation: error.operation,
                resource: Some(name),
                error: format!("{}: {}", error.code, error.message),
            }),
        ),
        None => (Users::Unknown(format!("{name} was not answered")), None),
    }
}

mod known;

pub use known::known;

#[cfg(test)]
mod tests;
