//! When drills passed last, for people, for audits and for the alarm.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Opened, StatusArgs, evidence, head};
use crate::cli::session::Session;
use crate::cli::{Failure, Format, Global, Outcome, exit};
use crate::cloud::{MetricPoint, Target};
use crate::config::Resolved;
use crate::controls::backups::home;
use crate::drill::machine::span;
use crate::drill::metrics;
use crate::drill::status::{Asked, Places, last_passed, operation_of};
use crate::inventory::{DrillPassed, EnvironmentInventory, Gap, Observed};
use crate::model::Control;
use crate::render;

/// How far back a drill that has no `drill_every` is looked for.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// When the drills of one environment passed last.
async fn look(
    global: &Global,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
    now: Timestamp,
) -> BTreeMap<String, Observed<DrillPassed>> {
    let Some(policy) = &resolved.policies.backups else {
        return BTreeMap::new();
    };
    let drills = policy.drill.iter();
    let drills: BTreeMap<&str, &str> = drills
        .map(|(name, drill)| (name.as_str(), drill.source.value.as_str()))
        .collect();
    if drills.is_empty() {
        return BTreeMap::new();
    }
    let bucket = evidence(global, &session.loaded, session.cloud.as_ref()).await;
    let bucket = bucket.map_err(|failure| failure.message);
    let home = home(resolved).unwrap_or_default();
    last_passed(
        &Places {
            cloud: session.cloud.as_ref(),
            state: &session.state,
            sandbox: session.sandbox.as_deref(),
            bucket: match &bucket {
                Ok(bucket) => Ok(bucket.as_ref()),
                Err(e) => Err(e.clone()),
            },
        },
        &Asked {
            target,
            project: &resolved.project,
            home: &home,
            drills,
            every: policy.drill_every.as_ref().map_or(YEAR, |p| p.value.0),
            now,
        },
    )
    .await
}

/// Adds to an inventory when the drills of its environment passed; what cannot be told is a gap.
pub async fn add_to(
    global: &Global,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
    inventory: &mut EnvironmentInventory,
) {
    let policy = resolved.policies.backups.as_ref();
    if policy.is_none_or(|p| p.drill_every.is_none()) {
        return;
    }
    let now = inventory.backups.at.unwrap_or_else(Timestamp::now);
    let found = look(global, session, target, resolved, now).await;
    for (name, passed) in &found {
        if let Observed::Unknown(error) = passed {
            let (operation, text) = operation_of(error);
            inventory.gaps.push(Gap {
                environment: target.environment.clone(),
                account: target.account.clone(),
                region: home(resolved).unwrap_or_default(),
                control: Control::Backups,
                operation: operation.to_owned(),
                resource: Some(format!("drill {name}")),
                error: format!("whether the drill passed cannot be told: {text}"),
            });
        }
    }
    inventory.gaps.sort();
    inventory.backups.drills = found;
}

/// One line of the answer.
struct Line {
    environment: String,
    drill: String,
    source: String,
    passed: Observed<DrillPassed>,
    every: Option<SignedDuration>,
}

impl Line {
    fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(now.duration_since(self.passed.known()?.at))
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match (&self.passed, self.age(now), self.every) {
            (Observed::Unknown(_), _, _) => "unobserved",
            (_, Some(age), Some(every)) if age <= every => "ok",
            (_, Some(_), None) => "ok",
            _ => "overdue",
        }
    }
}

pub(super) async fn run(global: &Global, args: &StatusArgs) -> Outcome {
    if args.publish && global.sandbox.is_some() {
        return Err(
            Failure::new("--publish is for real accounts: rehearsals are not published")
                .help("leave --publish out"),
        );
    }
    let opened = Opened::new(global, &args.names.names)?;
    opened.guard().await?;
    let session = &opened.session;
    let now = Timestamp::now();
    let mut lines = Vec::new();
    let mut unpublished = Vec::new();
    for (target, resolved) in session.environments(global, None)? {
        let policy = resolved.policies.backups.as_ref();
        let every = policy.and_then(|p| p.drill_every.as_ref());
        let every = every.and_then(|p| SignedDuration::try_from(p.value.0).ok());
        let mut points = Vec::new();
        for (name, passed) in look(global, session, &target, &resolved, now).await {
            let own = |s: &crate::drill::spec::Spec| {
                s.name == name && s.target.environment == target.environment
            };
            let Some((spec, _)) = opened.specs.iter().find(|(s, _)| own(s)) else {
                continue;
            };
            let line = Line {
                environment: target.environment.clone(),
                source: spec.source.clone(),
                drill: name,
                passed,
                every,
            };
            points.extend(line.age(now).map(|age| MetricPoint {
                metric: metrics::metric(
                    metrics::DAYS_SINCE_PASSED,
                    &resolved.project,
                    &line.environment,
                    &line.drill,
                ),
                value: age.as_secs_f64().max(0.0) / 86_400.0,
                unit: "None",
            }));
            lines.push(line);
        }
        if args.publish {
            let region = home(&resolved).unwrap_or_default();
            let cloud = session.cloud.as_ref();
            if let Err(e) = metrics::publish(cloud, &target, &region, &points).await {
                unpublished.push(format!("{}: {e}", target.environment));
            }
        }
    }
    emit(global, &opened, &lines, now)?;
    for error in &unpublished {
        let text = format!("the metrics were not published: {error}");
        global.print_failure(&Failure::new(text).help("it needs cloudwatch:PutMetricData"));
    }
    let any = |state: &str| lines.iter().any(|l| l.state(now) == state);
    Ok(match () {
        () if any("unobserved") => exit::BLIND,
        () if any("overdue") => exit::ATTENTION,
        () if !unpublished.is_empty() => exit::FAILED,
        () => exit::OK,
    })
}

fn emit(global: &Global, opened: &Opened, lines: &[Line], now: Timestamp) -> Result<(), Failure> {
    if global.format == Format::Json {
        let mut document = head(global, Some(opened));
        document["drills"] = json!([]);
        let status = lines.iter().map(|line| {
            let passed = line.passed.known();
            json!({
                "environment": line.environment, "drill": line.drill, "source": line.source,
                "state": line.state(now),
                "last_passed": passed.map(|p| p.at.to_string()),
                "shown_by": passed.map(|p| &p.shown_by),
                "age_seconds": line.age(now).map(|a| a.as_secs_f64()),
                "drill_every_seconds": line.every.map(|e| e.as_secs_f64()),
                "error": match &line.passed { Observed::Unknown(e) => Some(e), _ => None },
            })
        });
        document["status"] = json!(status.collect::<Vec<_>>());
        return global.emit_json(&document);
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let last = match (&line.passed, line.age(now)) {
                (Observed::Known(p), Some(age)) => {
                    format!("{} ago ({})", span(age.as_secs_f64()), p.shown_by)
                }
                (Observed::Unknown(e), _) => format!("not seen: {e}"),
                _ => "never, as far as there is any trace".to_owned(),
            };
            let every = line.every.map_or("–".to_owned(), |e| span(e.as_secs_f64()));
            vec![
                line.environment.clone(),
                line.drill.clone(),
                line.source.clone(),
                line.state(now).to_owned(),
                last,
                every,
            ]
        })
        .collect();
    let names = [
        "environment",
        "drill",
        "source",
        "state",
        "last passed",
        "asked for every",
    ];
    let markdown = global.format == Format::Markdown;
    global.emit(&render::table(&names, &rows, markdown))
}
