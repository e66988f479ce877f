//! The guards one by one.

use super::*;
use crate::cloud::copies::CopyKind;
use crate::drill::journal::CopyThing;
use crate::drill::label;
use crate::inventory::Observed;

const RUN: &str = "20261122T104000Z-0a1b2c";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

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

fn thing() -> CopyThing {
    CopyThing {
        kind: CopyKind::Instance,
        environment: "prod".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        id: label::copy_name(CopyKind::Instance, "orders", RUN),
        run_id: RUN.to_owned(),
        intent: at("2026-11-22T10:40:00Z"),
        source: "orders".to_owned(),
        source_resource_id: "db-SOURCE".to_owned(),
        cluster: None,
        until: None,
    }
}

fn seen() -> CopySeen {
    let thing = thing();
    CopySeen {
        kind: CopyKind::Instance,
        region: "eu-west-1".to_owned(),
        arn: format!("arn:aws:rds:eu-west-1:123456789012:db:{}", thing.id),
        tags: Observed::Known(thing.tags()),
        id: thing.id,
        resource_id: Some("db-COPY".to_owned()),
        created: Some(at("2026-11-22T10:40:05Z")),
        status: "available".to_owned(),
        deletion_protection: false,
        replicas: Vec::new(),
        replica_of: None,
        restored_from: None,
        cluster: None,
        members: Vec::new(),
        endpoint: None,
        publicly_accessible: Some(false),
        pending_changes: false,
    }
}

fn failing(claim: &Claim, seen: &CopySeen, account: &str) -> Vec<&'static str> {
    guards(claim, seen, Ok(account), at("2026-11-22T12:00:00Z"))
        .iter()
        .filter(|g| !g.passed)
        .map(|g| g.name)
        .collect()
}

#[test]
fn our_own_copy_passes_every_guard() {
    for known in [Some("db-COPY"), None] {
        let claim = thing().claim(&target(), known);
        assert_eq!(failing(&claim, &seen(), "123456789012"), [""; 0]);
    }
}

/// Each way in which something can be other than our copy fails the guard that is there for it.
#[test]
fn every_deviation_has_its_guard() {
    type Change = fn(&mut CopySeen);
    let tag = |seen: &mut CopySeen, key: &str, value: Option<&str>| {
        let Observed::Known(tags) = &mut seen.tags else {
            return;
        };
        match value {
            Some(value) => drop(tags.insert(key.to_owned(), value.to_owned())),
            None => drop(tags.remove(key)),
        }
    };
    let cases: [(&str, Change); 17] = [
        ("name", |s| s.id = "orders-new".to_owned()),
        ("name", |s| s.region = "us-east-1".to_owned()),
        ("name", |s| s.kind = CopyKind::Cluster),
        ("account", |s| {
            s.arn = s.arn.replace("123456789012", "999999999999")
        }),
        ("run tag", |_| {}),
        ("source tag", |_| {}),
        ("intent tag", |_| {}),
        ("created after the intent", |s| {
            s.created = Some("2026-11-22T10:39:59Z".parse().unwrap());
        }),
        ("created after the intent", |s| s.created = None),
        ("resource id", |s| {
            s.resource_id = Some("db-OTHER".to_owned())
        }),
        ("resource id", |s| s.resource_id = None),
        ("not the source", |s| {
            s.resource_id = Some("db-SOURCE".to_owned())
        }),
        ("no replicas", |s| s.replicas = vec!["replica".to_owned()]),
        ("no replicas", |s| s.replica_of = Some("orders".to_owned())),
        ("stands alone", |s| s.cluster = Some("drill-x".to_owned())),
        ("stands alone", |s| s.members = vec!["app-1".to_owned()]),
        ("run tag", |s| {
            s.tags = Observed::Unknown("denied".to_owned())
        }),
    ];
    for (i, (name, change)) in cases.into_iter().enumerate() {
        for known in [Some("db-COPY"), None] {
            let claim = thing().claim(&target(), known);
            let mut seen = seen();
            change(&mut seen);
            match i {
                4 => tag(&mut seen, label::RUN, None),
                5 => tag(&mut seen, label::SOURCE, Some("db-ANOTHER")),
                6 => tag(&mut seen, label::INTENT, Some("2026-11-22T10:41:00Z")),
                // Without the answer there is no id to compare with.
                9 if known.is_none() => continue,
                _ => {}
            }
            let failed = failing(&claim, &seen, "123456789012");
            assert!(failed.contains(&name), "case {i} ({name}): {failed:?}");
        }
    }
    let claim = thing().claim(&target(), Some("db-COPY"));
    assert_eq!(failing(&claim, &seen(), "999999999999"), ["account"]);
}

#[test]
fn a_copy_that_is_being_made_has_no_creation_time() {
    let claim = thing().claim(&target(), Some("db-COPY"));
    for status in ["creating", "failed", "incompatible-restore"] {
        let seen = CopySeen {
            created: None,
            status: status.to_owned(),
            ..seen()
        };
        assert_eq!(failing(&claim, &seen, "123456789012"), [""; 0], "{status}");
    }
}

