//! From the SDK's budgets and notifications to ours.

use aws_sdk_budgets::types as sdk;

use super::SUBSCRIBERS;
use crate::aws::error;
use crate::aws::objects::expression::{budgets_json, leaves};
use crate::aws::objects::money::decimal;
use crate::cloud::CloudError;
use crate::inventory::{BudgetFact, Observed};
use crate::model::object::{Budget, CostTypes, Extra, Money, NotificationKey, ThresholdUnit, When};

/// The end that AWS gives to budgets without one: 15 June 2087, in epoch seconds.
/// Source: API model, `budgets:TimePeriod`.
pub const NO_END: i64 = 3_706_473_600;
fn money(spend: &sdk::Spend) -> Option<Money> {
    Some(Money {
        amount: decimal(&spend.amount)?,
        unit: spend.unit.clone(),
    })
}

fn text(spend: &sdk::Spend) -> String {
    money(spend).map_or_else(
        || format!("{} {}", spend.amount, spend.unit),
        |m| format!("{} {}", m.amount, m.unit),
    )
}

/// Whether AWS can only have derived the filter expression from the older `CostFilters` and
/// `CostTypes`, which are there too. They cannot be given together, but nothing says that they
/// are not answered together. Source: API model, `budgets:CreateBudget`.
fn is_derived(expression: &sdk::Expression, filters: &Budget) -> bool {
    let listed = |value: &str| {
        filters
            .filters
            .values()
            .flatten()
            .any(|f| f == value || f.split_once('$').is_some_and(|(_, v)| v == value))
    };
    leaves(&budgets_json(expression))
        .iter()
        .all(|(key, values)| {
            key == "RECORD_TYPE" || (!values.is_empty() && values.iter().all(|v| listed(v)))
        })
}

/// A budget without its notifications, with what AWS calculated for it.
#[allow(deprecated)] // CostFilters and CostTypes are what budgets of all ages have.
pub fn fact(found: &sdk::Budget) -> BudgetFact {
    let mut extra = Extra::new();
    let planned = found.planned_budget_limits().filter(|p| !p.is_empty());
    if let Some(planned) = planned {
        let mut all: Vec<_> = planned.iter().map(|(at, s)| (at, text(s))).collect();
        all.sort();
        let all: Vec<_> = all.iter().map(|(at, s)| format!("{at}: {s}")).collect();
        extra.insert("PlannedBudgetLimits".to_owned(), all.join(", "));
    }
    if let Some(auto) = found.auto_adjust_data() {
        let mut says = auto.auto_adjust_type().as_str().to_owned();
        if let Some(history) = auto.historical_options() {
            let periods = history.budget_adjustment_period();
            says = format!("{says}, {periods} periods");
        }
        extra.insert("AutoAdjustData".to_owned(), says);
    }
    let fixed = planned.is_none() && found.auto_adjust_data().is_none();
    let limit = found.budget_limit().filter(|_| fixed);
    if let Some(odd) = limit.filter(|l| money(l).is_none()) {
        extra.insert("BudgetLimit".to_owned(), text(odd));
    }
    if let Some(end) = found.time_period().and_then(|p| p.end())
        && end.secs() != NO_END
    {
        extra.insert("TimePeriod.End".to_owned(), end.to_string());
    }
    if let Some(view) = found.billing_view_arn()
        && !view.ends_with(":billingview/primary")
    {
        extra.insert("BillingViewArn".to_owned(), view.to_owned());
    }
    let budget = Budget {
        name: found.budget_name().to_owned(),
        kind: found.budget_type().as_str().to_owned(),
        time_unit: found.time_unit().as_str().to_owned(),
        limit: limit.and_then(money),
        filters: found
            .cost_filters()
            .into_iter()
            .flatten()
            .filter(|(_, values)| !values.is_empty())
            .map(|(key, values)| (key.clone(), values.iter().cloned().collect()))
            .collect(),
        cost_types: found
            .cost_types()
            .map_or_else(CostTypes::default, own_types),
        notifications: Default::default(),
        extra: Extra::new(),
    };
    let old_form = found.cost_types().is_some();
    if let Some(expression) = found.filter_expression()
        && !(old_form && is_derived(expression, &budget))
    {
        let json = budgets_json(expression).to_string();
        extra.insert("FilterExpression".to_owned(), json);
    }
    if !old_form && !found.metrics().is_empty() {
        let metrics: Vec<_> = found.metrics().iter().map(|m| m.as_str()).collect();
        extra.insert("Metrics".to_owned(), metrics.join(", "));
    }
    let spend = found.calculated_spend();
    let health = found.health_status();
    let unhealthy = health.filter(|h| h.status() == Some(&sdk::HealthStatusValue::Unhealthy));
    BudgetFact {
        budget: Budget { extra, ..budget },
        unread: None,
        actual: spend
            .and_then(|s| s.actual_spend())
            .and_then(|s| decimal(&s.amount)),
        forecast: spend
            .and_then(|s| s.forecasted_spend())
            .and_then(|s| decimal(&s.amount)),
        unhealthy: unhealthy.map(|h| {
            h.status_reason()
                .map_or("UNHEALTHY", |r| r.as_str())
                .to_owned()
        }),
        tags: Observed::default(),
    }
}

