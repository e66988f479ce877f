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
