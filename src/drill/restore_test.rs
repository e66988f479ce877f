//! Which restore jobs of AWS Backup wait for a validator, and which drill is theirs. Pure questions;
//! [`super::validate`] asks them.

use crate::cloud::restore_tests::RestoreJob;
use crate::drill::spec::{SourceId, Spec};
use crate::model::Arn;

/// Names of all copies of restore tests begin so.
/// Source: AWS Backup developer guide, "Restore testing inferred metadata".
pub const PREFIX: &str = "awsbackup-restore-test-";

/// What is to be done about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The copy is there, and nobody has said anything about it.
    Open,
    /// Somebody's own restore: none of a validator's business.
    NotATest,
    /// `PENDING`, `RUNNING`.
    NotYet(String),
    /// The backup could not be restored: `FAILED`, `ABORTED`, and why.
    NotRestored(String),
    /// `SUCCESSFUL`, `FAILED`, `TIMED_OUT`.
    Answered(String),
    /// AWS Backup deletes the copy, or has deleted it.
    Gone(String),
}

impl Standing {
    pub fn of(job: &RestoreJob) -> Standing {
        if job.testing_plan_arn.is_none() {
            return Standing::NotATest;
        }
        match job.status.as_str() {
            "COMPLETED" => {}
            "FAILED" | "ABORTED" => {
                let why = job
                    .status_message
                    .as_deref()
                    .unwrap_or("no reason is given");
                return Standing::NotRestored(format!("{}: {why}", job.status));
            }
            other => return Standing::NotYet(other.to_owned()),
        }
        match (job.validation.as_deref(), &job.deletion) {
            (Some(answered), _) if answered != "VALIDATING" => {
                Standing::Answered(answered.to_owned())
            }
            (_, Some(deletion)) => Standing::Gone(deletion.clone()),
            (_, None) => Standing::Open,
        }
    }

    /// Why a job that somebody named cannot be answered.
    pub fn refusal(&self) -> Option<String> {
        Some(match self {
            Standing::Open => return None,
            Standing::NotATest => {
                "it is not one of a restore-testing plan, so there is nothing to answer".to_owned()
            }
            Standing::NotYet(status) => format!("it is {status}: there is no copy yet"),
            Standing::NotRestored(why) => {
                format!("AWS Backup could not restore the backup: {why}")
            }
            Standing::Answered(status) => format!("it has been answered already: {status}"),
            Standing::Gone(deletion) => {
                format!("AWS Backup deletes its copy already (deletion status {deletion})")
            }
        })
    }
}

/// AWS Backup's word for what a drill restores; `None`: it restores no such thing.
/// Source: API model, `RestoreTestingSelectionForCreate$ProtectedResourceType`.
pub fn resource_type(id: &SourceId) -> Option<&'static str> {
    match id {
        SourceId::Rds(_) => Some("RDS"),
        SourceId::Aurora(_) => Some("Aurora"),
        SourceId::DynamoDb(_) => Some("DynamoDB"),
        SourceId::Dump { .. } => None,
    }
}

/// The ARN of a drill's source, if it lies in that region.
pub fn source_arn(spec: &Spec, region: &str) -> Option<String> {
    let partition = crate::model::partition(region);
    let account = &spec.target.account;
    let (service, resource) = match &spec.id {
        SourceId::Rds(name) => ("rds", format!("db:{name}")),
        SourceId::Aurora(name) => ("rds", format!("cluster:{name}")),
        SourceId::DynamoDb(name) => ("dynamodb", format!("table/{name}")),
        SourceId::Dump { .. } => return None,
    };
    Some(format!(
        "arn:{partition}:{service}:{region}:{account}:{resource}"
    ))
}

/// Whether a backup is one of the drill's source. The region may differ: a recovery point that was
/// copied elsewhere still names its original.
pub fn is_source_of(spec: &Spec, backed_up: &str) -> bool {
    let Some(arn) = Arn::parse(backed_up) else {
        return false;
    };
    if arn.account != spec.target.account {
        return false;
    }
    let is = |kind: char, word: &str, name: &str, exact: bool| {
        arn.resource.split_once(kind).is_some_and(|(found, rest)| {
            found == word && (rest == name || (!exact && rest.eq_ignore_ascii_case(name)))
        })
    };
    match &spec.id {
        SourceId::Rds(name) => arn.service == "rds" && is(':', "db", name, false),
        SourceId::Aurora(name) => arn.service == "rds" && is(':', "cluster", name, false),
        SourceId::DynamoDb(name) => arn.service == "dynamodb" && is('/', "table", name, true),
        SourceId::Dump { .. } => false,
    }
}

/// The name of a copy, if it is what a restore test of this drill makes: of the drill's kind, in
/// this account and region, named as AWS Backup names such copies, and not the source.
///
/// # Errors
/// What does not fit. Nothing is asked of such a thing.
pub fn copy_of(spec: &Spec, job: &RestoreJob, region: &str) -> Result<String, String> {
    let created = job
        .created_arn
        .as_deref()
        .ok_or("AWS Backup does not say what it made")?;
    let wrong = |why: &str| Err(format!("{created}: {why}"));
    let Some(arn) = Arn::parse(created) else {
        return wrong("that is no ARN");
    };
    if arn.account != spec.target.account || arn.region != region {
        return wrong("it is not in the account and the region of the job");
    }
    let (service, separator, word) = match &spec.id {
        SourceId::Rds(_) => ("rds", ':', "db"),
        SourceId::Aurora(_) => ("rds", ':', "cluster"),
        SourceId::DynamoDb(_) => ("dynamodb", '/', "table"),
        SourceId::Dump { .. } => return wrong("dumps are not restored by AWS Backup"),
    };
    match arn.resource.split_once(separator) {
        Some((found, name)) if arn.service == service && found == word => {
            if !name.starts_with(PREFIX) {
                return wrong(
                    "its name is not that of a copy of a restore test, so nothing is asked of it",
                );
            }
            Ok(name.to_owned())
        }
        _ => wrong("it is not of the kind of the drill's source"),
    }
}

