//! Cost Explorer: every page of every answer is billed.
//!
//! Requests go out one after the other and at most one a second for each payer: AWS publishes no
//! rate and answers more with `LimitExceededException`, which here means throttling and which the
//! SDK repeats by itself. A page counts as billed once it has arrived; what AWS refuses is free.

use std::collections::BTreeMap;

use aws_sdk_costexplorer::types::{
    AnomalyDateInterval, Coverage, DateInterval, Dimension, DimensionValues, Expression,
    Granularity as SdkGranularity, GroupDefinition, GroupDefinitionType, Metric, MetricValue,
    ResultByTime, SavingsPlansCoverage,
};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;

use super::error::{self, Named};
use super::listing::pages;
use super::pace::Api;
use super::session::{Region, Session};
use crate::cloud::CloudError;
use crate::cost::amount;
use crate::cost::question::{Anomaly, Answer, Answered, Filter, Granularity, Group, Question, Row};

/// The only region of the service; the partition `aws` has no other endpoint.
const REGION: &str = "us-east-1";
/// One US cent. Source: "AWS Cost Explorer pricing".
const MICRODOLLARS_PER_PAGE: u64 = 10_000;
const UNBLENDED: &str = "UnblendedCost";
const USAGE: &str = "ce:GetCostAndUsage";
const FORECAST: &str = "ce:GetCostForecast";
const ANOMALIES: &str = "ce:GetAnomalies";
const PLANS_USED: &str = "ce:GetSavingsPlansUtilization";
const PLANS_COVER: &str = "ce:GetSavingsPlansCoverage";
const RESERVED_USED: &str = "ce:GetReservationUtilization";
const RESERVED_COVER: &str = "ce:GetReservationCoverage";
const TAG_KEYS: &str = "ce:ListCostAllocationTags";

/// Asks one question, all pages of it.
pub async fn ask(session: &Session, question: &Question) -> Result<Answered, CloudError> {
    let region = session.region(REGION).await;
    let mut asking = Asking {
        region: &region,
        pages: 0,
    };
    let one_at_a_time = session.costs.lock().await;
    let answer = asking.ask(question).await;
    drop(one_at_a_time);
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.code == "DataUnavailableException" => Answer::NoData {
            reason: error.message,
        },
        Err(error) => return Err(explained(error)),
    };
    Ok(Answered {
        answer,
        asked_at: Timestamp::now(),
        pages: asking.pages,
    })
}

/// Says what to do about refusals that come from a switch that was never turned.
fn explained(error: CloudError) -> CloudError {
    let said = error.message.to_ascii_lowercase();
    let denied = error.code.starts_with("AccessDenied") || error.code == "UnauthorizedException";
    let help = if denied && said.contains("not enabled for cost explorer") {
        "Cost Explorer has never been opened in this account: open it once in the console \
         (Billing and Cost Management, Cost Explorer); the first data come within 24 hours"
            .to_owned()
    } else if denied && said.contains("linked account") {
        "the payer has not given its member accounts access to Cost Explorer: allow it in the \
         payer's Cost Management preferences, or name the payer in [payer] of opsctl.toml"
            .to_owned()
    } else if denied {
        format!(
            "allow {}; for a user or role of the account, IAM access to billing must be activated \
             as well (account settings, as the root user)",
            error.operation
        )
    } else {
        match error.code.as_str() {
            "BillExpirationException" => {
                "the days asked for are too old: AWS keeps 13 months and the current one".to_owned()
            }
            "LimitExceededException" => {
                "Cost Explorer is asked too often, by opsctl or by others: try again in some minutes"
                    .to_owned()
            }
            "RequestChangedException" | "InvalidNextTokenException" => {
                "the pages of the answer changed while they were read: try again".to_owned()
            }
            _ => return error,
        }
    };
    CloudError {
        message: format!("{}; {help}", error.message.trim_end_matches('.')),
        ..error
    }
}

/// Today, where the service is.
fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn none(reason: &str) -> Answer {
    Answer::NoData {
        reason: reason.to_owned(),
    }
}

fn unreadable(operation: &str, what: impl Into<String>) -> CloudError {
    error::own(operation, "UnreadableAnswer", what)
}

