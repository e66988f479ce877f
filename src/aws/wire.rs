//! What happens around each attempt on the wire: it is counted, and hopeless ones are not repeated.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;

use super::clock::Clock;
use super::error::is_throttle;
use crate::cloud::Meter;

/// Attempts at a host that refuses connections; a deployment behind it may be restarting.
const CONNECTION_ATTEMPTS: u32 = 4;
/// Attempts that end in a timeout, which are slow enough by themselves.
const TIMEOUT_ATTEMPTS: u32 = 3;
/// Attempts at a server error that is a web page: a proxy or an emulator, not the service.
const PAGE_ATTEMPTS: u32 = 3;

/// An interceptor of every client.
#[derive(Debug)]
pub struct Wire {
    pub meter: Arc<Meter>,
    /// What was answered without an error in this environment.
    pub answered: Arc<Meter>,
    pub clock: Arc<Clock>,
}

#[dyn_dispatch_hint]
impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "opsctl::Wire"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = cfg.load::<Metadata>() {
            self.meter.request(&operation(metadata), attempts(cfg) > 1);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().and_then(|r| r.headers().get("date")) {
            self.clock.heard(date);
        }
        let error = match context.output_or_error() {
            Some(Err(error)) => error,
            Some(Ok(_)) => {
                if let Some(metadata) = cfg.load::<Metadata>() {
                    self.answered.request(&operation(metadata), false);
                }
                return Ok(());
            }
            None => return Ok(()),
        };
        let attempts = attempts(cfg);
        let hopeless = match context.response() {
            Some(response) => {
                let costs = cfg
                    .load::<Metadata>()
                    .is_some_and(|m| m.service() == "Cost Explorer");
                if is_throttled(response) || (costs && is_cost_limit(response)) {
                    self.meter.throttled();
                }
                match response.status().as_u16() {
                    501 => true,
                    500.. => attempts >= PAGE_ATTEMPTS && is_page(response),
                    _ => false,
                }
            }
            None if error.is_timeout_error()
                || error.as_connector_error().is_some_and(|e| e.is_timeout()) =>
            {
                attempts >= TIMEOUT_ATTEMPTS
            }
            None => attempts >= CONNECTION_ATTEMPTS,
        };
        if hopeless {
            // The retry strategy asks this setting after each attempt.
            cfg.interceptor_state()
                .store_put(RetryConfig::standard().with_max_attempts(attempts.max(1)));
        }
        Ok(())
    }
}

fn operation(metadata: &Metadata) -> String {
    format!("{}:{}", iam_name(metadata.service()), metadata.name())
}

fn attempts(cfg: &ConfigBag) -> u32 {
    cfg.load::<RequestAttempts>().map_or(1, |a| a.attempts())
}

/// The service as IAM actions name it, from the SDK's service id.
fn iam_name(service: &str) -> &str {
    match service {
        "S3" => "s3",
        "RDS" => "rds",
        "Lambda" => "lambda",
        "DynamoDB" => "dynamodb",
        "SQS" => "sqs",
        "SNS" => "sns",
        "STS" => "sts",
        "Budgets" => "budgets",
        "Cost Explorer" => "ce",
        "CloudWatch" => "cloudwatch",
        "CloudWatch Logs" => "logs",
        "ElastiCache" => "elasticache",
        "Resource Groups Tagging API" => "tag",
        "Resource Explorer 2" => "resource-explorer-2",
        other => other,
    }
}

fn is_page(response: &HttpResponse) -> bool {
    let html = response
        .headers()
        .get("content-type")
        .is_some_and(|t| t.starts_with("text/html"));
    let body = response.body().bytes().unwrap_or_default();
    html || body.trim_ascii_start().starts_with(b"<!") || body.trim_ascii().is_empty()
}

/// Reads the error code from wherever this protocol has it: a header, JSON, XML or CBOR.
fn is_throttled(response: &HttpResponse) -> bool {
    if response.status().as_u16() == 429 {
        return true;
    }
    if let Some(header) = response.headers().get("x-amzn-errortype") {
        return is_throttle(bare(header));
    }
    let body = response.body().bytes().unwrap_or_default();
    if let Some(code) = cbor_code(body) {
        return is_throttle(bare(code));
    }
    let body = String::from_utf8_lossy(body);
    ["<Code>", "__type", "\"code\""]
        .iter()
        .find_map(|mark| body.split_once(mark))
        .is_some_and(|(_, rest)| {
            rest.split(|c: char| !(c.is_ascii_alphanumeric() || "#._".contains(c)))
                .find(|word| !word.is_empty())
                .is_some_and(|word| is_throttle(bare(word)))
        })
}

/// Cost Explorer's word for throttling; other services use it for quotas.
/// Source: API model, `ce:LimitExceededException` ("too many calls in a short period").
fn is_cost_limit(response: &HttpResponse) -> bool {
    let body = response.body().bytes().unwrap_or_default();
    String::from_utf8_lossy(body).contains("LimitExceededException")
}

/// The text after the key `__type` of a CBOR map; the byte before a short text is 0x60 plus its
/// length, longer ones have 0x78 and the length. Source: RFC 8949, section 3.
fn cbor_code(body: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\x66__type";
    let at = body.windows(KEY.len()).position(|window| window == KEY)?;
    let (length, text) = match body.get(at + KEY.len()..)? {
        [head @ 0x60..=0x77, text @ ..] => (head - 0x60, text),
        [0x78, length, text @ ..] => (*length, text),
        _ => return None,
    };
    std::str::from_utf8(text.get(..usize::from(length))?).ok()
}

/// `com.amazonaws.x#Code:http://…` without its surroundings.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::body::SdkBody;

    fn answer(status: u16, body: &'static str) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
    }

    #[test]
    fn throttling_is_recognised_in_every_protocol() {
        for body in [
            "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
            r#"{"__type":"com.amazonaws.tagging#ThrottledException","message":"slow"}"#,
            r#"{"__type": "ThrottlingException"}"#,
            // CBOR, with the length of the text, 10 and 34, before it.
            "\u{1}f__typejThrottling",
            "\u{1}f__typex\"aws.monitoring#ThrottlingException",
        ] {
            assert!(is_throttled(&answer(400, body)), "{body}");
        }
        assert!(is_throttled(&answer(
            503,
            "<Error><Code>SlowDown</Code></Error>"
        )));
        assert!(!is_throttled(&answer(
            403,
            "<Error><Code>AccessDenied</Code><Message>alarm:ThrottlingException</Message></Error>"
        )));
    }

    #[test]
    fn pages_are_told_from_answers() {
        assert!(is_page(&answer(500, "<!doctype html><p>oops")));
        assert!(!is_page(&answer(
            500,
            "<Error><Code>InternalError</Code></Error>"
        )));
        assert!(!is_page(&answer(500, "{}")));
    }
}
