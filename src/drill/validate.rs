//! A drill whose copy AWS Backup made: the checks of a configured drill on the copy of a restore
//! test, and the answer to AWS Backup. Nothing is restored or deleted here.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::chain::Chain;
use super::journal::Journal;
use super::lock::SourceLock;
use super::machine::{Finished, Request, draft, failed_checks, no_checks, span, too_late};
use super::record::{
    CheckRecord, Cleanup, CopyRecord, Outcome, Record, RecoveryPoint, SourceRecord, StepRecord,
    now, seconds, seconds_between, to_millis,
};
use super::restore_test::is_continuous;
use super::source::{Context, Stop};
use crate::cloud::CloudError;
use crate::cloud::restore_tests::{RestoreJob, RestoreTests, Verdict};

/// Longest message in the answer, in characters. AWS's API model sets no limit and no page names
/// one; a sentence fits every reading of that.
const LONGEST: usize = 500;

/// What the copy turned out to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    pub copy: CopyRecord,
    pub source: SourceRecord,
}

/// Looks into the copy of one job.
#[async_trait]
pub trait Checker: Send {
    /// Finds the copy, as it is known to the service that it belongs to.
    ///
    /// # Errors
    /// It is not there, or not ready.
    async fn find(&mut self, context: &Context<'_>) -> Result<Looked, Stop>;

    /// Runs the checks. One record for each, in their order.
    ///
    /// # Errors
    /// The copy cannot be reached at all.
    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop>;

    /// Ends what was begun to reach the copy.
    async fn close(&mut self);

    /// What was remarkable, for the record; handed out once.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Stands for the copy of a job that AWS Backup could not restore: the result that restore testing is
/// for.
pub struct NotRestored(pub String);

#[async_trait]
impl Checker for NotRestored {
    async fn find(&mut self, _: &Context<'_>) -> Result<Looked, Stop> {
        Err(Stop::failed(format!(
            "AWS Backup could not restore the backup: {}",
            self.0
        )))
    }

    async fn verify(&mut self, _: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        Err(Stop::could_not_run("there is no copy"))
    }

    async fn close(&mut self) {}
}

/// The step of a record in which AWS Backup restored.
const RESTORED: &str = "restore by AWS Backup";

/// Whether a record is that of a restore job.
pub fn is_of_job(record: &Record, job: &str) -> bool {
    let begin = format!("restore job {job} ");
    record.timeline.iter().any(|step| {
        step.step == RESTORED && step.detail.as_ref().is_some_and(|d| d.starts_with(&begin))
    })
}

/// One job and where it is.
pub struct Task<'a> {
    pub job: &'a RestoreJob,
    pub region: &'a str,
    pub tests: &'a dyn RestoreTests,
}

/// A validation that has ended and is on record.
#[derive(Debug)]
pub struct Validated {
    pub finished: Finished,
    /// What AWS Backup was told; `None`: nothing, since nothing is known about the copy.
    pub told: Option<Result<Verdict, CloudError>>,
}

enum End {
    Whole,
    Stopped(Stop),
    Interrupted,
    OutOfTime,
}

/// How old the data was when AWS Backup began to restore it, as far as that is known.
async fn recovery_point(
    task: &Task<'_>,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> Option<RecoveryPoint> {
    let job = task.job;
    let arn = job.recovery_point_arn.clone()?;
    let began = job.created?;
    let (at, basis) = match is_continuous(&arn) {
        false => (job.recovery_point_created, "RecoveryPointCreationDate"),
        true => {
            let metadata = task
                .tests
                .restore_metadata(&request.spec.target, task.region, &job.id)
                .await;
            let metadata = metadata.unwrap_or_else(|e| {
                warnings.push(format!("the parameters of the restore: {e}"));
                BTreeMap::new()
            });
            let time = metadata
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case("restoreTime"))
                .and_then(|(_, value)| value.parse::<Timestamp>().ok());
            (time, "RestoreTime")
        }
    };
    let Some(at) = at else {
        warnings.push(format!(
            "to which moment {arn} was restored is not known: the age of the data is not measured"
        ));
        return None;
    };
    let data_time = to_millis(at);
    Some(RecoveryPoint {
        kind: "backup".to_owned(),
        arn,
        data_time,
        data_time_basis: basis.to_owned(),
        age_seconds: seconds_between(data_time, began),
        size_bytes: job.bytes,
    })
}

