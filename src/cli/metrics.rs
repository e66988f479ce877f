//! `opsctl metrics check`: the metrics that the policies name, as the account has them.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::context::{Interrupt, Progress};
use super::session::{Session, guard};
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::cloud::{Cloud, CloudError, Series, SeriesQuery, Target, TimeSpan};
use crate::config::Resolved;
use crate::config::later::alarms::Metric;
use crate::config::source::suggest;
use crate::inventory::Gap;
use crate::model::Control;
use crate::model::object::MetricId;
use crate::render;

#[derive(Debug, Subcommand)]
pub enum MetricsCommand {
    Check(CheckArgs),
}

/// Show whether the metrics of business alarms and SLOs exist, with which dimensions, and how fresh
///
/// A counter that is only published when something fails may rightly be without data: publish zeros,
/// or expect it in this list. GetMetricData bills 0.01 USD per 1,000 metrics.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all there and fresh, 2 one is missing or stale, 3 one could not be looked at"
)]
pub struct CheckArgs {
    /// Stage profile, e.g. stage-3 [default: each environment's own]
    #[arg(value_name = "STAGE")]
    pub stage: Option<String>,
    /// Without a point for so long a metric is stale
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    pub max_age: std::time::Duration,
    /// Do not exit with 3 when something could not be looked at
    #[arg(long)]
    pub allow_incomplete: bool,
}

/// How far back the last point is looked for: what ListMetrics shows, too.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(14 * 24);
/// 14 days in points of five minutes.
const PERIOD: u32 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Missing,
    Stale,
    Unknown,
    Fresh,
}

/// One metric of the policies.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Checked {
    environment: String,
    region: String,
    /// `alarms.business.checkout.failed`
    used_by: Vec<String>,
    namespace: String,
    metric: String,
    dimensions: BTreeMap<String, String>,
    standing: Standing,
    last_point: Option<String>,
    /// The dimensions under which the name exists; a few of them.
    existing: Vec<BTreeMap<String, String>>,
    existing_count: usize,
    message: String,
}

/// Uses by region and metric.
fn named(resolved: &Resolved, first: &str) -> BTreeMap<(String, MetricId), Vec<String>> {
    let mut out: BTreeMap<(String, MetricId), Vec<String>> = BTreeMap::new();
    let Some(policy) = &resolved.policies.alarms else {
        return out;
    };
    let mut add = |region: Option<&str>, metric: Option<&Metric>, used_by: String| {
        if let Some(metric) = metric {
            let id = MetricId {
                namespace: metric.namespace.clone(),
                metric: metric.metric.clone(),
                dimensions: metric.dimensions.clone(),
            };
            let region = region.unwrap_or(first).to_owned();
            out.entry((region, id)).or_default().push(used_by);
        }
    };
    for (name, alarm) in &policy.business {
        let region = alarm.region.as_ref().map(|r| r.value.as_str());
        for (part, metric) in [
            ("failed", &alarm.failed),
            ("total", &alarm.total),
            ("metric", &alarm.metric),
        ] {
            add(
                region,
                metric.as_ref(),
                format!("alarms.business.{name}.{part}"),
            );
        }
    }
    for (name, slo) in &policy.slo {
        let region = slo.region.as_ref().map(|r| r.value.as_str());
        add(region, Some(&slo.good), format!("alarms.slo.{name}.good"));
        add(region, Some(&slo.total), format!("alarms.slo.{name}.total"));
    }
    out
}

pub async fn run(global: &Global, command: &MetricsCommand) -> Outcome {
    let MetricsCommand::Check(args) = command;
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let environments = session.environments(global, args.stage.as_deref())?;
    let targets: Vec<&Target> = environments.iter().map(|(t, _)| t).collect();
    guard(session.cloud.as_ref(), &targets).await?;
    let now = Timestamp::now();
    let progress = Progress::spinner(global, "looking at metrics");
    let cloud = session.cloud.as_ref();
    let checks = environments
        .iter()
        .map(|(target, resolved)| check(cloud, target, resolved, args, now));
    let found = tokio::select! {
        found = join_all(checks) => found,
        () = interrupt.cancel.cancelled() => {
            return Ok(interrupt.code().unwrap_or(exit::INTERRUPTED));
        }
    };
    drop(progress);
    let mut all = Vec::new();
    let mut gaps = Vec::new();
    for (checked, failed) in found {
        all.extend(checked);
        gaps.extend(failed);
    }
    emit(global, &session, &environments, &all, &gaps)?;
    let is = |standing| all.iter().any(|c| c.standing == standing);
    Ok(if !gaps.is_empty() && !args.allow_incomplete {
        exit::BLIND
    } else if is(Standing::Missing) || is(Standing::Stale) {
        exit::ATTENTION
    } else {
        exit::OK
    })
}

