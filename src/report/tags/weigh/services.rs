//! Which resources a line of a bill is for.

use crate::inventory::Resource;
use crate::model::Arn;

/// Services as ARNs name them, and as bills do.
///
/// Source: names of services in Cost Explorer's SERVICE dimension as AWS's own bills show them.
pub(super) const SERVICES: &[(&[&str], &[&str])] = &[
    (&["apigateway"], &["Amazon API Gateway"]),
    (&["athena"], &["Amazon Athena"]),
    (&["backup"], &["AWS Backup"]),
    (&["cloudfront"], &["Amazon CloudFront"]),
    (&["cloudtrail"], &["AWS CloudTrail"]),
    (
        &["cloudwatch", "logs"],
        &["AmazonCloudWatch", "Amazon CloudWatch"],
    ),
    (&["codebuild"], &["AWS CodeBuild", "CodeBuild"]),
    (&["cognito-idp"], &["Amazon Cognito"]),
    (&["dynamodb"], &["Amazon DynamoDB"]),
    (
        &["ec2"],
        &[
            "Amazon Elastic Compute Cloud - Compute",
            "EC2 - Other",
            "Amazon Virtual Private Cloud",
        ],
    ),
    (&["ecr"], &["Amazon EC2 Container Registry (ECR)"]),
    (&["ecs"], &["Amazon Elastic Container Service"]),
    (
        &["eks"],
        &[
            "Amazon Elastic Container Service for Kubernetes",
            "Amazon Elastic Kubernetes Service",
        ],
    ),
    (&["elasticache"], &["Amazon ElastiCache"]),
    (&["elasticfilesystem"], &["Amazon Elastic File System"]),
    (
        &["elasticloadbalancing"],
        &["Amazon Elastic Load Balancing", "Elastic Load Balancing"],
    ),
    (&["es"], &["Amazon OpenSearch Service"]),
    (&["events"], &["CloudWatch Events", "Amazon EventBridge"]),
    (&["firehose"], &["Amazon Kinesis Firehose"]),
    (&["fsx"], &["Amazon FSx"]),
    (&["glue"], &["AWS Glue"]),
    (&["kafka"], &["Amazon Managed Streaming for Apache Kafka"]),
    (&["kinesis"], &["Amazon Kinesis"]),
    (&["kms"], &["AWS Key Management Service"]),
    (&["lambda"], &["AWS Lambda"]),
    (&["mq"], &["Amazon MQ"]),
    (&["rds"], &["Amazon Relational Database Service"]),
    (&["redshift"], &["Amazon Redshift"]),
    (&["route53"], &["Amazon Route 53"]),
    (&["s3"], &["Amazon Simple Storage Service"]),
    (&["sagemaker"], &["Amazon SageMaker"]),
    (&["secretsmanager"], &["AWS Secrets Manager"]),
    (&["ses"], &["Amazon Simple Email Service"]),
    (&["sns"], &["Amazon Simple Notification Service"]),
    (&["sqs"], &["Amazon Simple Queue Service"]),
    (&["states"], &["AWS Step Functions"]),
    (&["wafv2"], &["AWS WAF"]),
];

/// Index into [`SERVICES`].
pub(super) fn of_arn(service: &str) -> Option<usize> {
    SERVICES
        .iter()
        .position(|(arns, _)| arns.contains(&service))
}

pub(super) fn of_bill(name: &str) -> Option<usize> {
    SERVICES.iter().position(|(_, bills)| bills.contains(&name))
}

pub(super) fn group(resource: &Resource) -> Option<usize> {
    Arn::parse(&resource.arn).and_then(|arn| of_arn(arn.service))
}
