//! Whether what an alarm sends arrives.

use super::Look;
use crate::inventory::{Observed, TopicFact};
use crate::model::object::policy::{Access, Publisher, access};
use crate::model::{Arn, Severity};

/// The key that AWS owns: its policy cannot be changed, and does not let CloudWatch in.
const DEFAULT_KEY: &str = "alias/aws/sns";

pub fn check(look: &mut Look<'_>) {
    for action in look.alarm.definition.actions() {
        let is_topic = Arn::parse(action).is_some_and(|arn| arn.service == "sns");
        let name = action.rsplit(':').next().unwrap_or(action);
        let inventory = look.input.inventory;
        match inventory.topics.get(action).filter(|_| is_topic) {
            None | Some(Observed::Unknown(_)) => {}
            Some(Observed::Absent) => look.report(
                "alarms.action-nowhere",
                Severity::High,
                format!("notifies the topic {name}, which does not exist"),
                format!("SNS does not know {action}"),
                "point the alarm at a topic that exists, or make the topic again and subscribe to it",
            ),
            Some(Observed::Known(topic)) => one(look, name, topic),
        }
    }
}

fn one(look: &mut Look<'_>, name: &str, topic: &TopicFact) {
    if topic.unread.is_none() && topic.confirmed.is_empty() {
        let pending = topic.pending.len();
        let (evidence, remediation) = match pending {
            0 => (
                "it has no subscriptions".to_owned(),
                format!("subscribe somebody to {name}"),
            ),
            n => (
                format!("{n} waiting for confirmation"),
                format!(
                    "confirm the subscription of {name}: the link is in the e-mail that SNS sent"
                ),
            ),
        };
        look.report(
            "alarms.topic-silent",
            Severity::High,
            format!("notifies the topic {name}, to which nobody has subscribed"),
            evidence,
            remediation,
        );
    }
    if topic.kms_key.as_deref().is_some_and(is_default_key) {
        look.report(
            "alarms.topic-refuses",
            Severity::High,
            format!("notifies the topic {name}, whose key does not let CloudWatch publish"),
            format!("encrypted with {DEFAULT_KEY}, whose policy cannot be changed"),
            format!("encrypt {name} with a key of your own that allows cloudwatch.amazonaws.com kms:Decrypt and kms:GenerateDataKey*, or not at all"),
        );
    } else if topic.topic.policy.is_some()
        && matches!(
            access(
                &topic.topic.policy_document(),
                Publisher::CloudWatch,
                &topic.arn
            ),
            Access::Blocked
        )
    {
        look.report(
            "alarms.topic-refuses",
            Severity::High,
            format!("notifies the topic {name}, whose policy does not let CloudWatch publish"),
            "no statement of the topic's policy allows cloudwatch.amazonaws.com sns:Publish, or one denies it".to_owned(),
            format!("allow cloudwatch.amazonaws.com sns:Publish in the policy of {name}, for this account (aws:SourceAccount)"),
        );
    }
}

fn is_default_key(key: &str) -> bool {
    key == DEFAULT_KEY || key.ends_with(":alias/aws/sns")
}
