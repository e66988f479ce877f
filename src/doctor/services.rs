//! Switches and subscriptions that fail silently: billing, Cost Explorer, Resource Explorer, SNS, and
//! the files themselves.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::Check;
use crate::cloud::CloudError;
use crate::config::workspace::Workspace;
use crate::config::{Level, Loaded};
use crate::inventory::{EnvironmentInventory, Observed};
use crate::model::Arn;

/// Billing alerts, by the metric that exists only where they are on.
pub fn billing(environment: &str, metric: &Observed<()>) -> Check {
    let check = Check::ok(
        environment,
        "billing-alerts",
        "the metric EstimatedCharges is there",
        "without them the billing alarm watches a metric that never comes",
    );
    match metric {
        Observed::Known(()) => check,
        Observed::Absent => check.problem(
            "there is no metric AWS/Billing EstimatedCharges in us-east-1",
            "Billing console, Billing preferences, Alert preferences: receive CloudWatch billing alerts (in the paying account); the metric comes within a day",
        ),
        Observed::Unknown(why) => check.unknown(why.clone(), "cloudwatch:ListMetrics in us-east-1 has to be allowed"),
    }
}

/// Topics that the policies notify: who has not confirmed gets nothing.
pub fn topics(environment: &str, inventory: &EnvironmentInventory) -> Vec<Check> {
    let why = "a subscription that was not confirmed gets nothing, and nobody is told";
    inventory
        .topics
        .iter()
        .map(|(arn, fact)| {
            let name = Arn::parse(arn)
                .map_or_else(|| arn.clone(), |a| format!("{} ({})", a.resource, a.region));
            let check = Check::ok(environment, "subscriptions", "", why);
            match fact {
                Observed::Absent => check.problem(format!("{name}: there is no such topic"), format!("opsctl apply -e {environment} makes it")),
                Observed::Unknown(e) => check.unknown(format!("{name}: {e}"), "sns:GetTopicAttributes has to be allowed"),
                Observed::Known(fact) => match (&fact.unread, fact.pending.is_empty(), fact.confirmed.is_empty()) {
                    (Some(e), ..) => check.unknown(format!("{name}: {e}"), "sns:ListSubscriptionsByTopic has to be allowed"),
                    (None, false, _) => {
                        let waiting: Vec<&str> = fact.pending.iter().map(String::as_str).collect();
                        check.problem(
                            format!("{name}: {} waits to be confirmed", waiting.join(", ")),
                            format!("click the link in the mail of AWS Notifications; `opsctl apply -e {environment}` sends it again once it has run out (3 days)"),
                        )
                    }
                    (None, true, true) => check.problem(
                        format!("{name}: nobody is subscribed"),
                        format!("subscribe somebody: aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint NAME@EXAMPLE"),
                    ),
                    (None, true, false) => Check {
                        found: format!("{name}: {} confirmed", fact.confirmed.len()),
                        ..check
                    },
                },
            }
        })
        .collect()
}

/// Whether Resource Explorer answers, region by region.
pub fn explorer(
    environment: &str,
    regions: &[String],
    inventory: &EnvironmentInventory,
) -> Vec<Check> {
    regions
        .iter()
        .map(|region| {
            let check = Check::ok(
                environment,
                "resource-explorer",
                format!("{region}: answers"),
                "it alone finds resources of other types that never had a tag",
            );
            let said = inventory.types_not_checked.iter().find(|n| {
                n.region == *region && n.kind == "other types"
            });
            match said {
                None => check,
                Some(said) => check.problem(
                    format!("{region}: {}", said.reason),
                    format!(
                        "aws resource-explorer-2 create-index --region {region}\n\
                         aws resource-explorer-2 associate-default-view --region {region} --view-arn \"$(aws resource-explorer-2 create-view --region {region} --view-name opsctl --included-properties Name=tags --query View.ViewArn --output text)\""
                    ),
                ),
            }
        })
        .collect()
}

/// What the paying account's Cost Explorer said to one question.
pub fn cost_explorer(environment: &str, answer: &Result<(), CloudError>) -> Check {
    let check = Check::ok(
        environment,
        "cost-explorer",
        "it answers",
        "without it `audit cost` and reports weighted by spend have nothing to go by",
    );
    match answer {
        Ok(()) => check,
        Err(e) if e.code == "DataUnavailableException" => check.problem(
            format!("{}: {}", e.code, e.message),
            "Billing console, Cost Explorer: open it once; the data come within a day",
        ),
        Err(e) if super::is_denied(&e.code) => check.problem(
            format!("{}: {}", e.code, e.message),
            "open Cost Explorer once as the paying account, allow IAM access to billing information, and grant ce:GetCostAndUsage",
        ),
        Err(e) => check.unknown(format!("{}: {}", e.code, e.message), "run it again"),
    }
}

