//! Which topics an alarm notifies.
//!
//! `sns:NAME` is the topic of that name in the alarm's region: CloudWatch notifies no topic of another
//! one. E-mail addresses are subscriptions of a topic of the environment's own, `opsctl-PROJECT-ENV`;
//! where the severities have different addresses, each has its own (`…-page`).
//! Source: API model, `cloudwatch:PutMetricAlarm`, AlarmActions.

use std::collections::BTreeSet;

use crate::config::Resolved;
use crate::config::later::alarms::Routing;
use crate::config::values::Sourced;
use crate::config::workspace::Notify;
use crate::controls::budgets::names::Names;
use crate::controls::topics::{Need, Needs, merge, target_arn};
use crate::model::object::policy::Publisher;

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

/// The topics of one severity in one region.
pub fn needs(resolved: &Resolved, region: &str, severity: Routing) -> Needs {
    let Some(config) = &resolved.config else {
        return Needs::new();
    };
    let notify = &config.notify;
    let account = &config.account.value;
    let need = |origin, subscriptions| Need {
        publishers: BTreeSet::from([Publisher::CloudWatch]),
        subscriptions,
        origin,
    };
    let mut out = Needs::new();
    for target in list(notify, severity) {
        if let Some(arn) = target
            .strip_prefix("sns:")
            .and_then(|topic| target_arn(topic, region, account))
        {
            out.insert(arn, need(target.origin, BTreeSet::new()));
        }
    }
    let own = mails(notify, severity);
    let first = list(notify, severity)
        .iter()
        .find(|t| t.starts_with("mailto:"));
    if let (false, Some(first)) = (own.is_empty(), first) {
        let all: BTreeSet<BTreeSet<String>> = Routing::ALL
            .into_iter()
            .map(|s| mails(notify, s))
            .filter(|m| !m.is_empty())
            .collect();
        let base = Names::new(resolved).base;
        let name = if all.len() == 1 {
            base
        } else {
            format!("{base}-{}", severity.as_str())
        };
        if let Some(arn) = target_arn(&name, region, account) {
            merge(&mut out, Needs::from([(arn, need(first.origin, own))]));
        }
    }
    out
}

/// Targets that cannot be told from a region: topics of another one.
pub fn out_of_reach<'a>(resolved: &'a Resolved, region: &str, severity: Routing) -> Vec<&'a str> {
    let Some(config) = &resolved.config else {
        return Vec::new();
    };
    list(&config.notify, severity)
        .iter()
        .filter_map(|t| t.strip_prefix("sns:"))
        .filter(|topic| target_arn(topic, region, &config.account.value).is_none())
        .collect()
}
