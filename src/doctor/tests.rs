use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::account::{caller, region};
use super::command::Commands;
use super::permissions::{cases, simulated, tried, unseen};
use super::services::{billing, bucket, cost_tags, explorer, topics};
use super::{Report, State};
use crate::cloud::health::{Caller, Credentials};
use crate::cloud::{CloudError, Target};
use crate::iam::facts::Facts;
use crate::iam::policy::Because;
use crate::iam::{Part, Role};
use crate::inventory::{CostTagFact, EnvironmentInventory, Gap, NotChecked, Observed, TopicFact};
use crate::model::Control;
use crate::model::object::Topic;

fn target() -> Target {
    Target {
        environment: "prod".to_owned(),
        account: "123456789012".to_owned(),
        regions: vec!["eu-west-1".to_owned()],
        profile: None,
        role_arn: None,
        external_id: None,
    }
}

fn commands(target: &Target) -> Commands<'_> {
    Commands {
        target,
        profile: None,
        endpoint_url: None,
        sandbox: None,
    }
}

fn error(code: &str) -> CloudError {
    CloudError {
        operation: "sts:GetCallerIdentity".to_owned(),
        code: code.to_owned(),
        message: "told".to_owned(),
        maybe_done: false,
    }
}

fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

fn somebody(arn: &str, minutes: Option<i64>, ahead: f64) -> Result<Caller, CloudError> {
    Ok(Caller {
        account: "123456789012".to_owned(),
        arn: Some(arn.to_owned()),
        credentials: Some(Credentials {
            source: "profile `x`".to_owned(),
            expires: minutes.map(|m| now() + jiff::SignedDuration::from_mins(m)),
        }),
        clock_ahead_seconds: Some(ahead),
    })
}

fn states(answer: &Result<Caller, CloudError>) -> Vec<(String, State)> {
    let (checks, _) = caller(&commands(&target()), answer, now());
    for check in &checks {
        assert!(
            !check.found.is_empty() && !check.why.is_empty(),
            "{check:?}"
        );
        assert_eq!(check.fix.is_empty(), check.state == State::Ok, "{check:?}");
    }
    checks.into_iter().map(|c| (c.check, c.state)).collect()
}

fn of(check: &str, states: &[(String, State)]) -> State {
    states.iter().find(|(c, _)| c == check).unwrap().1
}

#[test]
fn credentials_that_end_soon_or_are_the_root_users_are_problems() {
    let role = "arn:aws:sts::123456789012:assumed-role/ci/x";
    assert_eq!(
        of("credentials", &states(&somebody(role, Some(60), 0.0))),
        State::Ok
    );
    assert_eq!(
        of("credentials", &states(&somebody(role, Some(5), 0.0))),
        State::Problem
    );
    assert_eq!(
        of("credentials", &states(&somebody(role, Some(-5), 0.0))),
        State::Problem
    );
    assert_eq!(
        of(
            "credentials",
            &states(&somebody("arn:aws:iam::123456789012:root", None, 0.0))
        ),
        State::Problem
    );
}

#[test]
fn clocks_are_compared_both_ways() {
    let role = "arn:aws:sts::123456789012:assumed-role/ci/x";
    for (ahead, state) in [
        (0.4, State::Ok),
        (-20.0, State::Ok),
        (120.0, State::Problem),
        (-400.0, State::Problem),
    ] {
        assert_eq!(
            of("clock", &states(&somebody(role, None, ahead))),
            state,
            "{ahead}"
        );
    }
}

#[test]
fn another_account_is_not_entered() {
    let other =
        somebody("arn:aws:sts::999999999999:assumed-role/ci/x", None, 0.0).map(|c| Caller {
            account: "999999999999".to_owned(),
            ..c
        });
    assert_eq!(of("account-guard", &states(&other)), State::Problem);
    assert!(!caller(&commands(&target()), &other, now()).1);
}

