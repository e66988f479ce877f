//! Which questions an audit asks one payer, in order of worth.
//!
//! Each request is billed, so the most that is learnt from the fewest comes first, and what does
//! not fit into `max_questions` is listed as not asked. Some are asked only if an earlier answer
//! gives reason to: see [`need`].

use std::collections::BTreeSet;

use jiff::ToSpan;

use super::days::Days;
use super::question::{Answer, Answered, Filter, Granularity, Group, Question};
use crate::cloud::CloudError;

/// Forecasts of one payer, at most: each is a question.
pub const MOST_FORECASTS: usize = 4;

/// Percent of the forecast's interval.
pub const INTERVAL: u8 = 80;

/// One payer account, with what is to be known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayerScope {
    pub account: String,
    /// Accounts of environments that are audited: each gets a forecast.
    pub forecasts: Vec<ForecastScope>,
    /// Accounts that several environments share.
    pub shared: BTreeSet<String>,
    /// Required tag keys, in the order of the policy.
    pub tags: Vec<String>,
    /// As the budgets policy says.
    pub filter: Filter,
    /// From an export: resources are told, and there are no questions to save.
    pub export: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForecastScope {
    pub environment: String,
    pub account: String,
}

/// What an answer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Days by account and service.
    Daily,
    /// Days of one shared account by the tag `environment` and service.
    SharedAccount(String),
    /// Of an account.
    Forecast(String),
    RecordTypes,
    Tag(String),
    TagStatus,
    Regions,
    Anomalies,
    UsageTypes,
    SavingsPlansUtilization,
    SavingsPlansCoverage,
    ReservationUtilization,
    ReservationCoverage,
    /// Only from exports.
    Resources,
}

/// One question and why it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub purpose: Purpose,
    /// In words, e.g. `daily spend by account and service`.
    pub what: String,
    pub question: Question,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Answered(Answered),
    Failed(CloudError),
    /// And why: no room for it, or no reason to.
    NotAsked {
        reason: String,
        wanted: bool,
    },
}

/// The steps of one payer with what became of them, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PayerAnswers {
    pub scope: PayerScope,
    /// The environment whose credentials asked.
    pub environment: String,
    pub steps: Vec<(Step, Outcome)>,
}

/// Whether a step is needed, given the answers to those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    Yes,
    /// And why not.
    No(String),
    /// It hangs on an answer that is not there yet; only while explaining.
    Perhaps(String),
}

/// The key by which environments on one account are told apart.
pub const ENVIRONMENT_TAG: &str = "environment";

