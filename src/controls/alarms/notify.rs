//! Which topics an alarm notifies.
//!
//! `sns:NAME` is the topic of that name in the alarm's region: CloudWatch notifies no topic of another
//! one. E-mail addresses are subscriptions of a topic of the environment's own, `opsctl-PROJECT-ENV`;
//! where the severities have different addresses, each has its own (`…-page`).
//! Source: API model, `cloudwatch:PutMetricAlarm`, AlarmActions.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Resolved;
use crate::config::later::alarms::Routing;
use crate::config::values::Sourced;
use crate::config::workspace::Notify;

/// Topic names with the e-mail subscriptions that they need.
pub type Topics = BTreeMap<String, BTreeSet<String>>;

fn list(notify: &Notify, severity: Routing) -> &[Sourced<String>] {
    match severity {
        Routing::Page => &notify.page,
        Routing::Ticket => &notify.ticket,
        Routing::Info => &notify.info,
    }
}

fn mails(notify: &Notify, severity: Routing) -> BTreeSet<String> {
    list(notify, severity)
        .iter()
        .filter_map(|t| Some(format!("email:{}", t.strip_prefix("mailto:")?)))
        .collect()
}

/// The topics of one severity.
pub fn topics(resolved: &Resolved, severity: Routing) -> Topics {
    let Some(config) = &resolved.config else {
        return Topics::new();
    };
    let notify = &config.notify;
    let mut out: Topics = list(notify, severity)
        .iter()
        .filter_map(|t| Some((t.strip_prefix("sns:")?.to_owned(), BTreeSet::new())))
        .collect();
    let own = mails(notify, severity);
    if !own.is_empty() {
        let all: BTreeSet<BTreeSet<String>> = Routing::ALL
            .into_iter()
            .map(|s| mails(notify, s))
            .filter(|m| !m.is_empty())
            .collect();
        let base = format!("opsctl-{}-{}", resolved.project, resolved.environment);
        let name = if all.len() == 1 {
            base
        } else {
            format!("{base}-{}", severity.as_str())
        };
        out.insert(topic_name(&name), own);
    }
    out
}

/// A name such as SNS takes: letters, digits, `-` and `_`, at most 256.
/// Source: API model, `sns:CreateTopic`.
fn topic_name(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(256)
        .collect()
}
