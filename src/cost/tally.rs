//! Answers questions about costs from single lines: one pass, and memory for the groups that were
//! asked for, not for the lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use rust_decimal::{Decimal, MathematicalOps};

use super::question::{Answer, Filter, Granularity, Group, Question, Row};
use crate::model::Tags;

/// Most dimensions that one question groups by. Source: API model, `ce:GetCostAndUsage`.
pub const MOST_GROUPS: usize = 2;

/// Resources that are told apart. From twice as many on, the smaller half becomes [`OTHER`].
pub const MOST_RESOURCES: usize = 50_000;

/// The key of what [`MOST_RESOURCES`] leaves no room for.
pub const OTHER: &str = "(other resources)";

/// Complete days that an own forecast is made from: two of each weekday.
pub const FORECAST_DAYS: i32 = 14;
/// Fewer are not enough.
const FORECAST_DAYS_AT_LEAST: usize = 7;

/// Charges that come day by day; a tax or a yearly fee would spoil a forecast.
const RECURRING: [&str; 5] = [
    "Usage",
    "DiscountedUsage",
    "SavingsPlanCoveredUsage",
    "SavingsPlanNegation",
    "SavingsPlanRecurringFee",
];

/// One line of a bill: what one thing cost on one day.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub day: Date,
    /// The account that used it.
    pub account: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub usage_type: &'a str,
    /// As Cost Explorer's RECORD_TYPE: `Usage`, `Tax`, `Credit`, …
    pub record_type: &'a str,
    pub tags: &'a Tags,
    /// Empty: not told.
    pub resource: &'a str,
    /// Unblended.
    pub amount: Decimal,
    pub currency: &'a str,
}

/// What the lines say about days without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All lines there are: a day without one cost nothing.
    Everything,
    /// What lies outside of the days from the first line to the last is not known.
    AsSeen,
}

/// Why lines cannot be added up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TallyError {
    #[error("a question groups by {0} dimensions, and {MOST_GROUPS} are the most")]
    Groups(usize),
    #[error("the costs are in {0} and in {1}, which cannot be added up: ask for each payer alone")]
    Currencies(String, String),
    #[error("the costs add up to more than a decimal of 28 digits holds")]
    Overflow,
}

/// Strings that are seen again and again, each kept once.
#[derive(Debug, Default)]
struct Names {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    fn name(&self, id: u32) -> &str {
        self.names.get(id as usize).map_or("", |name| name)
    }
}

/// Resources, of which there may be millions: the ones with the largest costs are kept.
#[derive(Debug, Default)]
struct Resources {
    names: Names,
    /// By id: the costs so far, whatever their sign.
    weights: Vec<Decimal>,
    merged: bool,
}

type Key = [u32; MOST_GROUPS];

/// What one question has gathered.
#[derive(Debug, Default)]
struct Gathered {
    /// By first day of the period and ids of the groups; of a forecast by day.
    sums: HashMap<(Date, Key), Decimal>,
}

/// Adds up lines for questions.
#[derive(Debug)]
pub struct Tally {
    questions: Vec<Question>,
    gathered: Vec<Gathered>,
    as_of: Date,
    most_resources: usize,
    names: Names,
    resources: Resources,
    wants_resources: bool,
    tag_keys: BTreeSet<String>,
    currency: Option<String>,
    other_currency: Option<String>,
    overflow: bool,
    seen: Option<(Date, Date)>,
}

/// First day of the period of `day`, for a question that starts at `start`.
fn period(day: Date, start: Date, granularity: Granularity) -> Date {
    match granularity {
        Granularity::Daily => day,
        Granularity::Monthly => day.first_of_month().max(start),
    }
}

fn passes(filter: &Filter, line: &Line<'_>) -> bool {
    (filter.accounts.is_empty() || filter.accounts.contains(line.account))
        && !filter.without_record_types.contains(line.record_type)
}

fn days_before(day: Date, days: i32) -> Date {
    day.checked_sub(days.days()).unwrap_or(Date::MIN)
}

