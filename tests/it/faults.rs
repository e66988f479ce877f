//! Each call of each step refused, lost or cut off: what the outcome says, and what is left behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opsctl::apply::{Outcome, OutcomeKind};
use opsctl::config::Loaded;
use opsctl::model::{ResourceType, Tags};
use opsctl::plan::Plan;
use opsctl::sandbox::world::{Account, BucketItem, Item, World};
use opsctl::sandbox::{Fault, Sandbox};
use tokio_util::sync::CancellationToken;

use crate::support::{apply, apply_until, block_on, plan, project};

fn world() -> World {
    let mut account = Account {
        id: "123456789012".into(),
        ..Account::default()
    };
    for name in ["one", "two", "three"] {
        let tags = Tags::from([
            ("Environment".to_owned(), "prod".to_owned()),
            ("CostCentre".to_owned(), "7".to_owned()),
        ]);
        let item = Item {
            kind: ResourceType::S3_BUCKET,
            name: name.into(),
            region: "eu-west-1".into(),
            tags,
        };
        account
            .resources
            .insert(format!("arn:aws:s3:::{name}"), item);
        account.buckets.insert(
            name.into(),
            BucketItem {
                region: "eu-west-1".into(),
                ..BucketItem::default()
            },
        );
    }
    World {
        scenario: "faults".into(),
        seed: String::new(),
        accounts: BTreeMap::from([("prod".to_owned(), account)]),
        locks: BTreeMap::new(),
    }
}

fn loaded() -> Loaded {
    let dir = project(&[]);
    let mut loaded = Loaded::read(Some(dir.path()));
    loaded.check_all();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded
}

/// Plans on a healthy account, then applies with the faults.
fn apply_with(
    faults: impl Fn(&str, &str) -> Option<Fault> + Send + Sync + 'static,
) -> (Plan, Vec<Outcome>, World) {
    let loaded = loaded();
    let armed = Arc::new(Mutex::new(false));
    let sandbox = Sandbox::in_memory(world()).with_faults(Box::new({
        let armed = armed.clone();
        move |op, resource| {
            if *armed.lock().unwrap() {
                faults(op, resource)
            } else {
                None
            }
        }
    }));
    block_on(async {
        let plan = plan(&sandbox, &loaded).await;
        assert_eq!(plan.changes.len(), 6);
        *armed.lock().unwrap() = true;
        let outcomes = apply(&sandbox, &plan).await;
        (plan, outcomes, sandbox.world())
    })
}

fn kinds(outcomes: &[Outcome]) -> Vec<OutcomeKind> {
    outcomes.iter().map(|o| o.outcome).collect()
}

#[test]
fn a_refused_write_fails_alone_and_says_why() {
    let (plan, outcomes, _) = apply_with(|op, resource| {
        (op == "s3:PutBucketLifecycleConfiguration" && resource == "two")
            .then(|| Fault::Refuse("AccessDenied".into()))
    });
    for (change, outcome) in plan.changes.iter().zip(&outcomes) {
        if change.address.as_str().contains("/two#lifecycle") {
            assert_eq!(outcome.outcome, OutcomeKind::Failed);
            let error = outcome.error.as_deref().unwrap();
            assert!(
                error.contains("AccessDenied") && error.contains("PutBucketLifecycleConfiguration"),
                "{error}"
            );
        } else {
            assert_eq!(outcome.outcome, OutcomeKind::Applied, "{:?}", outcome.error);
        }
    }
}

#[test]
fn one_resource_of_a_tag_batch_can_fail_without_the_others() {
    let (plan, outcomes, world) = apply_with(|op, resource| {
        (op == "tag:TagResources" && resource == "two")
            .then(|| Fault::Refuse("ThrottlingException".into()))
    });
    for (change, outcome) in plan.changes.iter().zip(&outcomes) {
        let expected = if change.address.as_str().contains("/two#tags") {
            OutcomeKind::Failed
        } else {
            OutcomeKind::Applied
        };
        assert_eq!(outcome.outcome, expected, "{}", change.address);
    }
    let tags = &world.accounts["prod"].resources["arn:aws:s3:::two"].tags;
    assert_eq!(
        tags.get("Environment").map(String::as_str),
        Some("prod"),
        "the old spelling stays where the new one was refused"
    );
}

