//! Looking at records that are there: list, show, verify.

use std::path::Path;

use serde_json::json;

use super::{ListArgs, evidence, head, state};
use crate::cli::session::{aws, project_dir};
use crate::cli::{Failure, Format, Global, Outcome, exit};
use crate::config::Loaded;
use crate::drill::chain::{Chain, Verified};
use crate::drill::record::Record;
use crate::render::{self, DrillView};

/// The chains in question: that of the sandbox asked for, else all of them.
fn chains(global: &Global, state: &Path) -> Vec<Chain> {
    match &global.sandbox {
        Some(scenario) => vec![Chain::new(state, Some(scenario))],
        None => Chain::all(state),
    }
}

/// The project's files, where there is a project whose files are good.
fn project(global: &Global) -> Option<Loaded> {
    let dir = project_dir(global).ok()??;
    let loaded = Loaded::read(Some(&dir));
    loaded.workspace.is_some().then_some(loaded)
}

/// All records, those of the evidence bucket too, in the order of their runs.
async fn all_records(global: &Global) -> Result<Vec<Record>, Failure> {
    let state = state(global)?;
    let mut out: Vec<Record> = Vec::new();
    for chain in chains(global, &state) {
        let (records, bad) = chain.read();
        for text in bad {
            global.say(&format!("warning: {text}"));
        }
        out.extend(records);
    }
    if let Some(loaded) = project(global)
        && loaded
            .workspace
            .as_ref()
            .is_some_and(|w| w.evidence.is_some())
        && global.sandbox.is_none()
    {
        let cloud = aws(global);
        match evidence(global, &loaded, &cloud).await {
            Ok(Some(bucket)) => match bucket.read().await {
                Ok(records) => out.extend(records),
                Err(e) => global.say(&format!("warning: only the records of this machine: {e}")),
            },
            Ok(None) => {}
            Err(e) => global.say(&format!(
                "warning: only the records of this machine: {}",
                e.message
            )),
        }
    }
    out.sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
    out.dedup_by(|a, b| a.sha256 == b.sha256);
    Ok(out)
}

pub(super) async fn list(global: &Global, args: &ListArgs) -> Outcome {
    let mut records = all_records(global).await?;
    records.retain(|r| args.name.as_ref().is_none_or(|name| &r.drill == name));
    records
        .retain(|r| global.environments.is_empty() || global.environments.contains(&r.environment));
    if let Some(last) = args.last {
        records.drain(..records.len().saturating_sub(last));
    }
    match global.format {
        Format::Json => {
            let mut document = head(global, None);
            document["drills"] = json!(records);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_list(&records))?,
        _ => global.show(&render::human::drill_list(&records, &global.style()))?,
    }
    Ok(exit::OK)
}

pub(super) async fn show(global: &Global, run: Option<&str>) -> Outcome {
    let records = all_records(global).await?;
    let mut found: Vec<&Record> = match run {
        Some(run) => records
            .iter()
            .filter(|r| r.run_id.starts_with(run))
            .collect(),
        None => records.last().into_iter().collect(),
    };
    if let Some(exact) = found.iter().position(|r| Some(r.run_id.as_str()) == run) {
        found = vec![found[exact]];
    }
    let record = match found.as_slice() {
        [one] => (*one).clone(),
        [] => {
            let what = run.map_or("no drill has been recorded here".to_owned(), |run| {
                format!("there is no record of a run `{run}`")
            });
            return Err(Failure::new(what).help("`opsctl drill list` shows what there is"));
        }
        many => {
            let ids: Vec<&str> = many.iter().map(|r| r.run_id.as_str()).collect();
            return Err(Failure::new("several runs begin with that").help(ids.join(", ")));
        }
    };
    let path = Chain::new(&state(global)?, record.sandbox.as_deref()).path_of(&record.run_id);
    let view = DrillView {
        path: match path.exists() {
            true => path.display().to_string(),
            false => String::new(),
        },
        journal: String::new(),
        uploaded: String::new(),
        upload_error: None,
        help: None,
        record,
    };
    let views = [view];
    match global.format {
        Format::Json => {
            let mut document = head(global, None);
            document["drills"] = json!([&views[0].record]);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drills(&views))?,
        _ => global.show(&render::human::drills(&views, &global.style()))?,
    }
    Ok(exit::OK)
}

pub(super) async fn verify(global: &Global, local: bool) -> Outcome {
    let state = state(global)?;
    let mut found: Vec<Verified> = chains(global, &state).iter().map(Chain::verify).collect();
    let mut unread = None;
    if !local
        && global.sandbox.is_none()
        && let Some(loaded) = project(global)
        && loaded
            .workspace
            .as_ref()
            .is_some_and(|w| w.evidence.is_some())
    {
        let cloud = aws(global);
        let (records, _) = Chain::new(&state, None).read();
        match evidence(global, &loaded, &cloud).await {
            Ok(Some(bucket)) => match bucket.verify(&records).await {
                Ok(verified) => found.push(verified),
                Err(e) => unread = Some(e),
            },
            Ok(None) => {}
            Err(failure) => unread = Some(failure.message),
        }
    }
    match global.format {
        Format::Json => {
            let mut document = head(global, None);
            document["drills"] = json!([]);
            document["chains"] = json!(found);
            document["intact"] = json!(found.iter().all(|v| v.broken.is_empty()));
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_verified(&found))?,
        _ => global.show(&render::human::drill_verified(&found, &global.style()))?,
    }
    if let Some(why) = &unread {
        global.say(&format!(
            "the records in the bucket could not be read: {why}"
        ));
    }
    // One that waits was never in the bucket: its note would show.
    Ok(match (found.iter().all(|v| v.broken.is_empty()), unread) {
        (false, _) => exit::ATTENTION,
        (true, Some(_)) => exit::BLIND,
        (true, None) => exit::OK,
    })
}
