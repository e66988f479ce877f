//! What the columns of FOCUS and CUR 2.0 mean.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::ExportError;
use crate::cost::amount;
use crate::cost::question::{Group, Question};
use crate::cost::tally::Line;
use crate::model::Tags;

/// Sets of tags that are kept read; resources have few different ones.
const MOST_TAG_SETS: usize = 4096;
/// Longer ones are read anew each time.
const LONGEST_KEPT: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Focus,
    Cur2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Focus => "FOCUS",
            Format::Cur2 => "CUR 2.0",
        })
    }
}

/// A value of one row.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
pub enum Cell<'a> {
    Empty,
    Text(&'a str),
    Amount(Decimal),
    Day(Date),
}

/// What a column is for; the cells of a row come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Day,
    Amount,
    Currency,
    Account,
    Service,
    Kind,
    /// Of the billing period.
    Period,
    Region,
    UsageType,
    Resource,
    Tags,
    /// The name of a service, where `Service` is a code (in the map `product`).
    Product,
}

/// All roles, in the order of the cells.
pub const ROLES: [Role; 12] = [
    Role::Day,
    Role::Amount,
    Role::Currency,
    Role::Account,
    Role::Service,
    Role::Kind,
    Role::Period,
    Role::Region,
    Role::UsageType,
    Role::Resource,
    Role::Tags,
    Role::Product,
];

impl Format {
    /// The column of a role, and whether nothing can be said without it.
    /// Source: FOCUS 1.0 and 1.2 column names; "Data Exports table dictionary", CUR 2.0.
    fn column(self, role: Role) -> Option<(&'static str, bool)> {
        Some(match (self, role) {
            (Format::Focus, Role::Day) => ("ChargePeriodStart", true),
            (Format::Focus, Role::Amount) => ("BilledCost", true),
            (Format::Focus, Role::Currency) => ("BillingCurrency", true),
            (Format::Focus, Role::Account) => ("SubAccountId", true),
            (Format::Focus, Role::Service) => ("ServiceName", true),
            (Format::Focus, Role::Kind) => ("ChargeCategory", true),
            (Format::Focus, Role::Period) => ("BillingPeriodStart", false),
            (Format::Focus, Role::Region) => ("RegionId", false),
            (Format::Focus, Role::UsageType) => ("x_UsageType", false),
            (Format::Focus, Role::Resource) => ("ResourceId", false),
            (Format::Focus, Role::Tags) => ("Tags", false),
            (Format::Focus, Role::Product) => return None,
            (Format::Cur2, Role::Day) => ("line_item_usage_start_date", true),
            (Format::Cur2, Role::Amount) => ("line_item_unblended_cost", true),
            (Format::Cur2, Role::Currency) => ("line_item_currency_code", true),
            (Format::Cur2, Role::Account) => ("line_item_usage_account_id", true),
            (Format::Cur2, Role::Service) => ("line_item_product_code", true),
            (Format::Cur2, Role::Kind) => ("line_item_line_item_type", true),
            (Format::Cur2, Role::Period) => ("bill_billing_period_start_date", false),
            (Format::Cur2, Role::Region) => ("product_region_code", false),
            (Format::Cur2, Role::UsageType) => ("line_item_usage_type", false),
            (Format::Cur2, Role::Resource) => ("line_item_resource_id", false),
            (Format::Cur2, Role::Tags) => ("resource_tags", false),
            (Format::Cur2, Role::Product) => ("product", false),
        })
    }

    /// By the amount's column; the header may be in another case.
    fn of(name: &str, header: &[String]) -> Result<Format, ExportError> {
        let has = |column: &str| header.iter().any(|h| h.eq_ignore_ascii_case(column));
        let known = [Format::Focus, Format::Cur2];
        let lacks = |format: &Format| -> Vec<&'static str> {
            let columns = ROLES.iter().filter_map(|role| format.column(*role));
            columns
                .filter(|(column, needed)| *needed && !has(column))
                .map(|(column, _)| column)
                .collect()
        };
        if let Some(format) = known.iter().find(|f| lacks(f).is_empty()) {
            return Ok(*format);
        }
        if has("lineItem/UnblendedCost") || has("identity/LineItemId") {
            return Err(ExportError::file(
                name,
                "this is a legacy Cost and Usage Report: create a Data Export of CUR 2.0 or FOCUS",
            ));
        }
        // The closer one of the two is meant.
        let closest = known.iter().min_by_key(|f| lacks(f).len());
        let (format, missing) = match closest {
            Some(format) => (*format, lacks(format)),
            None => (Format::Focus, Vec::new()),
        };
        let needed = ROLES.iter().filter_map(|r| format.column(*r));
        let message = if missing.len() == needed.filter(|(_, needed)| *needed).count() {
            "neither a FOCUS nor a CUR 2.0 export: FOCUS has BilledCost, CUR 2.0 has \
             line_item_unblended_cost"
                .to_owned()
        } else {
            format!(
                "looks like {format}, but lacks the columns {}: add them to the export's query",
                missing.join(", ")
            )
        };
        Err(ExportError::file(name, message))
    }

    /// Cost Explorer's RECORD_TYPE for a charge.
    fn kind(self, text: &str, amount: Decimal) -> &str {
        match (self, text) {
            (Format::Cur2, _) => text,
            // What was bought, as opposed to used: fees and upfront payments.
            (Format::Focus, "Purchase") => "Fee",
            (Format::Focus, "Adjustment") if amount.is_sign_negative() => "Refund",
            (Format::Focus, _) => text,
        }
    }
}

