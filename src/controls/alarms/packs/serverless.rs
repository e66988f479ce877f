//! Lambda functions and DynamoDB tables; APIs stand in `web`, dead letters in `queue`.

use rust_decimal::Decimal;

use super::{
    Frame, Made, Of, PackAlarm, Scene, Subject, above, attributes, derived, percent_of, seen, share,
};
use crate::config::later::alarms::{MissingData, Pack, Routing};
use crate::controls::alarms::draft::{ABOVE, Core, Stat, math, often};
use crate::inventory::Observed;

const LAMBDA: Of = Of::Resource("lambda-function");
const TABLE: Of = Of::Resource("dynamodb-table");
/// Invocations in a period, below which a share says nothing.
const MINIMUM: u64 = 10;

const fn alarm(
    id: &'static str,
    of: Of,
    (threshold, unit): (i64, &'static str),
    datapoints: (u32, u32),
    make: fn(&Scene, &Subject, &Frame) -> Made,
) -> PackAlarm {
    PackAlarm {
        id,
        packs: &[Pack::Serverless],
        of,
        threshold,
        unit,
        severity: Routing::Ticket,
        period: 60,
        datapoints,
        by_default: true,
        make,
    }
}

pub const ALARMS: &[PackAlarm] = &[
    alarm(
        "lambda-errors",
        LAMBDA,
        (1, "% of the invocations"),
        (3, 5),
        errors,
    ),
    alarm(
        "lambda-throttles",
        LAMBDA,
        (0, "throttled calls"),
        (3, 5),
        throttles,
    ),
    alarm(
        "lambda-duration",
        LAMBDA,
        (80, "% of the timeout, p99"),
        (5, 5),
        duration,
    ),
    alarm(
        "lambda-iterator-age",
        LAMBDA,
        (60, "seconds"),
        (5, 5),
        iterator_age,
    ),
    PackAlarm {
        severity: Routing::Page,
        ..alarm(
            "lambda-concurrency",
            Of::Region("lambda-function"),
            (80, "% of the account's limit in the region"),
            (5, 5),
            concurrency,
        )
    },
    alarm(
        "dynamodb-throttles",
        TABLE,
        (0, "throttled requests"),
        (3, 5),
        table_throttles,
    ),
    // Ten metrics for each table, 1 USD a month: only where it is asked for.
    PackAlarm {
        by_default: false,
        ..alarm(
            "dynamodb-system-errors",
            TABLE,
            (0, "errors"),
            (3, 5),
            system_errors,
        )
    },
];

fn errors(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    share(
        subject,
        frame,
        "AWS/Lambda",
        ("Errors", "Invocations"),
        MINIMUM,
    )
}

fn throttles(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        ("AWS/Lambda", "Throttles", "Sum"),
        "",
        MissingData::NotBreaching,
    )
}

fn duration(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let Some(timeout) = attributes!(subject).timeout.filter(|t| *t > 0) else {
        return Made::NoThreshold(format!("the timeout of {} is not told", subject.label));
    };
    // Milliseconds.
    let limit = percent_of(frame.threshold, u64::from(timeout) * 1000);
    derived(
        subject,
        frame,
        ("AWS/Lambda", "Duration", "p99"),
        (ABOVE, limit),
        MissingData::NotBreaching,
        (
            format!("{limit} ms (p99)"),
            format!(
                "{} % of its timeout of {timeout} s",
                frame.threshold.normalize()
            ),
        ),
    )
}

/// Streams have an iterator, queues do not. Source: Lambda developer guide, "Types of metrics for
/// Lambda functions".
fn is_stream(arn: &str) -> bool {
    arn.contains(":kinesis:")
        || arn.contains(":kafka:")
        || (arn.contains(":dynamodb:") && arn.contains("/stream/"))
}

fn iterator_age(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let sources = match seen(&attributes!(subject).event_sources, "its event sources") {
        Err(made) => return made,
        Ok(None) => return Made::NotFor,
        Ok(Some(sources)) => sources,
    };
    let Some(stream) = sources.iter().find(|s| is_stream(s)) else {
        return Made::NotFor;
    };
    // Milliseconds.
    let limit = frame.threshold * Decimal::ONE_THOUSAND;
    derived(
        subject,
        frame,
        ("AWS/Lambda", "IteratorAge", "Maximum"),
        (ABOVE, limit),
        MissingData::NotBreaching,
        (
            format!("{} s", frame.threshold.normalize()),
            format!("it reads {stream}"),
        ),
    )
}

fn concurrency(scene: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let region = &subject.resource.region;
    let limit = match scene.inventory.region_facts.get(region) {
        None => &Observed::Unknown("not looked at".to_owned()),
        Some(facts) => &facts.lambda_concurrency,
    };
    let limit = match seen(limit, "the account's limit of concurrent executions") {
        Err(made) => return made,
        Ok(None) => return Made::NotFor,
        Ok(Some(limit)) => *limit,
    };
    let most = percent_of(frame.threshold, limit.into());
    derived(
        subject,
        frame,
        ("AWS/Lambda", "ConcurrentExecutions", "Maximum"),
        (ABOVE, most),
        MissingData::NotBreaching,
        (
            most.to_string(),
            format!(
                "{} % of the account's limit of {limit} in {region}",
                frame.threshold.normalize()
            ),
        ),
    )
}

/// A sum of metrics that have points only when something goes wrong.
fn sum(subject: &Subject, frame: &Frame, stats: Vec<Stat>, label: &str, what: &str) -> Made {
    let queries: Vec<_> = stats
        .into_iter()
        .enumerate()
        .map(|(i, stat)| stat.query(&format!("m{i}"), frame.period))
        .collect();
    let parts: Vec<String> = queries
        .iter()
        .map(|q| format!("FILL({}, 0)", q.id))
        .collect();
    let core = Core {
        metric: math(queries, "sum", label, parts.join(" + ")),
        comparison: ABOVE,
        threshold: Some(frame.threshold.normalize()),
        band: None,
        datapoints: frame.datapoints,
        missing: MissingData::NotBreaching.as_str(),
        low_samples: None,
    };
    let sentence = format!(
        "{what} of {} above {} in {}",
        subject.label,
        frame.threshold.normalize(),
        often(frame.datapoints, frame.period)
    );
    Made::Alarm(Box::new(core), sentence)
}

fn table_throttles(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let stats = ["ReadThrottleEvents", "WriteThrottleEvents"]
        .map(|metric| subject.stat("AWS/DynamoDB", metric, "Sum"));
    let what = "ReadThrottleEvents + WriteThrottleEvents";
    sum(subject, frame, stats.into(), "throttled requests", what)
}

/// The operations with a metric of their own; metric math in an alarm takes ten metrics.
const OPERATIONS: [&str; 10] = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

fn system_errors(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let stats = OPERATIONS.map(|operation| {
        let mut stat = subject.stat("AWS/DynamoDB", "SystemErrors", "Sum");
        let dimensions = &mut stat.metric.dimensions;
        dimensions.insert("Operation".to_owned(), operation.to_owned());
        stat
    });
    sum(
        subject,
        frame,
        stats.into(),
        "system errors",
        "SystemErrors",
    )
}
