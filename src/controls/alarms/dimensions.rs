//! Under which namespace and dimension the metrics of a resource are found.

use std::collections::BTreeMap;

use crate::inventory::Resource;

/// A resource type whose metrics carry one dimension with its name.
pub struct Kind {
    pub kind: &'static str,
    pub namespace: &'static str,
    pub dimension: &'static str,
}

/// Source: the pages "CloudWatch metrics for …" of each service's user guide.
pub const KINDS: [Kind; 11] = [
    kind("rds-instance", "AWS/RDS", "DBInstanceIdentifier"),
    kind("rds-cluster", "AWS/RDS", "DBClusterIdentifier"),
    kind("lambda-function", "AWS/Lambda", "FunctionName"),
    kind("dynamodb-table", "AWS/DynamoDB", "TableName"),
    kind("sqs-queue", "AWS/SQS", "QueueName"),
    kind("sns-topic", "AWS/SNS", "TopicName"),
    kind("log-group", "AWS/Logs", "LogGroupName"),
    kind("elasticache-cluster", "AWS/ElastiCache", "CacheClusterId"),
    kind("ec2-instance", "AWS/EC2", "InstanceId"),
    kind("ecs-cluster", "AWS/ECS", "ClusterName"),
    // Two dimensions: its name is `cluster/service`.
    kind("ecs-service", "AWS/ECS", "ServiceName"),
];

const fn kind(kind: &'static str, namespace: &'static str, dimension: &'static str) -> Kind {
    Kind {
        kind,
        namespace,
        dimension,
    }
}

/// Namespace and dimensions of a resource's metrics.
pub fn of(resource: &Resource) -> Option<(&'static str, BTreeMap<String, String>)> {
    let kind = KINDS.iter().find(|k| k.kind == resource.kind.as_str())?;
    let mut dimensions = BTreeMap::new();
    match (kind.kind, resource.name.split_once('/')) {
        ("ecs-service", Some((cluster, service))) => {
            dimensions.insert("ClusterName".to_owned(), cluster.to_owned());
            dimensions.insert("ServiceName".to_owned(), service.to_owned());
        }
        // The old form of its ARN does not name the cluster.
        ("ecs-service", None) => return None,
        _ => {
            dimensions.insert(kind.dimension.to_owned(), resource.name.clone());
        }
    }
    Some((kind.namespace, dimensions))
}
