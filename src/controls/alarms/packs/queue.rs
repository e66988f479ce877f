//! SQS queues and their dead-letter queues.

use super::{Frame, Made, Of, PackAlarm, Scene, Subject, above};
use crate::config::later::alarms::{MissingData, Pack, Routing};

const NS: &str = "AWS/SQS";

pub const ALARMS: &[PackAlarm] = &[
    PackAlarm {
        id: "sqs-age",
        packs: &[Pack::Queue],
        of: Of::Resource("sqs-queue"),
        threshold: 600,
        unit: "seconds of the oldest message",
        severity: Routing::Ticket,
        period: 60,
        datapoints: (5, 5),
        by_default: true,
        make: age,
    },
    PackAlarm {
        id: "sqs-dead-letters",
        packs: &[Pack::Queue, Pack::Serverless],
        of: Of::Resource("sqs-queue"),
        threshold: 0,
        unit: "messages in a dead-letter queue",
        severity: Routing::Ticket,
        period: 60,
        datapoints: (1, 1),
        by_default: true,
        make: dead_letters,
    },
];

/// Whether it is a dead-letter queue, and of which queues.
fn sources<'a>(scene: &'a Scene, subject: &Subject) -> Result<Option<Vec<&'a str>>, Made> {
    let region = subject.resource.region.as_str();
    if let Some(of) = scene.dead_letters.get(subject.resource.arn.as_str()) {
        return Ok(Some(of.iter().copied().collect()));
    }
    // Some queue whose attributes were not seen may send its dead letters here.
    if scene.queues_unseen.contains(region) {
        return Err(Made::Unseen(format!(
            "whether {} is a dead-letter queue hangs on queues that were not seen",
            subject.label
        )));
    }
    Ok(None)
}

fn age(scene: &Scene, subject: &Subject, frame: &Frame) -> Made {
    match sources(scene, subject) {
        Err(made) => made,
        // What is in there waits for people.
        Ok(Some(_)) => Made::NotFor,
        Ok(None) => above(
            subject,
            frame,
            (NS, "ApproximateAgeOfOldestMessage", "Maximum"),
            " s",
            MissingData::NotBreaching,
        ),
    }
}

fn dead_letters(scene: &Scene, subject: &Subject, frame: &Frame) -> Made {
    match sources(scene, subject) {
        Err(made) => made,
        Ok(None) => Made::NotFor,
        Ok(Some(of)) => match above(
            subject,
            frame,
            (NS, "ApproximateNumberOfMessagesVisible", "Maximum"),
            "",
            MissingData::NotBreaching,
        ) {
            Made::Alarm(core, text) => {
                let names: Vec<&str> = of.iter().filter_map(|a| a.rsplit(':').next()).collect();
                let shown = names.get(..3).unwrap_or(&names).join(", ");
                Made::Alarm(core, format!("{text}: the dead letters of {shown}"))
            }
            other => other,
        },
    }
}
