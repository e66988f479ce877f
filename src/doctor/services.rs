//! Switches and subscriptions that fail silently: billing, Cost Explorer, Resource Explorer, SNS, and
//! the files themselves.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::Check;
use super::command::Commands;
use crate::cloud::CloudError;
use crate::config::workspace::Workspace;
use crate::config::{Level, Loaded};
use crate::inventory::{EnvironmentInventory, Observed, TopicFact};
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
            "Billing console, Billing preferences, Alert preferences: receive CloudWatch billing alerts (in the paying account); the metric comes after about 15 minutes",
        ),
        Observed::Unknown(why) => check.unknown(why.clone(), "cloudwatch:ListMetrics in us-east-1 has to be allowed"),
    }
}

/// Topics that the policies notify: who has not confirmed gets nothing.
pub fn topics(commands: &Commands, inventory: &EnvironmentInventory) -> Vec<Check> {
    inventory
        .topics
        .iter()
        .map(|(arn, fact)| topic(commands, arn, fact))
        .collect()
}

fn topic(commands: &Commands, arn: &str, fact: &Observed<TopicFact>) -> Check {
    let parsed = Arn::parse(arn);
    let name = parsed.as_ref().map_or_else(
        || arn.to_owned(),
        |a| format!("{} ({})", a.resource, a.region),
    );
    let region = parsed.as_ref().map_or("", |a| a.region);
    let own = parsed.is_some_and(|a| a.account == commands.target.account);
    let apply = || commands.opsctl(&["apply"]);
    let check = |why: &str| Check::ok(commands.environment(), "subscriptions", "", why);
    let missing = "what is sent to a topic that does not exist reaches nobody";
    let unconfirmed = "a subscription that was not confirmed gets nothing, and nobody is told";
    let nobody = "what is sent to a topic without subscriptions reaches nobody";
    let fact = match fact {
        Observed::Known(fact) => fact,
        Observed::Absent if own => {
            return check(missing)
                .problem(
                    format!("{name}: there is no such topic"),
                    "apply makes it, with all else that it shows and asks about",
                )
                .run([apply()]);
        }
        Observed::Absent => {
            return check(missing).problem(
                format!("{name}: there is no such topic"),
                "it is in another account: make it there, or correct `notify`",
            );
        }
        Observed::Unknown(e) => {
            return check(nobody).unknown(
                format!("{name}: {e}"),
                "sns:GetTopicAttributes has to be allowed",
            );
        }
    };
    if let Some(e) = &fact.unread {
        return check(nobody).unknown(
            format!("{name}: {e}"),
            "sns:ListSubscriptionsByTopic has to be allowed",
        );
    }
    if !fact.pending.is_empty() {
        let waiting: Vec<&str> = fact.pending.iter().map(String::as_str).collect();
        return check(unconfirmed)
            .problem(
                format!("{name}: {} waits to be confirmed", waiting.join(", ")),
                "click the link in the mail of AWS Notifications; once it has run out (3 days), apply sends it again",
            )
            .run([apply()]);
    }
    if fact.confirmed.is_empty() {
        let subscribe = [
            "sns",
            "subscribe",
            "--topic-arn",
            arn,
            "--protocol",
            "email",
            "--notification-endpoint",
            "NAME@EXAMPLE",
        ];
        return check(nobody)
            .problem(
                format!("{name}: nobody is subscribed"),
                commands.by_aws("subscribe somebody"),
            )
            .run([commands.aws(region, &subscribe)]);
    }
    Check {
        found: format!("{name}: {} confirmed", fact.confirmed.len()),
        ..check(unconfirmed)
    }
}

/// What Resource Explorer's reasons begin with, before the code.
const EXPLORER: &str = "Resource Explorer: ";

/// Whether Resource Explorer answers, region by region.
pub fn explorer(
    commands: &Commands,
    regions: &[String],
    inventory: &EnvironmentInventory,
) -> Vec<Check> {
    regions
        .iter()
        .map(|region| {
            let said = inventory
                .types_not_checked
                .iter()
                .find(|n| n.region == *region && n.kind == "other types");
            explorer_in(commands, region, said.map(|s| s.reason.as_str()))
        })
        .collect()
}

