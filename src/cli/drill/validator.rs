//! `drill run --as-validator`: answers the restore tests of AWS Backup.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::run::{Shown, interrupted_by, ready, tell, view};
use super::{Opened, RunArgs, emit_records, head, triggered_by};
use crate::cli::context::{Interrupt, Progress};
use crate::cli::notify::Notifier;
use crate::cli::{Failure, Format, Global, Outcome, exit};
use crate::cloud::restore_tests::{RestoreJob, RestoreTests};
use crate::cloud::{CloudError, Target};
use crate::drill::chain::{Bucket, Chain};
use crate::drill::journal::new_run_id;
use crate::drill::machine::Request;
use crate::drill::metrics::Publisher;
use crate::drill::record::Outcome as Result_;
use crate::drill::restore_test::{Standing, copy_of, is_source_of, resource_type};
use crate::drill::spec::{SourceId, Spec};
use crate::drill::validate::{Checker, NotRestored, Task, Validated, is_of_job, run};
use crate::drill::validate_sql::SqlCopy;
use crate::drill::validate_table::TableCopy;

/// How far back jobs are listed: a start window and a validation window of a week each are the most
/// that AWS Backup takes, and a day for the restore.
const BACK: Duration = Duration::from_secs(15 * 86_400);
/// Restores that failed this recently are told about.
const RECENT: Duration = Duration::from_secs(2 * 86_400);

const NOTHING: &str = "nothing to validate: no restore test of AWS Backup waits for an answer";

/// A job and the drill whose checks it gets.
struct Match<'a> {
    spec: &'a Spec,
    region: String,
    job: RestoreJob,
    /// Why AWS Backup could not restore it.
    not_restored: Option<String>,
}

/// A place whose jobs could not be listed.
struct Blind {
    environment: String,
    account: String,
    region: String,
    error: CloudError,
}

impl Blind {
    fn document(&self) -> Value {
        json!({
            "environment": self.environment, "account": self.account, "region": self.region,
            "control": "backups", "operation": self.error.operation, "error": self.error.to_string(),
        })
    }
}

/// What the jobs of all accounts and regions come to.
#[derive(Default)]
struct Looked<'a> {
    matched: Vec<Match<'a>>,
    /// What could not be looked at.
    blind: Vec<Blind>,
    /// Why a job that waits gets no answer although it may be one of ours.
    refused: Vec<String>,
}

/// Environments and regions of the drills that AWS Backup can restore the sources of.
fn places<'a>(specs: &[&'a Spec]) -> Vec<(&'a Target, String)> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for spec in specs {
        for region in &spec.target.regions {
            if seen.insert((spec.target.environment.clone(), region.clone())) {
                out.push((&spec.target, region.clone()));
            }
        }
    }
    out
}

/// What a job's backup is one of, as far as it can be found out.
async fn backed_up(
    tests: &dyn RestoreTests,
    target: &Target,
    region: &str,
    job: &RestoreJob,
) -> Result<Option<String>, String> {
    if job.source_arn.is_some() {
        return Ok(job.source_arn.clone());
    }
    let (Some(vault), Some(point)) = (&job.vault_arn, &job.recovery_point_arn) else {
        return Ok(None);
    };
    tests
        .backed_up(target, region, vault, point)
        .await
        .map_err(|e| e.to_string())
}

/// The drill of a job that waits.
async fn matching<'a>(
    tests: &dyn RestoreTests,
    specs: &[&'a Spec],
    target: &Target,
    region: &str,
    job: &RestoreJob,
) -> Result<Option<(&'a Spec, Option<String>)>, String> {
    let of_kind: Vec<&'a Spec> = specs
        .iter()
        .copied()
        .filter(|s| s.target.environment == target.environment)
        .filter(|s| {
            let kind = job.resource_type.as_deref();
            kind.is_none() || kind == resource_type(&s.id)
        })
        .collect();
    if of_kind.is_empty() {
        return Ok(None);
    }
    let source = backed_up(tests, target, region, job)
        .await
        .map_err(|e| {
            format!(
                "restore job {}: what it restored cannot be seen: {e}",
                job.id
            )
        })?
        .ok_or_else(|| {
            format!(
                "restore job {}: AWS Backup does not say what it restored",
                job.id
            )
        })?;
    let fits: Vec<&'a Spec> = of_kind
        .into_iter()
        .filter(|s| is_source_of(s, &source))
        .collect();
    match fits[..] {
        [] => Ok(None),
        [only] => Ok(Some((only, Some(source)))),
        _ => {
            let names: Vec<&str> = fits.iter().map(|s| s.name.as_str()).collect();
            Err(format!(
                "restore job {}: the drills {} have the source {source}, and a job takes one answer: name one of them",
                job.id,
                names.join(" and ")
            ))
        }
    }
}

