//! Copies in the cloud that dead runs left: those that a journal names, and those that only their
//! name and tags tell, because the machine of the run lost its disk.

use std::time::Duration;

use jiff::Timestamp;

use crate::cloud::copies::{CopyKind, CopySeen};
use crate::cloud::{Cloud, CloudError, Target};
use crate::drill::chain::Bucket;
use crate::drill::folder::Leftover;
use crate::drill::guard::{Claim, Guard, Proof};
use crate::drill::journal::{CopyThing, Note, copies_of_unfinished, intent_note, made_note};
use crate::drill::label;
use crate::drill::record::Record;
use crate::drill::remove::{Found, Removal, examine, remove};
use crate::inventory::Observed;

/// Most time that the removal of one copy may take.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// An environment whose copies are looked for.
#[derive(Debug, Clone)]
pub struct Place {
    pub target: Target,
    /// What copies without a journal are looked for.
    pub kinds: Vec<CopyKind>,
    /// The longest that a run of any drill may be alive: a younger copy may belong to one elsewhere.
    pub older_than: Duration,
}

/// What was found of one copy.
#[derive(Debug)]
pub struct Outcome {
    pub left: Leftover,
    /// Nothing of ours was there.
    pub nothing: bool,
    /// Its run may be alive: it is no trouble.
    pub young: bool,
    pub proof: Vec<String>,
}

fn told(guards: &[Guard], passed: bool) -> Vec<String> {
    let those = guards.iter().filter(|g| g.passed == passed);
    those.map(Guard::to_string).collect()
}

/// Removes what a claim is about, or only looks.
pub async fn one(
    cloud: &dyn Cloud,
    claim: &Claim,
    dry_run: bool,
    progress: &(dyn Fn(&str) + Sync),
) -> Outcome {
    let mut out = Outcome {
        left: Leftover {
            what: claim.shown(),
            guards: Vec::new(),
            kept: None,
            removed: false,
        },
        nothing: false,
        young: false,
        proof: Vec::new(),
    };
    if dry_run {
        match examine(cloud, claim).await {
            Err(e) => out.left.kept = Some(format!("it cannot be looked at: {e}")),
            Ok(Found::Nothing(why)) => {
                out.nothing = true;
                out.proof.push(why);
            }
            Ok(Found::Thing(copy, guards)) => {
                out.left.what = copy.shown();
                out.left.guards = told(&guards, true);
                let why = told(&guards, false);
                out.young = guards
                    .iter()
                    .all(|g| g.passed || g.name == crate::drill::guard::AGE)
                    && !why.is_empty();
                out.left.kept = (!why.is_empty()).then(|| why.join("; "));
            }
        }
        return out;
    }
    let removed = remove(cloud, claim, PATIENCE, progress).await;
    out.left.what = removed.what;
    out.left.guards = told(&removed.guards, true);
    out.proof = removed.proof;
    match removed.removal {
        Removal::Gone => out.left.removed = true,
        Removal::NotThere => out.nothing = true,
        Removal::Young(why) => {
            out.young = true;
            out.left.kept = Some(why);
        }
        Removal::Kept(why) => out.left.kept = Some(why),
    }
    out
}

/// A copy without a journal on this machine.
#[derive(Debug)]
pub struct Orphan {
    pub claim: Claim,
    /// From the evidence bucket, where the run kept its notes there.
    pub draft: Option<Record>,
}

/// Everything in an account that bears the tags of a drill and the name of one, but for the copies of
/// `known` runs, and what only looks like that. Instances come before clusters.
///
/// # Errors
/// A listing failed, or the account is another one.
pub async fn orphans(
    cloud: &dyn Cloud,
    place: &Place,
    bucket: Option<&Bucket<'_>>,
    noted: &[Noted],
    known: &[String],
) -> Result<(Vec<Orphan>, Vec<Leftover>), CloudError> {
    let mut out = Vec::new();
    let mut foreign = Vec::new();
    let Some(copies) = cloud.copies() else {
        return Ok((out, foreign));
    };
    // The credentials of a narrowed run need not reach every environment.
    if place.kinds.is_empty() {
        return Ok((out, foreign));
    }
    let target = &place.target;
    let account = cloud.caller_account(target).await?;
    if account != target.account {
        return Err(CloudError {
            operation: "sts:GetCallerIdentity".to_owned(),
            code: "OtherAccount".to_owned(),
            message: format!(
                "the credentials of environment `{}` are those of account {account}, not {}",
                target.environment, target.account
            ),
            maybe_done: false,
        });
    }
    for region in &target.regions {
        for kind in &place.kinds {
            for copy in copies.find(target, region, *kind, None).await? {
                let Some(claim) = Claim::from_tags(target, &copy, place.older_than) else {
                    let noted = noted
                        .iter()
                        .find(|n| n.thing.id == copy.id && n.is_of(target, &copy));
                    match noted {
                        Some(noted) => out.push(noted.orphan(place)),
                        None => foreign.extend(foreigner(&copy)),
                    }
                    continue;
                };
                if known.contains(&claim.run_id) {
                    continue;
                }
                out.push(with_notes(claim, &copy, bucket).await);
            }
        }
    }
    Ok((out, foreign))
}

