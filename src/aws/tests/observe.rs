use std::collections::BTreeSet;

use super::super::observe::observe;
use super::*;
use crate::cloud::Want;
use crate::inventory::{EnvironmentInventory, Observed};
use crate::model::{Control, Tags};

fn everything() -> Want {
    Want {
        tags: true,
        lifecycle: true,
        sizes: true,
        ..Want::default()
    }
}

/// An account in eu-west-1 with one or two resources of some types.
fn account(request: &Request) -> Answer {
    let query = |result: &str| {
        let action = &request.action;
        answer(
            200,
            format!(
                "<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
            ),
        )
    };
    match (request.service.as_str(), request.action.as_str()) {
        ("tagging", "GetResources") if request.body.contains(r#"["s3"]"#) => answer(
            200,
            r#"{"PaginationToken":"","ResourceTagMappingList":[
                {"ResourceARN":"arn:aws:s3:::logs","Tags":[]},
                {"ResourceARN":"arn:aws:s3:eu-west-1:123456789012:accesspoint/p","Tags":[]}]}"#,
        ),
        ("tagging", "GetResources") if request.body.contains("\"second\"") => answer(
            200,
            r#"{"PaginationToken":"","ResourceTagMappingList":[
                {"ResourceARN":"arn:aws:s3:::logs","Tags":[{"Key":"team","Value":"a"}]},
                {"ResourceARN":"arn:aws:sqs:eu-west-1:123456789012:deleted-long-ago","Tags":[]},
                {"ResourceARN":"arn:aws:ec2:eu-west-1:123456789012:instance/i-1","Tags":[]},
                {"ResourceARN":"arn:aws:backup:eu-west-1:123456789012:recovery-point:x","Tags":[]}]}"#,
        ),
        // A page may be empty in the middle.
        ("tagging", "GetResources") => answer(
            200,
            r#"{"PaginationToken":"second","ResourceTagMappingList":[]}"#,
        ),
        ("rds", "DescribeDBInstances") => query(
            "<DBInstances><DBInstance><DBInstanceIdentifier>orders</DBInstanceIdentifier>\
             <DBInstanceArn>arn:aws:rds:eu-west-1:123456789012:db:orders</DBInstanceArn>\
             <TagList><Tag><Key>team</Key><Value>b</Value></Tag></TagList></DBInstance></DBInstances>",
        ),
        ("sqs", "ListQueues") => answer(
            200,
            r#"{"QueueUrls":["http://aws.test/123456789012/jobs"]}"#,
        ),
        ("sns", "ListTopics") => query(
            "<Topics><member><TopicArn>arn:aws:sns:eu-west-1:123456789012:alerts</TopicArn></member></Topics>",
        ),
        ("sns", "ListTagsForResource") => {
            query("<Tags><member><Key>team</Key><Value>c</Value></member></Tags>")
        }
        ("rds" | "sns" | "elasticache", _) => query(""),
        ("resource-explorer-2", _) => answer(
            200,
            r#"{"Resources":[
                {"Arn":"arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-1","OwningAccountId":"123456789012"},
                {"Arn":"arn:aws:ec2:eu-west-1:999999999999:vpc/vpc-2","OwningAccountId":"999999999999"}],
               "Count":{"Complete":true,"TotalResources":2}}"#,
        ),
        // Empty maps of the three protocols.
        ("monitoring", _) => (
            200,
            vec![("smithy-protocol", "rpc-v2-cbor".to_owned())],
            vec![0xa0],
        ),
        ("s3", _) => storage(request),
        _ => answer(200, "{}"),
    }
}

fn storage(request: &Request) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("GET", "/") => answer(
            200,
            "<ListAllMyBucketsResult><Buckets>\
             <Bucket><Name>logs</Name><BucketRegion>eu-west-1</BucketRegion></Bucket>\
             <Bucket><Name>vanished</Name><BucketRegion>eu-west-1</BucketRegion></Bucket>\
             <Bucket><Name>far</Name><BucketRegion>sa-east-1</BucketRegion></Bucket>\
             <Bucket><Name>old</Name></Bucket></Buckets></ListAllMyBucketsResult>",
        ),
        ("HEAD", "/old" | "/old/") => (
            403,
            vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
            Vec::new(),
        ),
        ("GET", "/vanished" | "/vanished/") => s3_error(404, "NoSuchBucket"),
        ("GET", "/old" | "/old/") => s3_error(404, "NoSuchLifecycleConfiguration"),
        ("GET", "/logs" | "/logs/") => answer(
            200,
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter/>\
             <Rehydrate><Days>3</Days></Rehydrate></Rule></LifecycleConfiguration>",
        ),
        other => panic!("unexpected {other:?}"),
    }
}

fn seen_in(regions: &[&str], replay: &Replay, want: &Want) -> EnvironmentInventory {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(observe(&replay.session(regions), want))
}

