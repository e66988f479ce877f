//! Memory: what a run says of those before it.

use super::line::{Earlier, EnvironmentLine, TagLine};
use super::*;
use crate::history::{Line, in_order};
use crate::inventory::EnvironmentInventory;
use crate::model::Control;

/// The environments of a scenario, in which nothing was seen yet.
fn environments() -> Vec<PlanEnvironment> {
    let opened = crate::sandbox::scenario::open("dartsyn", None).unwrap();
    let workspace = opened.loaded.workspace.as_ref().unwrap();
    workspace
        .environments
        .iter()
        .filter(|(name, _)| ["dev", "prod"].contains(&name.as_str()))
        .map(|(name, e)| PlanEnvironment {
            target: target(
                name,
                &e.account.value,
                e.regions.iter().map(|r| r.value.clone()).collect(),
            ),
            resolved: opened.loaded.resolve(Some(name), &e.stage.value).unwrap(),
            inventory: EnvironmentInventory::default(),
        })
        .collect()
}

fn target(name: &str, account: &str, regions: Vec<String>) -> crate::cloud::Target {
    crate::cloud::Target {
        environment: name.to_owned(),
        account: account.to_owned(),
        regions,
        profile: None,
        role_arn: None,
        external_id: None,
    }
}

fn gap(environment: &str) -> Gap {
    Gap {
        environment: environment.to_owned(),
        account: String::new(),
        region: "us-east-1".to_owned(),
        control: Control::Tags,
        operation: "sqs:ListQueues".to_owned(),
        resource: None,
        error: "AccessDenied".to_owned(),
    }
}

fn offender(environment: &str, name: &str, ids: &[&str]) -> Offender {
    let problem = |id: &&str| Problem {
        id: (*id).to_owned(),
        severity: Severity::Medium,
        message: String::new(),
        evidence: String::new(),
        remediation: String::new(),
        policy: Reason {
            policy: "tags".to_owned(),
            rule: String::new(),
            file: String::new(),
            line: 1,
        },
        first_seen: None,
        new: None,
    };
    Offender {
        address: format!("{environment}/us-east-1/sqs-queue/{name}#tags"),
        arn: String::new(),
        environment: environment.to_owned(),
        region: "us-east-1".to_owned(),
        kind: "sqs-queue".to_owned(),
        service: "sqs".to_owned(),
        name: name.to_owned(),
        compliant: false,
        severity: Severity::Medium,
        findings: ids.iter().map(problem).collect(),
        owner: None,
        first_seen: None,
        age_days: None,
        since_first_run: false,
        new: None,
        month_to_date: None,
        fix: Fix::default(),
    }
}

fn plan(environments: &[PlanEnvironment], now: Timestamp) -> Plan {
    crate::plan::build::judge(
        environments,
        &crate::plan::build::PlanRequest {
            controls: &[Control::Tags],
            only: None,
            destroy: false,
            now,
            accepted: &BTreeMap::new(),
            sandbox: None,
            lock: None,
            api: ApiUse::default(),
        },
    )
}

fn request() -> crate::audit::AuditRequest<'static> {
    crate::audit::AuditRequest {
        controls: &[Control::Tags],
        only: None,
        fail_on: crate::audit::FAIL_ON,
        baseline: None,
        allow_incomplete: false,
        api: ApiUse::default(),
    }
}

/// One run on a day, after the given ones; what it says, and the line that it leaves.
fn run(
    environments: &[PlanEnvironment],
    history: &[TagLine],
    day: u8,
    mut offenders: Vec<Offender>,
) -> (Vec<Offender>, Trend, TagLine) {
    let now: Timestamp = format!("2026-11-{day:02}T06:00:00Z").parse().unwrap();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let plan = plan(environments, now);
    let audit = crate::audit::assemble(environments, plan.clone(), None, &request());
    let inputs = Inputs {
        environments,
        judged: &plan,
        audit,
        only: None,
        narrowed: false,
        costs: None,
        history,
        run: format!("run-{day}"),
        now,
    };
    let earlier = Earlier::of(&inputs, today);
    for one in &mut offenders {
        let index = environments
            .iter()
            .position(|e| e.target.environment == one.environment)
            .unwrap();
        for problem in &mut one.findings {
            let age = earlier.age(index, line::key(&problem.id, &one.address), &one.service);
            problem.first_seen = age.first_seen;
            problem.new = age.new;
            one.since_first_run |= age.since_first_run;
        }
    }
    let line = TagLine::of(&inputs, &Weighed::default(), &offenders, &earlier, today);
    let trend = earlier.trend(&inputs, &offenders, &line);
    (offenders, trend, line)
}

