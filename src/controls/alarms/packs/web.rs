//! Application Load Balancers and API Gateway, found through their metrics.

use rust_decimal::Decimal;

use super::{Frame, Made, Of, PackAlarm, Scene, Subject, above, derived, share};
use crate::config::later::alarms::{MissingData, Pack, Routing};
use crate::controls::alarms::draft::ABOVE;

const ALB: &str = "AWS/ApplicationELB";
const API: &str = "AWS/ApiGateway";
/// Requests in a period, below which a share says nothing.
const MINIMUM: u64 = 20;

const fn alarm(
    id: &'static str,
    packs: &'static [Pack],
    of: Of,
    (threshold, unit): (i64, &'static str),
    datapoints: (u32, u32),
    make: fn(&Scene, &Subject, &Frame) -> Made,
) -> PackAlarm {
    PackAlarm {
        id,
        packs,
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

const APIS: &[Pack] = &[Pack::Web, Pack::Serverless];

pub const ALARMS: &[PackAlarm] = &[
    PackAlarm {
        severity: Routing::Page,
        ..alarm(
            "alb-5xx",
            &[Pack::Web],
            Of::LoadBalancer,
            (1, "% of the requests"),
            (3, 5),
            alb_5xx,
        )
    },
    // Where no target takes a request the load balancer itself answers 502, 503 or 504, and such a
    // request is not in RequestCount: a share of it would stay quiet through a complete outage.
    // Source: user guide for Application Load Balancers, "CloudWatch metrics", RequestCount.
    PackAlarm {
        severity: Routing::Page,
        ..alarm(
            "alb-own-5xx",
            &[Pack::Web],
            Of::LoadBalancer,
            (10, "errors of the load balancer itself in a period"),
            (3, 5),
            alb_own_5xx,
        )
    },
    alarm(
        "alb-latency",
        &[Pack::Web],
        Of::LoadBalancer,
        (2_000, "milliseconds, p99"),
        (5, 5),
        alb_latency,
    ),
    alarm(
        "alb-unhealthy",
        &[Pack::Web],
        Of::TargetGroup,
        (0, "targets"),
        (5, 5),
        unhealthy,
    ),
    PackAlarm {
        severity: Routing::Page,
        ..alarm(
            "api-5xx",
            APIS,
            Of::RestApi,
            (1, "% of the requests"),
            (3, 5),
            rest_5xx,
        )
    },
    alarm(
        "api-latency",
        APIS,
        Of::RestApi,
        (3_000, "milliseconds, p99"),
        (5, 5),
        latency,
    ),
    PackAlarm {
        severity: Routing::Page,
        ..alarm(
            "httpapi-5xx",
            APIS,
            Of::HttpApi,
            (1, "% of the requests"),
            (3, 5),
            http_5xx,
        )
    },
    alarm(
        "httpapi-latency",
        APIS,
        Of::HttpApi,
        (3_000, "milliseconds, p99"),
        (5, 5),
        latency,
    ),
];

fn alb_5xx(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    share(
        subject,
        frame,
        ALB,
        ("HTTPCode_Target_5XX_Count", "RequestCount"),
        MINIMUM,
    )
}

fn alb_own_5xx(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (ALB, "HTTPCode_ELB_5XX_Count", "Sum"),
        "",
        MissingData::NotBreaching,
    )
}

fn alb_latency(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    // The metric is in seconds.
    let limit = frame.threshold / Decimal::ONE_THOUSAND;
    derived(
        subject,
        frame,
        (ALB, "TargetResponseTime", "p99"),
        (ABOVE, limit),
        MissingData::NotBreaching,
        (
            format!("{} s", limit.normalize()),
            "one request in a hundred waits longer".to_owned(),
        ),
    )
}

fn unhealthy(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (ALB, "UnHealthyHostCount", "Maximum"),
        "",
        MissingData::NotBreaching,
    )
}

fn rest_5xx(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    share(subject, frame, API, ("5XXError", "Count"), MINIMUM)
}

fn http_5xx(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    share(subject, frame, API, ("5xx", "Count"), MINIMUM)
}

fn latency(_: &Scene, subject: &Subject, frame: &Frame) -> Made {
    above(
        subject,
        frame,
        (API, "Latency", "p99"),
        " ms",
        MissingData::NotBreaching,
    )
}
