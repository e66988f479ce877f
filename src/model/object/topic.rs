use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An SNS topic that opsctl made, as far as it writes it.
///
/// The policy and the subscriptions are the whole ones: what others added to them comes through.
#[derive(Debug, Clone, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topic {
    pub name: String,
    pub region: String,
    /// The access policy, a JSON document; compared as such, not as text.
    pub policy: Option<String>,
    /// `email:ops@example.com`: all subscriptions, pending ones too.
    pub subscriptions: BTreeSet<String>,
}

impl Topic {
    /// The policy as a document; text that is not JSON stands for itself.
    pub fn policy_document(&self) -> serde_json::Value {
        self.policy.as_ref().map_or(serde_json::Value::Null, |p| {
            serde_json::from_str(p).unwrap_or_else(|_| serde_json::Value::String(p.clone()))
        })
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.region == other.region
            && self.subscriptions == other.subscriptions
            && self.policy_document() == other.policy_document()
    }
}
