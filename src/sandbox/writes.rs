//! What a write does to an account: as strict as AWS, one resource at a time.

use super::world::Account;
use super::{Sandbox, refused};
use crate::cloud::{CloudError, Subject};
use crate::model::Tags;
use crate::model::lifecycle::LifecycleConfiguration;

pub(super) fn lost(operation: &str) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        code: "connection".to_owned(),
        message: "the connection was cut before an answer came".to_owned(),
        maybe_done: true,
    }
}

pub(super) fn each(
    sandbox: &Sandbox,
    account: &mut Account,
    operation: &str,
    resources: &[Subject],
    mut f: impl FnMut(&mut Tags) -> Result<(), String>,
) -> Vec<Result<(), CloudError>> {
    if resources.is_empty() || resources.len() > 20 {
        let e = refused(operation, "InvalidParameterException", "1 to 20 resources");
        return vec![Err(e); resources.len()];
    }
    resources
        .iter()
        .map(|subject| {
            let lose = sandbox.enter(account, operation, &subject.name)?;
            let item = account.resources.get_mut(&subject.arn).ok_or_else(|| {
                refused(operation, "ResourceNotFoundException", subject.arn.clone())
            })?;
            let mut tags = item.tags.clone();
            f(&mut tags).map_err(|e| refused(operation, "InvalidParameterException", e))?;
            item.tags = tags;
            if lose { Err(lost(operation)) } else { Ok(()) }
        })
        .collect()
}

pub(super) fn put_lifecycle(
    sandbox: &Sandbox,
    account: &mut Account,
    region: &str,
    bucket: &str,
    configuration: Option<&LifecycleConfiguration>,
) -> Result<(), CloudError> {
    let operation = match configuration {
        Some(_) => "s3:PutBucketLifecycleConfiguration",
        None => "s3:DeleteBucketLifecycle",
    };
    let lose = sandbox.enter(account, operation, bucket)?;
    let held = account
        .buckets
        .get_mut(bucket)
        .ok_or_else(|| refused(operation, "NoSuchBucket", bucket))?;
    if held.region != region {
        return Err(refused(
            operation,
            "PermanentRedirect",
            format!("the bucket is in {}", held.region),
        ));
    }
    if let Some(violation) = configuration.and_then(|c| c.violations().into_iter().next()) {
        return Err(refused(operation, "InvalidArgument", violation));
    }
    held.lifecycle = configuration.cloned().map(|mut c| {
        c.transition_default_minimum_object_size
            .get_or_insert_with(|| "all_storage_classes_128K".to_owned());
        c
    });
    if lose { Err(lost(operation)) } else { Ok(()) }
}
