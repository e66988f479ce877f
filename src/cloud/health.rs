//! What `opsctl doctor` asks besides: who is calling, how far the clocks are apart, what a policy
//! would say.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CloudError, Target};

/// Who AWS takes the caller for.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    pub account: String,
    /// The ARN of the user or of the role's session; `None` where there is no such thing.
    pub arn: Option<String>,
    /// `None`: the account needs no credentials.
    pub credentials: Option<Credentials>,
    /// Seconds that AWS's clock is ahead of this machine's; to the second, as its header tells.
    pub clock_ahead_seconds: Option<f64>,
}

/// The credentials in force, without any of their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Where they were looked for, in words.
    pub source: String,
    /// `None`: they do not expire.
    pub expires: Option<Timestamp>,
}

/// What a policy is asked: may this be done to this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub actions: Vec<String>,
    pub resource: String,
    /// Context keys with their values.
    pub context: Vec<(String, Vec<String>)>,
    /// The values that tell this case from others of the same statement, in words; mostly empty.
    pub with: String,
    /// Operations of opsctl that stand behind each action.
    pub operations: BTreeMap<String, BTreeSet<String>>,
}

/// The answer for one action: `Ok` if it is allowed, else how it is denied.
pub type Ruling = (String, Result<(), String>);

#[async_trait]
pub trait Health: Send + Sync {
    /// Who is calling, as a region's endpoint sees it.
    ///
    /// # Errors
    /// Without credentials, without a way to the endpoint, or where the region is switched off.
    async fn caller(&self, target: &Target, region: &str) -> Result<Caller, CloudError>;

    /// What the caller's policies say to each action of each case; nothing is carried out.
    ///
    /// # Errors
    /// Where the caller may not ask, or cannot be asked about.
    async fn simulate(
        &self,
        target: &Target,
        caller: &Caller,
        cases: &[Case],
    ) -> Result<Vec<Ruling>, CloudError>;
}