#[test]
fn a_lost_answer_is_settled_by_looking() {
    let (_, outcomes, _) = apply_with(|op, _| {
        (op.starts_with("tag:Tag") || op.starts_with("tag:Untag") || op.contains("PutBucket"))
            .then_some(Fault::AnswerLost)
    });
    assert_eq!(kinds(&outcomes), vec![OutcomeKind::Applied; 6]);
}

#[test]
fn nothing_is_written_where_it_could_not_be_read_again() {
    for read in ["tag:GetResources", "s3:GetBucketLifecycleConfiguration"] {
        let (_, outcomes, after) =
            apply_with(move |op, _| (op == read).then(|| Fault::Refuse("AccessDenied".into())));
        let failed: Vec<_> = outcomes
            .iter()
            .filter(|o| o.outcome == OutcomeKind::Failed)
            .collect();
        assert_eq!(failed.len(), 3);
        assert!(
            failed
                .iter()
                .all(|o| o.error.as_deref().unwrap().contains("nothing was changed")),
            "{failed:?}"
        );
        let before = world();
        if read == "tag:GetResources" {
            assert_eq!(
                after.accounts["prod"].resources,
                before.accounts["prod"].resources
            );
        } else {
            assert_eq!(
                after.accounts["prod"].buckets,
                before.accounts["prod"].buckets
            );
        }
    }
}

/// A write that cannot be verified is not called applied.
#[test]
fn an_unverified_write_is_a_failure() {
    let reads = AtomicUsize::new(0);
    let (_, outcomes, _) = apply_with(move |op, resource| {
        let first_look = op == "s3:GetBucketLifecycleConfiguration"
            && resource == "one"
            && reads.fetch_add(1, Ordering::SeqCst) == 0;
        (op == "s3:GetBucketLifecycleConfiguration" && resource == "one" && !first_look)
            .then(|| Fault::Refuse("SlowDown".into()))
    });
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|o| o.outcome == OutcomeKind::Failed)
        .collect();
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0]
            .error
            .as_deref()
            .unwrap()
            .contains("could not be verified"),
        "{failed:?}"
    );
}

/// Cancelled at every possible call: what was begun is finished, what was not is skipped, and the
/// next run does the rest.
#[test]
fn an_interrupt_at_any_call_leaves_a_state_that_the_next_run_completes() {
    let loaded = loaded();
    for at in 0..24 {
        let cancel = CancellationToken::new();
        let count = AtomicUsize::new(0);
        let armed = Arc::new(Mutex::new(false));
        let sandbox = Sandbox::in_memory(world()).with_faults(Box::new({
            let (cancel, armed) = (cancel.clone(), armed.clone());
            move |_, _| {
                if *armed.lock().unwrap() && count.fetch_add(1, Ordering::SeqCst) == at {
                    cancel.cancel();
                }
                None
            }
        }));
        block_on(async {
            let first = plan(&sandbox, &loaded).await;
            *armed.lock().unwrap() = true;
            let outcomes = apply_until(&sandbox, &first, &cancel).await;
            assert!(
                outcomes
                    .iter()
                    .all(|o| matches!(o.outcome, OutcomeKind::Applied | OutcomeKind::Skipped)),
                "at {at}: {outcomes:?}"
            );
            let next = plan(&sandbox, &loaded).await;
            let skipped = outcomes
                .iter()
                .filter(|o| o.outcome == OutcomeKind::Skipped)
                .count();
            assert_eq!(next.changes.len(), skipped, "at {at}");
            apply(&sandbox, &next).await;
            assert!(plan(&sandbox, &loaded).await.changes.is_empty(), "at {at}");
        });
    }
}

#[test]
fn a_resource_that_went_away_is_stale() {
    let loaded = loaded();
    let sandbox = Sandbox::in_memory(world());
    let first = block_on(plan(&sandbox, &loaded));
    let mut without = sandbox.world();
    let account = without.accounts.get_mut("prod").unwrap();
    account.resources.remove("arn:aws:s3:::two");
    account.buckets.remove("two");
    let sandbox = Sandbox::in_memory(without);
    let outcomes = block_on(apply(&sandbox, &first));
    for (change, outcome) in first.changes.iter().zip(&outcomes) {
        if change.address.as_str().contains("/two#tags") {
            assert_eq!(outcome.outcome, OutcomeKind::Stale);
            assert!(outcome.error.as_deref().unwrap().contains("gone"));
        } else if change.address.as_str().contains("/two#lifecycle") {
            assert_ne!(outcome.outcome, OutcomeKind::Applied);
        } else {
            assert_eq!(outcome.outcome, OutcomeKind::Applied);
        }
    }
}
