//! Drills as restore-testing plans of AWS Backup: the bodies of CreateRestoreTestingPlan and
//! CreateRestoreTestingSelection, one of each per drill.
//!
//! Source: API model of AWS Backup, `RestoreTestingPlanForCreate`, `RestoreTestingSelectionForCreate`;
//! keys of the overrides: AWS Backup developer guide, "Restore testing inferred metadata".

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::restore_test::{resource_type, source_arn};
use super::spec::{SourceId, Spec};
use crate::config::later::DrillMethod;

/// Longest name of a selection; the model names no other for plans.
const LONGEST: usize = 50;
/// Days that AWS Backup may look back for a recovery point; its own default. A narrow window would
/// hide a backup that has become too old: no test would run at all.
const WINDOW_DAYS: u32 = 30;
/// Hours that a validator has. Source: API model, `ValidationWindowHours`.
pub const MOST_HOURS: u32 = 168;

/// What the policy does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `cron(…)`; from `drill_every`, if left out.
    pub schedule: Option<String>,
    /// ARNs, with `*` in them; all vaults, if empty.
    pub vaults: Vec<String>,
    /// The role that AWS Backup restores with; its default service role, if left out.
    pub role: Option<String>,
    /// Hours until the copy is deleted unanswered.
    pub validation_hours: u32,
}

