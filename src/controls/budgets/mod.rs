//! # Budgets
//!
//! **What.** Every environment has one monthly cost budget of its `monthly_budget_usd` with the
//! policy's alerts, one more for each share of `[budgets.split]`, a CloudWatch alarm on the
//! estimated charges at 80 % of the budget (`[budgets.billing_alarm]`), and a subscription to cost
//! anomalies (`[budgets.anomaly]`). Whom they tell stands in the environment's `notify`. Tags that
//! the tag policy requires or that a split uses are activated as cost allocation tags.
//!
//! **Why.** AWS sends no warning by itself, and a budget with its defaults counts credits: an
//! account that lives on credits shows zero until they are used up. With `include_credits = false`
//! neither credits nor refunds lower what a budget sees.
//!
//! **Names.** Everything begins with `opsctl-PROJECT-ENVIRONMENT`. Topics, alarms and budgets
//! are ours only with the tag `opsctl:managed` = `PROJECT/ENVIRONMENT`: what bears our name without
//! it is reported (`budgets.conflict`) and never written. Anomaly monitors and subscriptions have
//! no tags that could be read, so their exact name decides.
//!
//! **Whom it tells.** A notification takes ten addresses and one topic; what is beyond is
//! reported. `sns:NAME` is the topic NAME in the environment's first region, and in us-east-1 for
//! the billing alarm, because an alarm notifies only topics of its own region. A missing topic is
//! made, with a policy that lets only the services concerned publish, and only for this account.
//! A topic of somebody else is never written; a policy or key that would block delivery is
//! reported. For the billing alarm, addresses become subscriptions of a topic of ours in us-east-1;
//! each has to be confirmed by its owner, within three days. Anomalies go to the first topic at
//! once, or, without a topic, to the addresses once a day: AWS offers no mixture.
//!
//! **Which costs.** The budget covers the environment's account. Where that account pays for others
//! (`[payer]`), budget, alarm and monitor are limited to the account itself, since AWS would
//! otherwise show it the whole organisation. Where environments share an account, the budget is
//! limited to the tag whose default is the environment's name, as soon as that is an active cost
//! allocation tag; until then it covers the account. There the billing alarm fires at 80 % of what
//! all environments of the account may spend together, the monitor of services is shared, and
//! nothing is split: a budget filters by one tag.
//!
//! **Beside other budgets.** Budgets of others are counted and left alone. One that covers the same
//! costs, month by month and without credits, with a followed alert on actual costs between 40 %
//! and 80 % of `monthly_budget_usd`, is enough: ours is not made beside it, unless the policy says
//! `beside_foreign = true`. Of monitors of all services AWS allows one per account (newer accounts
//! come with one): where there is one, it is subscribed to.
//!
//! **How safe.** An update of a budget sets the costs that AWS counts against it to zero until new
//! billing data arrives, so it is written only where a number or a name differs. Without `enabled`
//! billing alerts the metric does not exist: then no alarm is planned, and the plan is blind (exit
//! code 3) with the switch to turn on. Cost allocation tags are activated, never deactivated, and
//! not in an account that somebody else pays for. `destroy` removes what bears our name and tag,
//! but no topic that has subscriptions of others or that others publish to.
//!
//! **What it costs.** Budgets without actions, topics and anomaly detection are free, an alarm is
//! 0.10 USD a month. Looking at anomaly detection and cost allocation tags asks Cost Explorer,
//! 0.01 USD a request: without the table `[budgets.anomaly]` anomaly detection is not looked at;
//! `enabled = false` looks, and removes what was made.
//!
//! **References.** `config.md` (policies/budgets.toml); AWS Cost Management user guide, "Managing
//! your costs with AWS Budgets", "Detecting unusual spend", "Using cost allocation tags"; CloudWatch
//! user guide, "Creating a billing alarm".

mod account;
mod anomaly;
mod budget;
mod names;
mod topics;
mod wanted;
mod work;

#[cfg(test)]
mod tests;

use super::Input;
use crate::cloud::Want;
use crate::config::Resolved;
use crate::plan::Verdict;
use names::{BILLING_REGION, Names};
use wanted::Targets;
use work::Work;

/// What the control needs to see.
pub fn want(resolved: &Resolved, want: &mut Want) {
    let (Some(policy), Some(config)) = (&resolved.policies.budgets, &resolved.config) else {
        return;
    };
    let names = Names::new(resolved);
    want.budgets = true;
    want.anomaly |= policy.anomaly.is_some();
    want.cost_tags |= work::pays(resolved) && !account::cost_keys(resolved).is_empty();
    let billing = policy.billing_alarm.as_ref();
    want.billing_metric |= billing.is_some_and(|b| b.enabled);
    let targets = Targets::new(config);
    want.topics
        .extend(targets.topics.iter().map(|t| t.arn.clone()));
    if billing.is_some() {
        want.alarms.insert(BILLING_REGION.to_owned());
        want.own_alarm_prefixes.insert(format!("{}-", names.base));
        want.topics
            .extend(targets.topics.iter().filter_map(|t| t.billing.clone()));
        want.topics.insert(topics::mail_topic(&names, config));
    }
}

/// Plans one environment.
pub fn plan(input: &Input) -> Verdict {
    let resolved = input.resolved;
    let (Some(policy), Some(config)) = (&resolved.policies.budgets, &resolved.config) else {
        return Verdict::default();
    };
    let mut work = Work::new(input, policy, config);
    if input.destroy {
        work.destroy();
    } else {
        work.reconcile();
    }
    work.verdict
}