/// All steps, in order of worth.
pub fn steps(scope: &PayerScope, days: &Days) -> Vec<Step> {
    let usage = |granularity, group_by: Vec<Group>, filter: &Filter| Question::Usage {
        start: days.previous,
        end: days.tomorrow,
        granularity,
        group_by,
        filter: filter.clone(),
    };
    let monthly = |second: Group| {
        usage(
            Granularity::Monthly,
            vec![Group::Account, second],
            &scope.filter,
        )
    };
    let mut out = Vec::new();
    let mut push = |purpose, what: String, question| {
        out.push(Step {
            purpose,
            what,
            question,
        });
    };
    push(
        Purpose::Daily,
        "each day of this and last month by account and service".to_owned(),
        usage(
            Granularity::Daily,
            vec![Group::Account, Group::Service],
            &scope.filter,
        ),
    );
    for account in &scope.shared {
        let filter = Filter {
            accounts: [account.clone()].into(),
            ..scope.filter.clone()
        };
        push(
            Purpose::SharedAccount(account.clone()),
            format!(
                "each day of the shared account {account} by tag `{ENVIRONMENT_TAG}` and service"
            ),
            usage(
                Granularity::Daily,
                vec![Group::Tag(ENVIRONMENT_TAG.to_owned()), Group::Service],
                &filter,
            ),
        );
    }
    for forecast in scope.forecasts.iter().take(MOST_FORECASTS) {
        push(
            Purpose::Forecast(forecast.account.clone()),
            format!(
                "forecast to the end of the month for {}",
                forecast.environment
            ),
            Question::Forecast {
                start: days.today,
                end: days.next_month,
                interval: INTERVAL,
                filter: Filter {
                    accounts: [forecast.account.clone()].into(),
                    ..scope.filter.clone()
                },
            },
        );
    }
    push(
        Purpose::RecordTypes,
        "credits, refunds and tax by account".to_owned(),
        usage(
            Granularity::Monthly,
            vec![Group::Account, Group::RecordType],
            &Filter::default(),
        ),
    );
    for key in &scope.tags {
        push(
            Purpose::Tag(key.clone()),
            format!("spend by account and tag `{key}`"),
            monthly(Group::Tag(key.clone())),
        );
    }
    if !scope.tags.is_empty() {
        push(
            Purpose::TagStatus,
            "which tag keys are activated as cost allocation tags".to_owned(),
            Question::CostAllocationTags,
        );
    }
    push(
        Purpose::Regions,
        "spend by account and region".to_owned(),
        monthly(Group::Region),
    );
    push(
        Purpose::Anomalies,
        "what Cost Anomaly Detection saw this month".to_owned(),
        Question::Anomalies {
            start: days.month,
            end: days.today,
        },
    );
    push(
        Purpose::UsageTypes,
        "spend by account and usage type (NAT gateways, egress, storage)".to_owned(),
        monthly(Group::UsageType),
    );
    // 30 days that end before today, as `ce:GetSavingsPlansUtilization` demands.
    let (start, end) = (
        days.today.saturating_sub(31.days()),
        days.today.saturating_sub(1.day()),
    );
    push(
        Purpose::SavingsPlansUtilization,
        "how much of the Savings Plans is used".to_owned(),
        Question::SavingsPlansUtilization { start, end },
    );
    push(
        Purpose::ReservationUtilization,
        "how much of the reservations is used".to_owned(),
        Question::ReservationUtilization { start, end },
    );
    push(
        Purpose::SavingsPlansCoverage,
        "how much of the usage Savings Plans cover".to_owned(),
        Question::SavingsPlansCoverage { start, end },
    );
    push(
        Purpose::ReservationCoverage,
        "how much of the usage reservations cover".to_owned(),
        Question::ReservationCoverage { start, end },
    );
    if scope.export {
        push(
            Purpose::Resources,
            "spend by account and resource".to_owned(),
            monthly(Group::Resource),
        );
    }
    out
}

/// Whether a step is worth its price after the answers so far.
pub fn need(step: &Step, so_far: &[(Step, Outcome)]) -> Need {
    match &step.purpose {
        Purpose::TagStatus => {
            let mut open = false;
            for (earlier, outcome) in so_far {
                let Purpose::Tag(_) = earlier.purpose else {
                    continue;
                };
                match outcome {
                    Outcome::Answered(answered) if only_untagged(&answered.answer) => {
                        return Need::Yes;
                    }
                    Outcome::Answered(_) | Outcome::Failed(_) => {}
                    Outcome::NotAsked { wanted, .. } => open |= *wanted,
                }
            }
            if open {
                Need::Perhaps("only if a tag shows nothing but untagged spend".to_owned())
            } else {
                Need::No("every tag splits some spend".to_owned())
            }
        }
        Purpose::SavingsPlansUtilization | Purpose::SavingsPlansCoverage => {
            commitments(so_far, "Savings Plans", is_savings_plan)
        }
        Purpose::ReservationUtilization | Purpose::ReservationCoverage => {
            commitments(so_far, "reservations", is_reservation)
        }
        _ => Need::Yes,
    }
}

