//! The one function that deletes a copy: all guards are inside, and nothing else can delete.
//!
//! [`crate::cloud::copies::Copies::delete`] takes a [`Permit`]. Its fields are private and it is made
//! in one place here, right after the copy was looked at again and every [guard](super::guard) has
//! passed; it does not outlive the call. What changes a copy (its password, its tags) takes an
//! [`Ours`], which [`ours`] gives after the same guards.
//!
//! To remove a copy of any kind:
//!
//! ```text
//! // 1. Before the call that makes it leaves:
//! let intent = copies.now();                              // AWS's clock
//! let thing = Thing::Copy(CopyThing { kind, environment, account, region, id, run_id, intent, source, source_resource_id, cluster, until });
//! context.intent(&thing)?;                                // fsynced
//! // the call, with thing.tags() as its tags
//! // 2. Its answer has come:
//! context.journal.made(&id, &resource_id)?;
//! // 3. In cleanup, whatever happened:
//! let claim = thing.claim(&target, resource_id.as_deref());   // None: the answer was lost
//! let removed = remove(cloud, &claim, Duration::from_secs(2400), &|text| …).await;
//! removed.note(&mut cleanup);
//! ```
//!
//! After a kill the sweep makes the same claim from the journal; without one, [`Claim::from_tags`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::guard::{AGE, Claim, Guard, Proof, guards};
use super::label;
use super::machine::span;
use super::pace::{poll, settle};
use super::record::{Cleanup, seconds};
use crate::cloud::copies::{Copies, CopySeen};
use crate::cloud::{Cloud, CloudError, Target};

/// Leave to delete one copy. Only this file can make one.
#[derive(Debug)]
pub struct Permit {
    target: Target,
    copy: CopySeen,
}

impl Permit {
    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn copy(&self) -> &CopySeen {
        &self.copy
    }
}

/// A copy that has just passed all guards; it may be changed, not deleted.
#[derive(Debug)]
pub struct Ours {
    target: Target,
    copy: CopySeen,
}

impl Ours {
    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn copy(&self) -> &CopySeen {
        &self.copy
    }
}

/// What was found of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing of ours is there; with what was looked at to know that.
    Nothing(String),
    /// Something is there.
    Thing(Box<CopySeen>, Vec<Guard>),
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It was there, and is gone.
    Gone,
    /// It was not there.
    NotThere,
    /// Its run may be alive elsewhere; every other guard passed.
    Young(String),
    /// It is there, and why.
    Kept(String),
}

/// The end of an attempt to remove a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub what: String,
    /// As they stood at the last look; empty if nothing was there.
    pub guards: Vec<Guard>,
    pub removal: Removal,
    /// What was done and looked at, in order.
    pub proof: Vec<String>,
}

impl Removed {
    /// Adds it to the cleanup of a record.
    pub fn note(&self, cleanup: &mut Cleanup) {
        cleanup.proof.extend(self.proof.iter().cloned());
        if let Removal::Kept(why) | Removal::Young(why) = &self.removal {
            cleanup.deleted = false;
            cleanup.proof.push(format!("{}: {why}", self.what));
        }
    }

    fn ended(mut self, removal: Removal) -> Removed {
        self.removal = removal;
        self
    }
}

/// The door that a cloud without copies does not have.
fn door(cloud: &dyn Cloud) -> Result<&dyn Copies, String> {
    cloud
        .copies()
        .ok_or_else(|| "there are no copies in this account".to_owned())
}

/// What bears the name of a claim, or its resource id.
async fn search(copies: &dyn Copies, claim: &Claim) -> Result<Option<CopySeen>, CloudError> {
    let (target, region, kind) = (&claim.target, claim.region.as_str(), claim.kind);
    let named = copies.look(target, region, kind, &claim.id).await?;
    let Proof::Journal {
        resource_id: Some(ours),
    } = &claim.proof
    else {
        return Ok(named);
    };
    let is_ours = |seen: &CopySeen| seen.resource_id.as_ref() == Some(ours);
    if let Some(seen) = named
        && is_ours(&seen)
    {
        return Ok(Some(seen));
    }
    // Renamed, or another one bears the name now.
    let found = copies.find(target, region, kind, Some(ours)).await?;
    Ok(found.into_iter().find(is_ours))
}