impl Tally {
    /// `as_of`: the day on which the lines were known; its month is still an estimate.
    ///
    /// # Errors
    /// A question groups by too much.
    pub fn new(questions: &[Question], as_of: Date) -> Result<Tally, TallyError> {
        for question in questions {
            if let Question::Usage { group_by, .. } = question
                && group_by.len() > MOST_GROUPS
            {
                return Err(TallyError::Groups(group_by.len()));
            }
        }
        let wants_resources = questions.iter().any(|q| {
            matches!(q, Question::Usage { group_by, .. } if group_by.contains(&Group::Resource))
        });
        Ok(Tally {
            questions: questions.to_vec(),
            gathered: questions.iter().map(|_| Gathered::default()).collect(),
            as_of,
            most_resources: MOST_RESOURCES,
            names: Names::default(),
            resources: Resources::default(),
            wants_resources,
            tag_keys: BTreeSet::new(),
            currency: None,
            other_currency: None,
            overflow: false,
            seen: None,
        })
    }

    /// Keeps another number of resources apart than [`MOST_RESOURCES`].
    pub fn with_most_resources(mut self, most: usize) -> Self {
        self.most_resources = most.max(1);
        self
    }

    /// First and last day that had a line.
    pub fn seen(&self) -> Option<(Date, Date)> {
        self.seen
    }

    /// Whether small resources were merged into [`OTHER`].
    pub fn resources_merged(&self) -> bool {
        self.resources.merged
    }

    /// Notes that the lines can have this tag, even if none has it.
    pub fn note_tag_key(&mut self, key: &str) {
        if !self.tag_keys.contains(key) {
            self.tag_keys.insert(key.to_owned());
        }
    }

    /// Adds one line to every question that it concerns.
    pub fn add(&mut self, line: &Line<'_>) {
        self.seen = Some(match self.seen {
            None => (line.day, line.day),
            Some((first, last)) => (first.min(line.day), last.max(line.day)),
        });
        if line.amount.is_zero() {
            return;
        }
        match &self.currency {
            None => self.currency = Some(line.currency.to_owned()),
            Some(known) if known == line.currency => {}
            Some(_) => {
                self.other_currency
                    .get_or_insert_with(|| line.currency.to_owned());
                return;
            }
        }
        let mut resource = None;
        for (question, gathered) in self.questions.iter().zip(&mut self.gathered) {
            let key = match question {
                Question::Usage {
                    start,
                    end,
                    granularity,
                    group_by,
                    filter,
                } => {
                    if line.day < *start || line.day >= *end || !passes(filter, line) {
                        continue;
                    }
                    let mut key = Key::default();
                    for (slot, group) in key.iter_mut().zip(group_by) {
                        *slot = match group {
                            Group::Account => self.names.id(line.account),
                            Group::Service => self.names.id(line.service),
                            Group::Region => self.names.id(line.region),
                            Group::UsageType => self.names.id(line.usage_type),
                            Group::RecordType => self.names.id(line.record_type),
                            Group::Tag(tag) => {
                                let value = line.tags.get(tag).map_or("", String::as_str);
                                self.names.id(value)
                            }
                            Group::Resource => {
                                *resource.get_or_insert_with(|| self.resources.id(line))
                            }
                        };
                    }
                    (period(line.day, *start, *granularity), key)
                }
                Question::Forecast { start, filter, .. } => {
                    // A day more: of an export the last day is left out.
                    let from = days_before(*start, 2 * FORECAST_DAYS);
                    if line.day < from
                        || line.day >= *start
                        || !passes(filter, line)
                        || !RECURRING.contains(&line.record_type)
                    {
                        continue;
                    }
                    (line.day, Key::default())
                }
                _ => continue,
            };
            let sum = gathered.sums.entry(key).or_default();
            match sum.checked_add(line.amount) {
                Some(added) => *sum = added,
                None => self.overflow = true,
            }
        }
        if self.wants_resources && self.resources.weights.len() > 2 * self.most_resources {
            self.merge_resources();
        }
    }

    /// Keeps the largest resources and adds up the others.
    fn merge_resources(&mut self) {
        let mut order: Vec<usize> = (1..self.resources.weights.len()).collect();
        let weights = &self.resources.weights;
        order.sort_by(|a, b| weights.get(*b).cmp(&weights.get(*a)).then(a.cmp(b)));
        order.truncate(self.most_resources);
        let old = std::mem::take(&mut self.resources);
        let mut new = Resources {
            merged: true,
            ..Resources::default()
        };
        new.start();
        let mut ids: Vec<u32> = vec![0; old.weights.len()];
        for index in order {
            let name = old.names.names.get(index).map_or("", |n| n);
            let id = new.names.id(name);
            new.weights
                .push(old.weights.get(index).copied().unwrap_or_default());
            if let Some(slot) = ids.get_mut(index) {
                *slot = id;
            }
        }
        self.resources = new;
        for (question, gathered) in self.questions.iter().zip(&mut self.gathered) {
            let Question::Usage { group_by, .. } = question else {
                continue;
            };
            let Some(at) = group_by.iter().position(|g| *g == Group::Resource) else {
                continue;
            };
            for ((day, mut key), amount) in std::mem::take(&mut gathered.sums) {
                if let Some(slot) = key.get_mut(at) {
                    *slot = ids.get(*slot as usize).copied().unwrap_or_default();
                }
                let sum = gathered.sums.entry((day, key)).or_default();
                match sum.checked_add(amount) {
                    Some(added) => *sum = added,
                    None => self.overflow = true,
                }
            }
        }
    }