fn first_seen(offenders: &[Offender], at: usize) -> (&str, Option<bool>) {
    let problem = &offenders[at].findings[0];
    (problem.first_seen.as_deref().unwrap_or("-"), problem.new)
}

/// What a cache of last month holds is not this month's.
#[test]
fn the_month_of_the_costs_is_named() {
    let environments = environments();
    let now: Timestamp = "2026-11-03T06:00:00Z".parse().unwrap();
    let of = |as_of: &str| {
        let plan = plan(&environments, now);
        let audit = crate::audit::assemble(&environments, plan.clone(), None, &request());
        let (report, _) = assemble(Inputs {
            environments: &environments,
            judged: &plan,
            audit,
            only: None,
            narrowed: false,
            costs: Some(KnownCosts {
                entries: Vec::new(),
                as_of: as_of.parse().unwrap(),
            }),
            history: &[],
            run: "run".to_owned(),
            now,
        });
        [
            crate::render::human::tags(&report, &crate::render::Style::default()),
            crate::render::markdown::tags(&report),
            crate::render::html::tags::page(&report).unwrap(),
        ]
    };
    for text in of("2026-10-28") {
        assert!(text.contains("All amounts are of October 2026"), "{text}");
        assert!(!text.contains("in an environment this month"), "{text}");
    }
    for text in of("2026-11-02") {
        assert!(!text.contains("October"), "{text}");
        // Nothing was judged, so there is nothing to draw.
        assert!(!text.contains("<caption>By "), "{text}");
    }
}

