//! What the embedded accounts cost: 13 months of days and the current month, made from what the
//! scenario declares. The same scenario and the same day give the same lines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::world::{Account, World};
use super::{Sandbox, refused};
use crate::cloud::{CloudError, Target};
use crate::cost::question::{Anomaly, Answer, Answered, Group, Question};
use crate::cost::tally::{Extent, FORECAST_DAYS, Line, MOST_GROUPS, Tally};
use crate::model::{Amount, Tags};

/// Whole months before the current one. Source: "Best practices for the AWS Cost Explorer API".
const MONTHS: i32 = 13;
/// Rows of one page of an answer.
const ROWS_PER_PAGE: usize = 500;
/// One US cent. Source: "AWS Cost Explorer pricing".
const MICRODOLLARS_PER_PAGE: u64 = 10_000;
/// Percent of a usual day that has been billed of today.
const TODAY_PERCENT: i64 = 40;
/// Days of an average month, in hundredths.
const MONTH_DAYS: Decimal = Decimal::from_parts(3044, 0, 0, false, 2);
/// Days vary by up to so many thousandths to each side.
const NOISE: i64 = 40;
const MONITOR: &str = "Default-Services-Monitor";

/// `[[cost]]` of a scenario: one service in one region, over all months.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostSeed {
    /// The first one, where there is only one.
    pub environment: Option<String>,
    /// As Cost Explorer names it.
    pub service: String,
    /// The first region of the environment, if not given.
    pub region: Option<String>,
    /// `Usage`, if not given; `Tax`, `Credit`, `Fee`, …
    #[serde(default = "usage")]
    pub record_type: String,
    /// Of an average month at today's level; negative: a credit.
    pub monthly_usd: Amount,
    /// Percent of the amount by usage type; together 100.
    pub usage_types: BTreeMap<String, Amount>,
    /// From one month to the next.
    #[serde(default = "nothing")]
    pub growth_percent: Amount,
    /// A day of the weekend in percent of another day.
    #[serde(default = "everything")]
    pub weekend_percent: Amount,
    /// Charged on this day of the month instead of day by day.
    pub on_day: Option<i8>,
    /// Is there since so many months: 0 for the current one. Left out: since ever.
    pub since_months: Option<i32>,
    /// A leap in the current month.
    pub jump: Option<Jump>,
    /// Shares of the amount by tags; the rest is without any.
    #[serde(default)]
    pub tags: Vec<TagShare>,
}

/// So much more than before, since so many days, though not before the first of the month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jump {
    pub percent: Amount,
    pub days: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagShare {
    pub percent: Amount,
    pub set: Tags,
}

/// `[[commitment]]` of a scenario: what Savings Plans or reservations are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitmentSeed {
    pub environment: Option<String>,
    pub kind: CommitmentKind,
    pub utilization_percent: Amount,
    pub coverage_percent: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitmentKind {
    SavingsPlans,
    Reservations,
}

fn usage() -> String {
    "Usage".to_owned()
}

fn nothing() -> Amount {
    Amount(Decimal::ZERO)
}

fn everything() -> Amount {
    Amount(Decimal::ONE_HUNDRED)
}

impl CostSeed {
    /// What is wrong with it.
    pub fn mistake(&self) -> Option<String> {
        let total: Decimal = self.usage_types.values().map(|a| a.0).sum();
        let tagged: Decimal = self.tags.iter().map(|t| t.percent.0).sum();
        if total != Decimal::ONE_HUNDRED {
            Some(format!("the usage types have {total} % together, not 100"))
        } else if tagged > Decimal::ONE_HUNDRED {
            Some(format!("the tags have {tagged} % together, more than 100"))
        } else if self.on_day.is_some_and(|d| !(1..=28).contains(&d)) {
            Some("`on_day` is a day from 1 to 28".to_owned())
        } else {
            None
        }
    }

    /// First day of the leap.
    fn jumps_on(&self, today: Date) -> Option<(Date, Decimal)> {
        let jump = self.jump.as_ref()?;
        let since = today.checked_sub(jump.days.days()).ok()?;
        Some((since.max(today.first_of_month()), jump.percent.0))
    }

