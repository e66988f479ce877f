//! Where `[evidence]` keeps what must outlive a machine.

use super::Failure;
use super::session::{guard, target};
use crate::cloud::Cloud;
use crate::cloud::store::BucketPlace;
use crate::config::Loaded;

/// The bucket, and what the keys of this project begin with; the prefix ends with `/`.
pub struct Evidence {
    pub place: BucketPlace,
    pub prefix: String,
}

/// The evidence bucket, where the project has one; nothing of a sandbox ever goes there.
///
/// # Errors
/// It cannot be reached, or the credentials are those of another account.
pub async fn place(
    sandbox: Option<&str>,
    loaded: &Loaded,
    cloud: &dyn Cloud,
) -> Result<Option<Evidence>, Failure> {
    let (Some(workspace), None) = (&loaded.workspace, sandbox) else {
        return Ok(None);
    };
    let Some(evidence) = &workspace.evidence else {
        return Ok(None);
    };
    let Some(environment) = workspace.environments.get(&evidence.environment.value) else {
        return Ok(None);
    };
    let target = target(&evidence.environment, environment);
    guard(cloud, &[&target]).await?;
    let asked_in = target.regions.first().cloned().unwrap_or_default();
    let region = cloud
        .objects()
        .own_bucket_region(&target, &asked_in, &evidence.bucket)
        .await
        .map_err(|e| {
            Failure::new(format!(
                "the evidence bucket {} cannot be reached: {e}",
                evidence.bucket
            ))
        })?;
    Ok(Some(Evidence {
        place: BucketPlace {
            target,
            region,
            bucket: evidence.bucket.clone(),
        },
        prefix: format!("{}{}/", evidence.folder(), workspace.project.name.value),
    }))
}
