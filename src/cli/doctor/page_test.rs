use std::io::IsTerminal;

use jiff::Timestamp;

use crate::apply::page_test::{self, Delivery, Prepared, Shown};
use crate::cli::context::{Interrupt, Progress, says_yes};
use crate::cli::session::{Session, guard};
use crate::cli::{Failure, Format, Global, Outcome, exit, json_head};
use crate::cloud::Target;
use crate::render::text::escape;

/// Proves that an alarm reaches the people behind it.
pub async fn run(global: &Global, alarm: &str, yes: bool, force: bool) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let environments = session.environments(global, None)?;
    let targets: Vec<&Target> = environments.iter().map(|(t, _)| t).collect();
    guard(session.cloud.as_ref(), &targets).await?;
    let mut found: Vec<(&Target, Prepared)> = Vec::new();
    for target in &targets {
        for region in &target.regions {
            let cloud = session.cloud.as_ref();
            let prepared = page_test::prepare(cloud, target, region, alarm).await;
            found.extend(
                prepared
                    .map_err(Failure::new)?
                    .map(|prepared| (*target, prepared)),
            );
        }
    }
    let (target, prepared) = match found.len() {
        0 => {
            let regions: Vec<String> = targets
                .iter()
                .flat_map(|t| {
                    t.regions
                        .iter()
                        .map(move |r| format!("{}/{r}", t.environment))
                })
                .collect();
            return Err(Failure::new(format!(
                "there is no alarm {} in {}",
                alarm,
                regions.join(", ")
            )));
        }
        1 => found.swap_remove(0),
        _ => {
            let places: Vec<String> = found
                .iter()
                .map(|(t, p)| format!("{}/{}", t.environment, p.region))
                .collect();
            return Err(Failure::new(format!(
                "there is an alarm {} in {}",
                alarm,
                places.join(" and ")
            ))
            .help("choose one with -e and --region"));
        }
    };
    if !prepared.other_actions.is_empty() && !force {
        let actions: Vec<&str> = prepared.other_actions.iter().map(String::as_str).collect();
        return Err(Failure::new(format!(
            "{} does more than to notify: {}. Nothing was changed",
            prepared.name,
            actions.join(", ")
        ))
        .help("--force carries these actions out too"));
    }
    if !yes && !confirm(target, &prepared, &interrupt).await? {
        return match interrupt.code() {
            Some(code) => Ok(code),
            None => Err(Failure::new("not confirmed; nothing was changed")),
        };
    }
    // Not to be interrupted: the state has to be put back.
    let progress = Progress::spinner(global, "waiting for CloudWatch to notify");
    let shown = page_test::run(session.cloud.as_ref(), target, &prepared, Timestamp::now()).await;
    drop(progress);
    let shown = shown.map_err(|e| {
        Failure::new(format!(
            "the state of {} could not be set, so nobody was told: {e}",
            prepared.name
        ))
    })?;
    match global.format {
        Format::Json => global.emit_json(&json(&session, target, &prepared, &shown))?,
        _ => global.emit(&text(&prepared, &shown, global.format == Format::Markdown))?,
    }
    Ok(match (shown.passed(), &shown.unread) {
        (true, _) => exit::OK,
        (false, Some(_)) if shown.not_restored.is_none() => exit::BLIND,
        _ => exit::ATTENTION,
    })
}

fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

async fn confirm(
    target: &Target,
    prepared: &Prepared,
    interrupt: &Interrupt,
) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(
            Failure::new("nothing was changed: there is no terminal to ask on")
                .help("say --yes to test without being asked"),
        );
    }
    let list = |topics: &std::collections::BTreeSet<String>| {
        let names: Vec<&str> = topics.iter().map(|t| name(t)).collect();
        names.join(", ")
    };
    let mut question = format!(
        "\nSet {} ({}, {}) from {} to ALARM and back?\nThese topics and all their subscribers are told: {}\n",
        prepared.name,
        target.environment,
        prepared.region,
        prepared.state,
        list(&prepared.topics)
    );
    if !prepared.topics_after.is_empty() {
        let after = list(&prepared.topics_after);
        question.push_str(&format!("And when the state is put back: {after}\n"));
    }
    if !prepared.composites.is_empty() {
        let composites: Vec<&str> = prepared.composites.iter().map(String::as_str).collect();
        question.push_str(&format!(
            "Composite alarms that look at it may fire too: {}\n",
            composites.join(", ")
        ));
    }
    question.push_str("Only `yes` will do: ");
    Ok(says_yes(question, interrupt).await)
}

fn text(prepared: &Prepared, shown: &Shown, markdown: bool) -> String {
    let bullet = if markdown { "- " } else { "  " };
    let mut out = format!(
        "{} was set to ALARM at {}\n{}",
        escape(&prepared.name),
        prepared.region,
        if markdown { "\n" } else { "" }
    );
    for (topic, delivery) in &shown.deliveries {
        let became = match delivery {
            Delivery::Accepted => "took the message".to_owned(),
            Delivery::Failed(why) => format!("did not get it: {why}"),
            Delivery::Unknown => {
                "nothing in the alarm's history says that it was notified".to_owned()
            }
        };
        out.push_str(&format!(
            "{bullet}{}: {}\n",
            escape(name(topic)),
            escape(&became)
        ));
    }
    if let Some(why) = &shown.unread {
        out.push_str(&format!(
            "{bullet}the history could not be read: {}\n",
            escape(why)
        ));
    }
    out.push_str(&match &shown.not_restored {
        None => format!("Its state is {} again.\n", prepared.state),
        Some(why) => format!(
            "Its state could not be put back to {}: {}. CloudWatch sets it at its next evaluation; a composite when a child changes.\n",
            prepared.state,
            escape(why)
        ),
    });
    out
}

fn json(
    session: &Session,
    target: &Target,
    prepared: &Prepared,
    shown: &Shown,
) -> serde_json::Value {
    let mut document = json_head("doctor");
    document["api"] = serde_json::to_value(session.cloud.meter().snapshot()).unwrap_or_default();
    let deliveries: Vec<_> = shown
        .deliveries
        .iter()
        .map(|(topic, delivery)| {
            let (outcome, error) = match delivery {
                Delivery::Accepted => ("accepted", None),
                Delivery::Failed(why) => ("failed", Some(why.as_str())),
                Delivery::Unknown => ("unknown", None),
            };
            serde_json::json!({ "topic": topic, "outcome": outcome, "error": error })
        })
        .collect();
    document["page_test"] = serde_json::json!({
        "environment": target.environment,
        "account": target.account,
        "region": prepared.region,
        "alarm": prepared.name,
        "state": prepared.state,
        "deliveries": deliveries,
        "restored": shown.not_restored.is_none(),
        "history_error": shown.unread,
        "passed": shown.passed(),
    });
    document
}