async fn check(
    cloud: &dyn Cloud,
    target: &Target,
    resolved: &Resolved,
    args: &CheckArgs,
    now: Timestamp,
) -> (Vec<Checked>, Vec<Gap>) {
    let first = target.regions.first().map_or("us-east-1", String::as_str);
    let wanted = named(resolved, first);
    let places: BTreeSet<(&str, &str)> = wanted
        .keys()
        .map(|(region, id)| (region.as_str(), id.namespace.as_str()))
        .collect();
    // One sweep of a namespace tells of near misses in names, too.
    let listed = places.iter().map(|(region, namespace)| async move {
        let found = cloud.list_metrics(target, region, namespace, None).await;
        ((*region, *namespace), found)
    });
    let listed: BTreeMap<_, _> = join_all(listed).await.into_iter().collect();
    let mut by_region: BTreeMap<&str, Vec<&MetricId>> = BTreeMap::new();
    for (region, id) in wanted.keys() {
        by_region.entry(region).or_default().push(id);
    }
    let from = now.checked_sub(LOOK_BACK).unwrap_or(now);
    let span = TimeSpan { from, to: now };
    let reads = by_region.iter().map(|(region, ids)| async move {
        let queries: Vec<SeriesQuery> = ids
            .iter()
            .map(|id| SeriesQuery {
                metric: (*id).clone(),
                statistic: "SampleCount".to_owned(),
                period: PERIOD,
            })
            .collect();
        let answers = cloud.metric_data(target, region, &queries, &span).await;
        ids.iter()
            .map(|id| (*region, *id))
            .zip(answers)
            .collect::<Vec<_>>()
    });
    let points: BTreeMap<(&str, &MetricId), Result<Series, CloudError>> =
        join_all(reads).await.into_iter().flatten().collect();
    let mut gaps: BTreeSet<Gap> = BTreeSet::new();
    let mut gap = |region: &str, error: &CloudError| {
        gaps.insert(Gap {
            environment: target.environment.clone(),
            account: target.account.clone(),
            region: region.to_owned(),
            control: Control::Alarms,
            operation: error.operation.clone(),
            resource: None,
            error: format!("{}: {}", error.code, error.message),
        });
    };
    let mut out = Vec::new();
    for ((region, id), used_by) in &wanted {
        let list = listed.get(&(region.as_str(), id.namespace.as_str()));
        let series = points.get(&(region.as_str(), id));
        for error in [
            list.and_then(|l| l.as_ref().err()),
            series.and_then(|s| s.as_ref().err()),
        ]
        .into_iter()
        .flatten()
        {
            gap(region, error);
        }
        let last = series
            .and_then(|s| s.as_ref().ok())
            .and_then(|s| s.last().map(|(at, _)| *at));
        let list = list.and_then(|l| l.as_ref().ok());
        let unread = series.is_none_or(Result::is_err);
        out.push(judge(
            target, region, id, used_by, list, last, unread, args, now,
        ));
    }
    (out, gaps.into_iter().collect())
}

#[allow(clippy::too_many_arguments)]
fn judge(
    target: &Target,
    region: &str,
    id: &MetricId,
    used_by: &[String],
    list: Option<&Vec<MetricId>>,
    last: Option<Timestamp>,
    unread: bool,
    args: &CheckArgs,
    now: Timestamp,
) -> Checked {
    let same_name: Vec<&MetricId> = list
        .into_iter()
        .flatten()
        .filter(|m| m.metric == id.metric)
        .collect();
    let listed = same_name.contains(&id);
    let max_age = SignedDuration::try_from(args.max_age).unwrap_or(SignedDuration::MAX);
    let (standing, message) = match last {
        Some(at) => {
            // The point stands for the five minutes after its time.
            let age = now.duration_since(at) - SignedDuration::from_secs(i64::from(PERIOD));
            let minutes = age.as_mins().max(0);
            if age > max_age {
                let text = format!("the last point is {} old", short(minutes));
                (Standing::Stale, text)
            } else {
                (
                    Standing::Fresh,
                    format!("last point {} ago", short(minutes)),
                )
            }
        }
        None if unread || (list.is_none() && !listed) => {
            (Standing::Unknown, "could not be looked at".to_owned())
        }
        None if listed => (
            Standing::Stale,
            "it exists, but had no point in the last 14 days".to_owned(),
        ),
        None => (Standing::Missing, missing(id, list, &same_name)),
    };
    Checked {
        environment: target.environment.clone(),
        region: region.to_owned(),
        used_by: used_by.to_vec(),
        namespace: id.namespace.clone(),
        metric: id.metric.clone(),
        dimensions: id.dimensions.clone(),
        standing,
        last_point: last.map(|at| format!("{at:.0}")),
        existing_count: same_name.len(),
        existing: same_name
            .iter()
            .take(20)
            .map(|m| m.dimensions.clone())
            .collect(),
        message,
    }
}

