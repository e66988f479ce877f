use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::super::s3;
use super::*;
use crate::cloud::LifecycleReading;
use crate::inventory::Observed;
use crate::model::lifecycle::{
    And, Expiration, Filter, LifecycleConfiguration, NoncurrentExpiration, NoncurrentTransition,
    Rule, Tag, Transition,
};

/// Writes the configuration and reads back exactly what went over the wire.
fn over_the_wire(configuration: &LifecycleConfiguration) -> (LifecycleReading, String) {
    let stored: Arc<Mutex<(String, Option<String>)>> = Arc::default();
    let store = Arc::clone(&stored);
    let replay = Replay::new(move |request| {
        const HEADER: &str = "x-amz-transition-default-minimum-object-size";
        let mut stored = store.lock().unwrap();
        if request.method == "PUT" {
            assert_eq!(request.header("x-amz-expected-bucket-owner"), Some(ACCOUNT));
            *stored = (
                request.body.clone(),
                request.header(HEADER).map(str::to_owned),
            );
            return answer(200, "");
        }
        let headers = stored.1.iter().map(|value| (HEADER, value.clone()));
        (200, headers.collect(), stored.0.clone().into_bytes())
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reading = runtime.block_on(async {
        let region = replay.session(&["eu-west-1"]).region("eu-west-1").await;
        s3::put_lifecycle(&region, "logs", configuration)
            .await
            .unwrap();
        s3::read_lifecycle(&region, "logs").await.unwrap()
    });
    let xml = stored.lock().unwrap().0.clone();
    (reading, xml)
}

fn rule() -> Rule {
    Rule {
        id: Some("r".to_owned()),
        status: "Enabled".to_owned(),
        prefix: None,
        filter: None,
        expiration: None,
        transitions: Vec::new(),
        noncurrent_version_transitions: Vec::new(),
        noncurrent_version_expiration: None,
        abort_incomplete_multipart_upload: None,
    }
}

#[test]
fn forms_of_the_whole_bucket_stay_apart() {
    let filter = |filter| Rule {
        filter: Some(filter),
        ..rule()
    };
    let prefix = |text: &str| Some(text.to_owned());
    let v1 = Rule {
        prefix: prefix(""),
        ..rule()
    };
    let empty_prefix = Filter {
        prefix: prefix(""),
        ..Filter::default()
    };
    let empty_and = Filter {
        and: Some(And::default()),
        ..Filter::default()
    };
    for (rule, form) in [
        (rule(), "<Rule><ID>r</ID><Status>Enabled</Status></Rule>"),
        (v1, "<Prefix></Prefix><Status>"),
        (filter(Filter::default()), "<Filter></Filter>"),
        (filter(empty_prefix), "<Filter><Prefix></Prefix></Filter>"),
        (filter(empty_and), "<Filter><And></And></Filter>"),
    ] {
        let configuration = LifecycleConfiguration {
            transition_default_minimum_object_size: None,
            rules: vec![rule],
        };
        let (reading, xml) = over_the_wire(&configuration);
        assert!(xml.contains(form), "{form} in {xml}");
        assert_eq!(reading.configuration, Observed::Known(configuration));
        assert_eq!(reading.unknown_element, None);
    }
}

prop_compose! {
    fn tags()(pairs in vec(("[ -~äß€]{1,6}", "[ -~äß€]{0,6}"), 0..3)) -> Vec<Tag> {
        pairs.into_iter().map(|(key, value)| Tag { key, value }).collect()
    }
}

fn text() -> impl Strategy<Value = Option<String>> {
    of("[ -~äß€\\t\\r\\n]{0,8}")
}

fn date() -> impl Strategy<Value = Option<String>> {
    of((2000..2100, 1..=12, 1..=28)
        .prop_map(|(y, m, d): (i32, i32, i32)| format!("{y}-{m:02}-{d:02}T00:00:00Z")))
}

fn class() -> impl Strategy<Value = Option<String>> {
    of("GLACIER|STANDARD_IA|DEEP_ARCHIVE|A_CLASS_OF_2030").prop_map(|c| c)
}

prop_compose! {
    fn and()(
        prefix in text(),
        tags in tags(),
        object_size_greater_than in of(0..i64::MAX),
        object_size_less_than in of(0..i64::MAX),
    ) -> And {
        And { prefix, tags, object_size_greater_than, object_size_less_than }
    }
}

prop_compose! {
    fn filter()(
        prefix in text(),
        tags in tags(),
        object_size_greater_than in of(0..i64::MAX),
        object_size_less_than in of(0..i64::MAX),
        and in of(and()),
    ) -> Filter {
        let tag = tags.into_iter().next();
        Filter { prefix, tag, object_size_greater_than, object_size_less_than, and }
    }
}

prop_compose! {
    fn any_rule()(
        id in text(),
        status in "Enabled|Disabled|Paused",
        prefix in text(),
        filter in of(filter()),
        expiration in of((of(any::<i32>()), date(), of(any::<bool>()))),
        transitions in vec((of(any::<i32>()), date(), class()), 0..3),
        noncurrent in vec((of(any::<i32>()), class(), of(1..100)), 0..3),
        noncurrent_expiration in of((of(any::<i32>()), of(1..100))),
        abort_incomplete_multipart_upload in of(any::<i32>()),
    ) -> Rule {
        Rule {
            id, status, prefix, filter, abort_incomplete_multipart_upload,
            expiration: expiration.map(|(days, date, expired_object_delete_marker)| {
                Expiration { days, date, expired_object_delete_marker }
            }),
            transitions: transitions.into_iter().map(|(days, date, storage_class)| {
                Transition { days, date, storage_class }
            }).collect(),
            noncurrent_version_transitions: noncurrent.into_iter().map(|(noncurrent_days, storage_class, newer_noncurrent_versions)| {
                NoncurrentTransition { noncurrent_days, storage_class, newer_noncurrent_versions }
            }).collect(),
            noncurrent_version_expiration: noncurrent_expiration.map(|(noncurrent_days, newer_noncurrent_versions)| {
                NoncurrentExpiration { noncurrent_days, newer_noncurrent_versions }
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_rule_survives_writing_and_reading(
        header in of("all_storage_classes_128K|varies_by_storage_class|newer_than_us"),
        rules in vec(any_rule(), 1..4),
    ) {
        let configuration = LifecycleConfiguration {
            transition_default_minimum_object_size: header,
            rules,
        };
        let (reading, xml) = over_the_wire(&configuration);
        prop_assert_eq!(reading.configuration, Observed::Known(configuration), "{}", xml);
        prop_assert_eq!(reading.unknown_element, None);
    }
}