/// Both requests for one drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    pub drill: String,
    pub environment: String,
    pub account: String,
    pub region: String,
    pub create_restore_testing_plan: CreatePlan,
    pub create_restore_testing_selection: CreateSelection,
    /// What the plan cannot say of the drill.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePlan {
    pub restore_testing_plan: Plan,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Plan {
    pub restore_testing_plan_name: String,
    pub schedule_expression: String,
    pub recovery_point_selection: PointSelection,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PointSelection {
    pub algorithm: &'static str,
    pub recovery_point_types: Vec<&'static str>,
    pub include_vaults: Vec<String>,
    pub selection_window_days: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSelection {
    pub restore_testing_plan_name: String,
    pub restore_testing_selection: Selection,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Selection {
    pub restore_testing_selection_name: String,
    pub protected_resource_type: &'static str,
    pub protected_resource_arns: Vec<String>,
    pub iam_role_arn: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub restore_metadata_overrides: BTreeMap<String, String>,
    pub validation_window_hours: u32,
}

/// Letters, digits and underscores, at most 50; what is cut off lives on as a hash, so that no two
/// long names become one.
pub fn name(parts: &[&str]) -> String {
    let whole: String = parts
        .join("_")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // `a-b` and `a_b` would be one name as well.
    let lost = parts.join("_") != whole;
    if !lost && whole.len() <= LONGEST {
        return whole;
    }
    let digest = hex::encode(&Sha256::digest(parts.join("\0"))[..3]);
    let kept: String = whole.chars().take(LONGEST - 1 - digest.len()).collect();
    format!("{kept}_{digest}")
}

const DAY: u64 = 86_400;
/// Longest time between two runs, in days, and the schedule that keeps it. At 5 in the morning, UTC,
/// as AWS Backup's own default.
const SCHEDULES: [(u64, &str); 8] = [
    (366, "cron(0 5 1 1 ? *)"),
    (184, "cron(0 5 1 1,7 ? *)"),
    (92, "cron(0 5 1 1,4,7,10 ? *)"),
    (62, "cron(0 5 1 1,3,5,7,9,11 ? *)"),
    (31, "cron(0 5 1 * ? *)"),
    (17, "cron(0 5 1,15 * ? *)"),
    (7, "cron(0 5 ? * SUN *)"),
    (1, "cron(0 5 ? * * *)"),
];

/// The rarest schedule under which no two runs are as far apart as `every`; the first month of
/// `drill_every = "30d"` with 31 days must not make the drill overdue.
pub fn schedule(every: Duration) -> &'static str {
    SCHEDULES
        .iter()
        .find(|(days, _)| days * DAY < every.as_secs())
        .map_or("cron(0 5 ? * * *)", |(_, cron)| cron)
}

/// # Errors
/// The text is not a schedule that AWS takes.
pub fn check_schedule(text: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        Err(format!(
            "`{text}` is not a schedule: {why}; write one like \"cron(0 5 ? * SUN *)\" (minute, hour, day of month, month, day of week, year)"
        ))
    };
    let Some(inner) = text
        .strip_prefix("cron(")
        .and_then(|rest| rest.strip_suffix(')'))
    else {
        return wrong("it is not of the form cron(…)");
    };
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [_, _, day, _, weekday, _] = fields[..] else {
        return wrong("it does not have six fields");
    };
    if (day == "?") == (weekday == "?") {
        return wrong("exactly one of the two days is `?`");
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "*?,-/#".contains(c);
    if !fields.iter().all(|f| f.chars().all(fine)) {
        return wrong("it has characters that no schedule has");
    }
    Ok(())
}

fn list(items: &[String]) -> String {
    serde_json::to_string(items).unwrap_or_default()
}

/// Both requests for a drill in a region.
///
/// # Errors
/// The drill has no counterpart in AWS Backup, or no schedule can be derived.
pub fn export(spec: &Spec, region: &str, options: &Options) -> Result<Exported, String> {
    let (Some(kind), Some(arn)) = (resource_type(&spec.id), source_arn(spec, region)) else {
        return Err(format!(
            "drill `{}`: AWS Backup knows no dumps ({}); `opsctl drill run` restores them",
            spec.name, spec.source
        ));
    };
    let schedule = match (&options.schedule, spec.every) {
        (Some(given), _) => given.clone(),
        (None, Some(every)) => schedule(every).to_owned(),
        (None, None) => {
            return Err(format!(
                "drill `{}`: the policy has no `drill_every` to derive a schedule from: give one by --schedule",
                spec.name
            ));
        }
    };
    let mut notes = Vec::new();
    let partition = crate::model::partition(region);
    let role = options.role.clone().unwrap_or_else(|| {
        notes.push(
            "AWS Backup restores with its default service role; --role names another".to_owned(),
        );
        format!(
            "arn:{partition}:iam::{}:role/service-role/AWSBackupDefaultServiceRole",
            spec.target.account
        )
    });
    let mut overrides = BTreeMap::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            overrides.insert(key.to_owned(), value);
        }
    };
    let restore = &spec.restore;
    let groups = (!restore.security_groups.is_empty()).then(|| list(&restore.security_groups));
    match &spec.id {
        SourceId::Rds(_) => {
            set("dbInstanceClass", restore.instance_class.clone());
            set("dbSubnetGroupName", restore.subnet_group.clone());
            set("dbParameterGroupName", restore.parameter_group.clone());
            set("vpcSecurityGroupIds", groups);
        }
        SourceId::Aurora(_) => {
            set("dbSubnetGroupName", restore.subnet_group.clone());
            set(
                "dbClusterParameterGroupName",
                restore.parameter_group.clone(),
            );
            set("vpcSecurityGroupIds", groups);
            notes.push(
                "AWS Backup restores an Aurora cluster without an instance: the checks need one in it"
                    .to_owned(),
            );
        }
        SourceId::DynamoDb(_) | SourceId::Dump { .. } => {}
    }
    let in_network = !matches!(spec.id, SourceId::DynamoDb(_));
    if in_network && restore.subnet_group.is_none() {
        notes.push(
            "no `restore.subnet_group`: AWS Backup restores into the default VPC, and fails where there is none"
                .to_owned(),
        );
    }
    let continuous = spec.method == DrillMethod::PointInTime && in_network;
    if spec.method == DrillMethod::PointInTime && !in_network {
        notes.push(
            "AWS Backup has no continuous backups of DynamoDB tables: its newest snapshot is restored"
                .to_owned(),
        );
    }
    let plan = name(&[
        "opsctl",
        &spec.project,
        &spec.target.environment,
        &spec.name,
    ]);
    Ok(Exported {
        drill: spec.name.clone(),
        environment: spec.target.environment.clone(),
        account: spec.target.account.clone(),
        region: region.to_owned(),
        create_restore_testing_plan: CreatePlan {
            restore_testing_plan: Plan {
                restore_testing_plan_name: plan.clone(),
                schedule_expression: schedule,
                recovery_point_selection: PointSelection {
                    algorithm: "LATEST_WITHIN_WINDOW",
                    recovery_point_types: vec![if continuous { "CONTINUOUS" } else { "SNAPSHOT" }],
                    include_vaults: match options.vaults.is_empty() {
                        true => vec!["*".to_owned()],
                        false => options.vaults.clone(),
                    },
                    selection_window_days: WINDOW_DAYS,
                },
            },
        },
        create_restore_testing_selection: CreateSelection {
            restore_testing_plan_name: plan,
            restore_testing_selection: Selection {
                restore_testing_selection_name: name(&[&spec.name]),
                protected_resource_type: kind,
                protected_resource_arns: vec![arn],
                iam_role_arn: role,
                restore_metadata_overrides: overrides,
                validation_window_hours: options.validation_hours,
            },
        },
        notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_characters_that_aws_takes_and_stay_different() {
        assert_eq!(
            name(&["opsctl", "shop", "prod", "orders"]),
            "opsctl_shop_prod_orders"
        );
        let odd = [
            vec!["opsctl", "shop-1", "prod", "orders"],
            vec!["opsctl", "shop_1", "prod", "orders"],
            vec![
                "opsctl",
                "a-very-long-name-of-a-project",
                "production-europe",
                "orders-of-customers",
            ],
            vec![
                "opsctl",
                "a-very-long-name-of-a-project",
                "production-europe",
                "orders-of-clients",
            ],
            vec!["opsctl", "größe", "prod", "x"],
        ];
        let names: std::collections::BTreeSet<String> = odd.iter().map(|p| name(p)).collect();
        assert_eq!(names.len(), odd.len());
        for name in names {
            assert!(name.len() <= 50, "{name}");
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                "{name}"
            );
        }
    }

    #[test]
    fn schedules_never_make_a_drill_overdue() {
        let days = |d: u64| schedule(Duration::from_secs(d * DAY));
        assert_eq!(days(1), "cron(0 5 ? * * *)");
        assert_eq!(days(7), "cron(0 5 ? * * *)");
        assert_eq!(days(8), "cron(0 5 ? * SUN *)");
        assert_eq!(days(30), "cron(0 5 1,15 * ? *)");
        assert_eq!(days(31), "cron(0 5 1,15 * ? *)");
        assert_eq!(days(32), "cron(0 5 1 * ? *)");
        assert_eq!(days(90), "cron(0 5 1 1,3,5,7,9,11 ? *)");
        assert_eq!(days(93), "cron(0 5 1 1,4,7,10 ? *)");
        assert_eq!(days(367), "cron(0 5 1 1 ? *)");
        for (_, cron) in SCHEDULES {
            assert_eq!(check_schedule(cron), Ok(()), "{cron}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "",
            "daily",
            "0 5 * * *",
            "cron(0 5 * * *)",
            "cron(0 5 * * * *)",
            "cron(0 5 ? * ? *)",
            "cron(0 5 ? * SUN *",
            "rate(1 day)",
            "cron(0 5 ? * SUN; *)",
        ] {
            assert!(check_schedule(bad).is_err(), "{bad}");
        }
        assert_eq!(check_schedule("cron(15 3 ? * MON-FRI *)"), Ok(()));
    }

    #[test]
    fn a_plan_says_what_the_drill_says() {
        let options = Options {
            validation_hours: 24,
            ..Options::default()
        };
        let mut spec = Spec::sample("rds:orders-prod");
        spec.every = Some(Duration::from_secs(30 * DAY));
        spec.restore.subnet_group = Some("private".to_owned());
        spec.restore.security_groups = vec!["sg-1".to_owned(), "sg-2".to_owned()];
        let found = export(&spec, "eu-west-1", &options).unwrap();
        let selection = &found
            .create_restore_testing_selection
            .restore_testing_selection;
        assert_eq!(
            selection.restore_metadata_overrides["vpcSecurityGroupIds"],
            r#"["sg-1","sg-2"]"#
        );
        assert_eq!(
            selection.protected_resource_arns,
            ["arn:aws:rds:eu-west-1:123456789012:db:orders-prod"]
        );
        assert!(export(&Spec::sample("s3-dump:b/p"), "eu-west-1", &options).is_err());
        spec.every = None;
        assert!(export(&spec, "eu-west-1", &options).is_err());
        let china = export(
            &Spec {
                every: Some(Duration::from_secs(DAY)),
                ..Spec::sample("dynamodb:orders")
            },
            "cn-north-1",
            &options,
        )
        .unwrap();
        let selection = &china
            .create_restore_testing_selection
            .restore_testing_selection;
        assert_eq!(
            selection.protected_resource_arns,
            ["arn:aws-cn:dynamodb:cn-north-1:123456789012:table/orders"]
        );
        assert!(
            selection
                .iam_role_arn
                .starts_with("arn:aws-cn:iam::123456789012:role/")
        );
    }
}
