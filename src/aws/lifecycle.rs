//! Lifecycle configurations between the SDK's types and ours, both ways and without loss.

use aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput;
use aws_sdk_s3::primitives::DateTimeFormat;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, NoncurrentVersionTransition, Tag as SdkTag,
    Transition as SdkTransition, TransitionDefaultMinimumObjectSize, TransitionStorageClass,
};
use aws_smithy_types::DateTime;

use crate::model::lifecycle::{
    And, Expiration, Filter, LifecycleConfiguration, NoncurrentExpiration, NoncurrentTransition,
    Rule, Tag, Transition,
};

type Converted<T> = Result<T, String>;

/// A configuration as S3 told it.
pub fn from_sdk(
    output: &GetBucketLifecycleConfigurationOutput,
) -> Converted<LifecycleConfiguration> {
    let header = output.transition_default_minimum_object_size();
    Ok(LifecycleConfiguration {
        transition_default_minimum_object_size: header.map(|h| h.as_str().to_owned()),
        rules: output
            .rules()
            .iter()
            .map(rule_from)
            .collect::<Converted<_>>()?,
    })
}

/// The header and the body of a write.
pub fn to_sdk(
    configuration: &LifecycleConfiguration,
) -> Converted<(
    Option<TransitionDefaultMinimumObjectSize>,
    BucketLifecycleConfiguration,
)> {
    let header = configuration
        .transition_default_minimum_object_size
        .as_deref();
    let rules = configuration
        .rules
        .iter()
        .map(rule_to)
        .collect::<Converted<_>>()?;
    let body = BucketLifecycleConfiguration::builder().set_rules(Some(rules));
    let body = body.build().map_err(|e| e.to_string())?;
    Ok((header.map(TransitionDefaultMinimumObjectSize::from), body))
}

// `Prefix` is deprecated and in use: a rule that has it must keep it.
#[allow(deprecated)]
fn rule_from(rule: &LifecycleRule) -> Converted<Rule> {
    Ok(Rule {
        id: rule.id.clone(),
        status: rule.status.as_str().to_owned(),
        prefix: rule.prefix.clone(),
        filter: rule.filter.as_ref().map(|filter| Filter {
            prefix: filter.prefix.clone(),
            tag: filter.tag.as_ref().map(tag_from),
            object_size_greater_than: filter.object_size_greater_than,
            object_size_less_than: filter.object_size_less_than,
            and: filter.and.as_ref().map(|and| And {
                prefix: and.prefix.clone(),
                tags: and.tags().iter().map(tag_from).collect(),
                object_size_greater_than: and.object_size_greater_than,
                object_size_less_than: and.object_size_less_than,
            }),
        }),
        expiration: match &rule.expiration {
            None => None,
            Some(expiration) => Some(Expiration {
                days: expiration.days,
                date: expiration.date.as_ref().map(date_from).transpose()?,
                expired_object_delete_marker: expiration.expired_object_delete_marker,
            }),
        },
        transitions: rule
            .transitions()
            .iter()
            .map(|step| {
                Ok(Transition {
                    days: step.days,
                    date: step.date.as_ref().map(date_from).transpose()?,
                    storage_class: step.storage_class.as_ref().map(|c| c.as_str().to_owned()),
                })
            })
            .collect::<Converted<_>>()?,
        noncurrent_version_transitions: rule
            .noncurrent_version_transitions()
            .iter()
            .map(|step| NoncurrentTransition {
                noncurrent_days: step.noncurrent_days,
                storage_class: step.storage_class.as_ref().map(|c| c.as_str().to_owned()),
                newer_noncurrent_versions: step.newer_noncurrent_versions,
            })
            .collect(),
        noncurrent_version_expiration: rule.noncurrent_version_expiration.as_ref().map(|e| {
            NoncurrentExpiration {
                noncurrent_days: e.noncurrent_days,
                newer_noncurrent_versions: e.newer_noncurrent_versions,
            }
        }),
        abort_incomplete_multipart_upload: match &rule.abort_incomplete_multipart_upload {
            None => None,
            Some(abort) => match abort.days_after_initiation {
                None => return Err("AbortIncompleteMultipartUpload without days".to_owned()),
                days => days,
            },
        },
    })
}