/// Why a metric is not there, and what comes near to it.
fn missing(id: &MetricId, list: Option<&Vec<MetricId>>, same_name: &[&MetricId]) -> String {
    if let Some(nearest) = same_name.iter().max_by_key(|m| {
        let same = m.dimensions.iter();
        let same = same
            .filter(|(k, v)| id.dimensions.get(*k) == Some(v))
            .count();
        (same, std::cmp::Reverse(m.dimensions.len()))
    }) {
        let asked = dimensions(&id.dimensions);
        let more = match same_name.len() {
            1 => String::new(),
            n => format!(" ({n} in all)"),
        };
        return format!(
            "it exists with {}{more}, not with {asked}: a metric with other dimensions is another metric",
            dimensions(&nearest.dimensions)
        );
    }
    let names: BTreeSet<&str> = list
        .into_iter()
        .flatten()
        .map(|m| m.metric.as_str())
        .collect();
    if names.is_empty() {
        return format!(
            "the namespace {} has no metrics that had a point in two weeks",
            id.namespace
        );
    }
    match suggest(&id.metric, names.iter().copied()) {
        Some(near) => format!("no such metric; did you mean {near}?"),
        None => format!("no such metric; the namespace has {} others", names.len()),
    }
}

fn dimensions(map: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
    match all.is_empty() {
        true => "no dimensions".to_owned(),
        false => all.join(", "),
    }
}

/// `5 min`, `3 h`, `4 d`.
fn short(minutes: i64) -> String {
    match minutes {
        0..=119 => format!("{minutes} min"),
        120..=2879 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

fn emit(
    global: &Global,
    session: &Session,
    environments: &[(Target, Resolved)],
    all: &[Checked],
    gaps: &[Gap],
) -> Result<(), Failure> {
    if global.format == Format::Json {
        let mut document = json_head("metrics");
        let scope: Vec<_> = environments
            .iter()
            .flat_map(|(target, resolved)| {
                target.regions.iter().map(|region| {
                    serde_json::json!({
                        "environment": target.environment,
                        "account": target.account,
                        "region": region,
                        "stage": resolved.stage.name.value,
                    })
                })
            })
            .collect();
        document["scope"] = serde_json::Value::Array(scope);
        document["unobserved"] = serde_json::to_value(gaps).unwrap_or_default();
        document["api"] =
            serde_json::to_value(session.cloud.meter().snapshot()).unwrap_or_default();
        document["metrics"] = serde_json::to_value(all).unwrap_or_default();
        return global.emit_json(&document);
    }
    if all.is_empty() {
        return global
            .emit("no metrics: the policies in question have neither business alarms nor SLOs\n");
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|c| {
            let standing = match c.standing {
                Standing::Fresh => "ok",
                Standing::Stale => "stale",
                Standing::Missing => "missing",
                Standing::Unknown => "unknown",
            };
            vec![
                standing.to_owned(),
                format!("{}/{}", c.environment, c.region),
                format!("{}/{}", c.namespace, c.metric),
                dimensions(&c.dimensions),
                c.message.clone(),
                c.used_by.join(", "),
            ]
        })
        .collect();
    let head = ["", "where", "metric", "dimensions", "what", "used by"];
    let mut out = render::table(&head, &rows, global.format == Format::Markdown);
    for gap in gaps {
        out.push_str(&render::text::escape(&format!(
            "could not look: {}/{} {}: {}",
            gap.environment, gap.region, gap.operation, gap.error
        )));
        out.push('\n');
    }
    global.show(&out)
}