/// Whatever is wrong with the first call, the rest is unknown, and said to be.
#[test]
fn without_an_answer_the_rest_is_unknown() {
    for (code, check) in [
        ("NoCredentials", "credentials"),
        ("ExpiredToken", "credentials"),
        ("InvalidClientTokenId", "credentials"),
        ("RequestTimeTooSkewed", "clock"),
        ("connection", "endpoint"),
    ] {
        let found = states(&Err(error(code)));
        assert_eq!(of(check, &found), State::Problem, "{code}");
        assert_eq!(of("everything-else", &found), State::Unknown);
    }
}

#[test]
fn a_region_that_is_switched_off_is_told_from_one_that_is_far_away() {
    let off = region(
        &commands(&target()),
        "af-south-1",
        &Err(error("InvalidClientTokenId")),
        3,
    );
    assert!(off.found.contains("not switched on") && off.commands[0].contains("enable-region"));
    let far = region(
        &commands(&target()),
        "af-south-1",
        &Err(error("timeout")),
        3,
    );
    assert!(!far.found.contains("not switched on"));
}

/// A role may be allowed in one region only: each is asked for, and the one that is denied is named.
#[test]
fn every_region_is_asked_for() {
    let facts = Facts {
        partition: "aws".to_owned(),
        account: "123456789012".to_owned(),
        regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
        parts: [Part::Backups].into(),
        ..Facts::default()
    };
    let cases = cases(Role::Plan, &facts);
    for region in &facts.regions {
        let asked = cases
            .iter()
            .find(|c| c.with == format!("aws:RequestedRegion = {region}"))
            .expect("a case of its own");
        let said = ("aws:RequestedRegion".to_owned(), vec![region.clone()]);
        assert!(asked.context.contains(&said), "{asked:?}");
        assert!(asked.resource == "*" || asked.resource.contains(region.as_str()));
    }
    let action = || "rds:DescribeDBInstances".to_owned();
    let rulings = [
        (action(), Ok(())),
        (
            action(),
            Err("implicitDeny with aws:RequestedRegion = us-east-1".to_owned()),
        ),
    ];
    let found = simulated(Role::Plan, &commands(&target()), &rulings);
    assert_eq!(found[0].state, State::Problem);
    assert!(found[0].found.contains("us-east-1"), "{found:?}");
}

#[test]
fn permissions_are_allowed_denied_or_unknown() {
    let allowed = vec![("s3:ListAllMyBuckets".to_owned(), Ok(()))];
    assert_eq!(
        simulated(Role::Plan, &commands(&target()), &allowed)[0].state,
        State::Ok
    );
    let denied = vec![
        ("s3:ListAllMyBuckets".to_owned(), Ok(())),
        (
            "rds:DescribeDBInstances".to_owned(),
            Err("not allowed by any policy".to_owned()),
        ),
    ];
    let found = simulated(Role::Plan, &commands(&target()), &denied);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].found.contains("DescribeDBInstances")
            && found[0].commands == ["opsctl iam plan -e prod"]
    );
    let gap = |error: &str| Gap {
        environment: "prod".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        control: Control::Tags,
        operation: "rds:DescribeDBInstances".to_owned(),
        error: error.to_owned(),
        resource: None,
    };
    let refused = [gap("AccessDenied: no")];
    let because = error("AccessDenied");
    // Without IAM only what was seen to be answered is in order.
    let needed = [Because {
        action: "rds:DescribeDBInstances".to_owned(),
        sid: "Rds".to_owned(),
        operations: ["rds:DescribeDBInstances".to_owned()].into(),
        why: BTreeSet::new(),
    }];
    let answered = [("rds:DescribeDBInstances".to_owned(), 9)].into();
    let none = BTreeMap::new();
    let broken = [gap("InternalFailure: no")];
    for (role, gaps, answered, state) in [
        (Role::Plan, &refused[..], &none, State::Problem),
        (Role::Plan, &[], &answered, State::Ok),
        (Role::Plan, &[], &none, State::Unknown),
        (Role::Plan, &broken, &answered, State::Unknown),
        (Role::Apply, &[], &answered, State::Unknown),
    ] {
        let found = tried(
            role,
            &commands(&target()),
            &because,
            gaps,
            &needed,
            answered,
        );
        assert_eq!(found[0].state, state, "{found:?}");
    }
    let found = tried(
        Role::Plan,
        &commands(&target()),
        &because,
        &[],
        &needed,
        &none,
    );
    assert!(
        found[0]
            .found
            .contains("not tried: rds:DescribeDBInstances"),
        "{found:?}"
    );
    // What failed for another reason stays unknown; what IAM allows and is denied has another cause.
    assert_eq!(
        unseen("prod", &[gap("timeout: no")], true)[0].state,
        State::Unknown
    );
    assert!(unseen("prod", &refused, false).is_empty());
    assert_eq!(unseen("prod", &refused, true)[0].state, State::Problem);
}