#[allow(deprecated)]
fn rule_to(rule: &Rule) -> Converted<LifecycleRule> {
    let days = rule.abort_incomplete_multipart_upload;
    LifecycleRule::builder()
        .set_id(rule.id.clone())
        .status(ExpirationStatus::from(rule.status.as_str()))
        .set_prefix(rule.prefix.clone())
        .set_filter(rule.filter.as_ref().map(filter_to).transpose()?)
        .set_expiration(rule.expiration.as_ref().map(expiration_to).transpose()?)
        .set_transitions(some_if_any(
            rule.transitions
                .iter()
                .map(transition_to)
                .collect::<Converted<_>>()?,
        ))
        .set_noncurrent_version_transitions(some_if_any(
            rule.noncurrent_version_transitions
                .iter()
                .map(noncurrent_to)
                .collect(),
        ))
        .set_noncurrent_version_expiration(rule.noncurrent_version_expiration.as_ref().map(|e| {
            NoncurrentVersionExpiration::builder()
                .set_noncurrent_days(e.noncurrent_days)
                .set_newer_noncurrent_versions(e.newer_noncurrent_versions)
                .build()
        }))
        .set_abort_incomplete_multipart_upload(days.map(|days| {
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(days)
                .build()
        }))
        .build()
        .map_err(|e| e.to_string())
}

fn filter_to(filter: &Filter) -> Converted<LifecycleRuleFilter> {
    let and = match &filter.and {
        None => None,
        Some(and) => Some(
            LifecycleRuleAndOperator::builder()
                .set_prefix(and.prefix.clone())
                .set_tags(some_if_any(
                    and.tags.iter().map(tag_to).collect::<Converted<_>>()?,
                ))
                .set_object_size_greater_than(and.object_size_greater_than)
                .set_object_size_less_than(and.object_size_less_than)
                .build(),
        ),
    };
    Ok(LifecycleRuleFilter::builder()
        .set_prefix(filter.prefix.clone())
        .set_tag(filter.tag.as_ref().map(tag_to).transpose()?)
        .set_object_size_greater_than(filter.object_size_greater_than)
        .set_object_size_less_than(filter.object_size_less_than)
        .set_and(and)
        .build())
}

fn expiration_to(expiration: &Expiration) -> Converted<LifecycleExpiration> {
    Ok(LifecycleExpiration::builder()
        .set_days(expiration.days)
        .set_date(expiration.date.as_deref().map(date_to).transpose()?)
        .set_expired_object_delete_marker(expiration.expired_object_delete_marker)
        .build())
}

fn transition_to(step: &Transition) -> Converted<SdkTransition> {
    Ok(SdkTransition::builder()
        .set_days(step.days)
        .set_date(step.date.as_deref().map(date_to).transpose()?)
        .set_storage_class(
            step.storage_class
                .as_deref()
                .map(TransitionStorageClass::from),
        )
        .build())
}

fn noncurrent_to(step: &NoncurrentTransition) -> NoncurrentVersionTransition {
    NoncurrentVersionTransition::builder()
        .set_noncurrent_days(step.noncurrent_days)
        .set_storage_class(
            step.storage_class
                .as_deref()
                .map(TransitionStorageClass::from),
        )
        .set_newer_noncurrent_versions(step.newer_noncurrent_versions)
        .build()
}

fn tag_from(tag: &SdkTag) -> Tag {
    Tag {
        key: tag.key.clone(),
        value: tag.value.clone(),
    }
}

fn tag_to(tag: &Tag) -> Converted<SdkTag> {
    let built = SdkTag::builder().key(&tag.key).value(&tag.value).build();
    built.map_err(|e| e.to_string())
}

fn date_from(date: &DateTime) -> Converted<String> {
    date.fmt(DateTimeFormat::DateTime)
        .map_err(|e| e.to_string())
}

fn date_to(text: &str) -> Converted<DateTime> {
    DateTime::from_str(text, DateTimeFormat::DateTime)
        .map_err(|e| format!("`{text}` is not a date: {e}"))
}

/// An empty list would be written as a present and empty one.
fn some_if_any<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::super::s3;
    use super::super::tests::{Replay, answer};
    use super::*;
    use crate::cloud::LifecycleReading;
    use crate::inventory::Observed;

    /// Writes the configuration and reads back exactly what went over the wire.
    fn over_the_wire(configuration: &LifecycleConfiguration) -> (LifecycleReading, String) {
        let stored: Arc<Mutex<(String, Option<String>)>> = Arc::default();
        let store = Arc::clone(&stored);
        let replay = Replay::new(move |request| {
            const HEADER: &str = "x-amz-transition-default-minimum-object-size";
            let mut stored = store.lock().unwrap();
            if request.method == "PUT" {
                assert_eq!(
                    request.header("x-amz-expected-bucket-owner"),
                    Some(super::super::tests::ACCOUNT)
                );
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
}