fn interval(operation: &str, start: Date, end: Date) -> Result<DateInterval, CloudError> {
    if start >= end {
        let message = format!("the days from {start} to {end} (exclusive) are none");
        return Err(error::own(operation, "EmptyPeriod", message));
    }
    DateInterval::builder()
        .start(start.to_string())
        .end(end.to_string())
        .build()
        .map_err(|e| error::own(operation, "request", e.to_string()))
}

fn date(operation: &str, text: Option<&str>) -> Result<Date, CloudError> {
    let day = text.and_then(|t| t.get(..10)).and_then(|t| t.parse().ok());
    day.ok_or_else(|| unreadable(operation, format!("{text:?} is no day")))
}

fn decimal(operation: &str, text: &str) -> Result<Decimal, CloudError> {
    amount::parse(text).ok_or_else(|| unreadable(operation, format!("`{text}` is no amount")))
}

fn dimension(key: Dimension, values: impl IntoIterator<Item = String>) -> Expression {
    let values = DimensionValues::builder()
        .key(key)
        .set_values(Some(values.into_iter().collect()))
        .build();
    Expression::builder().dimensions(values).build()
}

/// An expression has exactly one root. Source: API model, `ce:Expression`.
fn expression(filter: &Filter) -> Option<Expression> {
    let mut parts = Vec::new();
    if !filter.accounts.is_empty() {
        let accounts = filter.accounts.iter().cloned();
        parts.push(dimension(Dimension::LinkedAccount, accounts));
    }
    if !filter.without_record_types.is_empty() {
        let kinds = filter.without_record_types.iter().cloned();
        let kinds = dimension(Dimension::RecordType, kinds);
        parts.push(Expression::builder().not(kinds).build());
    }
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(Expression::builder().set_and(Some(parts)).build()),
    }
}

fn group(group: &Group) -> Result<GroupDefinition, CloudError> {
    let dimension = |key: &str| (GroupDefinitionType::Dimension, key.to_owned());
    let (kind, key) = match group {
        Group::Account => dimension("LINKED_ACCOUNT"),
        Group::Service => dimension("SERVICE"),
        Group::Region => dimension("REGION"),
        Group::UsageType => dimension("USAGE_TYPE"),
        Group::RecordType => dimension("RECORD_TYPE"),
        Group::Tag(key) => (GroupDefinitionType::Tag, key.clone()),
        Group::Resource => {
            let message = "costs of single resources are only in exports (audit cost --from)";
            return Err(error::own(USAGE, "OnlyInExports", message));
        }
    };
    Ok(GroupDefinition::builder().r#type(kind).key(key).build())
}

/// What one question has cost so far.
struct Asking<'a> {
    region: &'a Region,
    pages: u32,
}

/// The sums of a [`Question::Usage`], from all pages.
#[derive(Default)]
struct Sums {
    currency: Option<String>,
    rows: BTreeMap<(Date, Vec<String>), (Decimal, bool)>,
}

impl Sums {
    fn add(
        &mut self,
        start: Date,
        keys: Vec<String>,
        value: Option<&MetricValue>,
        estimated: bool,
    ) -> Result<(), CloudError> {
        let value = value.ok_or_else(|| unreadable(USAGE, format!("there is no {UNBLENDED}")))?;
        let amount = decimal(USAGE, value.amount().unwrap_or_default())?;
        if let Some(unit) = value.unit()
            && !amount.is_zero()
        {
            let known = self.currency.get_or_insert_with(|| unit.to_owned());
            if known != unit {
                let message = format!(
                    "the costs are in {known} and in {unit}, which cannot be added up: \
                     ask for each account alone"
                );
                return Err(error::own(USAGE, "TwoCurrencies", message));
            }
        }
        let sum = self.rows.entry((start, keys)).or_default();
        sum.0 = sum
            .0
            .checked_add(amount)
            .ok_or_else(|| unreadable(USAGE, "the costs are too large to add up"))?;
        sum.1 |= estimated;
        Ok(())
    }

    /// Grouped answers have an empty total, others have no groups.
    fn add_period(&mut self, result: &ResultByTime, groups: &[Group]) -> Result<(), CloudError> {
        let start = date(USAGE, result.time_period().map(|p| p.start()))?;
        let estimated = result.estimated();
        if groups.is_empty() {
            let total = result.total().and_then(|t| t.get(UNBLENDED));
            return self.add(start, Vec::new(), total, estimated);
        }
        for found in result.groups() {
            if found.keys().len() != groups.len() {
                let message = format!("a group has the keys {:?}", found.keys());
                return Err(unreadable(USAGE, message));
            }
            let keys = found.keys().iter().zip(groups);
            let keys = keys.map(|(key, group)| bare(key, group)).collect();
            let value = found.metrics().and_then(|m| m.get(UNBLENDED));
            self.add(start, keys, value, estimated)?;
        }
        Ok(())
    }

