//! The steps of a drill in their order, whatever the source: preflight, restore, wait, verify, clean
//! up, record. An interrupt or the time limit jumps to the cleanup; nothing skips it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chain::{Appended, Bucket, Chain};
use super::journal::Journal;
use super::lock::SourceLock;
use super::metrics::Publisher;
use super::record::{
    CheckRecord, Cleanup, FORMAT_VERSION, Measured, Objective, Outcome, PolicyRef, Record,
    SourceRecord, StepRecord, Trigger, now, seconds,
};
use super::source::{Context, Listener, Source, Stop};
use super::spec::Spec;

/// Most time that the cleanup may take.
pub const CLEANUP: Duration = Duration::from_secs(45 * 60);

/// Everything that a run needs besides its source.
pub struct Request<'a> {
    pub spec: &'a Spec,
    pub run_id: &'a str,
    /// `.opsctl`
    pub state: &'a Path,
    pub sandbox: Option<&'a str>,
    pub trigger: Trigger,
    pub bucket: Option<&'a Bucket<'a>>,
    /// `None`: nothing is published.
    pub metrics: Option<&'a Publisher<'a>>,
    pub cancel: &'a CancellationToken,
    /// What cancelled it, in words.
    pub interrupted_by: &'a (dyn Fn() -> String + Sync),
    pub listener: &'a dyn Listener,
}

/// A run that has ended and is on record.
#[derive(Debug)]
pub struct Finished {
    pub appended: Appended,
    pub journal: PathBuf,
    /// What to do about a drill that could not run.
    pub help: Option<String>,
    pub warnings: Vec<String>,
}

/// Why a run is not on record.
#[derive(Debug)]
pub struct NotRecorded {
    pub why: String,
    /// How it ended all the same; `None`: it could not begin.
    pub result: Option<Outcome>,
}

impl std::fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<String> for NotRecorded {
    fn from(why: String) -> NotRecorded {
        NotRecorded { why, result: None }
    }
}

/// A record with what is known before anything happens.
pub fn draft(spec: &Spec, run_id: &str, sandbox: Option<&str>, trigger: &Trigger) -> Record {
    let at = now();
    Record {
        format_version: FORMAT_VERSION.to_owned(),
        kind: "drill".to_owned(),
        opsctl_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: run_id.to_owned(),
        sequence: 0,
        drill: spec.name.clone(),
        sandbox: sandbox.map(str::to_owned),
        started_at: at,
        finished_at: at,
        triggered_by: trigger.clone(),
        policy: PolicyRef {
            file: spec.policy_file.clone(),
            line: spec.policy_line,
            sha256: spec.policy_sha256.clone(),
        },
        environment: spec.target.environment.clone(),
        account: spec.target.account.clone(),
        region: spec.target.regions.first().cloned().unwrap_or_default(),
        source: SourceRecord {
            id: spec.source.clone(),
            ..SourceRecord::default()
        },
        recovery_point: None,
        copy: None,
        timeline: Vec::new(),
        objective: Objective {
            rto_seconds: spec.rto.map(seconds),
            rpo_seconds: spec.rpo.map(seconds),
        },
        measured: Measured::default(),
        checks: Vec::new(),
        cleanup: Cleanup::default(),
        estimated_cost_usd: "0.00".to_owned(),
        result: Outcome::Aborted,
        reasons: Vec::new(),
        previous_sha256: None,
        sha256: String::new(),
    }
}

/// How the part before the cleanup ended.
enum End {
    Whole,
    Stopped(Stop),
    Interrupted,
    OutOfTime,
}

