//! ElastiCache nodes.

use super::classes::cache_memory;
use super::{Frame, Made, Of, PackAlarm, Scene, Subject, above, attributes, memory_below};
use crate::config::later::alarms::{MissingData, Pack, Routing};

const NS: &str = "AWS/ElastiCache";

const fn alarm(
    id: &'static str,
    (threshold, unit): (i64, &'static str),
    make: fn(&Scene, &Subject, &Frame) -> Made,
) -> PackAlarm {
    PackAlarm {
        id,
        packs: &[Pack::Cache],
        of: Of::Node,
        threshold,
        unit,
        severity: Routing::Ticket,
        period: 60,
        datapoints: (5, 5),
        by_default: true,
        make,
    }
}

pub const ALARMS: &[PackAlarm] = &[
    alarm(
        "cache-cpu",
        (90, "% of a core, or of all for memcached"),
        cpu,
    ),
    alarm("cache-memory-used", (90, "% of the memory"), memory_used),
    alarm(
        "cache-memory-free",
        (10, "% of the memory of the class"),
        memory_free,
    ),
    alarm("cache-evictions", (0, "evictions"), evictions),
    // 80 % of the 65,000 that a node takes. Source: ElastiCache user guide, "Quotas".
    alarm("cache-connections", (52_000, "connections"), connections),
];

fn cpu(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    // Redis and Valkey work on one core; memcached has no metric of its engine's own.
    let metric = match attributes!(subject).engine.as_deref() {
        Some("redis" | "valkey") => "EngineCPUUtilization",
        Some(_) => "CPUUtilization",
        None => return Made::NoThreshold(format!("the engine of {} is not told", subject.label)),
    };
    above(
        subject,
        frame,
        (NS, metric, "Average"),
        " %",
        MissingData::Missing,
    )
}

fn memory_used(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    match attributes!(subject).engine.as_deref() {
        Some("redis" | "valkey") => above(
            subject,
            frame,
            (NS, "DatabaseMemoryUsagePercentage", "Average"),
            " %",
            MissingData::Missing,
        ),
        _ => Made::NotFor,
    }
}

fn memory_free(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    if seen.engine.as_deref() != Some("memcached") {
        return Made::NotFor;
    }
    let Some(class) = &seen.class else {
        return Made::NoThreshold(format!("the class of {} is not told", subject.label));
    };
    memory_below(subject, frame, NS, class, cache_memory(class))
}

fn evictions(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (NS, "Evictions", "Sum"),
        "",
        MissingData::Missing,
    )
}

fn connections(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (NS, "CurrConnections", "Maximum"),
        "",
        MissingData::Missing,
    )
}