/// What the questions need of a line: what they do not need is not read.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    tags: BTreeSet<String>,
    groups: BTreeSet<Group>,
    tag_keys: bool,
}

impl Wanted {
    pub fn by(questions: &[Question]) -> Wanted {
        let mut wanted = Wanted::default();
        for question in questions {
            match question {
                Question::Usage { group_by, .. } => {
                    for group in group_by {
                        if let Group::Tag(key) = group {
                            wanted.tags.insert(key.clone());
                        }
                        wanted.groups.insert(group.clone());
                    }
                }
                Question::CostAllocationTags => wanted.tag_keys = true,
                _ => {}
            }
        }
        wanted
    }

    fn needs(&self, role: Role) -> bool {
        match role {
            Role::Region => self.groups.contains(&Group::Region),
            Role::UsageType => self.groups.contains(&Group::UsageType),
            Role::Resource => self.groups.contains(&Group::Resource),
            Role::Product => self.groups.contains(&Group::Service),
            Role::Tags => !self.tags.is_empty() || self.tag_keys,
            _ => true,
        }
    }
}

/// Turns rows into lines.
#[derive(Debug)]
pub struct Reader {
    file: String,
    wanted: Wanted,
    format: Option<Format>,
    rows: u64,
    period: Option<String>,
    periods: BTreeSet<String>,
    tag_sets: HashMap<Box<str>, Arc<Tags>>,
    products: HashMap<Box<str>, Arc<Tags>>,
    keys: BTreeSet<String>,
    none: Arc<Tags>,
}

impl Reader {
    pub fn new(file: &str, wanted: Wanted) -> Reader {
        Reader {
            file: file.to_owned(),
            wanted,
            format: None,
            rows: 0,
            period: None,
            periods: BTreeSet::new(),
            tag_sets: HashMap::new(),
            products: HashMap::new(),
            keys: BTreeSet::new(),
            none: Arc::default(),
        }
    }

    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// `YYYY-MM` of the first line.
    pub fn billing_period(&self) -> Option<&str> {
        self.period.as_deref()
    }

    /// The billing periods of all lines so far, `YYYY-MM`; of a form without them, the months.
    pub fn periods(&self) -> &BTreeSet<String> {
        &self.periods
    }

    /// Keys of tags so far.
    pub fn tag_keys(&self) -> impl Iterator<Item = &String> {
        self.keys.iter()
    }

    /// Takes the header; for every cell that [`Reader::line`] expects, the column that has it.
    pub fn begin(&mut self, header: &[String]) -> Result<Vec<Option<usize>>, ExportError> {
        let format = Format::of(&self.file, header)?;
        self.format = Some(format);
        let columns = ROLES.iter().map(|role| {
            let (column, _) = format.column(*role).filter(|_| self.wanted.needs(*role))?;
            header.iter().position(|h| h.eq_ignore_ascii_case(column))
        });
        Ok(columns.collect())
    }

    fn wrong(&self, role: Role, message: String) -> ExportError {
        let column = self.format.and_then(|f| f.column(role));
        ExportError::Cell {
            file: self.file.clone(),
            row: self.rows,
            column: column.map_or("", |(name, _)| name).to_owned(),
            message,
        }
    }

