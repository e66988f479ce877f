//! Finds what the SDK would drop: elements of a lifecycle configuration that are newer than it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// Which elements may stand in which, as the SDK reads and writes them.
///
/// Source: the S3 API model, `LifecycleConfiguration`, in the version of aws-sdk-s3 in use.
const KNOWN: &[(&str, &[&str])] = &[
    ("LifecycleConfiguration", &["Rule"]),
    (
        "Rule",
        &[
            "ID",
            "Status",
            "Prefix",
            "Filter",
            "Expiration",
            "Transition",
            "NoncurrentVersionTransition",
            "NoncurrentVersionExpiration",
            "AbortIncompleteMultipartUpload",
        ],
    ),
    (
        "Filter",
        &[
            "Prefix",
            "Tag",
            "ObjectSizeGreaterThan",
            "ObjectSizeLessThan",
            "And",
        ],
    ),
    (
        "And",
        &[
            "Prefix",
            "Tag",
            "ObjectSizeGreaterThan",
            "ObjectSizeLessThan",
        ],
    ),
    ("Tag", &["Key", "Value"]),
    ("Expiration", &["Days", "Date", "ExpiredObjectDeleteMarker"]),
    ("Transition", &["Days", "Date", "StorageClass"]),
    (
        "NoncurrentVersionTransition",
        &["NoncurrentDays", "StorageClass", "NewerNoncurrentVersions"],
    ),
    (
        "NoncurrentVersionExpiration",
        &["NoncurrentDays", "NewerNoncurrentVersions"],
    ),
    ("AbortIncompleteMultipartUpload", &["DaysAfterInitiation"]),
];

/// An interceptor of a single call that leaves the first unknown element here.
#[derive(Debug)]
pub struct UnknownElement(pub Arc<Mutex<Option<String>>>);

#[dyn_dispatch_hint]
impl Intercept for UnknownElement {
    fn name(&self) -> &'static str {
        "opsctl::UnknownElement"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().is_success() {
            let body = response.body().bytes().unwrap_or_default();
            let found = unknown_element(&String::from_utf8_lossy(body));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
        Ok(())
    }
}

/// The first element that is not known in its place, as `Parent/Element`.
fn unknown_element(xml: &str) -> Option<String> {
    let mut path: Vec<&str> = Vec::new();
    for token in Tokenizer::from(xml) {
        match token {
            Ok(Token::ElementStart { local, .. }) => {
                let name = local.as_str();
                if let Some(parent) = path.last()
                    && !is_known(parent, name)
                {
                    return Some(format!("{parent}/{name}"));
                }
                path.push(name);
            }
            Ok(Token::ElementEnd {
                end: ElementEnd::Close(..) | ElementEnd::Empty,
                ..
            }) => {
                path.pop();
            }
            // Whatever cannot be read could hold anything.
            Err(error) => return Some(format!("unreadable XML: {error}")),
            Ok(_) => {}
        }
    }
    None
}

fn is_known(parent: &str, name: &str) -> bool {
    let entry = KNOWN.iter().find(|(known, _)| *known == parent);
    entry.is_some_and(|(_, children)| children.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::unknown_element;

    #[test]
    fn elements_are_known_only_in_their_place() {
        let rule = |inside: &str| {
            unknown_element(&format!(
                r#"<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>a</ID>{inside}</Rule></LifecycleConfiguration>"#
            ))
        };
        assert_eq!(rule("<Filter/><Status>Enabled</Status>"), None);
        assert_eq!(
            rule("<Filter><And><Tag><Key>k</Key><Value/></Tag></And></Filter>"),
            None
        );
        assert_eq!(rule("<!-- <New/> --><Prefix>&lt;New&gt;</Prefix>"), None);
        assert_eq!(rule("<New/>").as_deref(), Some("Rule/New"));
        assert_eq!(
            rule("<Filter><Prefix>a</Prefix><ObjectAge>3</ObjectAge></Filter>").as_deref(),
            Some("Filter/ObjectAge")
        );
        assert_eq!(
            rule("<Expiration><Prefix>a</Prefix></Expiration>").as_deref(),
            Some("Expiration/Prefix")
        );
        assert_eq!(
            unknown_element("<LifecycleConfiguration><Mode>x</Mode></LifecycleConfiguration>")
                .as_deref(),
            Some("LifecycleConfiguration/Mode")
        );
        assert!(rule("<Filter").unwrap().starts_with("unreadable XML"));
    }
}
