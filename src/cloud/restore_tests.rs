//! Restore tests that AWS Backup runs by itself: which copies wait for somebody to look into them, and
//! the answer to that.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CloudError, Target};

/// A restore as AWS Backup tells of it. Source: API model, `backup:RestoreJobsListMember`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreJob {
    pub id: String,
    /// `PENDING`, `RUNNING`, `COMPLETED`, `ABORTED`, `FAILED`.
    pub status: String,
    pub status_message: Option<String>,
    /// `RDS`, `Aurora`, `DynamoDB`, …
    pub resource_type: Option<String>,
    /// What was backed up. Older jobs and some regions do not tell.
    pub source_arn: Option<String>,
    pub recovery_point_arn: Option<String>,
    pub vault_arn: Option<String>,
    /// Of a continuous backup the time when it was begun, not that of its data.
    pub recovery_point_created: Option<Timestamp>,
    pub created: Option<Timestamp>,
    pub completed: Option<Timestamp>,
    /// The copy.
    pub created_arn: Option<String>,
    pub bytes: Option<u64>,
    /// The restore-testing plan that began it; others are somebody's own restores.
    pub testing_plan_arn: Option<String>,
    /// `VALIDATING`, `SUCCESSFUL`, `FAILED`, `TIMED_OUT`.
    pub validation: Option<String>,
    pub validation_message: Option<String>,
    /// Of the copy: `DELETING`, `SUCCESSFUL`, `FAILED`.
    pub deletion: Option<String>,
}

/// What is said about a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Successful,
    Failed,
    TimedOut,
}

impl Verdict {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Successful => "SUCCESSFUL",
            Verdict::Failed => "FAILED",
            Verdict::TimedOut => "TIMED_OUT",
        }
    }
}

/// AWS Backup, as far as a validator needs it. Nothing here restores or deletes. Only `drill` may
/// call [`RestoreTests::put_validation`].
#[async_trait]
pub trait RestoreTests: Send + Sync {
    /// All restore jobs of this account that were begun since then, whoever began them.
    ///
    /// # Errors
    /// What the service answers.
    async fn restore_jobs(
        &self,
        target: &Target,
        region: &str,
        since: Timestamp,
    ) -> Result<Vec<RestoreJob>, CloudError>;

    /// One job; `None`: there is none of this id in the region.
    ///
    /// # Errors
    /// What the service answers.
    async fn restore_job(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<RestoreJob>, CloudError>;

    /// The parameters that a job restored with; a point in time is in `RestoreTime`.
    ///
    /// # Errors
    /// What the service answers.
    async fn restore_metadata(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<BTreeMap<String, String>, CloudError>;

    /// What a recovery point is a backup of.
    ///
    /// # Errors
    /// What the service answers.
    async fn backed_up(
        &self,
        target: &Target,
        region: &str,
        vault_arn: &str,
        recovery_point_arn: &str,
    ) -> Result<Option<String>, CloudError>;

    /// How a plan chooses recovery points: `LATEST_WITHIN_WINDOW` or `RANDOM_WITHIN_WINDOW`.
    ///
    /// # Errors
    /// What the service answers.
    async fn algorithm(
        &self,
        target: &Target,
        region: &str,
        plan_arn: &str,
    ) -> Result<Option<String>, CloudError>;

    /// Answers a job; AWS Backup deletes the copy after that.
    ///
    /// # Errors
    /// What the service answers.
    async fn put_validation(
        &self,
        target: &Target,
        region: &str,
        id: &str,
        verdict: Verdict,
        message: &str,
    ) -> Result<(), CloudError>;
}
