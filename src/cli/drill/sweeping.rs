//! `opsctl drill gc`, and what every run does first: what killed runs left behind is removed.

use serde_json::json;

use super::{Opened, evidence, head, state};
use crate::cli::context::Progress;
use crate::cli::session::project_dir;
use crate::cli::{Failure, Format, Global, Outcome, exit};
use crate::cloud::Target;
use crate::cloud::copies::CopyKind;
use crate::config::load::WORKSPACE_FILE;
use crate::drill::chain::Bucket;
use crate::drill::machine::CLEANUP;
use crate::drill::probe::Connection;
use crate::drill::spec::{SourceId, Spec, TIMEOUT};
use crate::drill::sweep::{Place, Sweep, Swept, sweep};
use crate::render::{self, SweptView};

/// What a drill of a source restores; an instance of a cluster goes before the cluster.
fn kinds_of(id: &SourceId) -> &'static [CopyKind] {
    match id {
        SourceId::Rds(_) | SourceId::Aurora(_) => &[CopyKind::Instance, CopyKind::Cluster],
        SourceId::DynamoDb(_) => &[CopyKind::Table],
        SourceId::Dump { .. } => &[],
    }
}

/// Where copies can be: every environment, so that each journal can be finished. Copies without a
/// journal are looked for where `searched` says so; where there is no drill in the whole project any
/// more, every kind.
fn places(all: &[(Target, Vec<Spec>)], searched: &dyn Fn(&Target) -> bool) -> Vec<Place> {
    let specs = || all.iter().flat_map(|(_, specs)| specs);
    let none = specs().next().is_none();
    // Two environments may share an account, and another machine may run any of the drills: a copy
    // is old when no run of any of them can be alive.
    let longest = specs().map(|s| s.timeout).max().unwrap_or_default();
    let older_than = longest.max(TIMEOUT) + CLEANUP;
    let mut out: Vec<Place> = all
        .iter()
        .map(|(target, specs)| {
            let mut kinds: Vec<CopyKind> = Vec::new();
            if none {
                kinds.extend([CopyKind::Instance, CopyKind::Cluster, CopyKind::Table]);
            }
            for kind in specs.iter().flat_map(|s| kinds_of(&s.id)) {
                if !kinds.contains(kind) {
                    kinds.push(*kind);
                }
            }
            if !searched(target) {
                kinds.clear();
            }
            Place {
                target: target.clone(),
                kinds,
                older_than,
            }
        })
        .collect();
    // What is in an account is looked for once, however many environments share it.
    for later in 1..out.len() {
        let (before, rest) = out.split_at_mut(later);
        let place = &mut rest[0];
        let same = before.iter_mut().find(|p| {
            !p.kinds.is_empty()
                && p.target.account == place.target.account
                && place
                    .target
                    .regions
                    .iter()
                    .all(|r| p.target.regions.contains(r))
        });
        if let Some(same) = same {
            let more = std::mem::take(&mut place.kinds);
            same.kinds.extend(more);
            same.kinds.sort_by_key(|kind| match kind {
                CopyKind::Instance => 0,
                CopyKind::Cluster => 1,
                CopyKind::Table => 2,
            });
            same.kinds.dedup();
        }
    }
    out
}

/// The scratch server that a drill of an environment names.
fn scratch_of(all: &[(Target, Vec<Spec>)], environment: &str, name: &str) -> Option<Connection> {
    let (_, specs) = all.iter().find(|(t, _)| t.environment == environment)?;
    let url = specs
        .iter()
        .find(|s| s.name == name)?
        .restore
        .scratch
        .as_ref()?;
    Connection::from_url(url, std::env::var("PGPASSWORD").ok()).ok()
}

/// Finishes what dead runs began, and gives the evidence bucket; and whether nothing was left that
/// could not be removed.
pub(super) async fn swept<'a>(
    global: &Global,
    opened: &'a Opened,
) -> Result<(Option<Bucket<'a>>, bool), Failure> {
    let session = &opened.session;
    // What an earlier run left costs money whether records can be kept or not.
    let evidence = evidence(global, &session.loaded, session.cloud.as_ref()).await;
    let resolve = |environment: &str, name: &str| scratch_of(&opened.all, environment, name);
    // The credentials of a narrowed run need not reach the other environments.
    let in_question = |target: &Target| {
        let mut specs = opened.specs.iter();
        specs.any(|(s, _)| s.target.environment == target.environment)
    };
    let places = places(&opened.all, &in_question);
    let swept = sweep(&Sweep {
        state: &session.state,
        bucket: evidence.as_ref().ok().and_then(|b| b.as_ref()),
        resolve: &resolve,
        cloud: Some(session.cloud.as_ref()),
        places: &places,
        dry_run: false,
        progress: &|text| tracing::info!("{text}"),
    })
    .await;
    tell_swept(global, &swept);
    let clean = swept.things.iter().all(|t| t.kept.is_none());
    Ok((evidence?, clean))
}