    /// One row; what `each` answers.
    pub fn line(
        &mut self,
        cells: &[Cell<'_>],
        each: &mut dyn FnMut(&Line<'_>) -> bool,
    ) -> Result<bool, ExportError> {
        self.rows += 1;
        let cell = |role: Role| cells.get(role as usize).copied().unwrap_or(Cell::Empty);
        let text = |role: Role| match cell(role) {
            Cell::Text(text) => text,
            _ => "",
        };
        let format = self.format.unwrap_or(Format::Focus);
        let day = match cell(Role::Day) {
            Cell::Day(day) => day,
            Cell::Text(text) => parse_day(text)
                .ok_or_else(|| self.wrong(Role::Day, format!("`{}` is no day", short(text))))?,
            _ => return Err(self.wrong(Role::Day, "there is no day".to_owned())),
        };
        let amount = match cell(Role::Amount) {
            Cell::Amount(amount) => amount,
            Cell::Text(text) => amount::parse(text).ok_or_else(|| {
                self.wrong(Role::Amount, format!("`{}` is no amount", short(text)))
            })?,
            _ => return Err(self.wrong(Role::Amount, "there is no amount".to_owned())),
        };
        self.note_period(cell(Role::Period), day);
        let currency = text(Role::Currency);
        if currency.is_empty() && !amount.is_zero() {
            let message = "there is an amount without a currency".to_owned();
            return Err(self.wrong(Role::Currency, message));
        }
        let tags = match text(Role::Tags) {
            "" | "{}" => Arc::clone(&self.none),
            json => self.tags(json, format)?,
        };
        let product = match text(Role::Product) {
            "" | "{}" => None,
            json => self.product(json)?,
        };
        let product = product.as_ref().and_then(|map| map.get("product_name"));
        let service = product.map_or_else(|| text(Role::Service), String::as_str);
        Ok(each(&Line {
            day,
            account: text(Role::Account),
            service,
            region: text(Role::Region),
            usage_type: text(Role::UsageType),
            record_type: format.kind(text(Role::Kind), amount),
            tags: &tags,
            resource: text(Role::Resource),
            amount,
            currency,
        }))
    }

    fn note_period(&mut self, cell: Cell<'_>, day: Date) {
        let month = |day: Date| format!("{:04}-{:02}", day.year(), day.month());
        let named = match cell {
            Cell::Text(text) => text.get(..7).map(Cow::Borrowed),
            Cell::Day(day) => Some(Cow::Owned(month(day))),
            _ => None,
        };
        if self.period.is_none() {
            self.period = named.as_deref().map(str::to_owned);
        }
        let period = named.unwrap_or_else(|| Cow::Owned(month(day)));
        if !self.periods.contains(&*period) {
            self.periods.insert(period.into_owned());
        }
    }

    fn tags(&mut self, json: &str, format: Format) -> Result<Arc<Tags>, ExportError> {
        if let Some(known) = self.tag_sets.get(json) {
            return Ok(Arc::clone(known));
        }
        let read = map(json).map_err(|e| self.wrong(Role::Tags, e))?;
        let mut tags = Tags::new();
        for (key, value) in read {
            let key = match format {
                Format::Focus => key,
                Format::Cur2 => bare(&key).to_owned(),
            };
            if self.wanted.tag_keys {
                self.keys.insert(key.clone());
            }
            // CUR 2.0 writes keys in its own way; they are found by the key that is asked for.
            let asked = self.wanted.tags.iter().find(|asked| {
                **asked == key || (format == Format::Cur2 && plain(asked) == plain(&key))
            });
            if let Some(asked) = asked {
                tags.insert(asked.clone(), value);
            }
        }
        let tags = Arc::new(tags);
        if json.len() <= LONGEST_KEPT && self.tag_sets.len() < MOST_TAG_SETS {
            self.tag_sets.insert(json.into(), Arc::clone(&tags));
        }
        Ok(tags)
    }

    fn product(&mut self, json: &str) -> Result<Option<Arc<Tags>>, ExportError> {
        if let Some(known) = self.products.get(json) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut read = map(json).map_err(|e| self.wrong(Role::Product, e))?;
        read.retain(|key, _| key == "product_name");
        let read = Arc::new(read);
        if json.len() <= LONGEST_KEPT && self.products.len() < MOST_TAG_SETS {
            self.products.insert(json.into(), Arc::clone(&read));
        }
        Ok(Some(read))
    }
}

/// A map, as a JSON object or as a list of pairs.
fn map(json: &str) -> Result<Tags, String> {
    let told = |e: serde_json::Error| format!("`{}` is no JSON object: {e}", short(json));
    let found: BTreeMap<String, Option<String>> = match serde_json::from_str(json) {
        Ok(found) => found,
        Err(e) => {
            let pairs: Vec<(String, Option<String>)> =
                serde_json::from_str(json).map_err(|_| told(e))?;
            pairs.into_iter().collect()
        }
    };
    Ok(found
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect())
}

/// `user_team` and `user:team` are the tag `team`.
fn bare(key: &str) -> &str {
    let cut = key.strip_prefix("user_");
    cut.or_else(|| key.strip_prefix("user:")).unwrap_or(key)
}

/// Without what a column name cannot have: `Cost-Center` and `cost_center` are alike.
fn plain(key: &str) -> String {
    key.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Of `2026-11-01`, `2026-11-01T00:00:00Z`, `2026-11-01 00:00:00.000`.
fn parse_day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

/// Of a value that may be huge, as much as an error message bears.
fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}