/// Runs a drill from its lock to its record.
///
/// # Errors
/// It could not begin, or its record could not be written; everything else is in the record.
pub async fn run(
    mut source: Box<dyn Source + '_>,
    request: &Request<'_>,
) -> Result<Finished, NotRecorded> {
    let spec = request.spec;
    let runs = request.state.join("runs");
    let _lock = SourceLock::acquire(&runs, &spec.target.account, &spec.source)?;
    let mut record = draft(spec, request.run_id, request.sandbox, &request.trigger);
    let journal = Journal::begin(&runs, request.run_id, &record)
        .map_err(|e| format!("the journal could not be begun, so nothing was done: {e}"))?;
    let context = Context {
        spec,
        run_id: request.run_id,
        journal: &journal,
        listener: request.listener,
        bucket: request.bucket,
        timeline: Mutex::default(),
    };
    let mut state = State::default();
    let end = {
        let work = body(source.as_mut(), &context, &mut record, &mut state);
        tokio::select! {
            result = work => match result {
                Ok(()) => End::Whole,
                Err(stop) => End::Stopped(stop),
            },
            () = request.cancel.cancelled() => End::Interrupted,
            () = tokio::time::sleep(spec.timeout) => End::OutOfTime,
        }
    };
    if let Some(learned) = source.learned() {
        record.source = learned;
    }
    if let Some(point) = source.recovery_point() {
        record.measured.recovery_point_age_seconds = Some(point.age_seconds);
        record.recovery_point = Some(point);
    }
    record.cleanup = match state.restore_began {
        None => Cleanup {
            deleted: true,
            proof: vec!["nothing had been made".to_owned()],
            ..Cleanup::default()
        },
        Some(_) => clean_up(source.as_mut(), &context).await,
    };
    if let Err(e) = journal.cleaned(&record.cleanup) {
        tracing::warn!("the journal cannot be written: {e}");
    }
    record.timeline = context
        .timeline
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .clone();
    state.warnings.extend(source.warnings());
    let help = judge(&mut record, &state, end, spec, request);
    record.finished_at = now();
    // From here on the result survives whatever happens to the record.
    let in_journal = journal.draft(&record);
    if let Err(e) = &in_journal {
        tracing::warn!("the journal cannot be written: {e}");
    }
    let (result, first) = (record.result, record.reasons.first().cloned());
    let chain = Chain::new(request.state, request.sandbox);
    let recorded = now();
    record.timeline.push(StepRecord {
        step: "record".to_owned(),
        started_at: recorded,
        finished_at: Some(recorded),
        detail: None,
    });
    let appended = chain
        .append(record, request.bucket)
        .await
        .map_err(|e| {
            let ended = match result {
                Outcome::Passed => "passed",
                Outcome::Failed => "failed",
                Outcome::MissedObjective => "missed its objective",
                Outcome::Aborted => "could not run to its end",
            };
            let first = first.map_or_else(String::new, |r| format!(" ({r})"));
            let kept = match in_journal {
                Ok(()) => format!(
                    "The journal has it: {}; `opsctl drill gc` writes the record",
                    journal.path().display()
                ),
                Err(e) => format!(
                    "Neither could the journal ({e}), so nothing but this line has the result: make room, and run the drill again"
                ),
            };
            NotRecorded {
                why: format!(
                    "it {ended}{first}, and the evidence could not be written: {e}. {kept}"
                ),
                result: Some(result),
            }
        })?;
    // What is left is still to be swept, and only an open journal tells of it.
    if appended.record.cleanup.deleted
        && let Err(e) = journal.end(&appended.record.sha256)
    {
        tracing::warn!("the journal cannot be closed: {e}");
    }
    if let Some(publisher) = request.metrics {
        let warning = publisher.push(spec, &appended.record).await;
        state.warnings.extend(warning);
    }
    Ok(Finished {
        appended,
        journal: journal.path().to_owned(),
        help,
        warnings: state.warnings,
    })
}

/// Instants, for a wall clock that is set during a drill must not shorten the recovery.
#[derive(Default)]
struct State {
    restore_began: Option<Instant>,
    available: Option<Instant>,
    verified: Option<Instant>,
    warnings: Vec<String>,
}

/// Everything up to the cleanup. What it learns lands in `record` at once: the future may be
/// dropped at any await.
async fn body(
    source: &mut dyn Source,
    context: &Context<'_>,
    record: &mut Record,
    state: &mut State,
) -> Result<(), Stop> {
    let spec = context.spec;
    let preflight = context
        .step("preflight", async {
            let preflight = source.preflight(now()).await?;
            let detail = match &preflight.recovery_point {
                Some(point) => format!(
                    "{} {}, {} old",
                    point.kind,
                    point.arn,
                    span(point.age_seconds)
                ),
                None => String::new(),
            };
            Ok((preflight, detail))
        })
        .await?;
    if !preflight.region.is_empty() {
        record.region = preflight.region.clone();
    }
    record.source = preflight.source.clone();
    record.recovery_point = preflight.recovery_point.clone();
    record.estimated_cost_usd = money(preflight.estimated_cost_usd);
    let age = preflight.recovery_point.as_ref().map(|p| p.age_seconds);
    record.measured.recovery_point_age_seconds = age;
    state.warnings = preflight.warnings;
    if let Err(e) = context.journal.draft(record) {
        return Err(Stop::could_not_run(format!(
            "the journal cannot be written: {e}"
        )));
    }
    if let Some(stop) = preflight.stop {
        return Err(stop);
    }
    if let (Some(age), Some(rpo)) = (age, spec.rpo)
        && age > seconds(rpo)
    {
        return Err(Stop::Missed(format!(
            "the newest recovery point is {} old, and the objective (RPO) is {}: nothing was restored",
            span(age),
            span(seconds(rpo))
        )));
    }
    if preflight.estimated_cost_usd > spec.cost_usd {
        return Err(Stop::CouldNotRun(
            format!(
                "the drill would cost about {} USD ({}), and limits.cost_usd is {}",
                money(preflight.estimated_cost_usd),
                preflight.cost_basis,
                spec.cost_usd.normalize()
            ),
            Some("raise limits.cost_usd of this drill if that is meant".to_owned()),
        ));
    }
    state.restore_began = Some(Instant::now());
    record.copy = Some(source.restore(context).await?);
    source.wait(context).await?;
    state.available = Some(Instant::now());
    record.checks = context
        .step("verify", async {
            let checks = source.verify(context).await?;
            let passed = checks.iter().filter(|c| c.passed).count();
            let detail = format!("{passed} of {} checks passed", checks.len());
            Ok((checks, detail))
        })
        .await?;
    state.verified = Some(Instant::now());
    Ok(())
}

