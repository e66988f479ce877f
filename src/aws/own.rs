//! Tags by the API of the service that owns the resource.

use std::collections::BTreeSet;

use super::session::Region;
use super::{cloudwatch, dynamodb, elasticache, error, lambda, logs, rds, s3, sns, sqs, tagging};
use crate::cloud::{CloudError, Subject};
use crate::model::{ResourceType, Tags};

/// Calls one function of the module that owns the type; `$other` where none does.
macro_rules! owner {
    ($subject:expr, $function:ident($($argument:expr),*), $other:expr) => {
        match &$subject.kind {
            k if *k == ResourceType::S3_BUCKET => s3::$function($($argument),*).await,
            k if *k == ResourceType::LAMBDA_FUNCTION => lambda::$function($($argument),*).await,
            k if *k == ResourceType::DYNAMODB_TABLE => dynamodb::$function($($argument),*).await,
            k if *k == ResourceType::SQS_QUEUE => sqs::$function($($argument),*).await,
            k if *k == ResourceType::SNS_TOPIC => sns::$function($($argument),*).await,
            k if *k == ResourceType::CLOUDWATCH_ALARM => cloudwatch::$function($($argument),*).await,
            k if *k == ResourceType::LOG_GROUP => logs::$function($($argument),*).await,
            k if k.as_str().starts_with("rds-") => rds::$function($($argument),*).await,
            k if *k == ResourceType::ELASTICACHE_CLUSTER
                || *k == ResourceType::ELASTICACHE_REPLICATION_GROUP =>
            {
                elasticache::$function($($argument),*).await
            }
            _ => $other,
        }
    };
}

/// The tags right now; types without a reader of their own are asked of the tagging API.
pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    let _slot = region.slot().await;
    owner!(
        subject,
        read_tags(region, subject),
        tagging::read_tags(region, subject).await
    )
}

fn unsupported(operation: &str, subject: &Subject) -> CloudError {
    let message = format!("opsctl has no tag call of its own for {}", subject.kind);
    error::own(operation, error::NOT_IMPLEMENTED, message)
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    owner!(
        subject,
        tag(region, subject, set),
        Err(unsupported(tagging::TAG, subject))
    )
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    owner!(
        subject,
        untag(region, subject, keys),
        Err(unsupported(tagging::UNTAG, subject))
    )
}
