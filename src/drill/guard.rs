//! The guards before anything happens to a copy: each is a pure question about a [`Claim`] and what
//! was [seen](CopySeen) a moment ago. A fact that could not be read passes no guard.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::label;
use crate::cloud::Target;
use crate::cloud::copies::{CopyKind, CopySeen};
use crate::drill::machine::span;
use crate::drill::record::seconds;
use crate::inventory::Observed;
use crate::model::Tags;

/// States of a thing that has never been ready: only such a one may lack a creation time.
/// Source: RDS user guide, DB instance status; API model, `InstanceCreateTime`.
const NEVER_READY: [&str; 6] = [
    "creating",
    "failed",
    "incompatible-restore",
    "incompatible-network",
    "insufficient-capacity",
    "restore-error",
];

/// Why a thing should be one that a drill of ours made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A journal of the run says so, on this machine or in the evidence bucket.
    Journal {
        /// What the restore answered; `None`: the answer was lost, and the copy is adopted.
        resource_id: Option<String>,
    },
    /// Nothing but its name and tags: the journal is lost.
    TagsOnly,
}

/// A thing that is said to be a copy of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub target: Target,
    pub region: String,
    pub kind: CopyKind,
    /// The name that it was given.
    pub id: String,
    pub run_id: String,
    /// Noted before the copy was asked for, by AWS's clock; the copy bears it as a tag.
    pub intent: Timestamp,
    /// Name of the source.
    pub source: String,
    pub source_resource_id: String,
    pub proof: Proof,
    /// Of a run on another machine: a younger copy may belong to one that is alive.
    pub older_than: Option<Duration>,
    /// Until when its run may be alive, where it says so itself.
    pub until: Option<Timestamp>,
    /// The cluster copy that an instance copy belongs to.
    pub cluster: Option<String>,
}

impl Claim {
    /// Reads a claim from the tags of something whose journal is lost. `None`: it does not bear all
    /// three tags of a drill, so it is none of its copies.
    pub fn from_tags(target: &Target, seen: &CopySeen, older_than: Duration) -> Option<Claim> {
        let tags = seen.tags.known()?;
        Some(Claim {
            target: target.clone(),
            region: seen.region.clone(),
            kind: seen.kind,
            id: seen.id.clone(),
            run_id: tags.get(label::RUN)?.clone(),
            intent: tags.get(label::INTENT)?.parse().ok()?,
            source: String::new(),
            source_resource_id: tags.get(label::SOURCE)?.clone(),
            proof: Proof::TagsOnly,
            older_than: Some(older_than),
            until: tags.get(label::UNTIL).and_then(|t| t.parse().ok()),
            cluster: seen.cluster.clone(),
        })
    }

    pub fn shown(&self) -> String {
        format!("{} {} in {}", self.kind, self.id, self.region)
    }
}

/// One guard and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    pub name: &'static str,
    pub passed: bool,
    pub why: String,
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

fn guard(name: &'static str, result: Result<String, String>) -> Guard {
    let passed = result.is_ok();
    let why = result.unwrap_or_else(|why| why);
    Guard { name, passed, why }
}

/// All guards, in the order in which they are told. `account` is the caller's, by STS; `now` is
/// AWS's clock.
pub fn guards(
    claim: &Claim,
    seen: &CopySeen,
    account: Result<&str, String>,
    now: Timestamp,
) -> Vec<Guard> {
    let mut out = vec![
        guard("account", of_account(claim, seen, account)),
        guard("name", of_name(claim, seen)),
        guard("run tag", tag(claim, seen, label::RUN, &claim.run_id)),
        guard("source tag", of_source_tag(claim, seen)),
        guard(
            "intent tag",
            tag(claim, seen, label::INTENT, &claim.intent.to_string()),
        ),
        guard("created after the intent", of_creation(claim, seen)),
        guard("resource id", of_resource_id(claim, seen)),
        guard("not the source", of_not_the_source(claim, seen)),
        guard("no replicas", of_replicas(seen)),
        guard("stands alone", of_standing_alone(claim, seen)),
    ];
    if let Some(older_than) = claim.older_than {
        out.push(guard(AGE, of_age(claim, seen, older_than, now)));
    }
    out
}

/// The guard that a copy without a journal passes by waiting.
pub const AGE: &str = "older than limits.timeout";