#[test]
fn silent_switches_have_three_states() {
    assert_eq!(billing("prod", &Observed::Known(())).state, State::Ok);
    assert_eq!(billing("prod", &Observed::Absent).state, State::Problem);
    assert_eq!(billing("prod", &Observed::default()).state, State::Unknown);
    let keys: BTreeSet<String> = ["team".to_owned()].into();
    let mut inventory = EnvironmentInventory::default();
    assert_eq!(
        cost_tags(&commands(&target()), &keys, &inventory).state,
        State::Unknown
    );
    for (active, state) in [(true, State::Ok), (false, State::Problem)] {
        let fact = CostTagFact {
            active,
            last_used: None,
        };
        inventory.money.cost_tags = Observed::Known([("team".to_owned(), fact)].into());
        assert_eq!(
            cost_tags(&commands(&target()), &keys, &inventory).state,
            state
        );
    }
    inventory.types_not_checked.insert(NotChecked {
        kind: "other types".to_owned(),
        region: "eu-west-1".to_owned(),
        reason: "Resource Explorer: ResourceNotFoundException: no index".to_owned(),
    });
    let regions = ["eu-west-1".to_owned(), "us-east-1".to_owned()];
    let found = explorer(&commands(&target()), &regions, &inventory);
    assert_eq!(
        found.iter().map(|c| c.state).collect::<Vec<_>>(),
        [State::Problem, State::Ok]
    );
    let summary = Report::count(&found);
    assert_eq!((summary.ok, summary.problem, summary.unknown), (1, 1, 0));
}

/// What is pasted goes to the account and the region that were looked at.
#[test]
fn commands_say_where_they_go() {
    let target = Target {
        profile: Some("shop prod".to_owned()),
        ..target()
    };
    let commands = commands(&target);
    let missing = bucket(
        &commands,
        "evidence",
        "shop-evidence",
        &Err(error("NoSuchBucket")),
    );
    assert_eq!(
        missing.commands,
        [
            "aws s3 mb --profile 'shop prod' --region eu-west-1 s3://shop-evidence",
            "aws s3api put-bucket-versioning --profile 'shop prod' --region eu-west-1 --bucket shop-evidence --versioning-configuration Status=Enabled",
        ]
    );
    let off = region(&commands, "af-south-1", &Err(error("OptInRequired")), 3);
    assert_eq!(
        off.commands,
        ["aws account enable-region --profile 'shop prod' --region-name af-south-1"]
    );
    let (refused, _) = caller(&commands, &Err(error("InvalidClientTokenId")), now());
    assert_eq!(
        refused[0].commands,
        ["aws sts get-caller-identity --profile 'shop prod'"]
    );
    // One that was given on the command line wins, and our own commands need it too.
    let other = Commands {
        profile: Some("admin"),
        endpoint_url: Some("http://127.0.0.1:5000"),
        ..commands
    };
    assert_eq!(
        other.aws("us-east-1", &["sns", "subscribe"]).unwrap(),
        "aws sns subscribe --profile admin --region us-east-1 --endpoint-url http://127.0.0.1:5000"
    );
    assert_eq!(
        other.opsctl(&["apply"]).unwrap(),
        "opsctl apply -e prod --profile admin --endpoint-url http://127.0.0.1:5000"
    );
    // A role that is taken first is no option of the AWS CLI, so it is said.
    let target = Target {
        role_arn: Some("arn:aws:iam::123456789012:role/ops".to_owned()),
        ..target.clone()
    };
    let fix = Commands {
        target: &target,
        ..commands
    }
    .by_aws("make it");
    assert_eq!(
        fix,
        "make it, with the credentials of arn:aws:iam::123456789012:role/ops"
    );
    let sandbox = Commands {
        sandbox: Some("findash"),
        ..commands
    };
    assert_eq!(sandbox.aws("", &["s3", "ls"]), None);
    assert_eq!(
        sandbox.opsctl(&["apply"]).unwrap(),
        "opsctl apply -e prod --sandbox findash"
    );
}