/// All jobs that wait, each with its drill.
async fn look<'a>(
    global: &Global,
    tests: &dyn RestoreTests,
    specs: &[&'a Spec],
    now: Timestamp,
) -> Looked<'a> {
    let mut out = Looked::default();
    let ago = |length: Duration| {
        SignedDuration::try_from(length)
            .ok()
            .and_then(|l| now.checked_sub(l).ok())
            .unwrap_or(Timestamp::MIN)
    };
    for (target, region) in places(specs) {
        let jobs = match tests.restore_jobs(target, &region, ago(BACK)).await {
            Ok(jobs) => jobs,
            Err(e) => {
                out.blind.push(Blind {
                    environment: target.environment.clone(),
                    account: target.account.clone(),
                    region: region.clone(),
                    error: e,
                });
                continue;
            }
        };
        for mut job in jobs {
            let standing = Standing::of(&job);
            match &standing {
                Standing::Open => {}
                Standing::NotRestored(why) => {
                    let recent = job.created.is_some_and(|at| at > ago(RECENT));
                    if !recent {
                        continue;
                    }
                    if let Ok(Some((spec, source))) =
                        matching(tests, specs, target, &region, &job).await
                    {
                        // Somebody stopped it: that says nothing about the backup.
                        if job.status != "FAILED" {
                            global.say(&format!(
                                "warning: drill `{}`: restore job {} has no copy to look into: {why}",
                                spec.name, job.id
                            ));
                            continue;
                        }
                        job.source_arn = source;
                        out.matched.push(Match {
                            spec,
                            region: region.clone(),
                            not_restored: Some(why.clone()),
                            job,
                        });
                    }
                    continue;
                }
                _ => continue,
            }
            match matching(tests, specs, target, &region, &job).await {
                Ok(Some((spec, source))) => {
                    job.source_arn = source;
                    out.matched.push(Match {
                        spec,
                        region: region.clone(),
                        job,
                        not_restored: None,
                    });
                }
                Ok(None) => global.say(&format!(
                    "restore job {} ({} of {}) waits for an answer, and no drill here has its source",
                    job.id,
                    job.resource_type.as_deref().unwrap_or("a restore"),
                    job.source_arn.as_deref().unwrap_or("an unknown source"),
                )),
                Err(why) => out.refused.push(why),
            }
        }
    }
    out.matched.sort_by_key(|m| m.job.completed);
    out
}

/// The one job that was named.
async fn look_for<'a>(
    tests: &dyn RestoreTests,
    specs: &[&'a Spec],
    id: &str,
) -> Result<Match<'a>, Failure> {
    let mut blind = Vec::new();
    for (target, region) in places(specs) {
        match tests.restore_job(target, &region, id).await {
            Err(e) => blind.push(e.to_string()),
            Ok(None) => {}
            Ok(Some(mut job)) => {
                if let Some(why) = Standing::of(&job).refusal() {
                    return Err(Failure::new(format!("restore job {id}: {why}")));
                }
                let matched = matching(tests, specs, target, &region, &job)
                    .await
                    .map_err(Failure::new)?;
                let Some((spec, source)) = matched else {
                    return Err(Failure::new(format!(
                        "restore job {id} restored {}, and no drill in question has that source",
                        job.source_arn
                            .as_deref()
                            .or(job.resource_type.as_deref())
                            .unwrap_or("something unknown")
                    )));
                };
                job.source_arn = source;
                return Ok(Match {
                    spec,
                    region,
                    job,
                    not_restored: None,
                });
            }
        }
    }
    let failure = match blind.is_empty() {
        true => Failure::new(format!("there is no restore job `{id}`")),
        false => Failure::new(format!(
            "restore job `{id}` was not found, and not every place could be asked: {}",
            blind.join("; ")
        )),
    };
    Err(failure.help(
        "`aws backup list-restore-jobs` shows the jobs; it has to be in an account and a region of the environments here",
    ))
}

