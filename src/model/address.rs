use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `environment/region/type/name`, then `#aspect` where one resource has several:
/// `prod/eu-west-1/s3-bucket/findash-logs#lifecycle`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    pub fn new(environment: &str, region: &str, kind: &str, name: &str, aspect: &str) -> Self {
        Address(format!("{environment}/{region}/{kind}/{name}#{aspect}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn environment(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The address without the leading environment: what is shown under an environment's heading.
    pub fn within_environment(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, rest)| rest)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
