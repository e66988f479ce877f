//! `opsctl drill plan`.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Names, Opened, evidence, head};
use crate::cli::{Format, Global, Outcome, exit};
use crate::drill::chain::Chain;
use crate::drill::journal::new_run_id;
use crate::drill::machine::{money, span};
use crate::drill::record::{Record, now, seconds};
use crate::drill::source::{Preflight, Stop};
use crate::drill::spec::Spec;
use crate::render::{self, DrillPlanView};

/// Records of the evidence bucket that are looked at for the last run of a drill, the newest first.
const LOOK_BACK: usize = 50;

/// The last passed run of each drill, from this machine and then from the evidence bucket: the best
/// guess of how long the next one takes. What cannot be read is left out, as it is no more than that.
async fn last_passes(global: &Global, opened: &Opened) -> BTreeMap<(String, String), Record> {
    let mut out: BTreeMap<(String, String), Record> = BTreeMap::new();
    let mut keep = |record: &Record| {
        if record.passed() {
            let key = (record.environment.clone(), record.drill.clone());
            out.entry(key).or_insert_with(|| record.clone());
        }
        let known = |spec: &Spec| {
            let key = (spec.target.environment.clone(), spec.name.clone());
            out.contains_key(&key)
        };
        opened.specs.iter().all(|(spec, _)| known(spec))
    };
    let session = &opened.session;
    let (records, _) = Chain::new(&session.state, global.sandbox.as_deref()).read();
    if records.iter().rev().any(&mut keep) {
        return out;
    }
    let bucket = evidence(global, &session.loaded, session.cloud.as_ref()).await;
    if let Ok(Some(bucket)) = bucket {
        let mut looked = 0;
        let read = bucket.newest_first(|record| {
            looked += 1;
            keep(record) || looked == LOOK_BACK
        });
        if let Err(e) = read.await {
            tracing::info!("the times of earlier runs are not known: {e}");
        }
    }
    out
}

pub(super) async fn plan(global: &Global, args: &Names) -> Outcome {
    let opened = Opened::new(global, &args.names)?;
    opened.guard().await?;
    let passes = last_passes(global, &opened).await;
    let mut views = Vec::new();
    let mut documents = Vec::new();
    let mut code = exit::OK;
    for (spec, _) in &opened.specs {
        let run_id = new_run_id();
        let looked = match opened.source(spec, &run_id) {
            Ok(mut source) => source.preflight(now()).await,
            Err(failure) => Err(Stop::CouldNotRun(failure.message, failure.help)),
        };
        let last = passes.get(&(spec.target.environment.clone(), spec.name.clone()));
        let view = plan_view(spec, looked, last, &mut code);
        documents.push(json!({
            "drill": view.drill, "environment": view.environment, "source": view.source,
            "recovery_point": view.recovery_point, "objective": view.objective, "cost": view.cost,
            "time": view.time, "limits": view.limits, "policy": view.policy, "steps": view.steps,
            "warnings": view.warnings, "stop": view.stop, "help": view.help,
        }));
        views.push(view);
    }
    match global.format {
        Format::Json => {
            let mut document = head(global, Some(&opened));
            document["drills"] = json!([]);
            document["planned"] = json!(documents);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_plans(&views))?,
        _ => global.show(&render::human::drill_plans(&views, &global.style()))?,
    }
    Ok(code)
}

fn plan_view(
    spec: &Spec,
    looked: Result<Preflight, Stop>,
    last: Option<&Record>,
    code: &mut i32,
) -> DrillPlanView {
    let objective = [("RTO", spec.rto), ("RPO", spec.rpo)]
        .iter()
        .filter_map(|(name, d)| d.map(|d| format!("{name} {}", span(seconds(d)))))
        .collect::<Vec<_>>()
        .join(", ");
    let mut view = DrillPlanView {
        drill: spec.name.clone(),
        environment: spec.target.environment.clone(),
        source: spec.source.clone(),
        objective,
        limits: format!(
            "{} and {} USD",
            span(seconds(spec.timeout)),
            spec.cost_usd.normalize()
        ),
        policy: format!("{}:{}", spec.policy_file, spec.policy_line),
        ..DrillPlanView::default()
    };
    let stop = match looked {
        Err(stop) => Some(stop),
        Ok(preflight) => {
            if let Some(point) = &preflight.recovery_point {
                view.recovery_point = format!(
                    "{} {}, {} old ({} {})",
                    point.kind,
                    point.arn,
                    span(point.age_seconds),
                    point.data_time_basis,
                    point.data_time
                );
            }
            view.cost = format!(
                "about {} USD: {}",
                money(preflight.estimated_cost_usd),
                preflight.cost_basis
            );
            let measured = last.and_then(|r| Some((r, r.measured.time_to_verified_seconds?)));
            view.time = match (measured, preflight.estimated_seconds) {
                (Some((record, took)), _) => {
                    format!("{} the last time ({})", span(took), record.run_id)
                }
                (None, Some(estimate)) => format!("about {}, by its size", span(estimate)),
                (None, None) => "not known before the first run".to_owned(),
            };
            view.steps = preflight.steps;
            view.warnings = preflight.warnings;
            let age = preflight.recovery_point.as_ref().map(|p| p.age_seconds);
            match (preflight.stop, age, spec.rpo) {
                (Some(stop), _, _) => Some(stop),
                (None, Some(age), Some(rpo)) if age > seconds(rpo) => Some(Stop::Missed(format!(
                    "the newest recovery point is {} old, and the objective (RPO) is {}",
                    span(age),
                    span(seconds(rpo))
                ))),
                _ if preflight.estimated_cost_usd > spec.cost_usd => {
                    Some(Stop::could_not_run(format!(
                        "it would cost about {} USD, more than limits.cost_usd",
                        money(preflight.estimated_cost_usd)
                    )))
                }
                _ => None,
            }
        }
    };
    match stop {
        Some(Stop::Failed(why) | Stop::Missed(why)) => {
            view.stop = Some(why);
            *code = exit::ATTENTION;
        }
        Some(Stop::CouldNotRun(why, help)) => {
            view.stop = Some(why);
            view.help = help;
            if *code == exit::OK {
                *code = exit::FAILED;
            }
        }
        None => {}
    }
    view
}