/// `said`: why it may not have told everything.
fn explorer_in(commands: &Commands, region: &str, said: Option<&str>) -> Check {
    let check = Check::ok(
        commands.environment(),
        "resource-explorer",
        format!("{region}: answers"),
        "it alone finds resources of other types that never had a tag",
    );
    let Some(said) = said else {
        return check;
    };
    let found = format!("{region}: {said}");
    // That it answers with the first of many is an answer.
    let Some(error) = said.strip_prefix(EXPLORER) else {
        return Check { found, ..check };
    };
    let code = error.split(':').next().unwrap_or_default().trim();
    let allow = "resource-explorer-2:Search";
    match code {
        // Without a default view it is 401. Source: API reference, Search.
        "UnauthorizedException" => check
            .problem(
                found,
                commands.by_aws(&format!(
                    "make an index and a default view; if the region has them, {allow} on that view has to be allowed"
                )),
            )
            .run(explorer_on(commands, region)),
        "ResourceNotFoundException" => check
            .problem(found, commands.by_aws("make an index and a default view"))
            .run(explorer_on(commands, region)),
        code if super::is_denied(code) => check
            .problem(
                found,
                format!("{allow} has to be allowed; this writes the policy"),
            )
            .run([commands.opsctl(&["iam", "plan"])]),
        _ => check.unknown(
            found,
            "run it again; whether there is an index could not be told",
        ),
    }
}

fn explorer_on(commands: &Commands, region: &str) -> Vec<Option<String>> {
    const SERVICE: &str = "resource-explorer-2";
    let view = commands.aws(
        region,
        &[
            SERVICE,
            "create-view",
            "--view-name",
            "opsctl",
            "--included-properties",
            "Name=tags",
            "--query",
            "View.ViewArn",
            "--output",
            "text",
        ],
    );
    let default = commands.aws(region, &[SERVICE, "associate-default-view"]);
    vec![
        commands.aws(region, &[SERVICE, "create-index"]),
        default
            .zip(view)
            .map(|(default, view)| format!("{default} --view-arn \"$({view})\"")),
    ]
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
    commands: &Commands,
    keys: &BTreeSet<String>,
    inventory: &EnvironmentInventory,
) -> Check {
    let apply = || commands.opsctl(&["apply", "--control", "budgets"]);
    let check = Check::ok(
        commands.environment(),
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
                (false, _) => check
                    .problem(
                        format!("not active: {}", inactive.join(", ")),
                        "apply activates them",
                    )
                    .run([apply()]),
                (true, false) => {
                    let names: Vec<&str> = missing.iter().map(|k| k.as_str()).collect();
                    check
                        .problem(
                            format!("not yet known to billing: {}", names.join(", ")),
                            "AWS lists a key a day after it first stood on a resource that costs something; then apply activates it",
                        )
                        .run([apply()])
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
    commands: &Commands,
    what: &str,
    bucket: &str,
    answer: &Result<String, CloudError>,
) -> Check {
    let why = match what {
        "lock" => "without its bucket no apply begins",
        _ => "without its bucket no drill begins, and history is lost with the disk",
    };
    let check = Check::ok(commands.environment(), &format!("{what}-bucket"), "", why);
    let region = commands.target.regions.first().map_or("", String::as_str);
    match answer {
        Ok(region) => Check {
            found: format!("{bucket} in {region}"),
            ..check
        },
        Err(e) if e.code == "NotFound" || e.code == "NoSuchBucket" || e.code == "Http404" => {
            let versioning = [
                "s3api",
                "put-bucket-versioning",
                "--bucket",
                bucket,
                "--versioning-configuration",
                "Status=Enabled",
            ];
            check
                .problem(
                    format!("there is no bucket {bucket}"),
                    commands.by_aws(&format!("make it, or correct [{what}] in opsctl.toml")),
                )
                .run([
                    commands.aws(region, &["s3", "mb", &format!("s3://{bucket}")]),
                    commands.aws(region, &versioning),
                ])
        }
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