fn seen(replay: &Replay, want: &Want) -> EnvironmentInventory {
    seen_in(&["eu-west-1"], replay, want)
}

fn tags_of<'a>(inventory: &'a EnvironmentInventory, name: &str) -> &'a Observed<Tags> {
    let found = inventory.resources.iter().find(|r| r.name == name);
    &found.unwrap_or_else(|| panic!("no {name}")).tags
}

fn tags(pairs: &[(&str, &str)]) -> Observed<Tags> {
    let pairs = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Observed::Known(pairs.collect())
}

#[test]
fn tags_come_from_the_best_source() {
    let replay = Replay::new(account);
    let inventory = seen(&replay, &everything());
    assert_eq!(inventory.gaps, []);
    let names: Vec<_> = inventory
        .resources
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["i-1", "vpc-1", "orders", "logs", "old", "alerts", "jobs"]
    );
    // From the listing, from the tagging API, and never tagged.
    assert_eq!(tags_of(&inventory, "orders"), &tags(&[("team", "b")]));
    assert_eq!(tags_of(&inventory, "logs"), &tags(&[("team", "a")]));
    assert_eq!(tags_of(&inventory, "old"), &tags(&[]));
    assert_eq!(tags_of(&inventory, "jobs"), &tags(&[]));
    // The tagging API says nothing about any topic, so SNS is asked; a deleted queue it does tell of.
    assert_eq!(tags_of(&inventory, "alerts"), &tags(&[("team", "c")]));
    assert_eq!(replay.count("ListQueueTags"), 0);
    // Resource Explorer was complete, so no type is only seen where tagged.
    assert_eq!(inventory.types_not_checked, BTreeSet::new());
    assert_eq!(
        inventory.types_checked.len(),
        crate::model::ResourceType::LISTED.len()
    );
}

#[test]
fn buckets_are_found_wherever_they_are() {
    let inventory = seen(&Replay::new(account), &everything());
    assert_eq!(
        inventory.buckets.keys().collect::<Vec<_>>(),
        ["logs", "old"]
    );
    assert_eq!(
        inventory.buckets_elsewhere,
        [("far".to_owned(), "sa-east-1".to_owned())]
    );
    assert_eq!(inventory.buckets["old"].lifecycle, Observed::Absent);
    assert_eq!(inventory.buckets["old"].size, Observed::Absent);
    let logs = &inventory.buckets["logs"];
    assert_eq!(logs.unknown_element.as_deref(), Some("Rule/Rehydrate"));
    let rules = &logs.lifecycle.known().unwrap().rules;
    assert_eq!(rules[0].filter, Some(Default::default()));
}

#[test]
fn every_bucket_is_read_in_its_own_region() {
    let replay =
        Replay::new(
            |request| match (request.region.as_str(), request.path.starts_with("/far")) {
                ("sa-east-1", true) => s3_error(404, "NoSuchLifecycleConfiguration"),
                ("eu-west-1", true) => s3_error(301, "PermanentRedirect"),
                _ => account(request),
            },
        );
    let want = Want {
        tags: false,
        ..everything()
    };
    let inventory = seen_in(&["eu-west-1", "sa-east-1"], &replay, &want);
    assert_eq!(inventory.gaps, []);
    assert_eq!(inventory.buckets["far"].lifecycle, Observed::Absent);
    let lists = replay
        .seen()
        .into_iter()
        .filter(|r| r.service == "s3" && r.path.starts_with("/?"));
    assert_eq!(lists.count(), 1);
}

