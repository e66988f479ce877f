//! What observing shows of budgets, anomaly detection, cost allocation tags and billing.

use super::objects::{alarms, enter_ce, topics};
use super::world::Account;
use super::{Sandbox, gaps, metrics};
use crate::cloud::{CloudError, Target, Want};
use crate::inventory::{
    AnomalySubscriptionFact, BudgetFact, CostTagFact, EnvironmentInventory, Gap, MonitorFact,
    Observed,
};
use crate::model::{Arn, Control};

/// Names of budgets whose tags are looked at.
const OURS: &str = "opsctl-";

pub(super) fn observe(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    want: &Want,
    seen: &mut EnvironmentInventory,
) {
    const BUDGETS: [Control; 1] = [Control::Budgets];
    let gap = |operation: &str, resource: Option<&str>, e: &CloudError| {
        gaps(target, "global", &BUDGETS, operation, resource, e)
    };
    if want.budgets {
        seen.money.budgets = budgets(sandbox, account, &gap, seen);
    }
    if want.anomaly {
        let operation = "ce:GetAnomalyMonitors";
        seen.money.monitors = match enter_ce(sandbox, account, operation, "") {
            Ok(_) => Observed::Known(
                (account.money.monitors.iter())
                    .map(|(arn, monitor)| MonitorFact {
                        arn: arn.clone(),
                        monitor: monitor.clone(),
                    })
                    .collect(),
            ),
            Err(e) => {
                seen.gaps.extend(gap(operation, None, &e));
                Observed::Unknown(e.to_string())
            }
        };
        let operation = "ce:GetAnomalySubscriptions";
        seen.money.subscriptions = match enter_ce(sandbox, account, operation, "") {
            Ok(_) => Observed::Known(
                (account.money.subscriptions.iter())
                    .map(|(arn, item)| AnomalySubscriptionFact {
                        arn: arn.clone(),
                        subscription: item.subscription.clone(),
                        unconfirmed: item.unconfirmed.clone(),
                    })
                    .collect(),
            ),
            Err(e) => {
                seen.gaps.extend(gap(operation, None, &e));
                Observed::Unknown(e.to_string())
            }
        };
    }
    if want.cost_tags {
        let operation = "ce:ListCostAllocationTags";
        seen.money.cost_tags = match enter_ce(sandbox, account, operation, "") {
            Ok(_) if account.money.member => Observed::Absent,
            Ok(_) => Observed::Known(
                (account.money.cost_tags.iter())
                    .map(|(key, active)| {
                        let fact = CostTagFact {
                            active: *active,
                            last_used: None,
                        };
                        (key.clone(), fact)
                    })
                    .collect(),
            ),
            Err(e) => {
                seen.gaps.extend(gap(operation, None, &e));
                Observed::Unknown(e.to_string())
            }
        };
    }
    if want.billing_metric {
        let operation = "cloudwatch:ListMetrics";
        seen.money.billing_metric = match sandbox.enter(account, operation, "us-east-1") {
            Ok(_) if account.money.billing_alerts_off => Observed::Absent,
            Ok(_) => Observed::Known(()),
            Err(e) => {
                let found = gaps(target, "us-east-1", &BUDGETS, operation, None, &e);
                seen.gaps.extend(found);
                Observed::Unknown(e.to_string())
            }
        };
    }
    let mut controls = Vec::new();
    if want.budgets {
        controls.push(Control::Budgets);
    }
    if want.alarm_topics || !want.alarms.is_empty() {
        controls.push(Control::Alarms);
    }
    alarms::observe(sandbox, account, target, want, &controls, seen);
    if want.alarm_metrics {
        metrics::watched(sandbox, account, target, seen);
    }
    let mut all = want.topics.clone();
    if want.alarm_topics {
        let alarms = seen.alarms.values().filter_map(Observed::known).flatten();
        let actions = alarms.flat_map(|alarm| alarm.definition.actions());
        let own = actions.filter(|action| {
            let arn = Arn::parse(action);
            arn.is_some_and(|arn| arn.service == "sns" && arn.account == account.id)
        });
        all.extend(own.cloned());
    }
    topics::observe(sandbox, account, target, &all, &controls, seen);
}

/// The gaps that a refusal leaves: operation, resource, error.
type Gaps<'a> = dyn Fn(&str, Option<&str>, &CloudError) -> Vec<Gap> + 'a;

fn budgets(
    sandbox: &Sandbox,
    account: &Account,
    gap: &Gaps<'_>,
    seen: &mut EnvironmentInventory,
) -> Observed<Vec<BudgetFact>> {
    let operation = "budgets:DescribeBudgets";
    if let Err(e) = sandbox.enter(account, operation, "") {
        seen.gaps.extend(gap(operation, None, &e));
        return Observed::Unknown(e.to_string());
    }
    let mut found = Vec::new();
    for (name, item) in &account.money.budgets {
        let mut budget = item.budget.clone();
        let mut unread = None;
        let operations: &[&str] = if budget.notifications.is_empty() {
            &["budgets:DescribeNotificationsForBudget"]
        } else {
            &[
                "budgets:DescribeNotificationsForBudget",
                "budgets:DescribeSubscribersForNotification",
            ]
        };
        for operation in operations {
            if let Err(e) = sandbox.enter(account, operation, name) {
                seen.gaps.extend(gap(operation, Some(name), &e));
                budget.notifications.clear();
                unread = Some(e.to_string());
                break;
            }
        }
        let tags = if name.starts_with(OURS) {
            let operation = "budgets:ListTagsForResource";
            match sandbox.enter(account, operation, name) {
                Ok(_) => Observed::Known(item.tags.clone()),
                Err(e) => {
                    seen.gaps.extend(gap(operation, Some(name), &e));
                    Observed::Unknown(e.to_string())
                }
            }
        } else {
            Observed::default()
        };
        found.push(BudgetFact {
            budget,
            unread,
            actual: item.actual,
            forecast: item.forecast,
            unhealthy: item.unhealthy.clone(),
            tags,
        });
    }
    Observed::Known(found)
}