fn tell_swept(global: &Global, swept: &Swept) {
    for thing in &swept.things {
        match &thing.kept {
            None => global.say(&format!(
                "removed what an earlier drill left: {}",
                thing.what
            )),
            // With -q too: it may cost money.
            Some(why) => global.print_failure(
                &Failure::new(format!(
                    "what an earlier drill left could not be removed: {}: {why}",
                    thing.what
                ))
                .help("`opsctl drill gc` tries again"),
            ),
        }
    }
    for trouble in &swept.trouble {
        global.say(&format!("warning: {trouble}"));
    }
}

pub(super) async fn gc(global: &Global, dry_run: bool) -> Outcome {
    let state = state(global)?;
    // Without any project the folders on this machine can be swept all the same. One that cannot be
    // read is another matter: its accounts would not be looked at.
    let project = project_dir(global)?.is_some_and(|dir| dir.join(WORKSPACE_FILE).is_file());
    let opened = match project || global.sandbox.is_some() {
        true => Some(Opened::open(global)?),
        false => None,
    };
    let bucket = match &opened {
        Some(opened) => {
            let session = &opened.session;
            let found = evidence(global, &session.loaded, session.cloud.as_ref()).await;
            found.unwrap_or_else(|failure| {
                global.say(&format!(
                    "warning: {}; records stay on this machine until the next run",
                    failure.message
                ));
                None
            })
        }
        None => None,
    };
    let all = opened.as_ref().map_or(&[][..], |o| &o.all);
    let resolve = |environment: &str, name: &str| scratch_of(all, environment, name);
    let chosen = |target: &Target| {
        global.environments.is_empty() || global.environments.contains(&target.environment)
    };
    let places = places(all, &chosen);
    let shown = Progress::spinner(global, "gc");
    let swept = sweep(&Sweep {
        state: &state,
        bucket: bucket.as_ref(),
        resolve: &resolve,
        cloud: opened.as_ref().map(|o| o.session.cloud.as_ref()),
        places: &places,
        dry_run,
        progress: &|text| shown.say(text.to_owned()),
    })
    .await;
    drop(shown);
    let clean = swept.is_clean();
    let view = SweptView {
        dry_run,
        records: swept.records.into_iter().map(|a| a.record).collect(),
        things: swept.things,
        young: swept.young,
        trouble: swept.trouble,
    };
    match global.format {
        Format::Json => {
            let mut document = head(global, None);
            document["drills"] = json!(view.records);
            document["dry_run"] = json!(view.dry_run);
            document["leftovers"] = json!(view.things);
            document["left_alone"] = json!(view.young);
            document["trouble"] = json!(view.trouble);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_swept(&view))?,
        _ => global.show(&render::human::drill_swept(&view, &global.style()))?,
    }
    Ok(match clean {
        true => exit::OK,
        false => exit::FAILED,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_narrowed_run_knows_the_drills_of_all_environments() {
        let drill = |environment: &str, source: &str, hours: u64| {
            let mut spec = Spec::sample(source);
            spec.target.environment = environment.to_owned();
            spec.timeout = Duration::from_secs(hours * 3600);
            (spec.target.clone(), vec![spec])
        };
        let all = [
            drill("prod", "rds:orders", 9),
            drill("staging", "dynamodb:Orders", 1),
        ];
        let found = places(&all, &|t| t.environment == "staging");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].kinds, [], "only for its journals");
        assert_eq!(found[1].kinds, [CopyKind::Table]);
        let nine_hours = Duration::from_secs(9 * 3600);
        assert!(found.iter().all(|p| p.older_than == nine_hours + CLEANUP));

        let short = places(&all[1..], &|_| true);
        assert_eq!(short[0].older_than, TIMEOUT + CLEANUP);

        let none = [(all[0].0.clone(), Vec::new())];
        assert_eq!(places(&none, &|_| true)[0].kinds.len(), 3);
    }
}