/// Whether the plan takes the newest recovery point: of any other the age says nothing about the
/// objective.
async fn takes_the_newest(
    task: &Task<'_>,
    request: &Request<'_>,
    warnings: &mut Vec<String>,
) -> bool {
    let Some(plan) = &task.job.testing_plan_arn else {
        return false;
    };
    let asked = task
        .tests
        .algorithm(&request.spec.target, task.region, plan);
    match asked.await {
        Ok(Some(algorithm)) if algorithm == "LATEST_WITHIN_WINDOW" => true,
        Ok(algorithm) => {
            warnings.push(format!(
                "the plan takes a recovery point by {}, not the newest: its age is not held against the objective",
                algorithm.as_deref().unwrap_or("a way that it does not name")
            ));
            false
        }
        Err(e) => {
            warnings.push(format!(
                "whether the plan takes the newest recovery point cannot be seen, so its age is not held against the objective: {e}"
            ));
            false
        }
    }
}

/// Answers one job: checks its copy, tells AWS Backup, and puts it on record. An interrupt, and
/// whatever keeps the checks from running, leaves the job unanswered.
///
/// # Errors
/// It could not begin, or its record could not be written.
pub async fn run(
    checker: &mut dyn Checker,
    task: &Task<'_>,
    request: &Request<'_>,
) -> Result<Validated, String> {
    let spec = request.spec;
    let job = task.job;
    let runs = request.state.join("runs");
    let _lock = SourceLock::acquire(&runs, &spec.target.account, &spec.source)?;
    let mut record = draft(spec, request.run_id, request.sandbox, &request.trigger);
    record.region = task.region.to_owned();
    record.source.resource_id = job.source_arn.clone();
    let journal = Journal::begin(&runs, request.run_id, &record)
        .map_err(|e| format!("the journal could not be begun, so nothing was done: {e}"))?;
    let plan = job.testing_plan_arn.as_deref().unwrap_or_default();
    let restored = StepRecord {
        step: RESTORED.to_owned(),
        started_at: to_millis(job.created.unwrap_or(record.started_at)),
        finished_at: job.completed.or(job.created).map(to_millis),
        detail: Some(format!("restore job {} of {plan}", job.id)),
    };
    let context = Context {
        spec,
        run_id: request.run_id,
        journal: &journal,
        listener: request.listener,
        bucket: request.bucket,
        timeline: Mutex::new(vec![restored]),
    };
    let mut warnings = Vec::new();
    record.recovery_point = recovery_point(task, request, &mut warnings).await;
    let age = record.recovery_point.as_ref().map(|p| p.age_seconds);
    record.measured.recovery_point_age_seconds = age;
    let judge_age = match (age, spec.rpo) {
        (Some(_), Some(_)) => takes_the_newest(task, request, &mut warnings).await,
        _ => false,
    };
    if let Err(e) = journal.draft(&record) {
        return Err(format!("the journal cannot be written: {e}"));
    }
    let began = now();
    let end = {
        let work = body(checker, &context, &mut record);
        tokio::select! {
            result = work => match result {
                Ok(()) => End::Whole,
                Err(stop) => End::Stopped(stop),
            },
            () = request.cancel.cancelled() => End::Interrupted,
            () = tokio::time::sleep(spec.timeout) => End::OutOfTime,
        }
    };
    let ended = now();
    checker.close().await;
    warnings.extend(checker.warnings());
    let measured = Measure {
        restored: job
            .created
            .zip(job.completed)
            .filter(|_| job.status == "COMPLETED"),
        checked: matches!(end, End::Whole).then(|| seconds_between(began, ended)),
        judge_age,
    };
    let (verdict, help) = judge(&mut record, end, &measured, &warnings, request);
    let proof = match &job.created_arn {
        Some(made) => format!(
            "{made} was made by AWS Backup, which deletes it when the job is answered or its validation window ends; opsctl made nothing"
        ),
        None => "AWS Backup names no copy; opsctl made nothing".to_owned(),
    };
    record.cleanup = Cleanup {
        deleted: false,
        left_to: Some("AWS Backup".to_owned()),
        proof: vec![proof],
    };
    // A restore that failed takes no answer: AWS Backup knows.
    let told = match verdict.filter(|_| job.status == "COMPLETED") {
        Some(verdict) => Some(tell(task, &context, verdict, &record).await),
        None => None,
    };
    if let Some(Err(e)) = &told {
        record.reasons.push(format!(
            "AWS Backup was not told, and its job is still open: {e}"
        ));
    }
    let finished = finish(record, context, request, help, warnings).await?;
    Ok(Validated { finished, told })
}