    /// What the whole of it costs on one day, before chance.
    fn on(&self, day: Date, today: Date) -> Decimal {
        let months = months_between(day, today);
        if day > today || self.since_months.is_some_and(|since| months > since) {
            return Decimal::ZERO;
        }
        let percent = |p: Decimal| p / Decimal::ONE_HUNDRED;
        let mut amount = self.monthly_usd.0;
        match self.on_day {
            Some(at) if at != day.day() => return Decimal::ZERO,
            Some(_) => {}
            None => {
                let weekend = percent(self.weekend_percent.0);
                let weekday = Decimal::from(7) / (Decimal::from(5) + Decimal::TWO * weekend);
                let rhythm = match day.weekday() {
                    Weekday::Saturday | Weekday::Sunday => weekday * weekend,
                    _ => weekday,
                };
                amount = amount / MONTH_DAYS * rhythm;
                if day == today {
                    amount *= Decimal::new(TODAY_PERCENT, 2);
                }
            }
        }
        for _ in 0..months {
            amount /= Decimal::ONE + percent(self.growth_percent.0);
        }
        match self.jumps_on(today) {
            Some((since, more)) if day >= since => amount * (Decimal::ONE + percent(more)),
            _ => amount,
        }
    }
}

fn months_between(day: Date, today: Date) -> i32 {
    (i32::from(today.year()) - i32::from(day.year())) * 12 + i32::from(today.month())
        - i32::from(day.month())
}