/// What looks into the copy of a job.
fn checker<'a>(opened: &'a Opened, found: &'a Match<'a>) -> Result<Box<dyn Checker + 'a>, String> {
    if let Some(why) = &found.not_restored {
        return Ok(Box::new(NotRestored(why.clone())));
    }
    let id = copy_of(found.spec, &found.job, &found.region)?;
    let copies = opened
        .session
        .cloud
        .copies()
        .ok_or("this cloud has no copies")?;
    if matches!(found.spec.id, SourceId::DynamoDb(_)) {
        let tables = opened
            .session
            .cloud
            .tables()
            .ok_or("this cloud has no tables")?;
        let at = found.job.recovery_point_created;
        return Ok(Box::new(TableCopy::new(
            copies,
            tables,
            &found.region,
            id,
            at,
        )));
    }
    let named = found
        .spec
        .connect
        .as_ref()
        .and_then(|c| c.password_env.as_deref());
    let password = std::env::var(named.unwrap_or("PGPASSWORD")).ok();
    let databases = opened
        .session
        .cloud
        .databases()
        .ok_or("this cloud has no databases")?;
    let region = &found.region;
    Ok(Box::new(SqlCopy::new(
        copies, databases, region, id, password,
    )))
}

struct Work<'a> {
    opened: &'a Opened,
    tests: &'a dyn RestoreTests,
    bucket: Option<&'a Bucket<'a>>,
    interrupt: &'a Interrupt,
    listener: &'a Shown,
    metrics: &'a Publisher<'a>,
}

impl Work<'_> {
    async fn answer(&self, found: &Match<'_>) -> Result<Validated, String> {
        let run_id = new_run_id();
        let interrupted_by = || interrupted_by(self.interrupt);
        let request = Request {
            spec: found.spec,
            run_id: &run_id,
            state: &self.opened.session.state,
            sandbox: None,
            trigger: triggered_by(),
            bucket: self.bucket,
            metrics: Some(self.metrics),
            cancel: &self.interrupt.cancel,
            interrupted_by: &interrupted_by,
            listener: self.listener,
        };
        let mut checker = checker(self.opened, found)?;
        let task = Task {
            job: &found.job,
            region: &found.region,
            tests: self.tests,
        };
        run(checker.as_mut(), &task, &request).await
    }
}

/// Takes out restores that failed and are on record: a failed job is listed for days. Records that
/// cannot be read hide nothing.
async fn on_record_once(looked: &mut Looked<'_>, opened: &Opened, bucket: Option<&Bucket<'_>>) {
    if looked.matched.iter().all(|m| m.not_restored.is_none()) {
        return;
    }
    let (mut records, _) = Chain::new(&opened.session.state, None).read();
    if let Some(bucket) = bucket {
        let oldest = Timestamp::now() - SignedDuration::try_from(RECENT).unwrap_or_default();
        let read = bucket.newest_since(oldest, |record| {
            records.push(record.clone());
            false
        });
        if let Err(e) = read.await {
            tracing::warn!("earlier records: {e}");
        }
    }
    looked
        .matched
        .retain(|m| m.not_restored.is_none() || !records.iter().any(|r| is_of_job(r, &m.job.id)));
}

