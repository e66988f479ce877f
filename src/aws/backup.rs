//! AWS Backup: the restore jobs of restore-testing plans, and the answers to them.
//!
//! Source: API model of AWS Backup, ListRestoreJobs, DescribeRestoreJob, GetRestoreJobMetadata,
//! DescribeRecoveryPoint, GetRestoreTestingPlan, PutRestoreValidationResult.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::RestoreValidationStatus;
use jiff::Timestamp;

use super::error::{self, Named};
use super::listing::pages;
use super::{AwsCloud, located};
use crate::cloud::restore_tests::{RestoreJob, RestoreTests, Verdict};
use crate::cloud::{CloudError, Target};

const LIST: &str = "backup:ListRestoreJobs";
const DESCRIBE: &str = "backup:DescribeRestoreJob";
const METADATA: &str = "backup:GetRestoreJobMetadata";
const RECOVERY_POINT: &str = "backup:DescribeRecoveryPoint";
const PLAN: &str = "backup:GetRestoreTestingPlan";
const PUT: &str = "backup:PutRestoreValidationResult";

/// The largest page.
const PAGE: i32 = 1000;

fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

/// An entry of the list and the description of one job have the same members, and no common type.
macro_rules! job {
    ($from:expr) => {
        RestoreJob {
            id: $from.restore_job_id().unwrap_or_default().to_owned(),
            status: $from
                .status()
                .map(|s| s.as_str().to_owned())
                .unwrap_or_default(),
            status_message: text($from.status_message()),
            resource_type: text($from.resource_type()),
            source_arn: text($from.source_resource_arn()),
            recovery_point_arn: text($from.recovery_point_arn()),
            vault_arn: text($from.backup_vault_arn()),
            recovery_point_created: time($from.recovery_point_creation_date()),
            created: time($from.creation_date()),
            completed: time($from.completion_date()),
            created_arn: text($from.created_resource_arn()),
            bytes: $from
                .backup_size_in_bytes()
                .and_then(|b| u64::try_from(b).ok()),
            testing_plan_arn: text(
                $from
                    .created_by()
                    .and_then(|c| c.restore_testing_plan_arn()),
            ),
            validation: $from.validation_status().map(|s| s.as_str().to_owned()),
            validation_message: text($from.validation_status_message()),
            deletion: $from.deletion_status().map(|s| s.as_str().to_owned()),
        }
    };
}

/// The name behind the last colon of a vault's ARN, and behind that of a plan up to its id:
/// `arn:…:backup-vault:NAME`, `arn:…:restore-testing-plan:NAME-ID`.
fn last(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// A plan's name has only letters, digits and underscores, so that the first hyphen begins its id.
fn plan_name(arn: &str) -> &str {
    last(arn).split('-').next().unwrap_or_default()
}

#[async_trait]
impl RestoreTests for AwsCloud {
    async fn restore_jobs(
        &self,
        target: &Target,
        region: &str,
        since: Timestamp,
    ) -> Result<Vec<RestoreJob>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let mut out = Vec::new();
        pages!(LIST, |token| {
            let call = clients.backup().list_restore_jobs();
            let page = call
                .by_created_after(DateTime::from_secs(since.as_second()))
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .named(LIST)?;
            out.extend(page.restore_jobs().iter().map(|found| job!(found)));
            Ok(page.next_token)
        })
        .map_err(|e| located(e, &session, region))?;
        Ok(out)
    }

    async fn restore_job(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<RestoreJob>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.backup().describe_restore_job();
        match call.restore_job_id(id).send().await.named(DESCRIBE) {
            Ok(found) => Ok(Some(job!(found))),
            Err(e) if error::is_not_found(&e) => Ok(None),
            Err(e) => Err(located(e, &session, region)),
        }
    }

    async fn restore_metadata(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.backup().get_restore_job_metadata();
        let answer = call.restore_job_id(id).send().await.named(METADATA);
        let answer = answer.map_err(|e| located(e, &session, region))?;
        let pairs = answer.metadata().into_iter().flatten();
        Ok(pairs.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    async fn backed_up(
        &self,
        target: &Target,
        region: &str,
        vault_arn: &str,
        recovery_point_arn: &str,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.backup().describe_recovery_point();
        let answer = call
            .backup_vault_name(last(vault_arn))
            .recovery_point_arn(recovery_point_arn)
            .send()
            .await
            .named(RECOVERY_POINT)
            .map_err(|e| located(e, &session, region))?;
        Ok(text(answer.resource_arn()))
    }

    async fn algorithm(
        &self,
        target: &Target,
        region: &str,
        plan_arn: &str,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.backup().get_restore_testing_plan();
        let answer = call
            .restore_testing_plan_name(plan_name(plan_arn))
            .send()
            .await
            .named(PLAN)
            .map_err(|e| located(e, &session, region))?;
        let selection = answer
            .restore_testing_plan()
            .and_then(|plan| plan.recovery_point_selection());
        Ok(selection.and_then(|s| Some(s.algorithm()?.as_str().to_owned())))
    }

    async fn put_validation(
        &self,
        target: &Target,
        region: &str,
        id: &str,
        verdict: Verdict,
        message: &str,
    ) -> Result<(), CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let status = match verdict {
            Verdict::Successful => RestoreValidationStatus::Successful,
            Verdict::Failed => RestoreValidationStatus::Failed,
            Verdict::TimedOut => RestoreValidationStatus::TimedOut,
        };
        let call = clients.backup().put_restore_validation_result();
        call.restore_job_id(id)
            .validation_status(status)
            .validation_status_message(message)
            .send()
            .await
            .named(PUT)
            .map(drop)
            .map_err(|e| located(e, &session, region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_arns() {
        assert_eq!(
            last("arn:aws:backup:eu-west-1:123456789012:backup-vault:Default"),
            "Default"
        );
        assert_eq!(
            plan_name(
                "arn:aws:backup:eu-west-1:123456789012:restore-testing-plan:opsctl_shop_prod-0a1b2c3d-4e5f-6789-abcd-ef0123456789"
            ),
            "opsctl_shop_prod"
        );
    }
}
