use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::account::{caller, region};
use super::permissions::{cases, simulated, tried, unseen};
use super::services::{billing, cost_tags, explorer};
use super::{Report, State};
use crate::cloud::health::{Caller, Credentials};
use crate::cloud::{CloudError, Target};
use crate::iam::facts::Facts;
use crate::iam::policy::Because;
use crate::iam::{Part, Role};
use crate::inventory::{CostTagFact, EnvironmentInventory, Gap, NotChecked, Observed};
use crate::model::Control;

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
    let (checks, _) = caller(&target(), answer, now());
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
    assert!(!caller(&target(), &other, now()).1);
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
        &target(),
        "af-south-1",
        &Err(error("InvalidClientTokenId")),
        3,
    );
    assert!(off.found.contains("not switched on") && off.fix.contains("enable-region"));
    let far = region(&target(), "af-south-1", &Err(error("timeout")), 3);
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
    let found = simulated(Role::Plan, "prod", &rulings, false);
    assert_eq!(found[0].state, State::Problem);
    assert!(found[0].found.contains("us-east-1"), "{found:?}");
}

#[test]
fn permissions_are_allowed_denied_or_unknown() {
    let allowed = vec![("s3:ListAllMyBuckets".to_owned(), Ok(()))];
    assert_eq!(
        simulated(Role::Plan, "prod", &allowed, false)[0].state,
        State::Ok
    );
    let denied = vec![
        ("s3:ListAllMyBuckets".to_owned(), Ok(())),
        (
            "rds:DescribeDBInstances".to_owned(),
            Err("not allowed by any policy".to_owned()),
        ),
    ];
    let found = simulated(Role::Plan, "prod", &denied, false);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].found.contains("DescribeDBInstances") && found[0].fix.contains("opsctl iam plan")
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
        let found = tried(role, "prod", &because, gaps, &needed, answered);
        assert_eq!(found[0].state, state, "{found:?}");
    }
    let found = tried(Role::Plan, "prod", &because, &[], &needed, &none);
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
    assert_eq!(cost_tags("prod", &keys, &inventory).state, State::Unknown);
    for (active, state) in [(true, State::Ok), (false, State::Problem)] {
        let fact = CostTagFact {
            active,
            last_used: None,
        };
        inventory.money.cost_tags = Observed::Known([("team".to_owned(), fact)].into());
        assert_eq!(cost_tags("prod", &keys, &inventory).state, state);
    }
    inventory.types_not_checked.insert(NotChecked {
        kind: "other types".to_owned(),
        region: "eu-west-1".to_owned(),
        reason: "no index".to_owned(),
    });
    let regions = ["eu-west-1".to_owned(), "us-east-1".to_owned()];
    let found = explorer("prod", &regions, &inventory);
    assert_eq!(
        found.iter().map(|c| c.state).collect::<Vec<_>>(),
        [State::Problem, State::Ok]
    );
    let summary = Report::count(&found);
    assert_eq!((summary.ok, summary.problem, summary.unknown), (1, 1, 0));
}