/// Whether costs can be split by the keys that the policies ask for.
pub fn cost_tags(
    environment: &str,
    keys: &BTreeSet<String>,
    inventory: &EnvironmentInventory,
) -> Check {
    let check = Check::ok(
        environment,
        "cost-allocation-tags",
        "",
        "a tag splits costs only from the day on which it is activated",
    );
    match &inventory.money.cost_tags {
        Observed::Known(all) => {
            let (seen, missing): (Vec<&String>, Vec<&String>) =
                keys.iter().partition(|k| all.contains_key(*k));
            let inactive: Vec<&str> = seen
                .iter()
                .filter(|k| all.get(k.as_str()).is_some_and(|t| !t.active))
                .map(|k| k.as_str())
                .collect();
            match (inactive.is_empty(), missing.is_empty()) {
                (true, true) => Check {
                    found: format!("{} active", keys.len()),
                    ..check
                },
                (false, _) => check.problem(
                    format!("not active: {}", inactive.join(", ")),
                    format!("opsctl apply -e {environment} --control budgets activates them"),
                ),
                (true, false) => {
                    let names: Vec<&str> = missing.iter().map(|k| k.as_str()).collect();
                    check.problem(
                        format!("not yet known to billing: {}", names.join(", ")),
                        "AWS lists a key a day after it first stood on a resource that costs something; then opsctl apply activates it",
                    )
                }
            }
        }
        Observed::Absent => check.problem(
            "this account cannot manage them: another one pays for it",
            "activate them in the paying account; [payer] in opsctl.toml names its environment",
        ),
        Observed::Unknown(e) => {
            check.unknown(e.clone(), "ce:ListCostAllocationTags has to be allowed")
        }
    }
}

/// The files: warnings, and acceptances that have ended.
pub fn config(loaded: &Loaded, today: Date) -> Vec<Check> {
    let why = "what the files say is what everything else goes by";
    let check = Check::ok("", "config", "", why);
    let mut out: Vec<Check> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.level == Level::Warning)
        .map(|d| {
            let place = d
                .origin
                .map(|o| format!("{}: ", loaded.sources.place(o)))
                .unwrap_or_default();
            check.clone().problem(
                format!("{place}{}", d.message),
                d.help
                    .clone()
                    .unwrap_or_else(|| "opsctl validate shows the line".to_owned()),
            )
        })
        .collect();
    if let Some(workspace) = &loaded.workspace {
        out.extend(workspace_checks(workspace, today, &check));
    }
    if out.is_empty() {
        out.push(Check {
            found: "the files are valid, without warnings".to_owned(),
            ..check
        });
    }
    out
}

fn workspace_checks(workspace: &Workspace, today: Date, check: &Check) -> Vec<Check> {
    let mut out = Vec::new();
    for (name, accepted) in &workspace.accept_unobserved {
        if today > accepted.until.value.0 {
            out.push(check.clone().problem(
                format!(
                    "the accepted blind spot `{name}` ended on {}",
                    accepted.until.value.0
                ),
                format!(
                    "allow {}, or renew [accept_unobserved.{name}]",
                    accepted.operation.value
                ),
            ));
        }
    }
    for (name, environment) in &workspace.environments {
        if environment.notify.targets().next().is_none() {
            let check = Check {
                environment: name.clone(),
                ..check.clone()
            };
            out.push(check.problem(
                "`notify` names nobody, so budgets and alarms tell nobody",
                format!("[environments.{name}] notify = [\"mailto:ops@example.com\"]"),
            ));
        }
    }
    out
}

/// A bucket of the project: the evidence, the lock.
pub fn bucket(
    environment: &str,
    what: &str,
    bucket: &str,
    answer: &Result<String, CloudError>,
) -> Check {
    let why = match what {
        "lock" => "without its bucket no apply begins",
        _ => "without its bucket no drill begins, and history is lost with the disk",
    };
    let check = Check::ok(environment, &format!("{what}-bucket"), "", why);
    match answer {
        Ok(region) => Check {
            found: format!("{bucket} in {region}"),
            ..check
        },
        Err(e) if e.code == "NotFound" || e.code == "NoSuchBucket" || e.code == "Http404" => check
            .problem(
                format!("there is no bucket {bucket}"),
                format!(
                    "aws s3 mb s3://{bucket}\n\
                     aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled\n\
                     or correct [{what}] in opsctl.toml"
                ),
            ),
        Err(e) if super::is_denied(&e.code) => check.problem(
            format!("{bucket}: {}: {}", e.code, e.message),
            format!("s3:ListBucket on it has to be allowed; if it belongs to another account, correct [{what}] in opsctl.toml"),
        ),
        Err(e) => check.unknown(
            format!("{bucket}: {}: {}", e.code, e.message),
            "run it again",
        ),
    }
}
