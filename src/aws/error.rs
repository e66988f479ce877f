//! The SDK's errors in our own words: a code, one sentence, and whether the call may have happened.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::cloud::CloudError;

/// The code of every failure to obtain credentials.
pub const NO_CREDENTIALS: &str = "NoCredentials";

/// The code of a call that the other side does not have.
pub const NOT_IMPLEMENTED: &str = "NotImplemented";

/// Names the operation in the error of a call.
pub trait Named<T> {
    fn named(self, operation: &str) -> Result<T, CloudError>;
}

impl<T, E> Named<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn named(self, operation: &str) -> Result<T, CloudError> {
        self.map_err(|error| translate(operation, &error))
    }
}

fn translate<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let make = |code: String, message: String, maybe_done: bool| CloudError {
        operation: operation.to_owned(),
        code,
        message: one_line(&message),
        maybe_done,
    };
    if let Some(credentials) = find::<CredentialsError>(error) {
        return make(NO_CREDENTIALS.to_owned(), causes(credentials), false);
    }
    let status = error.raw_response().map(|r| r.status().as_u16());
    match error {
        SdkError::ServiceError(context) => {
            let status = status.unwrap_or_default();
            let service = context.err();
            let code = service
                .code()
                .map_or_else(|| status_code(status), str::to_owned);
            let message = service.message().filter(|m| !m.is_empty()).map_or_else(
                || format!("the service answered HTTP {status}"),
                str::to_owned,
            );
            // A refusal is not a failure halfway.
            let refused = status == 501 || is_throttle(&code);
            make(code, message, status >= 500 && !refused)
        }
        SdkError::ResponseError(_) => {
            let status = status.unwrap_or_default();
            make(
                status_code(status),
                format!("the service answered HTTP {status}, in a form that is not its own"),
                (status >= 500 && status != 501) || (200..300).contains(&status),
            )
        }
        SdkError::TimeoutError(_) => make(
            "timeout".to_owned(),
            "no success in time, retries included".to_owned(),
            true,
        ),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            let cause = root_cause(error);
            let sent = !cause.contains("connect timeout");
            make("timeout".to_owned(), cause, sent)
        }
        SdkError::DispatchFailure(_) => make(
            "connection".to_owned(),
            root_cause(error),
            !never_connected(error),
        ),
        _ => make("request".to_owned(), root_cause(error), false),
    }
}

/// A code for answers without one, such as those to HEAD requests and HTML pages.
fn status_code(status: u16) -> String {
    match status {
        301 => "PermanentRedirect".to_owned(),
        403 => "AccessDenied".to_owned(),
        501 => NOT_IMPLEMENTED.to_owned(),
        _ => format!("Http{status}"),
    }
}

/// The first error of type `T` in the chain of causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// What the innermost cause says; the layers above it only say that something failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

/// All that the chain of causes says; credentials fail for reasons at any depth.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(current) = next {
        let text = current.to_string();
        if !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
        next = current.source();
    }
    said.join(": ")
}

/// Whether the failure came before the request could have left.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(current) = next {
        // The HTTP client's own type is private; this covers DNS, TCP and TLS.
        if current.to_string().contains("(Connect)") {
            return true;
        }
        next = current.source();
    }
    false
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Code: message`, as gaps and unknown facts show it.
pub fn text(error: &CloudError) -> String {
    format!("{}: {}", error.code, error.message)
}

/// The resource does not exist (any more).
pub fn is_not_found(error: &CloudError) -> bool {
    let code = error.code.as_str();
    code == "NoSuchBucket"
        || ["NotFound", "NotFoundFault", "NotFoundException"]
            .iter()
            .any(|end| code.ends_with(end))
        || code.contains("QueueDoesNotExist")
        || code.contains("NonExistentQueue")
}

/// The service asks for fewer requests.
///
/// Source: aws-runtime `retries/classifiers.rs`, without `LimitExceededException`, which several
/// services use for quotas.
pub fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottledException"
            | "RequestThrottled"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "SlowDown"
            | "PriorRequestNotComplete"
            | "EC2ThrottledException"
    )
}

/// The operation is not offered here at all.
pub fn is_not_implemented(error: &CloudError) -> bool {
    matches!(
        error.code.as_str(),
        NOT_IMPLEMENTED
            | "NotImplementedException"
            | "UnknownOperation"
            | "UnknownOperationException"
            | "InvalidAction"
            | "UnsupportedOperation"
            | "Http404"
            | "Http405"
    )
}

/// The account never signed up for the service, so it cannot have resources in it.
pub fn is_not_subscribed(error: &CloudError) -> bool {
    matches!(
        error.code.as_str(),
        "SubscriptionRequiredException"
            | "SubscriptionRequired"
            | "OptInRequired"
            | "OptInRequiredException"
    )
}

/// An error of our own making.
pub fn own(operation: &str, code: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: message.into(),
        maybe_done: false,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::operation::get_bucket_tagging::GetBucketTaggingError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn error(status: u16, code: Option<&str>, message: &str) -> CloudError {
        let mut metadata = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        let error = GetBucketTaggingError::generic(metadata.build());
        translate("s3:X", &SdkError::service_error(error, response))
    }

    #[test]
    fn errors_tell_whether_the_call_may_have_happened() {
        for (status, code, maybe) in [
            (500, "InternalError", true),
            (503, "ServiceUnavailable", true),
            (503, "SlowDown", false),
            (501, "NotImplemented", false),
            (403, "AccessDenied", false),
        ] {
            let error = error(status, Some(code), "m");
            assert_eq!((error.code.as_str(), error.maybe_done), (code, maybe));
        }
    }

    #[test]
    fn messages_are_one_line_and_never_empty() {
        let denied = "User: arn:aws:sts::1:assumed-role/ops/me\n  is not authorized";
        let found = error(403, Some("AccessDenied"), denied);
        assert_eq!(
            text(&found),
            "AccessDenied: User: arn:aws:sts::1:assumed-role/ops/me is not authorized"
        );
        assert_eq!(
            text(&error(403, None, "")),
            "AccessDenied: the service answered HTTP 403"
        );
        assert_eq!(
            text(&error(502, None, "")),
            "Http502: the service answered HTTP 502"
        );
    }

    #[test]
    fn codes_are_told_apart() {
        let with = |code: &str| own("x", code, "");
        for gone in [
            "NoSuchBucket",
            "DBSnapshotNotFound",
            "DBClusterNotFoundFault",
            "ResourceNotFoundException",
            "AWS.SimpleQueueService.NonExistentQueue",
        ] {
            assert!(is_not_found(&with(gone)), "{gone}");
        }
        for other in [
            "NoSuchTagSet",
            "Http404",
            "AccessDenied",
            "UnknownOperationException",
        ] {
            assert!(!is_not_found(&with(other)), "{other}");
        }
        assert!(is_not_implemented(&with("UnknownOperationException")));
        assert!(!is_throttle("LimitExceededException"));
    }
}
