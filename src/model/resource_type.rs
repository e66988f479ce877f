use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A resource type as addresses and policies write it, e.g. `s3-bucket`.
///
/// Open on purpose: the tagging API reports types that opsctl has no listing for; they are named
/// `service-type` after their ARN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceType(Cow<'static, str>);

macro_rules! known {
    ($($name:ident = $text:literal,)*) => {
        impl ResourceType {
            $(pub const $name: ResourceType = ResourceType(Cow::Borrowed($text));)*
            /// The types that opsctl lists through their own service, so that resources
            /// which never had a tag are found too.
            pub const LISTED: &'static [ResourceType] = &[$(Self::$name),*];
        }
    };
}

known! {
    S3_BUCKET = "s3-bucket",
    RDS_INSTANCE = "rds-instance",
    RDS_CLUSTER = "rds-cluster",
    RDS_SNAPSHOT = "rds-snapshot",
    RDS_CLUSTER_SNAPSHOT = "rds-cluster-snapshot",
    LAMBDA_FUNCTION = "lambda-function",
    DYNAMODB_TABLE = "dynamodb-table",
    SQS_QUEUE = "sqs-queue",
    SNS_TOPIC = "sns-topic",
    CLOUDWATCH_ALARM = "cloudwatch-alarm",
    LOG_GROUP = "log-group",
    ELASTICACHE_CLUSTER = "elasticache-cluster",
    ELASTICACHE_REPLICATION_GROUP = "elasticache-replication-group",
}

impl ResourceType {
    pub fn new(name: impl Into<String>) -> Self {
        ResourceType(Cow::Owned(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_listed(&self) -> bool {
        Self::LISTED.contains(self)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