fn commitments(so_far: &[(Step, Outcome)], what: &str, is_one: fn(&str) -> bool) -> Need {
    let outcome = so_far
        .iter()
        .find(|(s, _)| s.purpose == Purpose::RecordTypes)
        .map(|(_, outcome)| outcome);
    match outcome {
        Some(Outcome::Answered(answered)) => match &answered.answer {
            Answer::Usage { rows, .. } => {
                let any = rows
                    .iter()
                    .filter_map(|r| r.keys.get(1))
                    .any(|kind| is_one(kind));
                if any {
                    Need::Yes
                } else {
                    Need::No(format!("no charge of last and this month is of {what}"))
                }
            }
            _ => Need::No("there are no charges".to_owned()),
        },
        Some(Outcome::Failed(_)) => Need::No("the kinds of charges could not be seen".to_owned()),
        _ => Need::Perhaps(format!("only if there are {what}")),
    }
}

/// Nothing but spend without the tag: the key may not be a dimension of cost at all.
pub fn only_untagged(answer: &Answer) -> bool {
    match answer {
        Answer::Usage { rows, .. } => {
            let mut spend = rows.iter().filter(|r| !r.amount.is_zero()).peekable();
            spend.peek().is_some()
                && spend.all(|r| r.keys.get(1).is_none_or(|value| value.is_empty()))
        }
        _ => false,
    }
}

fn folded(record_type: &str) -> String {
    record_type
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// `SavingsPlanRecurringFee`, as exports write it, or `Savings Plan Recurring Fee`.
pub fn is_savings_plan(record_type: &str) -> bool {
    folded(record_type).starts_with("savingsplan")
}

/// `RIFee`, `DiscountedUsage`, `Recurring reservation fee`, `Upfront reservation fee`.
pub fn is_reservation(record_type: &str) -> bool {
    let name = folded(record_type);
    name == "rifee" || name == "discountedusage" || name.contains("reservation")
}

/// The service's code for what it does not let us do; asking again is no use.
pub fn is_denied(error: &CloudError) -> bool {
    let code = error.code.to_ascii_lowercase();
    code.contains("accessdenied")
        || code.contains("unauthorized")
        || code.contains("optinrequired")
        || code.contains("notauthorized")
}

/// Nothing else of this payer will be answered either.
pub fn is_hopeless(error: &CloudError) -> bool {
    // "User not enabled for cost explorer access": nobody has opened it in this account yet.
    error.message.contains("not enabled")
        || error.message.contains("never been opened")
        || matches!(
            error.code.as_str(),
            "NoCredentials"
                | "connection"
                | "timeout"
                | "NotImplemented"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "UnrecognizedClientException"
                | "LimitExceededException"
        )
}

impl PayerAnswers {
    pub fn outcome(&self, purpose: &Purpose) -> Option<&Outcome> {
        self.steps
            .iter()
            .find(|(s, _)| s.purpose == *purpose)
            .map(|(_, outcome)| outcome)
    }

    pub fn answer(&self, purpose: &Purpose) -> Option<&Answer> {
        match self.outcome(purpose)? {
            Outcome::Answered(answered) => Some(&answered.answer),
            _ => None,
        }
    }
}

/// What AWS bills for one request, in USD. Source: "AWS Cost Explorer pricing".
pub const PRICE_USD: rust_decimal::Decimal = rust_decimal::Decimal::from_parts(1, 0, 0, false, 2);

/// `service:Operation` that answers a question.
pub fn operation(question: &Question) -> &'static str {
    match question {
        Question::Usage { .. } => "ce:GetCostAndUsage",
        Question::Forecast { .. } => "ce:GetCostForecast",
        Question::Anomalies { .. } => "ce:GetAnomalies",
        Question::SavingsPlansUtilization { .. } => "ce:GetSavingsPlansUtilization",
        Question::SavingsPlansCoverage { .. } => "ce:GetSavingsPlansCoverage",
        Question::ReservationUtilization { .. } => "ce:GetReservationUtilization",
        Question::ReservationCoverage { .. } => "ce:GetReservationCoverage",
        Question::CostAllocationTags => "ce:ListCostAllocationTags",
    }
}