    /// The answers, in the order of the questions.
    ///
    /// # Errors
    /// Two currencies, or more than a decimal holds.
    pub fn answers(&self, extent: Extent) -> Result<Vec<Answer>, TallyError> {
        if let (Some(one), Some(other)) = (&self.currency, &self.other_currency) {
            return Err(TallyError::Currencies(one.clone(), other.clone()));
        }
        if self.overflow {
            return Err(TallyError::Overflow);
        }
        let answered = self.questions.iter().zip(&self.gathered);
        answered
            .map(|(question, gathered)| self.answer(question, gathered, extent))
            .collect()
    }

    fn currency(&self) -> String {
        self.currency.clone().unwrap_or_else(|| "USD".to_owned())
    }

    fn answer(
        &self,
        question: &Question,
        gathered: &Gathered,
        extent: Extent,
    ) -> Result<Answer, TallyError> {
        let none = |reason: &str| {
            Ok(Answer::NoData {
                reason: reason.to_owned(),
            })
        };
        match question {
            Question::Usage {
                start,
                end,
                granularity,
                group_by,
                ..
            } => {
                let (first, last) = match (extent, self.seen) {
                    (Extent::Everything, _) => (*start, days_before(*end, 1)),
                    (Extent::AsSeen, None) => return none("there is not one line"),
                    (Extent::AsSeen, Some((first, last))) => {
                        if last < *start || first >= *end {
                            return Ok(Answer::NoData {
                                reason: format!("the lines are from {first} to {last} only"),
                            });
                        }
                        (first.max(*start), last.min(days_before(*end, 1)))
                    }
                };
                let mut rows: BTreeMap<(Date, Vec<String>), Decimal> = BTreeMap::new();
                if group_by.is_empty() {
                    let mut day = first;
                    while day <= last {
                        rows.entry((period(day, *start, *granularity), Vec::new()))
                            .or_default();
                        day = day.tomorrow().map_err(|_| TallyError::Overflow)?;
                    }
                }
                for ((day, key), amount) in &gathered.sums {
                    let keys = group_by.iter().zip(key);
                    let keys = keys.map(|(group, id)| match group {
                        Group::Resource => self.resources.names.name(*id).to_owned(),
                        _ => self.names.name(*id).to_owned(),
                    });
                    rows.insert((*day, keys.collect()), *amount);
                }
                let rows = rows.into_iter().map(|((start, keys), amount)| Row {
                    start,
                    keys,
                    amount: amount.normalize(),
                    estimated: start.last_of_month() >= self.as_of.first_of_month(),
                });
                Ok(Answer::Usage {
                    currency: self.currency(),
                    rows: rows.collect(),
                })
            }
            Question::Forecast {
                start,
                end,
                interval,
                ..
            } => {
                // Of today, and of the last day of an export, more may be to come.
                let (first, until) = match (extent, self.seen) {
                    (_, None) => return none("there is no day to estimate from"),
                    (Extent::Everything, Some((first, _))) => (first, *start),
                    (Extent::AsSeen, Some((first, last))) => (first, last.min(*start)),
                };
                let mut days = Vec::new();
                let mut day = first.max(days_before(until, FORECAST_DAYS));
                while day < until {
                    let sum = gathered.sums.get(&(day, Key::default()));
                    days.push((day, sum.copied().unwrap_or_default()));
                    day = day.tomorrow().map_err(|_| TallyError::Overflow)?;
                }
                if days.len() < FORECAST_DAYS_AT_LEAST {
                    return none("fewer than 7 complete days to estimate from");
                }
                let estimate = estimate(&days, *start, *end, *interval);
                let (mean, low, high) = estimate.ok_or(TallyError::Overflow)?;
                Ok(Answer::Forecast {
                    currency: self.currency(),
                    mean,
                    low,
                    high,
                })
            }
            Question::CostAllocationTags => Ok(Answer::CostAllocationTags {
                keys: self.tag_keys.iter().map(|k| (k.clone(), true)).collect(),
            }),
            Question::Anomalies { .. } => none("an export does not tell of anomalies"),
            Question::SavingsPlansUtilization { .. }
            | Question::SavingsPlansCoverage { .. }
            | Question::ReservationUtilization { .. }
            | Question::ReservationCoverage { .. } => {
                none("an export does not tell how commitments are used")
            }
        }
    }
}

