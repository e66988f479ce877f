//! The one command that fixes a resource.

use std::collections::BTreeMap;

use super::{Fix, Inputs};
use crate::audit::Reported;
use crate::audit::compliance::Judged;
use crate::audit::pending::{apply_command, shell};
use crate::config::policy::TagPolicy;
use crate::config::values::Matched;
use crate::plan::build::PlanEnvironment;
use crate::render::text::escape;

/// Stands where only people know the value.
const VALUE: &str = "VALUE";

pub(super) fn of(
    inputs: &Inputs<'_>,
    environment: &PlanEnvironment,
    one: &Judged<'_>,
    findings: &[&Reported],
) -> Fix {
    let apply = apply_command(&one.address);
    let by_apply: Vec<&&Reported> = findings.iter().filter(|f| f.remediation == apply).collect();
    if !by_apply.is_empty() {
        let mut rest: Vec<&str> = findings
            .iter()
            .filter(|f| f.remediation != apply)
            .map(|f| f.remediation.as_str())
            .collect();
        rest.sort_unstable();
        rest.dedup();
        let text = match rest.is_empty() {
            true => String::new(),
            false => format!("then by hand: {}", rest.join("; ")),
        };
        return runnable(in_sandbox(inputs, apply), text, || {
            let environment = shell(one.address.environment());
            in_sandbox(
                inputs,
                format!("opsctl apply -e {environment} --control tags"),
            )
        });
    }
    let texts = || {
        let mut texts: Vec<&str> = findings.iter().map(|f| f.remediation.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.join("; ")
    };
    let Some(policy) = &environment.resolved.policies.tags else {
        return by_hand(texts());
    };
    let is = |id: &str| findings.iter().any(|f| f.id == id);
    // Where it is defined, or in the policy: no command of ours does it.
    if is("tags.owned-elsewhere") || is("tags.no-room") || is("tags.default-not-allowed") {
        return by_hand(texts());
    }
    let (values, what) = wanted(policy, one);
    let command = if !values.is_empty() {
        let json = serde_json::to_string(&values).unwrap_or_default();
        tagging(
            environment,
            one,
            &format!("tag-resources --tags {}", shell(&json)),
        )
    } else {
        let twins = twins(policy, one);
        if twins.is_empty() {
            return by_hand(texts());
        }
        let keys: Vec<String> = twins.iter().map(|key| shell(key)).collect();
        tagging(
            environment,
            one,
            &format!("untag-resources --tag-keys {}", keys.join(" ")),
        )
    };
    let text = match what.is_empty() {
        true => texts(),
        false => what.join("; "),
    };
    if let Some(scenario) = &inputs.audit.sandbox {
        // The CLI of AWS does not reach into a sandbox.
        return by_hand(format!(
            "{text} (sandbox {scenario}; in an AWS account: {command})"
        ));
    }
    runnable(command, text, String::new)
}

fn by_hand(text: String) -> Fix {
    Fix {
        command: None,
        text,
    }
}

/// A command that holds characters which are not shown as they are cannot be copied from a page:
/// another one takes its place, or none.
fn runnable(command: String, text: String, instead: impl FnOnce() -> String) -> Fix {
    if escape(&command) == command {
        return Fix {
            command: Some(command),
            text,
        };
    }
    let instead = instead();
    let usable = !instead.is_empty() && escape(&instead) == instead;
    Fix {
        command: usable.then_some(instead),
        text: match text.is_empty() {
            true => "its name has characters that cannot be copied".to_owned(),
            false => text,
        },
    }
}

fn in_sandbox(inputs: &Inputs<'_>, command: String) -> String {
    match &inputs.audit.sandbox {
        Some(scenario) => format!("{command} --sandbox {}", shell(scenario)),
        None => command,
    }
}

/// The keys that have to be set, with the policy's own value where it has one, and a word on each.
fn wanted<'a>(policy: &'a TagPolicy, one: &Judged<'_>) -> (BTreeMap<&'a str, String>, Vec<String>) {
    let mut values = BTreeMap::new();
    let mut what = Vec::new();
    for key in policy.managed_keys() {
        let rule = policy.values.get(key);
        let allowed = |value: &str| rule.is_none_or(|r| r.refuses(value).is_none());
        let asked_for = one.keys.iter().any(|(k, _)| *k == key);
        let wrong = match one.tags.get(key) {
            Some(value) => !allowed(value),
            None => asked_for,
        };
        if !wrong {
            continue;
        }
        let inferred = policy
            .infer
            .iter()
            .filter(|i| i.matches.resource(one.resource) == Matched::Yes)
            .find_map(|i| i.set.get(key));
        let own = inferred.or_else(|| policy.defaults.get(key));
        match own.filter(|v| allowed(&v.value)) {
            Some(value) => {
                what.push(format!("sets {key} to the policy's own value"));
                values.insert(key, value.value.clone());
            }
            None => {
                let which = match rule.map(|r| (&r.one_of, &r.pattern)) {
                    Some((Some(list), _)) => format!("one of {}", list.join(", ")),
                    Some((None, Some(pattern))) => format!("like {}", pattern.0.as_str()),
                    _ => "for you to decide".to_owned(),
                };
                what.push(format!("{VALUE} of {key}: {which}"));
                values.insert(key, VALUE.to_owned());
            }
        }
    }
    (values, what)
}

/// Other spellings of keys that are there and right: what is left is to take them off.
fn twins<'a>(policy: &TagPolicy, one: &Judged<'a>) -> Vec<&'a str> {
    let managed = policy.managed_keys();
    let twin = |tag: &&str| {
        managed.iter().any(|key| {
            let alias = policy.aliases.get(*key).into_iter().flatten();
            let listed = alias.into_iter().any(|a| a.value == **tag);
            one.tags.contains_key(*key) && (listed || key.to_lowercase() == tag.to_lowercase())
        }) && !managed.contains(*tag)
    };
    one.tags.keys().map(String::as_str).filter(twin).collect()
}

/// A call of the tagging API for one resource. Global services are tagged in us-east-1.
///
/// Source: AWS CLI reference, `resourcegroupstaggingapi tag-resources` and `untag-resources`.
fn tagging(environment: &PlanEnvironment, one: &Judged<'_>, call: &str) -> String {
    let region = match one.resource.region.as_str() {
        "global" => "us-east-1",
        region => region,
    };
    let (operation, parameters) = call.split_once(' ').unwrap_or((call, ""));
    let profile = match &environment.target.profile {
        Some(profile) => format!(" --profile {}", shell(profile)),
        None => String::new(),
    };
    format!(
        "aws resourcegroupstaggingapi {operation}{profile} --region {} --resource-arn-list {} {parameters}",
        shell(region),
        shell(&one.resource.arn)
    )
}