/// A copy that a run on another machine noted in the evidence bucket.
#[derive(Debug)]
pub struct Noted {
    thing: CopyThing,
    draft: Option<Record>,
    resource_id: Option<String>,
}

impl Noted {
    fn is_of(&self, target: &Target, copy: &CopySeen) -> bool {
        // Environments share accounts and are renamed.
        self.thing.account == target.account
            && self.thing.region == copy.region
            && self.thing.kind == copy.kind
    }

    fn orphan(&self, place: &Place) -> Orphan {
        Orphan {
            claim: Claim {
                older_than: Some(place.older_than),
                ..self.thing.claim(&place.target, self.resource_id.as_deref())
            },
            draft: self.draft.clone(),
        }
    }
}

/// The tables that runs have noted in the evidence bucket, where they left no record there. Only
/// tables: they alone can be without tags, by which all others are found.
///
/// # Errors
/// The bucket could not be read.
pub async fn noted_tables(
    bucket: &Bucket<'_>,
    now: Timestamp,
    known: &[String],
) -> Result<Vec<Noted>, String> {
    let mut out = Vec::new();
    let runs = bucket.recent_notes(now).await?;
    for (run_id, names) in runs.iter().filter(|(run, _)| !known.contains(run)) {
        for copy in copies_of_unfinished(names) {
            let Some(intent) = bucket.note(run_id, &intent_note(copy)).await? else {
                continue;
            };
            let Some(thing) = intent.thing.filter(|t| t.kind == CopyKind::Table) else {
                continue;
            };
            let made = bucket.note(run_id, &made_note(copy)).await?;
            out.push(Noted {
                thing,
                draft: intent.draft,
                resource_id: made.and_then(|n| n.resource_id),
            });
        }
    }
    Ok(out)
}

/// Something that is named like a copy and is none, where there is anything to say about it.
fn foreigner(copy: &CopySeen) -> Option<Leftover> {
    let why = match &copy.tags {
        Observed::Known(tags) if tags.contains_key(label::RUN) => format!(
            "it bears the tag {} and not all three tags of a copy, so it is another's",
            label::RUN
        ),
        // A restore of a table takes no tags, so this may be a copy whose run was killed before it
        // had any.
        Observed::Known(_) => {
            let source = copy.restored_from.as_ref()?;
            format!(
                "it bears no tag of a drill, and DynamoDB says that it was restored from {source}: if a drill was killed, `opsctl drill gc` on its machine knows whether it is its copy; elsewhere look at it, and delete it by hand if it is not needed"
            )
        }
        Observed::Absent => return None,
        Observed::Unknown(why) => format!("its tags cannot be read: {why}"),
    };
    Some(Leftover {
        what: copy.shown(),
        guards: Vec::new(),
        kept: Some(why),
        removed: false,
    })
}

/// What the notes in the evidence bucket say beyond the tags: the resource id above all.
async fn with_notes(claim: Claim, copy: &CopySeen, bucket: Option<&Bucket<'_>>) -> Orphan {
    let read = async |name: String| -> Option<Note> {
        // A run id comes from a tag here: what is no run id is no part of a key.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if claim.run_id.is_empty() || !claim.run_id.chars().all(plain) {
            return None;
        }
        bucket?.note(&claim.run_id, &name).await.ok().flatten()
    };
    let intent = read(intent_note(&copy.id)).await;
    let made = read(made_note(&copy.id)).await;
    let draft = intent.as_ref().and_then(|n| n.draft.clone());
    let thing: Option<CopyThing> = intent.and_then(|n| n.thing);
    let claim = match thing {
        Some(thing) if thing.id == copy.id && thing.account == claim.target.account => Claim {
            older_than: claim.older_than,
            proof: Proof::Journal {
                resource_id: made.and_then(|n| n.resource_id),
            },
            ..thing.claim(&claim.target, None)
        },
        _ => claim,
    };
    Orphan { claim, draft }
}
