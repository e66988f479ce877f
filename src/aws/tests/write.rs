use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::write::{Change, apply};
use super::*;
use crate::cloud::{CloudError, Subject};
use crate::model::{Arn, Tags};

fn subjects(arns: &[&str]) -> Vec<Subject> {
    let subject = |arn: &&str| {
        let (kind, name) = Arn::parse(arn).unwrap().classify();
        Subject {
            arn: (*arn).to_owned(),
            kind,
            name: name.to_owned(),
            region: "eu-west-1".to_owned(),
        }
    };
    arns.iter().map(subject).collect()
}

fn run(replay: &Replay, arns: &[&str], change: Change<'_>) -> Vec<Result<(), CloudError>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let region = replay.session(&["eu-west-1"]).region("eu-west-1").await;
        apply(&region, &subjects(arns), change).await
    })
}

fn set() -> Tags {
    Tags::from([("team".to_owned(), "a".to_owned())])
}

fn codes(results: &[Result<(), CloudError>]) -> Vec<&str> {
    let code = |r: &'_ Result<(), CloudError>| match r {
        Ok(()) => "ok".to_owned(),
        Err(e) => e.code.clone(),
    };
    results.iter().map(code).map(|c| &*c.leak()).collect()
}

const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:jobs";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:pay";
const TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/t";
const INSTANCE: &str = "arn:aws:ec2:eu-west-1:123456789012:instance/i-1";
const BUCKET: &str = "arn:aws:s3:::logs";

#[test]
fn each_resource_has_its_own_outcome() {
    let rounds = AtomicU32::new(0);
    let replay = Replay::new(move |request| {
        let failed = |arn: &str, code: &str| {
            format!(
                r#""{arn}":{{"StatusCode":400,"ErrorCode":"{code}","ErrorMessage":"about {code}"}}"#
            )
        };
        match request.action.as_str() {
            "TagResources" => {
                let list = match rounds.fetch_add(1, Ordering::SeqCst) {
                    0 => [
                        failed(QUEUE, "InternalServiceException"),
                        failed(TOPIC, "AccessDeniedException"),
                        failed(TABLE, "ThrottlingException"),
                        failed(INSTANCE, "InvalidParameterException"),
                    ]
                    .join(","),
                    _ => String::new(),
                };
                answer(200, format!(r#"{{"FailedResourcesMap":{{{list}}}}}"#))
            }
            "GetQueueUrl" => answer(200, r#"{"QueueUrl":"http://aws.test/123456789012/jobs"}"#),
            "TagQueue" => answer(200, "{}"),
            other => panic!("unexpected {other}"),
        }
    });
    let arns = [QUEUE, TOPIC, FUNCTION, TABLE, INSTANCE];
    let results = run(&replay, &arns, Change::Set(&set()));
    assert_eq!(
        codes(&results),
        [
            "ok",
            "AccessDeniedException",
            "ok",
            "ok",
            "InvalidParameterException"
        ]
    );
    let calls: Vec<_> = replay
        .seen()
        .into_iter()
        .filter(|r| r.action == "TagResources")
        .collect();
    assert_eq!(calls.len(), 2);
    // Only what was throttled is sent again.
    assert!(calls[1].body.contains(TABLE) && !calls[1].body.contains(TOPIC));
}

#[test]
fn a_denied_tagging_api_is_not_worked_around() {
    let replay = Replay::new(|_| json_error(400, "AccessDeniedException"));
    let results = run(&replay, &[QUEUE, TOPIC], Change::Set(&set()));
    assert_eq!(codes(&results), ["AccessDeniedException"; 2]);
    assert_eq!(replay.seen().len(), 1);
}

#[test]
fn bucket_tags_are_merged_where_there_is_no_tagging_api() {
    let replay = Replay::new(
        |request| match (request.service.as_str(), request.method.as_str()) {
            ("tagging", _) => answer(501, ""),
            ("s3", "GET") => answer(
                200,
                "<Tagging><TagSet><Tag><Key>aws:cloudformation:stack-name</Key><Value>web</Value></Tag>\
             <Tag><Key>team</Key><Value>old</Value></Tag><Tag><Key>k</Key><Value></Value></Tag></TagSet></Tagging>",
            ),
            _ => answer(200, ""),
        },
    );
    assert_eq!(codes(&run(&replay, &[BUCKET], Change::Set(&set()))), ["ok"]);
    let keys = BTreeSet::from(["team".to_owned()]);
    assert_eq!(
        codes(&run(&replay, &[BUCKET], Change::Remove(&keys))),
        ["ok"]
    );
    let written: Vec<_> = replay
        .seen()
        .into_iter()
        .filter(|r| r.method == "PUT")
        .map(|r| r.body)
        .collect();
    let tag = |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let system = tag("aws:cloudformation:stack-name", "web");
    assert!(
        written[0].contains(&[&system, &*tag("k", ""), &tag("team", "a")].concat()),
        "{}",
        written[0]
    );
    assert!(
        written[1].contains(&[&system, &*tag("k", "")].concat()),
        "{}",
        written[1]
    );
    assert!(!written[1].contains("team"));
}

#[test]
fn bucket_tags_that_cannot_be_read_are_not_written() {
    let replay = Replay::new(|request| match request.service.as_str() {
        "tagging" => answer(501, ""),
        _ => s3_error(403, "AccessDenied"),
    });
    let results = run(&replay, &[BUCKET], Change::Set(&set()));
    assert_eq!(codes(&results), ["AccessDenied"]);
    assert!(replay.seen().iter().all(|r| r.method != "PUT"));
}

#[test]
fn a_write_that_another_one_aborted_is_repeated_from_the_reading() {
    let tries = AtomicU32::new(0);
    let replay =
        Replay::new(
            move |request| match (request.service.as_str(), request.method.as_str()) {
                ("tagging", _) => answer(501, ""),
                ("s3", "GET") => s3_error(404, "NoSuchTagSet"),
                _ if tries.fetch_add(1, Ordering::SeqCst) == 0 => s3_error(409, "OperationAborted"),
                _ => answer(200, ""),
            },
        );
    assert_eq!(codes(&run(&replay, &[BUCKET], Change::Set(&set()))), ["ok"]);
    let methods: Vec<_> = replay
        .seen()
        .into_iter()
        .skip(1)
        .map(|r| r.method)
        .collect();
    assert_eq!(methods, ["GET", "PUT", "GET", "PUT"]);
}