async fn body(
    checker: &mut dyn Checker,
    context: &Context<'_>,
    record: &mut Record,
) -> Result<(), Stop> {
    let looked = context
        .step("find the copy", async {
            let looked = checker.find(context).await?;
            let detail = looked.copy.id.clone();
            Ok((looked, detail))
        })
        .await?;
    record.copy = Some(looked.copy);
    record.source = SourceRecord {
        id: record.source.id.clone(),
        resource_id: record.source.resource_id.clone(),
        ..looked.source
    };
    record.checks = context
        .step("verify", async {
            let checks = checker.verify(context).await?;
            let passed = checks.iter().filter(|c| c.passed).count();
            let detail = format!("{passed} of {} checks passed", checks.len());
            Ok((checks, detail))
        })
        .await?;
    Ok(())
}

struct Measure {
    /// When AWS Backup began and ended the restore.
    restored: Option<(Timestamp, Timestamp)>,
    /// Seconds from the beginning of the validation until the last check.
    checked: Option<f64>,
    judge_age: bool,
}

/// Result, reasons and times of the record, and what AWS Backup is to be told.
///
/// The time in which the copy waited for its validator is nobody's recovery time: it is left out.
fn judge(
    record: &mut Record,
    end: End,
    measured: &Measure,
    warnings: &[String],
    request: &Request<'_>,
) -> (Option<Verdict>, Option<String>) {
    let spec = request.spec;
    let restored = measured
        .restored
        .map(|(from, to)| seconds_between(from, to));
    record.measured.time_to_available_seconds = restored;
    record.measured.time_to_verified_seconds = restored.zip(measured.checked).map(|(a, b)| a + b);
    let mut reasons = Vec::new();
    let mut help = None;
    let (result, verdict) = match end {
        End::Whole => {
            reasons.extend(failed_checks(&record.checks));
            let failed = !reasons.is_empty();
            let too_old = record
                .measured
                .recovery_point_age_seconds
                .zip(spec.rpo.map(seconds))
                .filter(|(age, rpo)| measured.judge_age && age > rpo);
            if let Some((age, rpo)) = too_old {
                reasons.push(format!(
                    "the recovery point was {} old when it was restored, and the objective (RPO) is {}",
                    span(age),
                    span(rpo)
                ));
            }
            reasons.extend(too_late(&record.measured, spec.rto));
            match (failed, reasons.is_empty()) {
                (true, _) => (Outcome::Failed, Some(Verdict::Failed)),
                (false, false) => (Outcome::MissedObjective, Some(Verdict::Failed)),
                (false, true) => (Outcome::Passed, Some(Verdict::Successful)),
            }
        }
        End::Stopped(Stop::Failed(why) | Stop::Missed(why)) => {
            reasons.push(why);
            (Outcome::Failed, Some(Verdict::Failed))
        }
        End::Stopped(Stop::CouldNotRun(why, what)) => {
            reasons.push(why);
            help = what;
            (Outcome::Aborted, None)
        }
        End::Interrupted => {
            reasons.push((request.interrupted_by)());
            (Outcome::Aborted, None)
        }
        End::OutOfTime => {
            reasons.push(format!(
                "not done within limits.timeout ({})",
                span(seconds(spec.timeout))
            ));
            (Outcome::Failed, Some(Verdict::TimedOut))
        }
    };
    reasons.extend(no_checks(result, &record.checks));
    reasons.extend(warnings.iter().map(|w| format!("warning: {w}")));
    record.result = result;
    record.reasons = reasons;
    if verdict.is_none() {
        let left =
            "the job is not answered; a later run can do it while its validation window is open";
        help = Some(match help {
            Some(what) => format!("{what}; {left}"),
            None => left.to_owned(),
        });
    }
    (verdict, help)
}

