//! What `opsctl audit alarms` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[
    Entry {
        id: "alarms.drifted",
        title: "Alarm is not as the policy says",
        means: "An alarm that opsctl made is there, but its metric, threshold, periods or actions differ from the policy.",
        matters: "It rings too early, too late, to the wrong people, or never.",
        fix: "Run the apply command that the finding names; or change the policy if the alarm is right.",
    },
    Entry {
        id: "alarms.missing",
        title: "Alarm missing",
        means: "The policy asks for an alarm that does not exist.",
        matters: "What it watches can fail without anybody being told.",
        fix: "Run the apply command that the finding names.",
    },
    Entry {
        id: "alarms.obsolete",
        title: "Alarm that the policy no longer asks for",
        means: "An alarm that opsctl made is there, and the policy does not ask for it any more.",
        matters: "It is billed, and wakes people for something that was decided not to matter.",
        fix: "Run the apply command that the finding names; it removes only alarms that opsctl made.",
    },
    Entry {
        id: "alarms.topic-drifted",
        title: "Topic for alarms is not as it should be",
        means: "The topic's policy or its subscriptions are not as the configuration says.",
        matters: "An alarm that may not publish to its topic changes state and nobody is told.",
        fix: "Run the apply command that the finding names.",
    },
    Entry {
        id: "alarms.topic-missing",
        title: "Topic for alarms missing",
        means: "The SNS topic that notify names does not exist.",
        matters: "The alarms have nobody to tell.",
        fix: "Run the apply command that the finding names; it makes the topic with a policy that lets only the services of this account publish.",
    },
    Entry {
        id: "alarms.topic-obsolete",
        title: "Topic for alarms no longer asked for",
        means: "A topic that opsctl made is there, and the configuration does not name it any more.",
        matters: "Whoever still listens to it hears nothing and takes that for good news.",
        fix: "Run the apply command that the finding names.",
    },
];