pub(super) async fn validate(global: &Global, args: &RunArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let opened = Opened::new(global, &args.names.names)?;
    let Some(tests) = opened.session.cloud.restore_tests() else {
        return Err(
            Failure::new("--as-validator: the sandbox has no AWS Backup").help(
                "without --as-validator the drill restores a copy of its own, in the sandbox too",
            ),
        );
    };
    let specs: Vec<&Spec> = opened
        .specs
        .iter()
        .map(|(s, _)| s)
        .filter(|s| resource_type(&s.id).is_some())
        .collect();
    if specs.is_empty() {
        return Err(Failure::new(
            "AWS Backup restores none of the sources in question: rds:, aurora: and dynamodb: only",
        ));
    }
    let notifier = Notifier::new(&args.notify, &opened.session)?;
    let (bucket, clean) = ready(global, &opened, notifier.as_ref()).await?;
    let mut looked = match &args.restore_job {
        Some(id) => Looked {
            matched: vec![look_for(tests, &specs, id).await?],
            ..Looked::default()
        },
        None => look(global, tests, &specs, Timestamp::now()).await,
    };
    on_record_once(&mut looked, &opened, bucket.as_ref()).await;
    let listener = Shown(Progress::spinner(global, "validation"));
    let home = |spec: &Spec| opened.home(spec);
    let publisher = Publisher {
        cloud: opened.session.cloud.as_ref(),
        home: &home,
    };
    let work = Work {
        opened: &opened,
        tests,
        bucket: bucket.as_ref(),
        interrupt: &interrupt,
        listener: &listener,
        metrics: &publisher,
    };
    let mut views = Vec::new();
    let mut answers: Vec<Value> = Vec::new();
    let mut refused: Vec<Failure> = looked.refused.iter().map(Failure::new).collect();
    for found in &looked.matched {
        if interrupt.code().is_some() {
            break;
        }
        match work.answer(found).await {
            Err(e) => refused.push(Failure::new(format!(
                "drill `{}`, restore job {}: {e}",
                found.spec.name, found.job.id
            ))),
            Ok(validated) => {
                let told = match &validated.told {
                    Some(Ok(verdict)) => json!(verdict.as_str()),
                    _ => Value::Null,
                };
                answers.push(json!({
                    "restore_job": found.job.id, "region": found.region,
                    "run_id": validated.finished.appended.record.run_id, "answer": told,
                }));
                if let Some(Err(e)) = &validated.told {
                    refused.push(Failure::new(format!(
                        "drill `{}`, restore job {}: AWS Backup was not told: {e}",
                        found.spec.name, found.job.id
                    )).help("the record has the result; a later run answers the job again while its validation window is open"));
                }
                views.push(view(validated.finished));
            }
        }
    }
    drop(listener);
    for blind in &looked.blind {
        refused.push(Failure::new(format!(
            "{}: the restore jobs cannot be listed: {}",
            blind.environment, blind.error
        )));
    }
    for failure in &refused {
        global.print_failure(failure);
    }
    let failures = refused.len() > looked.blind.len();
    let unobserved: Vec<Value> = looked.blind.iter().map(Blind::document).collect();
    let found_nothing = views.is_empty() && refused.is_empty();
    match (&global.format, views.is_empty()) {
        (Format::Json, true) => {
            let mut document = head(global, Some(&opened));
            document["drills"] = json!([]);
            document["validations"] = json!([]);
            document["unobserved"] = json!(unobserved);
            global.emit_json(&document)?;
        }
        (_, true) if found_nothing => global.emit(&format!("{NOTHING}\n"))?,
        (_, true) => {}
        (_, false) => emit_records(
            global,
            &opened,
            &views,
            &[
                ("validations", json!(answers)),
                ("unobserved", json!(unobserved)),
            ],
        )?,
    }
    let any = |result: Result_| views.iter().any(|v| v.record.result == result);
    let code = match interrupt.code() {
        Some(code) => code,
        None if failures || any(Result_::Aborted) => exit::FAILED,
        None if views.iter().any(|v| v.upload_error.is_some()) => exit::FAILED,
        None if !looked.blind.is_empty() => exit::BLIND,
        None if any(Result_::Failed) || any(Result_::MissedObjective) => exit::ATTENTION,
        None if !clean => exit::FAILED,
        None => exit::OK,
    };
    // A look that found nothing to do is no result.
    if found_nothing {
        return Ok(code);
    }
    Ok(tell(global, &opened, notifier, &views, &refused, code).await)
}
