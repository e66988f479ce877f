//! Buckets with request metrics; free space and burst credits of databases stand with those.

use super::{Frame, Made, Of, PackAlarm, Scene, Subject, above, share};
use crate::config::later::alarms::{MissingData, Pack, Routing};

const NS: &str = "AWS/S3";
/// Requests in a period, below which a share says nothing.
const MINIMUM: u64 = 100;

pub const ALARMS: &[PackAlarm] = &[
    PackAlarm {
        id: "s3-errors",
        packs: &[Pack::Storage],
        of: Of::MeteredBucket,
        threshold: 1,
        unit: "% of the requests",
        severity: Routing::Ticket,
        period: 60,
        datapoints: (3, 5),
        by_default: true,
        make: errors,
    },
    PackAlarm {
        id: "s3-latency",
        packs: &[Pack::Storage],
        of: Of::MeteredBucket,
        threshold: 2_000,
        unit: "milliseconds to the first byte, p99",
        severity: Routing::Ticket,
        period: 60,
        datapoints: (5, 5),
        by_default: true,
        make: latency,
    },
];

fn errors(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    share(subject, frame, NS, ("5xxErrors", "AllRequests"), MINIMUM)
}

fn latency(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (NS, "FirstByteLatency", "p99"),
        " ms",
        MissingData::NotBreaching,
    )
}