#[test]
fn a_topic_has_the_reason_and_the_command_of_its_own_trouble() {
    let target = target();
    let mut inventory = EnvironmentInventory::default();
    let mut look = |arn: &str, fact: Observed<TopicFact>| {
        inventory.topics = [(arn.to_owned(), fact)].into();
        topics(&commands(&target), &inventory).remove(0)
    };
    let ours = "arn:aws:sns:us-east-1:123456789012:ops";
    let missing = look(ours, Observed::Absent);
    assert_eq!(missing.state, State::Problem);
    assert!(!missing.why.contains("confirm"), "{missing:?}");
    assert_eq!(missing.commands, ["opsctl apply -e prod"]);
    // No apply of this environment makes a topic of another account.
    let theirs = look("arn:aws:sns:us-east-1:999999999999:ops", Observed::Absent);
    assert!(theirs.commands.is_empty(), "{theirs:?}");
    let nobody = look(ours, Observed::Known(fact(&[])));
    assert!(!nobody.why.contains("confirm"), "{nobody:?}");
    assert_eq!(
        nobody.commands,
        [format!(
            "aws sns subscribe --region us-east-1 --topic-arn {ours} --protocol email --notification-endpoint NAME@EXAMPLE"
        )]
    );
    let waiting = look(ours, Observed::Known(fact(&["ops@example.com"])));
    assert!(waiting.why.contains("confirmed"), "{waiting:?}");
    assert_eq!(
        look(ours, Observed::Unknown("e".to_owned())).state,
        State::Unknown
    );
}

fn fact(pending: &[&str]) -> TopicFact {
    TopicFact {
        arn: String::new(),
        topic: Topic {
            name: "ops".to_owned(),
            region: "us-east-1".to_owned(),
            policy: None,
            subscriptions: BTreeSet::new(),
        },
        tags: Observed::default(),
        kms_key: None,
        unread: None,
        confirmed: BTreeSet::new(),
        pending: pending.iter().map(|p| (*p).to_owned()).collect(),
    }
}

/// Only what says that there is no index is one; what could not be told stays unknown.
#[test]
fn resource_explorer_is_not_misread() {
    let target = target();
    for (reason, state, named, command) in [
        (
            "Resource Explorer: ThrottlingException: slow down",
            State::Unknown,
            "could not be told",
            "",
        ),
        (
            "Resource Explorer: timeout: 2m",
            State::Unknown,
            "could not be told",
            "",
        ),
        (
            "Resource Explorer: AccessDeniedException: no",
            State::Problem,
            "resource-explorer-2:Search",
            "opsctl iam plan -e prod",
        ),
        (
            "Resource Explorer: UnauthorizedException: no",
            State::Problem,
            "resource-explorer-2:Search",
            "aws resource-explorer-2 create-index --region eu-west-1",
        ),
        (
            "Resource Explorer: ResourceNotFoundException: no",
            State::Problem,
            "make an index",
            "aws resource-explorer-2 create-index --region eu-west-1",
        ),
        (
            "Resource Explorer returns only the first 1000 untagged resources",
            State::Ok,
            "",
            "",
        ),
    ] {
        let mut inventory = EnvironmentInventory::default();
        inventory.types_not_checked.insert(NotChecked {
            kind: "other types".to_owned(),
            region: "eu-west-1".to_owned(),
            reason: reason.to_owned(),
        });
        let found = explorer(&commands(&target), &target.regions, &inventory).remove(0);
        assert_eq!(found.state, state, "{found:?}");
        assert!(found.fix.contains(named), "{found:?}");
        assert_eq!(
            found.commands.first().map_or("", String::as_str),
            command,
            "{found:?}"
        );
    }
}