    fn answer(self) -> Answer {
        let rows = self.rows.into_iter();
        Answer::Usage {
            currency: self.currency.unwrap_or_else(|| "USD".to_owned()),
            rows: rows
                .map(|((start, keys), (amount, estimated))| Row {
                    start,
                    keys,
                    amount: amount.normalize(),
                    estimated,
                })
                .collect(),
        }
    }
}

/// A tag's value without the `Key$` in front; values and keys may have a `$` themselves.
fn bare(key: &str, group: &Group) -> String {
    let Group::Tag(tag) = group else {
        return key.to_owned();
    };
    let value = key.strip_prefix(tag.as_str());
    let value = value.and_then(|rest| rest.strip_prefix('$'));
    value.unwrap_or(key).to_owned()
}

impl Asking<'_> {
    async fn pace(&self) {
        self.region.pace(Api::CostExplorer).await;
    }

    /// Notes a page that has arrived.
    fn billed(&mut self) {
        self.pages += 1;
        self.region.shared.meter.bill(MICRODOLLARS_PER_PAGE);
    }

    async fn ask(&mut self, question: &Question) -> Result<Answer, CloudError> {
        match question {
            Question::Usage {
                start,
                end,
                granularity,
                group_by,
                filter,
            } => {
                let period = interval(USAGE, *start, *end)?;
                self.usage(period, *granularity, group_by, filter).await
            }
            Question::Forecast {
                start,
                end,
                interval: level,
                filter,
            } => {
                let period = interval(FORECAST, *start, *end)?;
                self.forecast(period, *level, filter).await
            }
            Question::Anomalies { start, end } => self.anomalies(*start, *end).await,
            Question::SavingsPlansUtilization { start, end } => {
                match complete(PLANS_USED, *start, *end)? {
                    Some(period) => self.plans_used(period).await,
                    None => Ok(none(NOT_YET)),
                }
            }
            Question::SavingsPlansCoverage { start, end } => {
                match complete(PLANS_COVER, *start, *end)? {
                    Some(period) => self.plans_cover(period).await,
                    None => Ok(none(NOT_YET)),
                }
            }
            Question::ReservationUtilization { start, end } => {
                match complete(RESERVED_USED, *start, *end)? {
                    Some(period) => self.reserved_used(period).await,
                    None => Ok(none(NOT_YET)),
                }
            }
            Question::ReservationCoverage { start, end } => {
                match complete(RESERVED_COVER, *start, *end)? {
                    Some(period) => self.reserved_cover(period).await,
                    None => Ok(none(NOT_YET)),
                }
            }
            Question::CostAllocationTags => self.tag_keys().await,
        }
    }

    async fn usage(
        &mut self,
        period: DateInterval,
        granularity: Granularity,
        group_by: &[Group],
        filter: &Filter,
    ) -> Result<Answer, CloudError> {
        let groups = group_by.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        // Nothing but the token may differ from page to page.
        let call = self
            .region
            .costexplorer()
            .get_cost_and_usage()
            .time_period(period)
            .granularity(match granularity {
                Granularity::Daily => SdkGranularity::Daily,
                Granularity::Monthly => SdkGranularity::Monthly,
            })
            .metrics(UNBLENDED)
            .set_group_by((!groups.is_empty()).then_some(groups))
            .set_filter(expression(filter));
        let mut sums = Sums::default();
        let outcome = pages!(USAGE, |token| {
            self.pace().await;
            let page = call.clone().set_next_page_token(token);
            let page = page.send().await.named(USAGE)?;
            self.billed();
            for result in page.results_by_time() {
                sums.add_period(result, group_by)?;
            }
            Ok(page.next_page_token)
        });
        outcome?;
        Ok(sums.answer())
    }

    /// By the month: then one result is the sum of the days that are asked for, and its bounds are
    /// AWS's own for that sum. The bounds of single days cannot be added up to it. A question that
    /// crosses months has several, and their sum is wider than it need be.
    async fn forecast(
        &mut self,
        period: DateInterval,
        level: u8,
        filter: &Filter,
    ) -> Result<Answer, CloudError> {
        self.pace().await;
        let call = self.region.costexplorer().get_cost_forecast();
        let answer = call
            .time_period(period)
            .metric(Metric::UnblendedCost)
            .granularity(SdkGranularity::Monthly)
            .prediction_interval_level(i32::from(level))
            .set_filter(expression(filter))
            .send()
            .await
            .named(FORECAST)?;
        self.billed();
        let Some(total) = answer.total() else {
            return Ok(none("the answer has no forecast"));
        };
        let mean = decimal(FORECAST, total.amount().unwrap_or_default())?;
        let (mut low, mut high) = (Decimal::ZERO, Decimal::ZERO);
        for result in answer.forecast_results_by_time() {
            // Without bounds the mean is all that is known.
            let value = result.mean_value().unwrap_or_default();
            let bound = |text: Option<&str>| decimal(FORECAST, text.unwrap_or(value));
            let (down, up) = (
                bound(result.prediction_interval_lower_bound())?,
                bound(result.prediction_interval_upper_bound())?,
            );
            low = low.saturating_add(down);
            high = high.saturating_add(up);
        }
        if answer.forecast_results_by_time().is_empty() {
            (low, high) = (mean, mean);
        }
        Ok(Answer::Forecast {
            currency: total.unit().unwrap_or("USD").to_owned(),
            mean,
            low: low.normalize(),
            high: high.normalize(),
        })
    }

    async fn anomalies(&mut self, start: Date, end: Date) -> Result<Answer, CloudError> {
        let days = AnomalyDateInterval::builder()
            .start_date(start.to_string())
            .end_date(end.to_string())
            .build()
            .map_err(|e| error::own(ANOMALIES, "request", e.to_string()))?;
        let call = self.region.costexplorer().get_anomalies();
        let call = call.date_interval(days);
        let mut anomalies = Vec::new();
        let outcome = pages!(ANOMALIES, |token| {
            self.pace().await;
            let page = call.clone().set_next_page_token(token);
            let page = page.send().await.named(ANOMALIES)?;
            self.billed();
            for found in page.anomalies() {
                let cause = found.root_causes().first();
                let own = |pick: fn(&aws_sdk_costexplorer::types::RootCause) -> Option<&str>| {
                    cause.and_then(pick).map(str::to_owned)
                };
                let impact = found.impact().map_or(0.0, |i| i.total_impact());
                let ends = found.anomaly_end_date();
                anomalies.push(Anomaly {
                    id: found.anomaly_id().to_owned(),
                    start: date(ANOMALIES, found.anomaly_start_date())?,
                    end: ends.map(|t| date(ANOMALIES, Some(t))).transpose()?,
                    account: own(|c| c.linked_account()),
                    service: own(|c| c.service())
                        .or_else(|| found.dimension_value().map(str::to_owned)),
                    region: own(|c| c.region()),
                    usage_type: own(|c| c.usage_type()),
                    impact: amount::from_float(impact)
                        .ok_or_else(|| unreadable(ANOMALIES, format!("{impact} is no impact")))?,
                    monitor: None,
                });
            }
            Ok(page.next_page_token)
        });
        outcome?;
        Ok(Answer::Anomalies { anomalies })
    }

    async fn plans_used(&mut self, period: DateInterval) -> Result<Answer, CloudError> {
        self.pace().await;
        let call = self.region.costexplorer().get_savings_plans_utilization();
        let answer = call.time_period(period).send().await.named(PLANS_USED)?;
        self.billed();
        let used = answer.total().and_then(|t| t.utilization());
        let Some(used) = used else {
            return Ok(none(NO_COMMITMENT));
        };
        let committed = used.total_commitment().unwrap_or("0");
        if decimal(PLANS_USED, committed)?.is_zero() {
            return Ok(none(NO_COMMITMENT));
        }
        percent(PLANS_USED, used.utilization_percentage())
    }

    async fn plans_cover(&mut self, period: DateInterval) -> Result<Answer, CloudError> {
        let call = self.region.costexplorer().get_savings_plans_coverage();
        let call = call.time_period(period);
        let (mut covered, mut total) = (Decimal::ZERO, Decimal::ZERO);
        let outcome = pages!(PLANS_COVER, |token| {
            self.pace().await;
            let page = call.clone().set_next_token(token);
            let page = page.send().await.named(PLANS_COVER)?;
            self.billed();
            for part in page.savings_plans_coverages().iter().filter_map(coverage) {
                let (own_covered, own_total) = part?;
                covered = covered.saturating_add(own_covered);
                total = total.saturating_add(own_total);
            }
            Ok(page.next_token)
        });
        outcome?;
        Ok(share(covered, total))
    }

    async fn reserved_used(&mut self, period: DateInterval) -> Result<Answer, CloudError> {
        let call = self.region.costexplorer().get_reservation_utilization();
        let call = call.time_period(period);
        let mut answer = none(NO_COMMITMENT);
        let outcome = pages!(RESERVED_USED, |token| {
            self.pace().await;
            let page = call.clone().set_next_page_token(token);
            let page = page.send().await.named(RESERVED_USED)?;
            self.billed();
            // The first page that has the total has all that was asked for.
            let Some(total) = page.total() else {
                return Ok(page.next_page_token);
            };
            let hours = total.purchased_hours().unwrap_or("0");
            if !decimal(RESERVED_USED, hours)?.is_zero() {
                answer = percent(RESERVED_USED, total.utilization_percentage())?;
            }
            Ok(None)
        });
        outcome.map(|()| answer)
    }

    async fn reserved_cover(&mut self, period: DateInterval) -> Result<Answer, CloudError> {
        let call = self.region.costexplorer().get_reservation_coverage();
        let call = call.time_period(period);
        let mut answer = none("nothing ran that a reservation could cover");
        let outcome = pages!(RESERVED_COVER, |token| {
            self.pace().await;
            let page = call.clone().set_next_page_token(token);
            let page = page.send().await.named(RESERVED_COVER)?;
            self.billed();
            let Some(hours) = page.total().and_then(Coverage::coverage_hours) else {
                return Ok(page.next_page_token);
            };
            let running = hours.total_running_hours().unwrap_or("0");
            if !decimal(RESERVED_COVER, running)?.is_zero() {
                answer = percent(RESERVED_COVER, hours.coverage_hours_percentage())?;
            }
            Ok(None)
        });
        outcome.map(|()| answer)
    }

    async fn tag_keys(&mut self) -> Result<Answer, CloudError> {
        let call = self.region.costexplorer().list_cost_allocation_tags();
        let mut keys = BTreeMap::new();
        let outcome = pages!(TAG_KEYS, |token| {
            self.pace().await;
            let page = call.clone().set_next_token(token);
            let page = page.send().await.named(TAG_KEYS)?;
            self.billed();
            for tag in page.cost_allocation_tags() {
                let active = tag.status().as_str() == "Active";
                keys.insert(tag.tag_key().to_owned(), active);
            }
            Ok(page.next_token)
        });
        outcome?;
        Ok(Answer::CostAllocationTags { keys })
    }
}