#[test]
fn without_a_journal_tags_name_and_age_decide() {
    let claim = |seen: &CopySeen, hours: u64| {
        Claim::from_tags(&target(), seen, Duration::from_secs(hours * 3600))
    };
    let ours = seen();
    let old = claim(&ours, 1).unwrap();
    assert_eq!(failing(&old, &ours, "123456789012"), [""; 0]);
    let young = claim(&ours, 3).unwrap();
    assert_eq!(failing(&young, &ours, "123456789012"), [AGE]);
    // Of another project, whose drills take longer than those of this one.
    let long = CopyThing {
        until: Some(at("2026-11-23T22:00:00Z")),
        ..thing()
    };
    let mut others = seen();
    others.tags = Observed::Known(long.tags());
    let theirs = claim(&others, 1).unwrap();
    assert_eq!(failing(&theirs, &others, "123456789012"), [AGE]);
    // A production database that begins like one of ours, and one that took over our tags.
    let mut plain = seen();
    plain.tags = Observed::Known(Default::default());
    assert_eq!(claim(&plain, 1), None);
    let mut taken = seen();
    taken.id = "drill-machine".to_owned();
    let claimed = claim(&taken, 1).unwrap();
    assert_eq!(failing(&claimed, &taken, "123456789012"), ["name"]);
    let mut half = seen();
    half.tags = Observed::Known(
        [(label::RUN.to_owned(), RUN.to_owned())]
            .into_iter()
            .collect(),
    );
    assert_eq!(claim(&half, 1), None);
    let Observed::Known(tags) = &mut half.tags else {
        panic!("tags")
    };
    tags.extend(ours.tags.known().unwrap().clone());
    tags.insert(label::INTENT.to_owned(), "some day".to_owned());
    assert_eq!(claim(&half, 1), None);
    // Tags of a copy, given to a database that was there before.
    let mut older = seen();
    older.created = Some(at("2026-01-01T00:00:00Z"));
    let claimed = claim(&older, 1).unwrap();
    assert_eq!(
        failing(&claimed, &older, "123456789012"),
        ["created after the intent"]
    );
}

const SOURCE_TABLE: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders";

fn table_thing() -> CopyThing {
    CopyThing {
        kind: CopyKind::Table,
        id: label::copy_name(CopyKind::Table, "Orders", RUN),
        source: "Orders".to_owned(),
        source_resource_id: "id-source".to_owned(),
        ..thing()
    }
}

fn untagged() -> CopySeen {
    let id = table_thing().id;
    CopySeen {
        kind: CopyKind::Table,
        arn: format!("arn:aws:dynamodb:eu-west-1:123456789012:table/{id}"),
        tags: Observed::Known(Default::default()),
        id,
        resource_id: Some("id-copy".to_owned()),
        status: "ACTIVE".to_owned(),
        restored_from: Some(SOURCE_TABLE.to_owned()),
        publicly_accessible: None,
        ..seen()
    }
}

/// A restore of a table takes no tags: until they are there its own journal claims it, and nothing
/// else does.
#[test]
fn an_untagged_table_is_ours_by_its_journal_only() {
    for known in [Some("id-copy"), None] {
        let claim = table_thing().claim(&target(), known);
        assert_eq!(
            failing(&claim, &untagged(), "123456789012"),
            [""; 0],
            "{known:?}"
        );
    }
    assert_eq!(
        Claim::from_tags(&target(), &untagged(), Duration::ZERO),
        None
    );
    let tags = ["run tag", "source tag", "intent tag"];
    type Change = fn(&mut CopySeen);
    // With the answer lost each fact has to fit.
    let lost: [Change; 5] = [
        |s| s.restored_from = None,
        |s| s.restored_from = Some(SOURCE_TABLE.replace("Orders", "Carts")),
        |s| s.restored_from = Some(SOURCE_TABLE.replace("eu-west-1", "us-east-1")),
        |s| s.created = Some("2026-11-22T10:50:01Z".parse().unwrap()),
        |s| s.created = None,
    ];
    for (i, change) in lost.into_iter().enumerate() {
        let mut seen = untagged();
        change(&mut seen);
        let claim = table_thing().claim(&target(), None);
        let failed = failing(&claim, &seen, "123456789012");
        assert!(tags.iter().all(|t| failed.contains(t)), "{i}: {failed:?}");
    }
    // A new table of the old name, whatever it was made from.
    let claim = table_thing().claim(&target(), Some("id-copy"));
    let mut other = untagged();
    other.resource_id = Some("id-other".to_owned());
    let failed = failing(&claim, &other, "123456789012");
    assert!(
        failed.contains(&"run tag") && failed.contains(&"resource id"),
        "{failed:?}"
    );
    // A tag with another value is somebody's word against it.
    let mut tagged = untagged();
    tagged.tags = Observed::Known(
        [(label::RUN.to_owned(), "another".to_owned())]
            .into_iter()
            .collect(),
    );
    assert_eq!(failing(&claim, &tagged, "123456789012"), ["run tag"]);
    // An instance has had its tags from the beginning.
    let mut instance = seen();
    instance.tags = Observed::Known(Default::default());
    let claim = thing().claim(&target(), Some("db-COPY"));
    assert_eq!(failing(&claim, &instance, "123456789012"), tags);
}