/// The sentence for AWS Backup's console.
fn message(record: &Record) -> String {
    let passed = record.checks.iter().filter(|c| c.passed).count();
    let mut text = format!(
        "opsctl drill {}, run {}: {}, {passed} of {} checks passed",
        record.drill,
        record.run_id,
        record.result.as_str(),
        record.checks.len()
    );
    if let Some(reason) = record.reasons.first() {
        text.push_str(". ");
        text.push_str(reason);
    }
    // Whatever a database said goes into a form that a header or a log line takes too.
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match clean.char_indices().nth(LONGEST) {
        None => clean,
        Some(_) => {
            let cut: String = clean.chars().take(LONGEST - 1).collect();
            format!("{cut}…")
        }
    }
}

async fn tell(
    task: &Task<'_>,
    context: &Context<'_>,
    verdict: Verdict,
    record: &Record,
) -> Result<Verdict, CloudError> {
    let text = message(record);
    let target = &context.spec.target;
    let mut failed = None;
    let step = context
        .step("tell AWS Backup", async {
            let put = task
                .tests
                .put_validation(target, task.region, &task.job.id, verdict, &text);
            match put.await {
                Ok(()) => Ok(((), format!("{} for {}", verdict.as_str(), task.job.id))),
                Err(e) => {
                    let why = e.to_string();
                    failed = Some(e);
                    Err(Stop::could_not_run(why))
                }
            }
        })
        .await;
    match (step, failed) {
        (Ok(()), _) => Ok(verdict),
        (Err(_), Some(e)) => Err(e),
        (Err(stop), None) => Err(CloudError {
            operation: "backup:PutRestoreValidationResult".to_owned(),
            code: "journal".to_owned(),
            message: format!("{stop:?}"),
            maybe_done: false,
        }),
    }
}

async fn finish(
    mut record: Record,
    context: Context<'_>,
    request: &Request<'_>,
    help: Option<String>,
    mut warnings: Vec<String>,
) -> Result<Finished, String> {
    let journal = context.journal;
    if let Err(e) = journal.cleaned(&record.cleanup) {
        tracing::warn!("the journal cannot be written: {e}");
    }
    record.timeline = context
        .timeline
        .into_inner()
        .unwrap_or_else(|e| e.into_inner());
    record.finished_at = now();
    let at = now();
    record.timeline.push(StepRecord {
        step: "record".to_owned(),
        started_at: at,
        finished_at: Some(at),
        detail: None,
    });
    let chain = Chain::new(request.state, request.sandbox);
    let appended = chain.append(record, request.bucket).await.map_err(|e| {
        format!(
            "the evidence could not be written: {e}. The journal has it: {}; `opsctl drill gc` writes the record",
            journal.path().display()
        )
    })?;
    if let Err(e) = journal.end(&appended.record.sha256) {
        tracing::warn!("the journal cannot be closed: {e}");
    }
    if let Some(publisher) = request.metrics {
        warnings.extend(publisher.push(request.spec, &appended.record).await);
    }
    Ok(Finished {
        appended,
        journal: journal.path().to_owned(),
        help,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::Trigger;
    use super::super::spec::Spec;
    use super::*;

    #[test]
    fn messages_are_short_and_on_one_line() {
        let spec = Spec::sample("rds:orders");
        let trigger = Trigger {
            kind: "user".to_owned(),
            name: "ada".to_owned(),
            detail: None,
        };
        let mut record = draft(&spec, "run", None, &trigger);
        record.result = Outcome::Failed;
        record.reasons = vec![format!("check failed:\n{}", "ü".repeat(2000))];
        let text = message(&record);
        assert_eq!(text.chars().count(), LONGEST);
        assert!(!text.contains('\n'));
        assert!(text.starts_with("opsctl drill orders, run run: failed, 0 of 0 checks passed. "));
    }
}
