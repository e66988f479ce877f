use super::ResourceType;

/// The parts of an Amazon Resource Name, `arn:partition:service:region:account:resource`.
///
/// Source: IAM user guide, "Amazon Resource Names (ARNs)".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        Some(Arn {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// Our name for the type, and the resource's own name.
    pub fn classify(&self) -> (ResourceType, &'a str) {
        let resource = self.resource;
        let split = |separator: char| resource.split_once(separator);
        let known = match self.service {
            "s3" if !resource.contains('/') => Some((ResourceType::S3_BUCKET, resource)),
            "sqs" => Some((ResourceType::SQS_QUEUE, resource)),
            "sns" if !resource.contains(':') => Some((ResourceType::SNS_TOPIC, resource)),
            "lambda" => match split(':') {
                Some(("function", name)) if !name.contains(':') => {
                    Some((ResourceType::LAMBDA_FUNCTION, name))
                }
                _ => None,
            },
            "dynamodb" => match split('/') {
                Some(("table", name)) if !name.contains('/') => {
                    Some((ResourceType::DYNAMODB_TABLE, name))
                }
                _ => None,
            },
            "rds" => match split(':') {
                Some(("db", name)) => Some((ResourceType::RDS_INSTANCE, name)),
                Some(("cluster", name)) => Some((ResourceType::RDS_CLUSTER, name)),
                Some(("snapshot", name)) => Some((ResourceType::RDS_SNAPSHOT, name)),
                Some(("cluster-snapshot", name)) => {
                    Some((ResourceType::RDS_CLUSTER_SNAPSHOT, name))
                }
                _ => None,
            },
            "cloudwatch" => match split(':') {
                Some(("alarm", name)) => Some((ResourceType::CLOUDWATCH_ALARM, name)),
                _ => None,
            },
            "logs" => match split(':') {
                // A log group's ARN is also written with a trailing ":*".
                Some(("log-group", name)) => Some((
                    ResourceType::LOG_GROUP,
                    name.strip_suffix(":*").unwrap_or(name),
                )),
                _ => None,
            },
            "elasticache" => match split(':') {
                Some(("cluster", name)) => Some((ResourceType::ELASTICACHE_CLUSTER, name)),
                Some(("replicationgroup", name)) => {
                    Some((ResourceType::ELASTICACHE_REPLICATION_GROUP, name))
                }
                _ => None,
            },
            _ => None,
        };
        known.unwrap_or_else(|| {
            // API Gateway's begin with a slash: `arn:aws:apigateway:eu-west-1::/restapis/abc`.
            let resource = resource.trim_start_matches('/');
            let (kind, name) = resource
                .split_once(['/', ':'])
                .unwrap_or(("resource", resource));
            (ResourceType::new(format!("{}-{kind}", self.service)), name)
        })
    }
}

/// The partition that a region belongs to. Source: AWS general reference, "Service endpoints".
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_are_named_as_in_addresses() {
        for (arn, kind, name) in [
            ("arn:aws:s3:::logs", "s3-bucket", "logs"),
            (
                "arn:aws:rds:eu-west-1:1:db:orders",
                "rds-instance",
                "orders",
            ),
            (
                "arn:aws:lambda:eu-west-1:1:function:pay",
                "lambda-function",
                "pay",
            ),
            (
                "arn:aws:dynamodb:eu-west-1:1:table/t",
                "dynamodb-table",
                "t",
            ),
            (
                "arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/x:*",
                "log-group",
                "/aws/lambda/x",
            ),
            (
                "arn:aws:cloudwatch:eu-west-1:1:alarm:a: b",
                "cloudwatch-alarm",
                "a: b",
            ),
            (
                "arn:aws:ec2:eu-west-1:1:instance/i-1",
                "ec2-instance",
                "i-1",
            ),
            ("arn:aws:sqs:eu-west-1:1:q.fifo", "sqs-queue", "q.fifo"),
            (
                "arn:aws:apigateway:eu-west-1::/restapis/abc",
                "apigateway-restapis",
                "abc",
            ),
        ] {
            let (found, rest) = Arn::parse(arn).unwrap().classify();
            assert_eq!((found.as_str(), rest), (kind, name));
        }
        assert_eq!(Arn::parse("not-an-arn"), None);
    }
}