/// Looks at what a claim is about, and asks every guard. Changes nothing.
///
/// # Errors
/// It cannot be looked at.
pub async fn examine(cloud: &dyn Cloud, claim: &Claim) -> Result<Found, CloudError> {
    let none = |message: String| CloudError {
        operation: "opsctl".to_owned(),
        code: "NoCopies".to_owned(),
        message,
        maybe_done: false,
    };
    let copies = door(cloud).map_err(none)?;
    // First the account: what another account answers says nothing about this one.
    let account = cloud.caller_account(&claim.target).await?;
    let Some(seen) = search(copies, claim).await? else {
        let id = match &claim.proof {
            Proof::Journal {
                resource_id: Some(id),
            } => format!(" or resource id {id}"),
            _ => String::new(),
        };
        return Ok(Found::Nothing(format!(
            "no {} of the name {}{id} is in {} of account {account}",
            claim.kind, claim.id, claim.region
        )));
    };
    let asked = guards(claim, &seen, Ok(&account), copies.now());
    Ok(Found::Thing(Box::new(seen), asked))
}

/// Why not, of the guards that did not pass.
fn objections(asked: &[Guard]) -> Vec<String> {
    asked
        .iter()
        .filter(|g| !g.passed)
        .map(Guard::to_string)
        .collect()
}

/// Leave to change a copy.
///
/// # Errors
/// It is not there, cannot be looked at, or a guard did not pass.
pub async fn ours(cloud: &dyn Cloud, claim: &Claim) -> Result<Ours, String> {
    match examine(cloud, claim).await.map_err(|e| e.to_string())? {
        Found::Nothing(why) => Err(why),
        Found::Thing(copy, asked) => match objections(&asked) {
            none if none.is_empty() => Ok(Ours {
                target: claim.target.clone(),
                copy: *copy,
            }),
            why => Err(format!(
                "{} is left as it is: {}",
                copy.shown(),
                why.join("; ")
            )),
        },
    }
}

/// The service is not ready for it yet.
fn too_early(error: &CloudError) -> bool {
    let code = error.code.as_str();
    code.contains("InvalidDBInstanceState")
        || code.contains("InvalidDBClusterState")
        || matches!(code, "ResourceInUseException" | "LimitExceededException")
}

fn is_not_found(error: &CloudError) -> bool {
    ["NotFound", "NotFoundFault", "NotFoundException"]
        .iter()
        .any(|end| error.code.ends_with(end))
}