const NO_COMMITMENT: &str = "there are no such commitments";
const NOT_YET: &str = "no day of the period is complete yet";

/// Commitments are told of days before today only: the end is drawn in. `None`: nothing is left.
/// Source: API model, `ce:GetSavingsPlansUtilization`.
fn complete(operation: &str, start: Date, end: Date) -> Result<Option<DateInterval>, CloudError> {
    let yesterday = today().yesterday().unwrap_or(Date::MIN);
    let end = end.min(yesterday);
    if start >= end {
        return Ok(None);
    }
    interval(operation, start, end).map(Some)
}

fn percent(operation: &str, text: Option<&str>) -> Result<Answer, CloudError> {
    match text {
        Some(text) => Ok(Answer::Percent {
            percent: decimal(operation, text)?,
        }),
        None => Ok(none("the answer has no percentage")),
    }
}

/// Covered and whole spend of one period.
fn coverage(part: &SavingsPlansCoverage) -> Option<Result<(Decimal, Decimal), CloudError>> {
    let data = part.coverage()?;
    let read = |text: Option<&str>| decimal(PLANS_COVER, text.unwrap_or("0"));
    Some(
        read(data.spend_covered_by_savings_plans()).and_then(|covered| {
            let total = read(data.total_cost())?;
            Ok((covered, total))
        }),
    )
}

fn share(covered: Decimal, total: Decimal) -> Answer {
    let share = covered.checked_mul(Decimal::ONE_HUNDRED);
    match share.and_then(|c| c.checked_div(total)) {
        Some(percent) => Answer::Percent {
            percent: percent.round_dp(2).normalize(),
        },
        None => none("nothing ran that a Savings Plan could cover"),
    }
}