fn of_account(
    claim: &Claim,
    seen: &CopySeen,
    account: Result<&str, String>,
) -> Result<String, String> {
    let expected = &claim.target.account;
    let account = account?;
    if account != expected {
        return Err(format!(
            "the credentials are those of account {account}, not {expected}"
        ));
    }
    let owner = seen.arn.split(':').nth(4).unwrap_or_default();
    if owner != expected {
        return Err(format!("its ARN names account {owner}, not {expected}"));
    }
    Ok(format!("{account}, as configured"))
}

fn of_name(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    if !seen.id.starts_with(label::PREFIX) {
        return Err(format!(
            "{} does not begin with `{}`",
            seen.id,
            label::PREFIX
        ));
    }
    if seen.kind != claim.kind || seen.region != claim.region {
        return Err(format!("it is a {} in {}", seen.kind, seen.region));
    }
    let stamp = label::stamp(&claim.run_id);
    match &claim.proof {
        Proof::Journal { .. } if seen.id == claim.id => {
            Ok(format!("{} is in the journal", seen.id))
        }
        // By another name it is known only by its resource id, which has its own guard.
        Proof::Journal {
            resource_id: Some(_),
        } => Ok(format!("{}, renamed from {}", seen.id, claim.id)),
        Proof::Journal { resource_id: None } => {
            Err(format!("the journal names {}, not {}", claim.id, seen.id))
        }
        Proof::TagsOnly if !stamp.is_empty() && seen.id.ends_with(&stamp) => {
            Ok(format!("{} ends with the run of its tag", seen.id))
        }
        Proof::TagsOnly => Err(format!(
            "{} does not end with the run of its tag, {}",
            seen.id, claim.run_id
        )),
    }
}

fn known(seen: &CopySeen) -> Result<&Tags, String> {
    match &seen.tags {
        Observed::Known(tags) => Ok(tags),
        Observed::Absent => Err("it has no tags".to_owned()),
        Observed::Unknown(why) => Err(format!("its tags cannot be read: {why}")),
    }
}

fn tag(claim: &Claim, seen: &CopySeen, key: &str, expected: &str) -> Result<String, String> {
    match known(seen)?.get(key) {
        Some(value) if value == expected && !value.is_empty() => Ok(format!("{key} = {value}")),
        Some(value) => Err(format!("{key} is {value}, not {expected}")),
        None => of_untagged(claim, seen).map_err(|why| match why.is_empty() {
            true => format!("it has no tag {key}"),
            false => format!("it has no tag {key}, and {why}"),
        }),
    }
}

/// How soon after its intent a table whose answer was lost has to have been made: the call leaves
/// right after the intent is noted, and is not tried again on its own.
const PROMPT: SignedDuration = SignedDuration::from_mins(10);

/// Whether a table may lack a tag of ours. A restore of a table takes no tags (DynamoDB API
/// reference, RestoreTableToPointInTime); they come once it is there, so that a run that was killed
/// in between leaves a copy without. Only its own journal can claim such a one: by the `TableId` that
/// our restore answered, or, with the answer lost, by the exact name, DynamoDB's own word that it was
/// restored from our source, and a creation right after the intent. A tag with another value is never
/// overlooked.
fn of_untagged(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    let Proof::Journal { resource_id } = &claim.proof else {
        return Err(String::new());
    };
    if claim.kind != CopyKind::Table || seen.kind != CopyKind::Table {
        return Err(String::new());
    }
    match resource_id {
        Some(ours) if seen.resource_id.as_ref() == Some(ours) => Ok(format!(
            "not tagged yet; {ours} is what our restore answered"
        )),
        Some(_) => Err("it is not the table that our restore made".to_owned()),
        None => {
            let source = seen
                .arn
                .strip_suffix(&seen.id)
                .map(|start| format!("{start}{}", claim.source));
            let from = seen.restored_from.as_ref();
            if seen.id != claim.id || from.is_none() || from != source.as_ref() {
                return Err(format!(
                    "DynamoDB does not say that it was restored from {}",
                    claim.source
                ));
            }
            let prompt = seen
                .created
                .is_some_and(|at| at >= claim.intent && at.duration_since(claim.intent) <= PROMPT);
            match prompt {
                true => Ok(format!(
                    "not tagged yet; DynamoDB says that it was restored from {}, right after the intent",
                    claim.source
                )),
                false => Err("it was not made right after the intent".to_owned()),
            }
        }
    }
}