async fn clean_up(source: &mut dyn Source, context: &Context<'_>) -> Cleanup {
    let done = context
        .step("clean up", async {
            let cleanup = tokio::time::timeout(CLEANUP, source.cleanup())
                .await
                .unwrap_or_else(|_| Cleanup {
                    deleted: false,
                    proof: vec![format!("not done within {}", span(seconds(CLEANUP)))],
                    ..Cleanup::default()
                });
            let detail = cleanup.proof.join("; ");
            Ok((cleanup, detail))
        })
        .await;
    match done {
        Ok(cleanup) => cleanup,
        // The journal cannot be written: the cleanup itself must happen all the same.
        Err(_) => source.cleanup().await,
    }
}

/// Result, reasons and measured times of a run.
fn judge(
    record: &mut Record,
    state: &State,
    end: End,
    spec: &Spec,
    request: &Request<'_>,
) -> Option<String> {
    let mut reasons: Vec<String> = Vec::new();
    let mut help = None;
    let since = |at: Option<Instant>| Some(seconds(at?.duration_since(state.restore_began?)));
    record.measured.time_to_available_seconds = since(state.available);
    record.measured.time_to_verified_seconds = since(state.verified);
    let step = record
        .timeline
        .iter()
        .find(|s| s.finished_at.is_none())
        .map_or_else(String::new, |s| format!(" during `{}`", s.step));
    let mut result = match end {
        End::Whole => {
            reasons.extend(failed_checks(&record.checks));
            let late = too_late(&record.measured, spec.rto);
            match (reasons.is_empty(), late) {
                (false, _) => Outcome::Failed,
                (true, None) => Outcome::Passed,
                (true, Some(late)) => {
                    reasons.push(late);
                    Outcome::MissedObjective
                }
            }
        }
        End::Stopped(Stop::Failed(why)) => {
            reasons.push(why);
            Outcome::Failed
        }
        End::Stopped(Stop::Missed(why)) => {
            reasons.push(why);
            Outcome::MissedObjective
        }
        End::Stopped(Stop::CouldNotRun(why, what)) => {
            reasons.push(why);
            help = what;
            Outcome::Aborted
        }
        End::Interrupted => {
            reasons.push(format!("{}{step}", (request.interrupted_by)()));
            Outcome::Aborted
        }
        End::OutOfTime => {
            reasons.push(format!(
                "not done within limits.timeout ({}){step}",
                span(seconds(spec.timeout))
            ));
            Outcome::Failed
        }
    };
    if !record.cleanup.deleted {
        let left = format!(
            "the cleanup is not complete: {}",
            record.cleanup.proof.join("; ")
        );
        if matches!(result, Outcome::Passed | Outcome::MissedObjective) {
            result = Outcome::Failed;
            reasons.insert(0, left);
        } else {
            reasons.push(left);
        }
        help = help.or(Some("`opsctl drill gc` tries again".to_owned()));
    }
    reasons.extend(no_checks(result, &record.checks));
    reasons.extend(state.warnings.iter().map(|w| format!("warning: {w}")));
    record.result = result;
    record.reasons = reasons;
    help
}

/// What each check that did not hold says.
pub fn failed_checks(checks: &[CheckRecord]) -> Vec<String> {
    checks
        .iter()
        .filter(|c| !c.passed)
        .map(|c| match (&c.error, &c.actual) {
            (Some(e), _) => format!("check failed: {}: {e}", c.sql),
            (None, Some(actual)) => {
                format!(
                    "check failed: {} gave {actual}, expected {}",
                    c.sql, c.expect
                )
            }
            (None, None) => format!("check failed: {}", c.sql),
        })
        .collect()
}

/// Why the recovery missed its objective, if it took longer.
pub fn too_late(measured: &Measured, rto: Option<Duration>) -> Option<String> {
    let (took, rto) = measured
        .time_to_verified_seconds
        .zip(rto.map(seconds))
        .filter(|(took, rto)| took > rto)?;
    Some(format!(
        "the data was proven after {}, and the objective (RTO) is {}",
        span(took),
        span(rto)
    ))
}

/// What is remarkable about a drill that passed without looking into the data.
pub fn no_checks(result: Outcome, checks: &[CheckRecord]) -> Option<String> {
    (result == Outcome::Passed && checks.is_empty()).then(|| {
        "there are no checks: this shows that the backup can be restored, not what is in it"
            .to_owned()
    })
}

/// USD with at least two decimals.
pub fn money(usd: rust_decimal::Decimal) -> String {
    format!("{:.2}", usd.round_dp(2))
}

/// A length of time for a sentence: `2 h 5 min`, `41 s`, `3 d 4 h`.
pub fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0);
    if whole < 10.0 {
        return format!("{whole:.1} s");
    }
    let whole = whole.round() as u64;
    let (days, hours, minutes, rest) = (
        whole / 86_400,
        whole / 3600 % 24,
        whole / 60 % 60,
        whole % 60,
    );
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")];
    let from = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    parts[from..]
        .iter()
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}
