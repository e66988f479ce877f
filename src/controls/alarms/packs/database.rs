//! RDS and Aurora instances.

use rust_decimal::Decimal;

use super::classes::{bursts, gib, max_connections, rds_memory};
use super::{
    Frame, Made, Of, PackAlarm, Scene, Subject, above, attributes, bytes, derived, memory_below,
    percent_of,
};
use crate::config::later::alarms::{MissingData, Pack, Routing};
use crate::controls::alarms::draft::{ABOVE, BELOW};

const RDS: Of = Of::Resource("rds-instance");
const NS: &str = "AWS/RDS";
/// Seconds between the points of balances, which come with basic monitoring only: an alarm over
/// single minutes would miss most of them. Source: RDS user guide, "Amazon CloudWatch metrics for
/// Amazon RDS", EBSByteBalance%; EC2 user guide, basic monitoring.
const SLOW: u32 = 300;

const fn alarm(
    id: &'static str,
    (threshold, unit): (i64, &'static str),
    severity: Routing,
    make: fn(&Scene, &Subject, &Frame) -> Made,
) -> PackAlarm {
    PackAlarm {
        id,
        packs: &[Pack::Database],
        of: RDS,
        threshold,
        unit,
        severity,
        period: 60,
        datapoints: (5, 5),
        by_default: true,
        make,
    }
}

pub const ALARMS: &[PackAlarm] = &[
    alarm("rds-cpu", (90, "%"), Routing::Ticket, cpu),
    PackAlarm {
        packs: &[Pack::Database, Pack::Storage],
        ..alarm(
            "rds-free-storage",
            (10, "% of the allocated storage"),
            Routing::Page,
            free_storage,
        )
    },
    alarm(
        "rds-memory",
        (10, "% of the memory of the class"),
        Routing::Ticket,
        memory,
    ),
    alarm(
        "rds-connections",
        (80, "% of the default max_connections of the class"),
        Routing::Ticket,
        connections,
    ),
    alarm(
        "rds-replica-lag",
        (30, "seconds"),
        Routing::Ticket,
        replica_lag,
    ),
    PackAlarm {
        period: SLOW,
        datapoints: (3, 3),
        ..alarm(
            "rds-transaction-ids",
            (1_000_000_000, "transaction ids"),
            Routing::Page,
            transaction_ids,
        )
    },
    PackAlarm {
        packs: &[Pack::Database, Pack::Storage],
        period: SLOW,
        datapoints: (3, 3),
        ..alarm(
            "rds-ebs-balance",
            (10, "% left"),
            Routing::Ticket,
            ebs_balance,
        )
    },
    PackAlarm {
        packs: &[Pack::Database, Pack::Storage],
        period: SLOW,
        datapoints: (3, 3),
        ..alarm(
            "rds-burst-balance",
            (20, "% left"),
            Routing::Ticket,
            burst_balance,
        )
    },
];

fn is_aurora(engine: Option<&str>) -> bool {
    engine.is_some_and(|e| e.starts_with("aurora"))
}

fn cpu(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (NS, "CPUUtilization", "Average"),
        " %",
        MissingData::Missing,
    )
}

fn free_storage(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    // Aurora's storage grows by itself.
    if is_aurora(seen.engine.as_deref()) {
        return Made::NotFor;
    }
    let Some(allocated) = seen.allocated_storage.filter(|n| *n > 0) else {
        return Made::NoThreshold(format!(
            "the allocated storage of {} is not told",
            subject.label
        ));
    };
    let limit = percent_of(frame.threshold, allocated);
    derived(
        subject,
        frame,
        (NS, "FreeStorageSpace", "Minimum"),
        (BELOW, limit),
        MissingData::Missing,
        (
            bytes(limit),
            format!(
                "{} % of {} allocated",
                frame.threshold.normalize(),
                gib(allocated)
            ),
        ),
    )
}

fn memory(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    let Some(class) = &seen.class else {
        return Made::NoThreshold(format!("the class of {} is not told", subject.label));
    };
    // A serverless instance grows when its memory runs low.
    if class == "db.serverless" {
        return Made::NotFor;
    }
    memory_below(subject, frame, NS, class, rds_memory(class))
}

fn connections(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    let (Some(class), Some(engine)) = (&seen.class, &seen.engine) else {
        return Made::NoThreshold(format!(
            "class and engine of {} are not told",
            subject.label
        ));
    };
    if class == "db.serverless" {
        return Made::NotFor;
    }
    let Some(memory) = rds_memory(class) else {
        return Made::NoThreshold(format!("the memory of {class} is not known"));
    };
    let Some((most, formula)) = max_connections(engine, memory) else {
        return Made::NotFor;
    };
    let limit = percent_of(frame.threshold, most);
    derived(
        subject,
        frame,
        (NS, "DatabaseConnections", "Maximum"),
        (ABOVE, limit),
        MissingData::Missing,
        (
            limit.to_string(),
            format!(
                "{} % of {most}, the default max_connections of {class}: {formula}",
                frame.threshold.normalize()
            ),
        ),
    )
}

fn replica_lag(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    if seen.replica_of.is_none() || is_aurora(seen.engine.as_deref()) {
        return Made::NotFor;
    }
    above(
        subject,
        frame,
        (NS, "ReplicaLag", "Average"),
        " s",
        MissingData::Missing,
    )
}

fn transaction_ids(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    // A replica shares the ids of its source.
    if !matches!(
        seen.engine.as_deref(),
        Some("postgres" | "aurora-postgresql")
    ) || seen.replica_of.is_some()
    {
        return Made::NotFor;
    }
    above(
        subject,
        frame,
        (NS, "MaximumUsedTransactionIDs", "Maximum"),
        "",
        MissingData::Missing,
    )
}

fn below_percent(subject: &Subject, frame: &Frame, metric: &'static str, why: String) -> Made {
    let limit: Decimal = frame.threshold;
    derived(
        subject,
        frame,
        (NS, metric, "Minimum"),
        (BELOW, limit),
        MissingData::Missing,
        (format!("{} %", limit.normalize()), why),
    )
}

fn ebs_balance(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    let Some(class) = seen.class.as_deref().filter(|c| bursts(c)) else {
        return Made::NotFor;
    };
    if is_aurora(seen.engine.as_deref()) {
        return Made::NotFor;
    }
    let why = format!("{class} holds its full EBS throughput only for a while");
    below_percent(subject, frame, "EBSByteBalance%", why)
}

fn burst_balance(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    let seen = attributes!(subject);
    if seen.storage_type.as_deref() != Some("gp2") {
        return Made::NotFor;
    }
    let why = "gp2 falls back to its base IOPS without burst credits".to_owned();
    below_percent(subject, frame, "BurstBalance", why)
}