#[test]
fn failures_become_gaps_of_the_controls_that_need_them() {
    let replay = Replay::new(
        |request| match (request.service.as_str(), request.action.as_str()) {
            ("rds", "DescribeDBInstances") => xml_error(403, "AccessDenied"),
            ("logs", _) => answer(501, "<!doctype html>"),
            ("dynamodb", _) => json_error(400, "SubscriptionRequiredException"),
            ("tagging", _) => json_error(400, "AccessDeniedException"),
            ("sns", "ListTagsForResource") => xml_error(403, "AuthorizationError"),
            ("sqs", "GetQueueUrl") => json_error(400, "com.amazonaws.sqs#QueueDoesNotExist"),
            ("resource-explorer-2", _) => json_error(401, "UnauthorizedException"),
            ("s3", _) if request.path.starts_with("/logs") => {
                match request.path.contains("tagging") {
                    true => s3_error(404, "NoSuchTagSet"),
                    false => s3_error(403, "AccessDenied"),
                }
            }
            ("s3", _) if request.path.contains("tagging") => s3_error(403, "AccessDenied"),
            _ => account(request),
        },
    );
    let inventory = seen(&replay, &everything());
    let gaps: BTreeSet<_> = inventory
        .gaps
        .iter()
        .map(|g| {
            let code = g.error.split(':').next().unwrap_or_default();
            (g.control, g.operation.as_str(), g.resource.as_deref(), code)
        })
        .collect();
    let expected = [
        (
            Control::Tags,
            "rds:DescribeDBInstances",
            None,
            "AccessDenied",
        ),
        (
            Control::Tags,
            "logs:DescribeLogGroups",
            None,
            "NotImplemented",
        ),
        (
            Control::Tags,
            "tag:GetResources",
            None,
            "AccessDeniedException",
        ),
        (
            Control::Tags,
            "sns:ListTagsForResource",
            Some("alerts"),
            "AuthorizationError",
        ),
        (
            Control::Tags,
            "sqs:GetQueueUrl",
            Some("jobs"),
            "QueueDoesNotExist",
        ),
        (
            Control::Tags,
            "s3:GetBucketTagging",
            Some("old"),
            "AccessDenied",
        ),
        (
            Control::Lifecycle,
            "s3:GetBucketTagging",
            Some("old"),
            "AccessDenied",
        ),
        (
            Control::Lifecycle,
            "s3:GetBucketLifecycleConfiguration",
            Some("logs"),
            "AccessDenied",
        ),
    ];
    assert_eq!(gaps, BTreeSet::from(expected));
    // Without the tagging API the services themselves tell; a queue that was listed and that its
    // service then does not know was not seen.
    assert_eq!(tags_of(&inventory, "logs"), &tags(&[]));
    assert!(tags_of(&inventory, "old").is_unknown());
    assert!(tags_of(&inventory, "jobs").is_unknown());
    assert!(inventory.buckets["logs"].lifecycle.is_unknown());
    let reasons: Vec<_> = inventory
        .types_not_checked
        .iter()
        .map(|n| (n.kind.as_str(), n.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("dynamodb-table", "service not used by this account"),
            (
                "other types",
                "Resource Explorer: UnauthorizedException: about UnauthorizedException"
            ),
        ]
    );
    for missing in ["rds-instance", "log-group", "dynamodb-table"] {
        assert!(!inventory.types_checked.contains(missing), "{missing}");
    }
    // What is not there is asked once.
    assert_eq!(replay.count("DescribeLogGroups"), 1);
}

#[test]
fn without_a_list_of_buckets_both_controls_are_blind() {
    let replay = Replay::new(|request| match request.path.starts_with("/?") {
        true if request.service == "s3" => s3_error(403, "AccessDenied"),
        _ => account(request),
    });
    let inventory = seen(&replay, &everything());
    let controls: Vec<_> = inventory
        .gaps
        .iter()
        .map(|g| (g.control, g.operation.as_str()))
        .collect();
    assert_eq!(
        controls,
        [
            (Control::Tags, "s3:ListBuckets"),
            (Control::Lifecycle, "s3:ListBuckets")
        ]
    );
    // What the tagging API knows is better than nothing.
    assert_eq!(tags_of(&inventory, "logs"), &tags(&[("team", "a")]));
    assert!(!inventory.types_checked.contains("s3-bucket"));
}

#[test]
fn the_lifecycle_control_alone_asks_for_nothing_else() {
    let replay = Replay::new(account);
    let want = Want {
        tags: false,
        sizes: false,
        ..everything()
    };
    let inventory = seen(&replay, &want);
    let services: BTreeSet<_> = replay.seen().into_iter().map(|r| r.service).collect();
    assert_eq!(services, ["s3", "tagging"].map(String::from).into());
    assert!(
        replay
            .seen()
            .iter()
            .any(|r| r.body.contains(r#""ResourceTypeFilters":["s3"]"#))
    );
    let names: Vec<_> = inventory
        .resources
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(names, ["logs", "old"]);
    assert_eq!(inventory.types_not_checked, BTreeSet::new());
}

#[test]
fn hopeless_requests_are_not_repeated_and_throttled_ones_are() {
    let slow = std::sync::atomic::AtomicU32::new(0);
    let replay = Replay::new(move |request| match request.service.as_str() {
        "dynamodb" => answer(500, "<!doctype html><title>oops</title>"),
        "sqs" => match slow.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => json_error(400, "ThrottlingException"),
            _ => account(request),
        },
        _ => account(request),
    });
    let session = replay.session(&["eu-west-1"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inventory = runtime.block_on(observe(&session, &everything()));
    assert_eq!(
        (replay.count("ListTables"), replay.count("ListQueues")),
        (3, 2)
    );
    assert_eq!(inventory.gaps.len(), 1);
    assert_eq!(
        inventory.gaps[0].error,
        "Http500: the service answered HTTP 500"
    );
    let used = session.shared.meter.snapshot();
    assert_eq!((used.retries, used.throttled), (3, 1));
    assert_eq!(used.by_operation["sqs:ListQueues"], 2);
    assert_eq!(used.by_operation["s3:GetBucketLifecycleConfiguration"], 3);
}