/// Whether a recovery point is a continuous backup: its creation tells nothing about the age of
/// the data. Source: AWS Backup developer guide, "Continuous backups and point-in-time recovery".
pub fn is_continuous(recovery_point_arn: &str) -> bool {
    recovery_point_arn.contains(":continuous:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> RestoreJob {
        RestoreJob {
            id: "job".to_owned(),
            status: "COMPLETED".to_owned(),
            testing_plan_arn: Some("arn:plan".to_owned()),
            validation: Some("VALIDATING".to_owned()),
            created_arn: Some(
                "arn:aws:rds:eu-west-1:123456789012:db:awsbackup-restore-test-1".to_owned(),
            ),
            ..RestoreJob::default()
        }
    }

    #[test]
    fn only_open_jobs_of_restore_tests_are_answered() {
        assert_eq!(Standing::of(&job()), Standing::Open);
        let absent = RestoreJob {
            validation: None,
            ..job()
        };
        assert_eq!(Standing::of(&absent), Standing::Open);
        for (job, wanted) in [
            (
                RestoreJob {
                    testing_plan_arn: None,
                    ..job()
                },
                "not one of a restore-testing plan",
            ),
            (
                RestoreJob {
                    status: "RUNNING".to_owned(),
                    ..job()
                },
                "no copy yet",
            ),
            (
                RestoreJob {
                    status: "FAILED".to_owned(),
                    status_message: Some("no subnet group".to_owned()),
                    ..job()
                },
                "could not restore the backup: FAILED: no subnet group",
            ),
            (
                RestoreJob {
                    validation: Some("SUCCESSFUL".to_owned()),
                    deletion: Some("DELETING".to_owned()),
                    ..job()
                },
                "answered already: SUCCESSFUL",
            ),
            (
                RestoreJob {
                    validation: None,
                    deletion: Some("DELETING".to_owned()),
                    ..job()
                },
                "deletes its copy already",
            ),
        ] {
            let refusal = Standing::of(&job).refusal().unwrap();
            assert!(refusal.contains(wanted), "{refusal}");
        }
    }

    #[test]
    fn backups_are_those_of_the_drill_by_kind_account_and_name() {
        let rds = Spec::sample("rds:orders-prod");
        for (arn, wanted) in [
            ("arn:aws:rds:eu-west-1:123456789012:db:orders-prod", true),
            ("arn:aws:rds:us-east-1:123456789012:db:orders-prod", true),
            ("arn:aws:rds:eu-west-1:123456789012:db:Orders-Prod", true),
            ("arn:aws:rds:eu-west-1:999999999999:db:orders-prod", false),
            ("arn:aws:rds:eu-west-1:123456789012:db:orders-prod2", false),
            (
                "arn:aws:rds:eu-west-1:123456789012:cluster:orders-prod",
                false,
            ),
            (
                "arn:aws:dynamodb:eu-west-1:123456789012:table/orders-prod",
                false,
            ),
            ("orders-prod", false),
        ] {
            assert_eq!(is_source_of(&rds, arn), wanted, "{arn}");
        }
        let table = Spec::sample("dynamodb:Orders");
        assert!(is_source_of(
            &table,
            "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders"
        ));
        // Names of tables differ by case.
        assert!(!is_source_of(
            &table,
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
        ));
        assert!(is_source_of(
            &Spec::sample("aurora:ledger"),
            "arn:aws:rds:eu-west-1:123456789012:cluster:ledger"
        ));
    }

    #[test]
    fn nothing_is_asked_of_what_is_no_copy_of_a_restore_test() {
        let rds = Spec::sample("rds:orders");
        let with = |arn: Option<&str>| {
            let job = RestoreJob {
                created_arn: arn.map(str::to_owned),
                ..job()
            };
            copy_of(&rds, &job, "eu-west-1")
        };
        assert_eq!(
            copy_of(&rds, &job(), "eu-west-1").as_deref(),
            Ok("awsbackup-restore-test-1")
        );
        for wrong in [
            None,
            Some("awsbackup-restore-test-1"),
            Some("arn:aws:rds:eu-west-1:123456789012:db:orders"),
            Some("arn:aws:rds:eu-west-1:999999999999:db:awsbackup-restore-test-1"),
            Some("arn:aws:rds:us-east-1:123456789012:db:awsbackup-restore-test-1"),
            Some("arn:aws:rds:eu-west-1:123456789012:cluster:awsbackup-restore-test-1"),
            Some("arn:aws:dynamodb:eu-west-1:123456789012:table/awsbackup-restore-test-1"),
        ] {
            assert!(with(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn continuous_backups_are_told_by_their_arn() {
        assert!(is_continuous(
            "arn:aws:backup:eu-west-1:123456789012:recovery-point:continuous:db-ABC-0a1b2c3d"
        ));
        assert!(!is_continuous(
            "arn:aws:rds:eu-west-1:123456789012:snapshot:awsbackup:job-0a1b"
        ));
    }
}
