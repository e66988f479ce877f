//! Making a copy so that it can never be lost: the intent is on disk before the call leaves, and a
//! lost answer is looked for by the name that no other run gives.

use std::time::Instant;

use futures::future::BoxFuture;

use super::guard::Guard;
use super::journal::CopyThing;
use super::pace::{poll, settle};
use super::remove::{Found, examine};
use super::source::{Context, Stop};
use crate::cloud::{Cloud, CloudError, Target};

/// Tries of a call that fails for reasons that pass.
const TRIES: u32 = 6;

/// The call that makes the copy; it answers with the resource id. It must not try again by itself.
pub type Call<'a> =
    dyn Fn() -> BoxFuture<'a, Result<Option<String>, CloudError>> + Send + Sync + 'a;

/// Why there is no copy.
#[derive(Debug, Clone)]
pub enum Unmade {
    /// The service refused, and nothing was made.
    Refused(CloudError),
    /// It may have been made.
    Lost(CloudError),
    /// The name is another's.
    Taken(String),
    /// The intent could not be noted, so nothing was asked for.
    NotNoted(Stop),
}

impl Unmade {
    /// Whether the cleanup can leave the name alone.
    pub fn nothing_made(&self) -> bool {
        matches!(self, Unmade::Refused(_) | Unmade::NotNoted(_))
    }
}

/// Notes the intent, makes the copy, and gives its resource id, which is then in the journal. With
/// a lost answer the copy is adopted, if every guard agrees.
///
/// # Errors
/// There is no copy, or nobody can tell.
pub async fn make(
    cloud: &dyn Cloud,
    context: &Context<'_>,
    target: &Target,
    thing: &CopyThing,
    call: &Call<'_>,
) -> Result<String, Unmade> {
    context.intent_copy(thing).await.map_err(Unmade::NotNoted)?;
    let mut unsure = false;
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match call().await {
            Ok(Some(id)) => {
                context.made(thing, &id).await;
                return Ok(id);
            }
            Ok(None) => None,
            Err(e) if e.code.contains("AlreadyExists") || e.code == "TableInUseException" => {
                Some(e)
            }
            Err(e) if e.maybe_done => Some(e),
            Err(e) if e.is_transient() && tries < TRIES => {
                context.progress(&format!("{e}; trying again"));
                tokio::time::sleep(poll()).await;
                continue;
            }
            Err(e) if unsure => return Err(Unmade::Lost(e)),
            Err(e) => return Err(Unmade::Refused(e)),
        };
        unsure = true;
        context.progress("the answer was lost; looking for the copy by its name");
        if let Some(id) = adopt(cloud, target, thing).await? {
            context.made(thing, &id).await;
            return Ok(id);
        }
        if tries >= TRIES {
            return Err(Unmade::Lost(error.unwrap_or_else(|| CloudError {
                operation: "opsctl".to_owned(),
                code: "NoResourceId".to_owned(),
                message: "the answer names no resource id".to_owned(),
                maybe_done: true,
            })));
        }
    }
}

/// The copy under the journalled name, if it is there and every guard agrees.
async fn adopt(
    cloud: &dyn Cloud,
    target: &Target,
    thing: &CopyThing,
) -> Result<Option<String>, Unmade> {
    let claim = thing.claim(target, None);
    let began = Instant::now();
    loop {
        match examine(cloud, &claim).await {
            Ok(Found::Thing(copy, asked)) => {
                let why: Vec<String> = asked
                    .iter()
                    .filter(|g| !g.passed)
                    .map(Guard::to_string)
                    .collect();
                if !why.is_empty() {
                    return Err(Unmade::Taken(format!(
                        "{} is there already, and is not ours: {}",
                        copy.shown(),
                        why.join("; ")
                    )));
                }
                return Ok(copy.resource_id);
            }
            Ok(Found::Nothing(_)) => {}
            Err(e) if e.is_transient() => {}
            Err(e) => return Err(Unmade::Lost(e)),
        }
        if began.elapsed() >= settle() {
            return Ok(None);
        }
        tokio::time::sleep(poll()).await;
    }
}