fn own_types(found: &sdk::CostTypes) -> CostTypes {
    let default = CostTypes::default();
    CostTypes {
        include_tax: found.include_tax().unwrap_or(default.include_tax),
        include_subscription: found
            .include_subscription()
            .unwrap_or(default.include_subscription),
        include_refund: found.include_refund().unwrap_or(default.include_refund),
        include_credit: found.include_credit().unwrap_or(default.include_credit),
        include_upfront: found.include_upfront().unwrap_or(default.include_upfront),
        include_recurring: found
            .include_recurring()
            .unwrap_or(default.include_recurring),
        include_other_subscription: found
            .include_other_subscription()
            .unwrap_or(default.include_other_subscription),
        include_support: found.include_support().unwrap_or(default.include_support),
        include_discount: found.include_discount().unwrap_or(default.include_discount),
        use_amortized: found.use_amortized().unwrap_or(default.use_amortized),
        use_blended: found.use_blended().unwrap_or(default.use_blended),
    }
}

/// `None`: a kind that this version does not know.
pub fn own_key(found: &sdk::Notification) -> Option<NotificationKey> {
    Some(NotificationKey {
        when: match found.notification_type() {
            sdk::NotificationType::Actual => When::Actual,
            sdk::NotificationType::Forecasted => When::Forecast,
            _ => return None,
        },
        operator: found.comparison_operator().as_str().to_owned(),
        // The shortest text that gives this number again.
        threshold: decimal(&found.threshold().to_string())?,
        unit: match found.threshold_type() {
            None | Some(sdk::ThresholdType::Percentage) => ThresholdUnit::Percent,
            Some(sdk::ThresholdType::AbsoluteValue) => ThresholdUnit::Absolute,
            Some(_) => return None,
        },
    })
}

pub fn shown(found: &sdk::Notification) -> String {
    format!(
        "{} {} {} {}",
        found.notification_type().as_str(),
        found.comparison_operator().as_str(),
        found.threshold(),
        found.threshold_type().map_or("PERCENTAGE", |t| t.as_str())
    )
}

/// A notification as requests name it: without its state.
pub fn identity(found: &sdk::Notification) -> Result<sdk::Notification, CloudError> {
    sdk::Notification::builder()
        .notification_type(found.notification_type().clone())
        .comparison_operator(found.comparison_operator().clone())
        .threshold(found.threshold())
        .set_threshold_type(found.threshold_type().cloned())
        .build()
        .map_err(|e| error::own(SUBSCRIBERS, "request", e.to_string()))
}