#[test]
fn findings_have_an_age_and_what_goes_is_fixed() {
    let environments = environments();
    let a = || offender("prod", "a", &["tags.missing"]);
    let b = || offender("prod", "b", &["tags.missing"]);
    let (seen, trend, one) = run(&environments, &[], 1, vec![a()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-01", None));
    assert!(seen[0].since_first_run && trend.new.is_none() && trend.since.is_none());
    let (seen, trend, two) = run(&environments, std::slice::from_ref(&one), 8, vec![a(), b()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-01", Some(false)));
    assert_eq!(first_seen(&seen, 1), ("2026-11-08", Some(true)));
    assert!(seen[0].since_first_run && !seen[1].since_first_run);
    assert_eq!((trend.new, trend.fixed), (Some(1), Some(0)));
    assert_eq!(trend.runs.len(), 2);

    // Older lines are shortened when they are written, and the newest is enough.
    let mut history = vec![one, two];
    let newer = history.split_off(1);
    history[0].shorten(&newer);
    assert!(history[0].env.values().all(|e| e.open.is_none()));
    let history = in_order([newer, history].concat());
    let (seen, trend, three) = run(&environments, &history, 15, vec![b()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-08", Some(false)));
    assert_eq!((trend.new, trend.fixed), (Some(0), Some(1)));
    // What was fixed and comes back is new.
    let (seen, ..) = run(&environments, &[three], 22, vec![a(), b()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-22", Some(true)));
}

#[test]
fn what_was_not_seen_is_neither_fixed_nor_new_when_it_is_seen_again() {
    let mut environments = environments();
    let a = || offender("prod", "a", &["tags.missing"]);
    let (.., one) = run(&environments, &[], 1, vec![a()]);
    let prod = environments
        .iter()
        .position(|e| e.target.environment == "prod")
        .unwrap();
    environments[prod].inventory.gaps.push(gap("prod"));
    let (_, trend, two) = run(&environments, std::slice::from_ref(&one), 8, vec![]);
    assert_eq!((trend.new, trend.fixed), (Some(0), Some(0)));
    assert!(trend.not_compared[0].contains("prod"), "{trend:?}");
    assert!(!trend.runs[1].complete && trend.runs[0].complete);
    environments[prod].inventory.gaps.clear();
    let (seen, trend, _) = run(&environments, &[one, two], 15, vec![a()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-01", Some(false)));
    assert_eq!((trend.new, trend.fixed), (Some(0), Some(0)));
}

#[test]
fn what_the_run_before_could_not_look_at_is_not_new() {
    let mut environments = environments();
    let prod = environments
        .iter()
        .position(|e| e.target.environment == "prod")
        .unwrap();
    let a = || offender("prod", "a", &["tags.missing"]);
    let other = || {
        let mut b = offender("prod", "b", &["tags.missing"]);
        b.service = "rds".to_owned();
        b
    };
    let (.., one) = run(&environments, &[], 1, vec![]);
    environments[prod].inventory.gaps.push(gap("prod"));
    let (.., two) = run(&environments, &[one], 8, vec![]);
    assert_eq!(two.env["prod"].unseen.iter().collect::<Vec<_>>(), ["sqs"]);
    // Queues could not be listed, databases could.
    environments[prod].inventory.gaps.clear();
    let (seen, trend, three) = run(
        &environments,
        std::slice::from_ref(&two),
        15,
        vec![a(), other()],
    );
    assert_eq!(first_seen(&seen, 0), ("2026-11-15", None));
    assert_eq!(first_seen(&seen, 1), ("2026-11-15", Some(true)));
    assert!(seen[0].since_first_run && !seen[1].since_first_run);
    assert_eq!(trend.new, Some(1));
    let said = |t: &Trend, text: &str| t.not_compared.iter().any(|n| n.contains(text));
    assert!(said(
        &trend,
        "prod: 1 finding where the run before could not look"
    ));
    // And it stays a lower bound.
    let (seen, trend, _) = run(&environments, &[two.clone(), three], 22, vec![a(), other()]);
    assert_eq!(first_seen(&seen, 0), ("2026-11-15", Some(false)));
    assert!(seen[0].since_first_run && !seen[1].since_first_run);
    assert_eq!((trend.new, trend.fixed), (Some(0), Some(0)));
    // A line of an earlier version does not say where it was blind.
    let mut old = two;
    old.env.get_mut("prod").unwrap().unseen.clear();
    let (seen, ..) = run(&environments, &[old], 15, vec![a(), other()]);
    assert_eq!(first_seen(&seen, 1), ("2026-11-15", None));
}

#[test]
fn only_the_same_places_are_compared() {
    let environments = environments();
    let a = || offender("prod", "a", &["tags.missing"]);
    let (.., one) = run(&environments, &[], 1, vec![a()]);
    // Another account under the same name, and another set of regions.
    let moved = |change: fn(&mut EnvironmentLine)| {
        let mut line = one.clone();
        change(line.env.get_mut("prod").unwrap());
        line
    };
    for other in [
        moved(|e| e.account = "999999999999".to_owned()),
        moved(|e| e.regions.clear()),
    ] {
        let (seen, trend, _) = run(&environments, &[other], 8, vec![a()]);
        assert_eq!(first_seen(&seen, 0), ("2026-11-08", None));
        assert_eq!(trend.runs.len(), 1);
        let said = trend
            .not_compared
            .iter()
            .any(|t| t == "prod: this is its first run");
        assert!(said, "{trend:?}");
        assert_eq!((trend.new, trend.fixed), (Some(0), Some(0)));
    }
    // Another policy is said.
    let other = moved(|e| e.policy = "00000000".to_owned());
    let (_, trend, _) = run(&environments, &[other], 8, vec![a()]);
    assert!(trend.policy_changed);
    // A line of a later form is left alone.
    let mut later = one.clone();
    later.v = 2;
    let (_, trend, _) = run(&environments, &[later], 8, vec![a()]);
    assert!(trend.since.is_none() && trend.runs.len() == 1);
}