/// Removes a copy and waits until it is gone; the only function that deletes one.
///
/// It looks again before every write and asks every guard. Deletion protection is turned off only
/// after they have passed. Failures that may pass are tried again until `patience` is over.
pub async fn remove(
    cloud: &dyn Cloud,
    claim: &Claim,
    patience: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Removed {
    let began = Instant::now();
    let mut out = Removed {
        what: claim.shown(),
        guards: Vec::new(),
        removal: Removal::NotThere,
        proof: Vec::new(),
    };
    let copies = match door(cloud) {
        Ok(copies) => copies,
        Err(why) => return out.ended(Removal::Kept(why)),
    };
    let mut asked_for = false;
    let mut last_trouble = None;
    loop {
        if began.elapsed() > patience {
            let why = match last_trouble {
                Some(trouble) => format!("not gone within {}: {trouble}", span(seconds(patience))),
                None => format!("not gone within {}", span(seconds(patience))),
            };
            return out.ended(Removal::Kept(why));
        }
        let trouble = match examine(cloud, claim).await {
            Err(e) if !e.is_transient() => {
                return out.ended(Removal::Kept(format!("it cannot be looked at: {e}")));
            }
            Err(e) => Some(e),
            Ok(Found::Nothing(proof)) => {
                if asked_for {
                    out.proof.push(proof);
                    return out.ended(Removal::Gone);
                }
                // A name that was just given away may be unknown for a while, and a call that was
                // cut off may still arrive.
                if settled(claim, copies.now()) {
                    out.proof.push(proof);
                    return out.ended(Removal::NotThere);
                }
                progress("not there; looking again, as it may still appear");
                None
            }
            Ok(Found::Thing(copy, asked)) => {
                out.guards = asked;
                let why = objections(&out.guards);
                if !why.is_empty() {
                    return refused(out, claim, &copy, &why);
                }
                out.what = copy.shown();
                if asked_for || copy.status.eq_ignore_ascii_case("deleting") {
                    progress(&copy.status);
                }
                // Refused by the service for as long as it has instances, which went before it.
                if !copy.members.is_empty() {
                    if began.elapsed() >= settle() {
                        let why = format!("in it there is still {}", copy.members.join(", "));
                        return out.ended(Removal::Kept(why));
                    }
                    tokio::time::sleep(poll()).await;
                    continue;
                }
                let permit = Permit {
                    target: claim.target.clone(),
                    copy: *copy,
                };
                match step(copies, &permit).await {
                    Ok(Some(done)) => {
                        asked_for |= done.starts_with("deletion asked for");
                        out.proof.push(format!("{}: {done}", permit.copy.shown()));
                        None
                    }
                    Ok(None) => {
                        asked_for = true;
                        None
                    }
                    Err(e) if is_not_found(&e) => {
                        asked_for = true;
                        None
                    }
                    Err(e) if e.is_transient() || too_early(&e) => {
                        // Without an answer it may have been done.
                        asked_for |= e.maybe_done;
                        Some(e)
                    }
                    Err(e) => return out.ended(Removal::Kept(e.to_string())),
                }
            }
        };
        if let Some(trouble) = trouble {
            progress(&trouble.to_string());
            last_trouble = Some(trouble.to_string());
        }
        tokio::time::sleep(poll()).await;
    }
}

/// One write at most. What was done, if anything was.
async fn step(copies: &dyn Copies, permit: &Permit) -> Result<Option<String>, CloudError> {
    if permit.copy.status.eq_ignore_ascii_case("deleting") {
        return Ok(None);
    }
    if permit.copy.deletion_protection {
        copies.unprotect(permit).await?;
        return Ok(Some(
            "deletion protection turned off, as all guards had passed".to_owned(),
        ));
    }
    copies.delete(permit).await?;
    let id = permit
        .copy
        .resource_id
        .as_deref()
        .unwrap_or("no resource id");
    Ok(Some(format!(
        "deletion asked for ({id}), as all guards had passed"
    )))
}

/// A guard did not pass.
fn refused(mut out: Removed, claim: &Claim, copy: &CopySeen, why: &[String]) -> Removed {
    let failed: Vec<&Guard> = out.guards.iter().filter(|g| !g.passed).collect();
    if let [only] = failed[..]
        && only.name == AGE
    {
        let why = only.why.clone();
        return out.ended(Removal::Young(why));
    }
    let lost = matches!(claim.proof, Proof::Journal { resource_id: None });
    let older = copy.created.is_some_and(|at| at < claim.intent);
    if lost && older {
        // The name was taken before we asked for it, so the restore was refused: this one was never
        // ours, and nothing of ours is there.
        out.proof.push(format!(
            "{} was there before the run asked for it, so it is another's and is left alone",
            copy.shown()
        ));
        return out.ended(Removal::NotThere);
    }
    let hint = match claim.proof {
        Proof::TagsOnly => {
            format!(
                ". If it is no copy of a drill, take the tag {} off it",
                label::RUN
            )
        }
        Proof::Journal { .. } => String::new(),
    };
    out.ended(Removal::Kept(format!(
        "a guard did not pass: {}{hint}",
        why.join("; ")
    )))
}

/// By how much two times of AWS, each cut to its second, may seem further apart than they are, and as
/// much again.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// Long enough after the intent that what was asked for is there, if it ever will be.
fn settled(claim: &Claim, now: Timestamp) -> bool {
    if matches!(claim.proof, Proof::TagsOnly) {
        return true;
    }
    // Without its sign: a clock that was put back must not keep anybody waiting. AWS tells its time in
    // whole seconds: the two readings may lie one second less apart than they seem.
    now.duration_since(claim.intent).unsigned_abs() >= settle() + WHOLE_SECONDS
}

#[cfg(test)]
mod tests;