fn of_source_tag(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    if claim.source_resource_id.is_empty() {
        return Err("the resource id of the source is not known".to_owned());
    }
    tag(claim, seen, label::SOURCE, &claim.source_resource_id)
}

fn of_creation(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    match seen.created {
        Some(created) if created >= claim.intent => {
            Ok(format!("created {created}, intent {}", claim.intent))
        }
        Some(created) => Err(format!(
            "it was created {created}, before the run noted its intent ({})",
            claim.intent
        )),
        None if NEVER_READY.contains(&seen.status.as_str()) => Ok(format!(
            "it is {} and has no creation time yet, which only a new one lacks",
            seen.status
        )),
        None => Err(format!(
            "its creation time is not known, and it is {}",
            seen.status
        )),
    }
}

fn of_resource_id(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    let there = seen
        .resource_id
        .as_ref()
        .filter(|id| !id.is_empty())
        .ok_or("it has no resource id")?;
    match &claim.proof {
        Proof::Journal {
            resource_id: Some(ours),
        } if ours == there => Ok(format!("{there}, as our restore answered")),
        Proof::Journal {
            resource_id: Some(ours),
        } => Err(format!(
            "it is {there}, and our restore made {ours}: another one bears the name now"
        )),
        Proof::Journal { resource_id: None } => Ok(format!(
            "{there}; the answer to our restore was lost: adopted by name, tags and creation time"
        )),
        Proof::TagsOnly => Ok(format!(
            "{there}; the journal is lost: name, tags and creation time decide"
        )),
    }
}

fn of_not_the_source(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    if seen.id.eq_ignore_ascii_case(&claim.source) {
        return Err(format!("{} is the name of the source", seen.id));
    }
    if seen.resource_id.as_deref() == Some(&claim.source_resource_id) {
        return Err(format!(
            "{} is the resource id of the source",
            claim.source_resource_id
        ));
    }
    Ok(match claim.source.as_str() {
        "" => format!("the source is {}", claim.source_resource_id),
        source => format!("the source is {source} ({})", claim.source_resource_id),
    })
}

fn of_replicas(seen: &CopySeen) -> Result<String, String> {
    if !seen.replicas.is_empty() {
        return Err(format!("{} replicate from it", seen.replicas.join(", ")));
    }
    match &seen.replica_of {
        Some(source) => Err(format!(
            "it replicates from {source}: no restore makes such a one"
        )),
        None => Ok("nothing replicates from it".to_owned()),
    }
}

fn of_standing_alone(claim: &Claim, seen: &CopySeen) -> Result<String, String> {
    match (&seen.cluster, &claim.cluster) {
        (None, None) => {}
        (Some(there), Some(ours)) if there == ours && there.starts_with(label::PREFIX) => {
            return Ok(format!("in {there}, which is the copy's own cluster"));
        }
        (Some(there), _) => return Err(format!("it is in cluster {there}")),
        (None, Some(_)) => return Err("it is in no cluster any more".to_owned()),
    }
    match seen.members.iter().find(|m| !m.starts_with(label::PREFIX)) {
        Some(other) => Err(format!("{other} is in it, which no drill made")),
        None if seen.members.is_empty() => {
            Ok("it is in no cluster and has no instances".to_owned())
        }
        None => Ok(format!("in it is {}", seen.members.join(", "))),
    }
}

fn of_age(
    claim: &Claim,
    seen: &CopySeen,
    older_than: Duration,
    now: Timestamp,
) -> Result<String, String> {
    // The later of the two: a tag alone must not make something old.
    let born = seen.created.unwrap_or(claim.intent).max(claim.intent);
    let age = now.duration_since(born).max(SignedDuration::ZERO);
    let age = Duration::try_from(age).unwrap_or_default();
    if let Some(until) = claim.until.filter(|until| now <= *until) {
        return Err(format!("its run may be alive until {until:.0}"));
    }
    let (age_text, limit) = (span(seconds(age)), span(seconds(older_than)));
    if age <= older_than {
        return Err(format!(
            "it is {age_text} old, and a run may be alive for {limit}"
        ));
    }
    Ok(format!("{age_text} old, longer than {limit}"))
}
