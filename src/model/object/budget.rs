use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Extra;

/// An amount in a currency. Compared as numbers: AWS returns "1200" as "1200.0".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    #[schemars(with = "String")]
    pub amount: Decimal,
    /// ISO 4217, e.g. `USD`.
    pub unit: String,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", crate::model::usd(self.amount), self.unit)
    }
}

/// A budget of AWS Budgets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    pub name: String,
    /// `COST`, `USAGE`, …
    pub kind: String,
    /// `MONTHLY`, `DAILY`, …
    pub time_unit: String,
    /// `None`: planned or auto-adjusting limits, told in `extra`.
    pub limit: Option<Money>,
    /// `CostFilters`: dimension and values, e.g. `TagKeyValue`: `user:team$core`.
    pub filters: BTreeMap<String, BTreeSet<String>>,
    pub cost_types: CostTypes,
    pub notifications: BTreeMap<NotificationKey, BTreeSet<Subscriber>>,
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// Which charges count. Source: API model, `budgets:CostTypes`, whose defaults these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostTypes {
    pub include_tax: bool,
    pub include_subscription: bool,
    pub include_refund: bool,
    pub include_credit: bool,
    pub include_upfront: bool,
    pub include_recurring: bool,
    pub include_other_subscription: bool,
    pub include_support: bool,
    pub include_discount: bool,
    pub use_amortized: bool,
    pub use_blended: bool,
}

impl Default for CostTypes {
    fn default() -> Self {
        CostTypes {
            include_tax: true,
            include_subscription: true,
            include_refund: true,
            include_credit: true,
            include_upfront: true,
            include_recurring: true,
            include_other_subscription: true,
            include_support: true,
            include_discount: true,
            use_amortized: false,
            use_blended: false,
        }
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum When {
    Actual,
    Forecast,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdUnit {
    Percent,
    Absolute,
}

/// What identifies a notification; it has no id.
/// Source: API model, `budgets:Notification`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotificationKey {
    pub when: When,
    /// `GREATER_THAN`, `LESS_THAN`, `EQUAL_TO`.
    pub operator: String,
    pub threshold: Decimal,
    pub unit: ThresholdUnit,
}

/// A notification with its subscribers, in words of its own.
pub type Notification = (NotificationKey, BTreeSet<Subscriber>);

/// Written as `actual GREATER_THAN 80 percent`, because it is the key of a map.
impl fmt::Display for NotificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Actual => "actual",
            When::Forecast => "forecast",
        };
        let unit = match self.unit {
            ThresholdUnit::Percent => "percent",
            ThresholdUnit::Absolute => "absolute",
        };
        let threshold = self.threshold.normalize();
        write!(f, "{when} {} {threshold} {unit}", self.operator)
    }
}

impl std::str::FromStr for NotificationKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a notification");
        let parts: Vec<&str> = text.split(' ').collect();
        let [when, operator, threshold, unit] = parts[..] else {
            return Err(wrong());
        };
        Ok(NotificationKey {
            when: match when {
                "actual" => When::Actual,
                "forecast" => When::Forecast,
                _ => return Err(wrong()),
            },
            operator: operator.to_owned(),
            threshold: Decimal::from_str_exact(threshold).map_err(|_| wrong())?,
            unit: match unit {
                "percent" => ThresholdUnit::Percent,
                "absolute" => ThresholdUnit::Absolute,
                _ => return Err(wrong()),
            },
        })
    }
}

impl Serialize for NotificationKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NotificationKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for NotificationKey {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NotificationKey".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "Like \"actual GREATER_THAN 80 percent\"."})
    }
}

/// Who is told.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Subscriber {
    Email(String),
    /// ARN of the topic.
    Sns(String),
}

impl fmt::Display for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subscriber::Email(address) => f.write_str(address),
            Subscriber::Sns(arn) => f.write_str(arn),
        }
    }
}
