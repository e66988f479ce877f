//! What every kind of source has in common: the steps, in the words of the machine that runs them.

use std::future::Future;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::chain::Bucket;
use super::journal::{CopyThing, Journal, Note, Thing, intent_note, made_note};
use super::record::{
    CheckRecord, Cleanup, CopyRecord, RecoveryPoint, SourceRecord, StepRecord, now,
};
use super::spec::Spec;

/// Why a drill ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It says something about the backup: the drill failed.
    Failed(String),
    /// The data is good but misses an objective; nothing more is spent on it.
    Missed(String),
    /// It says nothing about the backup: the drill could not run. With what to do about it.
    CouldNotRun(String, Option<String>),
}

impl Stop {
    pub fn could_not_run(why: impl Into<String>) -> Stop {
        Stop::CouldNotRun(why.into(), None)
    }

    pub fn failed(why: impl Into<String>) -> Stop {
        Stop::Failed(why.into())
    }
}

/// What is known before anything is spent or made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preflight {
    pub source: SourceRecord,
    pub region: String,
    pub recovery_point: Option<RecoveryPoint>,
    pub estimated_cost_usd: Decimal,
    /// What the figure is made of.
    pub cost_basis: String,
    /// Seconds until the copy is verified, where there is something to go by.
    pub estimated_seconds: Option<f64>,
    /// What a run would do, in order.
    pub steps: Vec<String>,
    /// What could not be looked at, and does not hold the drill up.
    pub warnings: Vec<String>,
    /// Why the drill ends here: no copy is made of a backup that is not good enough.
    pub stop: Option<Stop>,
}

/// Hears what is going on.
pub trait Listener: Send + Sync {
    /// A step has begun.
    fn step(&self, drill: &str, step: &str);
    /// Something about the step that runs: a state, bytes.
    fn progress(&self, drill: &str, text: &str);
    /// A step has ended.
    fn done(&self, drill: &str, step: &StepRecord);
}

/// Of a run that nobody watches.
pub struct Silent;

impl Listener for Silent {
    fn step(&self, _: &str, _: &str) {}
    fn progress(&self, _: &str, _: &str) {}
    fn done(&self, _: &str, _: &StepRecord) {}
}

/// One run of one drill, as its source sees it.
pub struct Context<'a> {
    pub spec: &'a Spec,
    pub run_id: &'a str,
    pub journal: &'a Journal,
    pub listener: &'a dyn Listener,
    /// Where the journal is kept besides, for machines that lose their disk.
    pub bucket: Option<&'a Bucket<'a>>,
    pub(super) timeline: Mutex<Vec<StepRecord>>,
}

impl Context<'_> {
    /// Runs a step: noted in the journal and the timeline before it begins and when it has ended.
    /// The text that it gives back says what came of it.
    ///
    /// # Errors
    /// Those of the step; or the journal cannot be written, and the step was not begun.
    pub async fn step<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(T, String), Stop>>,
    ) -> Result<T, Stop> {
        self.journal
            .step(name, false)
            .map_err(|e| Stop::could_not_run(format!("the journal cannot be written: {e}")))?;
        self.listener.step(&self.spec.name, name);
        let index = {
            let mut timeline = self.timeline.lock().unwrap_or_else(|e| e.into_inner());
            timeline.push(StepRecord {
                step: name.to_owned(),
                started_at: now(),
                finished_at: None,
                detail: None,
            });
            timeline.len() - 1
        };
        let result = work.await;
        let detail = match &result {
            Ok((_, detail)) => detail.clone(),
            Err(Stop::Failed(why) | Stop::Missed(why) | Stop::CouldNotRun(why, _)) => why.clone(),
        };
        let ended = {
            let mut timeline = self.timeline.lock().unwrap_or_else(|e| e.into_inner());
            timeline.get_mut(index).map(|step| {
                step.finished_at = Some(now());
                step.detail = (!detail.is_empty()).then_some(detail);
                step.clone()
            })
        };
        if let Some(ended) = ended {
            self.listener.done(&self.spec.name, &ended);
        }
        // A lost note of an end is no reason to stop: the sweep looks at things, not at steps.
        let _ = self.journal.step(name, true);
        result.map(|(value, _)| value)
    }

    /// Notes a thing that is about to be made.
    ///
    /// # Errors
    /// The note is not on disk, so the thing must not be made.
    pub fn intent(&self, thing: &Thing) -> Result<(), Stop> {
        self.journal
            .intent(thing)
            .map_err(|e| Stop::could_not_run(format!("the journal cannot be written: {e}")))
    }

    /// Notes a copy that is about to be asked for, and puts the note into the evidence bucket, where
    /// there is one.
    ///
    /// # Errors
    /// The note is not on disk, so the copy must not be made. That it is not in the bucket is only
    /// told: name and tags tell the copy too.
    pub async fn intent_copy(&self, thing: &CopyThing) -> Result<(), Stop> {
        self.intent(&Thing::Copy(thing.clone()))?;
        let note = Note {
            thing: Some(thing.clone()),
            draft: self.journal.last_draft(),
            resource_id: None,
        };
        self.keep(&intent_note(&thing.id), &note).await;
        Ok(())
    }

    /// Notes the resource id that the call that made a copy has answered.
    pub async fn made(&self, thing: &CopyThing, resource_id: &str) {
        if let Err(e) = self.journal.made(&thing.id, resource_id) {
            tracing::warn!("the journal cannot be written: {e}");
        }
        let note = Note {
            thing: None,
            draft: None,
            resource_id: Some(resource_id.to_owned()),
        };
        self.keep(&made_note(&thing.id), &note).await;
    }

    async fn keep(&self, name: &str, note: &Note) {
        if let Some(bucket) = self.bucket
            && let Err(e) = bucket.keep_note(self.run_id, name, note).await
        {
            tracing::warn!("the journal is not in the evidence bucket: {e}");
        }
    }

    pub fn progress(&self, text: &str) {
        self.listener.progress(&self.spec.name, text);
    }
}

/// A kind of source. The machine calls the methods in this order, drops the future of one that is
/// interrupted or out of time, and calls [`Source::cleanup`] in every outcome once
/// [`Source::restore`] has been called.
#[async_trait]
pub trait Source: Send {
    /// Looks at the source and chooses the recovery point. Makes nothing and spends nothing.
    ///
    /// # Errors
    /// The source is not there, or could not be looked at.
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop>;

    /// Begins the copy; every thing it makes is noted by [`Context::intent`] first. Implementations
    /// divide it into steps by [`Context::step`].
    ///
    /// # Errors
    /// The backup could not be restored.
    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop>;

    /// Returns when the copy answers, or never will.
    ///
    /// # Errors
    /// The failure state that the copy is in.
    async fn wait(&mut self, context: &Context<'_>) -> Result<(), Stop>;

    /// Looks at the data. One record for each check, in their order.
    ///
    /// # Errors
    /// The copy cannot be reached at all.
    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop>;

    /// Removes everything that the run made, and proves it. Called again by a retry, so what is
    /// gone already is no error.
    async fn cleanup(&mut self) -> Cleanup;

    /// Facts about the source that only the copy could tell, such as the version of its engine.
    fn learned(&self) -> Option<SourceRecord> {
        None
    }

    /// The recovery point as the copy shows it, where that is older than the preflight could know.
    fn recovery_point(&self) -> Option<RecoveryPoint> {
        None
    }

    /// What was remarkable after the preflight, for the record; handed out once.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