impl Resources {
    /// The first id is that of the others.
    fn start(&mut self) {
        if self.weights.is_empty() {
            self.names.id(OTHER);
            self.weights.push(Decimal::ZERO);
        }
    }

    fn id(&mut self, line: &Line<'_>) -> u32 {
        self.start();
        let id = self.names.id(line.resource);
        if self.weights.len() <= id as usize {
            self.weights.push(Decimal::ZERO);
        }
        if let Some(weight) = self.weights.get_mut(id as usize) {
            *weight = weight.saturating_add(line.amount.abs());
        }
        id
    }
}

/// How many standard deviations to each side hold so many percent of a normal distribution;
/// between the listed ones in a straight line.
fn deviations(percent: u8) -> Decimal {
    const TABLE: [(u8, u32); 9] = [
        (50, 674),
        (60, 842),
        (68, 994),
        (75, 1150),
        (80, 1282),
        (85, 1440),
        (90, 1645),
        (95, 1960),
        (99, 2576),
    ];
    let percent = percent.clamp(50, 99);
    let pairs = TABLE.iter().zip(TABLE.iter().skip(1));
    for ((from, low), (to, high)) in pairs {
        if (*from..=*to).contains(&percent) {
            let share = Decimal::from(percent.saturating_sub(*from))
                / Decimal::from(to.saturating_sub(*from));
            let (low, high) = (
                Decimal::new(i64::from(*low), 3),
                Decimal::new(i64::from(*high), 3),
            );
            return low + (high - low) * share;
        }
    }
    Decimal::TWO
}

/// Sum of the days from `start` to `end` (exclusive) with its bounds: every day as the mean of its
/// weekday; the interval from what the known days differ from that, plus what the means themselves
/// may be wrong by.
fn estimate(
    known: &[(Date, Decimal)],
    start: Date,
    end: Date,
    interval: u8,
) -> Option<(Decimal, Decimal, Decimal)> {
    let mean = |of: &dyn Fn(&Date) -> bool| -> Option<Decimal> {
        let found: Vec<Decimal> = known
            .iter()
            .filter(|(day, _)| of(day))
            .map(|(_, amount)| *amount)
            .collect();
        let mut sum = Decimal::ZERO;
        for amount in &found {
            sum = sum.checked_add(*amount)?;
        }
        sum.checked_div(Decimal::from(found.len()))
    };
    let overall = mean(&|_| true)?;
    let by_weekday: HashMap<i8, Decimal> = (0..7)
        .map(|offset| {
            let expected = mean(&|day| day.weekday().to_monday_zero_offset() == offset);
            (offset, expected.unwrap_or(overall))
        })
        .collect();
    let expected = |weekday: Weekday| {
        let found = by_weekday.get(&weekday.to_monday_zero_offset());
        found.copied().unwrap_or(overall)
    };
    let mut squares = Decimal::ZERO;
    for (day, amount) in known {
        // With one day of each weekday, only their common mean leaves anything to differ from.
        let expected = if known.len() > FORECAST_DAYS_AT_LEAST {
            expected(day.weekday())
        } else {
            overall
        };
        let off = amount.checked_sub(expected)?.round_dp(10);
        squares = squares.checked_add(off.checked_mul(off)?)?;
    }
    let count = Decimal::from(known.len());
    let freedom = Decimal::from(known.len().saturating_sub(7).max(1));
    let variance = squares.checked_div(freedom)?;
    let mut total = Decimal::ZERO;
    let mut ahead = Decimal::ZERO;
    let mut day = start;
    while day < end {
        total = total.checked_add(expected(day.weekday()))?;
        ahead += Decimal::ONE;
        day = day.tomorrow().ok()?;
    }
    let spread = variance.checked_mul(ahead.checked_add(ahead.checked_mul(ahead)? / count)?)?;
    let half = spread.sqrt()?.checked_mul(deviations(interval))?;
    let tidy = |amount: Decimal| amount.round_dp(10).normalize();
    Some((tidy(total), tidy(total - half), tidy(total + half)))
}