/// A number that looks like chance, from a text.
fn chance(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let bytes = digest.iter().take(8);
    bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The first day that there is anything to tell of.
pub fn first_day(today: Date) -> Date {
    let first = today.first_of_month();
    first.checked_sub(MONTHS.months()).unwrap_or(first)
}

/// Every line of these environments from `from` to `until` (exclusive), day by day, as they are
/// known on `today`.
pub fn lines(
    world: &World,
    environments: &BTreeSet<String>,
    from: Date,
    until: Date,
    today: Date,
    mut each: impl FnMut(&Line<'_>),
) {
    let untagged = Tags::new();
    let mut generators = Vec::new();
    for (name, account) in &world.accounts {
        if !environments.contains(name) {
            continue;
        }
        for (number, seed) in account.costs.iter().enumerate() {
            // Stays as it is when another part of the scenario changes.
            let basis = format!("{}/{name}/{number}/{}", world.scenario, seed.service);
            generators.push((
                account,
                seed,
                fastrand::Rng::with_seed(chance(&basis)).u64(..),
            ));
        }
    }
    let mut day = from.max(first_day(today));
    let last = until.min(today.tomorrow().unwrap_or(today));
    while day < last {
        for (account, seed, basis) in &generators {
            let whole = seed.on(day, today);
            if whole.is_zero() {
                continue;
            }
            let days = i64::from(
                day.since(Date::constant(2000, 1, 1))
                    .map_or(0, |s| s.get_days()),
            );
            let mut rng = fastrand::Rng::with_seed(basis.wrapping_add(days.unsigned_abs()));
            let tagged: Decimal = seed.tags.iter().map(|t| t.percent.0).sum();
            let shares = seed.tags.iter().map(|t| (t.percent.0, &t.set));
            let shares: Vec<(Decimal, &Tags)> = shares
                .chain([(Decimal::ONE_HUNDRED - tagged, &untagged)])
                .filter(|(percent, _)| !percent.is_zero())
                .collect();
            for (usage_type, percent) in &seed.usage_types {
                for (share, tags) in &shares {
                    let noise = match seed.on_day {
                        Some(_) => Decimal::ONE,
                        None => Decimal::new(1000 + rng.i64(-NOISE..=NOISE), 3),
                    };
                    let hundredths = percent.0 * *share;
                    let amount = (whole * noise * hundredths / Decimal::from(10_000)).round_dp(10);
                    each(&Line {
                        day,
                        account: &account.id,
                        service: &seed.service,
                        region: seed.region.as_deref().unwrap_or(&account.home),
                        usage_type,
                        record_type: &seed.record_type,
                        tags,
                        resource: "",
                        amount,
                        currency: "USD",
                    });
                }
            }
        }
        let Ok(next) = day.tomorrow() else {
            return;
        };
        day = next;
    }
}

/// The operation that answers a question, and the days that it is about.
fn operation(question: &Question) -> (&'static str, Option<(Date, Date)>) {
    match question {
        Question::Usage { start, end, .. } => ("ce:GetCostAndUsage", Some((*start, *end))),
        Question::Forecast { start, end, .. } => ("ce:GetCostForecast", Some((*start, *end))),
        Question::Anomalies { .. } => ("ce:GetAnomalies", None),
        Question::SavingsPlansUtilization { start, end } => {
            ("ce:GetSavingsPlansUtilization", Some((*start, *end)))
        }
        Question::SavingsPlansCoverage { start, end } => {
            ("ce:GetSavingsPlansCoverage", Some((*start, *end)))
        }
        Question::ReservationUtilization { start, end } => {
            ("ce:GetReservationUtilization", Some((*start, *end)))
        }
        Question::ReservationCoverage { start, end } => {
            ("ce:GetReservationCoverage", Some((*start, *end)))
        }
        Question::CostAllocationTags => ("ce:ListCostAllocationTags", None),
    }
}

/// The environments whose costs an account sees: its own, or as the payer those of all.
fn visible(world: &World, payer: &Target) -> BTreeSet<String> {
    let all = || world.accounts.keys().cloned();
    if world
        .accounts
        .get(&payer.environment)
        .is_some_and(|a| a.payer)
    {
        return all().collect();
    }
    all()
        .filter(|name| {
            let account = world.accounts.get(name).map(|a| a.id.as_str());
            account == Some(payer.account.as_str()) || *name == payer.environment
        })
        .collect()
}

/// What AWS would not answer.
fn refusal(question: &Question, today: Date) -> Option<&'static str> {
    match question {
        Question::Usage {
            start, group_by, ..
        } => {
            if group_by.len() > MOST_GROUPS {
                Some("a maximum of 2 dimensions to group by")
            } else if group_by.contains(&Group::Resource) {
                Some("RESOURCE_ID is only in exports and in GetCostAndUsageWithResources")
            } else if *start < first_day(today) {
                Some("You haven't enabled historical data beyond 14 months")
            } else {
                None
            }
        }
        Question::Forecast {
            start, interval, ..
        } => {
            if *start > today {
                Some("the start of a forecast is no later than today")
            } else if !(51..=99).contains(interval) {
                Some("the prediction interval is 51 to 99")
            } else {
                None
            }
        }
        _ => None,
    }
}

pub(super) fn ask(
    sandbox: &Sandbox,
    world: &World,
    payer: &Target,
    question: &Question,
) -> Result<Answered, CloudError> {
    let now = sandbox.now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let (operation, span) = operation(question);
    let account = world.accounts.get(&payer.environment).ok_or_else(|| {
        let message = format!("the scenario has no environment `{}`", payer.environment);
        refused(operation, "NoSuchEnvironment", message)
    })?;
    let enter = |page: usize| {
        let lost = sandbox.enter(account, operation, &payer.environment)?;
        if lost {
            let message = format!("page {page}: the connection was cut before an answer came");
            return Err(refused(operation, "connection", message));
        }
        Ok(())
    };
    enter(1)?;
    let invalid = |message: &str| refused(operation, "ValidationException", message);
    if span.is_some_and(|(start, end)| start >= end) {
        return Err(invalid(
            "Start date (and hour) should be before end date (and hour)",
        ));
    }
    if let Some(why) = refusal(question, today) {
        return Err(invalid(why));
    }
    let answer = answer(world, payer, account, question, today)
        .map_err(|message| refused(operation, "ValidationException", message))?;
    let rows = match &answer {
        Answer::Usage { rows, .. } => rows.len(),
        _ => 1,
    };
    let pages = rows.div_ceil(ROWS_PER_PAGE).max(1);
    sandbox.meter.bill(MICRODOLLARS_PER_PAGE);
    for page in 2..=pages {
        enter(page)?;
        sandbox.meter.bill(MICRODOLLARS_PER_PAGE);
    }
    Ok(Answered {
        answer,
        asked_at: now,
        pages: u32::try_from(pages).unwrap_or(u32::MAX),
    })
}

fn answer(
    world: &World,
    payer: &Target,
    account: &Account,
    question: &Question,
    today: Date,
) -> Result<Answer, String> {
    let environments = visible(world, payer);
    let commitment = |kind: CommitmentKind, pick: fn(&CommitmentSeed) -> Amount| {
        let found = account.commitments.iter().find(|c| c.kind == kind);
        found.map_or_else(
            || Answer::NoData {
                reason: "there are no such commitments".to_owned(),
            },
            |seed| Answer::Percent {
                percent: pick(seed).0.normalize(),
            },
        )
    };
    let (from, until) = match question {
        Question::Usage { start, end, .. } => (*start, *end),
        Question::Forecast { start, .. } => {
            let from = start.checked_sub((2 * FORECAST_DAYS).days());
            (from.unwrap_or(*start), *start)
        }
        Question::Anomalies { start, end } => {
            let anomalies = anomalies(world, &environments, *start, *end, today);
            return Ok(Answer::Anomalies { anomalies });
        }
        Question::SavingsPlansUtilization { .. } => {
            return Ok(commitment(CommitmentKind::SavingsPlans, |c| {
                c.utilization_percent
            }));
        }
        Question::SavingsPlansCoverage { .. } => {
            return Ok(commitment(CommitmentKind::SavingsPlans, |c| {
                c.coverage_percent
            }));
        }
        Question::ReservationUtilization { .. } => {
            return Ok(commitment(CommitmentKind::Reservations, |c| {
                c.utilization_percent
            }));
        }
        Question::ReservationCoverage { .. } => {
            return Ok(commitment(CommitmentKind::Reservations, |c| {
                c.coverage_percent
            }));
        }
        Question::CostAllocationTags => {
            let keys = tag_keys(world, &environments);
            return Ok(Answer::CostAllocationTags { keys });
        }
    };
    let asked = as_activated(question, &tag_keys(world, &environments));
    let mut tally = Tally::new(std::slice::from_ref(&asked), today).map_err(|e| e.to_string())?;
    lines(world, &environments, from, until, today, |line| {
        tally.add(line);
    });
    let mut answers = tally
        .answers(Extent::Everything)
        .map_err(|e| e.to_string())?;
    answers.pop().ok_or_else(|| "no answer".to_owned())
}

/// What the scenario says of cost allocation tags; where it says nothing, keys in the ledger are
/// active, and those that resources bear besides could be.
fn tag_keys(world: &World, environments: &BTreeSet<String>) -> BTreeMap<String, bool> {
    let mut keys = BTreeMap::new();
    for name in environments {
        let Some(account) = world.accounts.get(name) else {
            continue;
        };
        if !account.money.cost_tags.is_empty() {
            for (key, active) in &account.money.cost_tags {
                *keys.entry(key.clone()).or_insert(false) |= *active;
            }
            continue;
        }
        let borne = account.resources.values().flat_map(|item| item.tags.keys());
        for key in borne.filter(|key| !key.starts_with("aws:")) {
            keys.entry(key.clone()).or_insert(false);
        }
        let used = account.costs.iter().flat_map(|seed| &seed.tags);
        for key in used.flat_map(|share| share.set.keys()) {
            keys.insert(key.clone(), true);
        }
    }
    keys
}

/// A key that is not active is no dimension of cost: all spend is without it.
fn as_activated(question: &Question, keys: &BTreeMap<String, bool>) -> Question {
    let mut asked = question.clone();
    if let Question::Usage { group_by, .. } = &mut asked {
        for group in group_by {
            if let Group::Tag(key) = group
                && !keys.get(key).copied().unwrap_or(false)
            {
                // No line bears a key without a name.
                *group = Group::Tag(String::new());
            }
        }
    }
    asked
}

/// Each leap is an anomaly that goes on.
fn anomalies(
    world: &World,
    environments: &BTreeSet<String>,
    start: Date,
    end: Date,
    today: Date,
) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for name in environments {
        let Some(account) = world.accounts.get(name) else {
            continue;
        };
        for seed in &account.costs {
            let Some((since, percent)) = seed.jumps_on(today) else {
                continue;
            };
            if since > end || today < start {
                continue;
            }
            let whole = Decimal::ONE + percent / Decimal::ONE_HUNDRED;
            let mut impact = Decimal::ZERO;
            let mut day = since;
            while day <= today {
                let amount = seed.on(day, today);
                impact += amount - amount / whole;
                day = match day.tomorrow() {
                    Ok(next) => next,
                    Err(_) => break,
                };
            }
            let usage_type = seed.usage_types.iter().max_by_key(|(_, share)| share.0);
            let number = chance(&format!(
                "{}/{name}/{}/{since}",
                world.scenario, seed.service
            ));
            found.push(Anomaly {
                id: format!("{number:016x}"),
                start: since,
                end: None,
                account: Some(account.id.clone()),
                service: Some(seed.service.clone()),
                region: Some(seed.region.clone().unwrap_or_else(|| account.home.clone())),
                usage_type: usage_type.map(|(name, _)| name.clone()),
                impact: impact.round_dp(2).normalize(),
                monitor: Some(MONITOR.to_owned()),
            });
        }
    }
    found
}

/// The clock of a sandbox: it may stand still.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock(pub Option<Timestamp>);

impl Clock {
    pub fn now(self) -> Timestamp {
        self.0.unwrap_or_else(Timestamp::now)
    }
}
