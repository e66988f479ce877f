//! `opsctl drill run`.

use super::sweeping::swept;
use super::{Opened, RunArgs, emit_records, triggered_by};
use crate::apply::notify::{self, Notice};
use crate::cli::context::{Interrupt, Progress};
use crate::cli::notify::{Attempt, Notifier};
use crate::cli::{Failure, Global, Outcome, exit};
use crate::drill::chain::Bucket;
use crate::drill::journal::new_run_id;
use crate::drill::machine::{self, Finished, Request};
use crate::drill::metrics::Publisher;
use crate::drill::record::{Outcome as Result_, Record, StepRecord};
use crate::drill::source::Listener;
use crate::drill::spec::Spec;
use crate::render::{self, DrillView};

pub(super) struct Shown(pub(super) Progress);

impl Listener for Shown {
    fn step(&self, drill: &str, step: &str) {
        self.0.say(format!("{drill}: {step}"));
    }

    fn progress(&self, drill: &str, text: &str) {
        self.0.say(format!("{drill}: {text}"));
    }

    fn done(&self, drill: &str, step: &StepRecord) {
        tracing::info!(drill, step = step.step, detail = step.detail, "done");
    }
}

/// What ended a run, in words.
pub(super) fn interrupted_by(interrupt: &Interrupt) -> String {
    match interrupt.code() {
        Some(exit::TERMINATED) => "terminated (SIGTERM)".to_owned(),
        _ => "interrupted (SIGINT)".to_owned(),
    }
}

pub(super) async fn run_drills(global: &Global, args: &RunArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let opened = Opened::new(global, &args.names.names)?;
    let session = &opened.session;
    let notifier = Notifier::new(&args.notify, session)?;
    let (bucket, clean) = ready(global, &opened, notifier.as_ref()).await?;
    let trigger = triggered_by();
    let interrupted_by = || interrupted_by(&interrupt);
    let listener = Shown(Progress::spinner(global, "drill"));
    let mut views = Vec::new();
    let mut refused = Vec::new();
    let mut unrecorded = false;
    let home = |spec: &Spec| opened.home(spec);
    let publisher = Publisher {
        cloud: session.cloud.as_ref(),
        home: &home,
    };
    for (spec, _) in &opened.specs {
        if interrupt.code().is_some() {
            break;
        }
        let run_id = new_run_id();
        let request = Request {
            spec,
            run_id: &run_id,
            state: &session.state,
            sandbox: session.sandbox.as_deref(),
            trigger: trigger.clone(),
            bucket: bucket.as_ref(),
            metrics: Some(&publisher),
            cancel: &interrupt.cancel,
            interrupted_by: &interrupted_by,
            listener: &listener,
        };
        let source = match opened.source(spec, &run_id) {
            Ok(source) => source,
            Err(failure) => {
                refused.push(failure);
                continue;
            }
        };
        match machine::run(source, &request).await {
            Ok(finished) => {
                let spoken = &finished.appended.record.reasons;
                for warning in &finished.warnings {
                    // Those of before the record stand in it.
                    if !spoken.iter().any(|r| r.ends_with(warning.as_str())) {
                        global.say(&format!("warning: {warning}"));
                    }
                }
                views.push(view(finished));
            }
            Err(e) => {
                unrecorded |= matches!(e.result, Some(Result_::Failed | Result_::MissedObjective));
                refused.push(Failure::new(format!("drill `{}`: {e}", spec.name)));
            }
        }
    }
    drop(listener);
    for failure in &refused {
        global.print_failure(failure);
    }
    if !views.is_empty() || refused.is_empty() {
        emit_records(global, &opened, &views, &[])?;
    }
    let any = |result: Result_| views.iter().any(|v| v.record.result == result);
    let code = match interrupt.code() {
        Some(code) => code,
        None if unrecorded || any(Result_::Failed) || any(Result_::MissedObjective) => {
            exit::ATTENTION
        }
        None if any(Result_::Aborted) || !refused.is_empty() => exit::FAILED,
        None if views.iter().any(|v| v.upload_error.is_some()) => exit::FAILED,
        // It costs money, and an unattended run must not call that fine.
        None if !clean => exit::FAILED,
        None => exit::OK,
    };
    Ok(tell(global, &opened, notifier, &views, &refused, code).await)
}

/// Tells those who are to be notified; the exit code is that of the run, or says that it failed.
pub(super) async fn tell(
    global: &Global,
    opened: &Opened,
    notifier: Option<Notifier>,
    views: &[DrillView],
    refused: &[Failure],
    code: i32,
) -> i32 {
    let Some(notifier) = notifier else {
        return code;
    };
    let records: Vec<&Record> = views.iter().map(|v| &v.record).collect();
    let notice = notice(opened, &records, refused);
    notifier.tell(global, &opened.session, &notice, code).await
}

/// What is told of a run. Another result is one where a drill came to another end.
fn notice(opened: &Opened, records: &[&Record], refused: &[Failure]) -> Notice {
    let mut lines = render::notice::drills(records);
    if let Some(failure) = refused.first() {
        lines[0].push_str(&format!(", {} could not run", refused.len()));
        lines[2] = render::text::escape(&failure.message);
    }
    let passed = refused.is_empty() && records.iter().all(|r| r.passed());
    let mut parts: Vec<String> = records
        .iter()
        .map(|r| format!("{} {} {:?}", r.environment, r.drill, r.result))
        .collect();
    parts.extend(refused.iter().map(|f| f.message.clone()));
    Notice {
        what: "drill",
        outcome: if passed { "pass" } else { "fail" }.to_owned(),
        attention: !passed,
        lines,
        scope: scope(opened),
        fingerprint: notify::fingerprint(parts.iter().map(String::as_str)),
    }
}

/// What tells one run from another; the same whether it could begin or not.
fn scope(opened: &Opened) -> String {
    let names: Vec<(&str, &str)> = opened
        .specs
        .iter()
        .map(|(s, _)| (s.target.environment.as_str(), s.name.as_str()))
        .collect();
    format!("{names:?}")
}

/// The account guard, and the sweep. Whoever is to be notified hears of it where one of them ends the
/// run.
///
/// # Errors
/// The run must not begin.
pub(super) async fn ready<'a>(
    global: &Global,
    opened: &'a Opened,
    notifier: Option<&Notifier>,
) -> Result<(Option<Bucket<'a>>, bool), Failure> {
    let ready = async {
        opened.guard().await?;
        swept(global, opened).await
    };
    let ready = ready.await;
    if let (Err(failure), Some(notifier)) = (&ready, notifier) {
        let attempt = attempt(opened, failure);
        notifier
            .could_not_run(global, &opened.session, attempt)
            .await;
    }
    ready
}

/// What is told of a run that ended before its first drill.
fn attempt<'a>(opened: &Opened, failure: &'a Failure) -> Attempt<'a> {
    let names: Vec<&str> = opened.specs.iter().map(|(s, _)| s.name.as_str()).collect();
    Attempt {
        what: "drill",
        of: names.join(", "),
        scope: scope(opened),
        failure,
    }
}

pub(super) fn view(finished: Finished) -> DrillView {
    let appended = finished.appended;
    let uploaded = match &appended.uploaded {
        Some((url, Some(lock))) => format!("{url} (locked: {lock})"),
        Some((url, None)) => url.clone(),
        None => String::new(),
    };
    DrillView {
        path: appended.path.display().to_string(),
        journal: finished.journal.display().to_string(),
        uploaded,
        upload_error: appended.upload_error,
        help: finished.help,
        record: appended.record,
    }
}
