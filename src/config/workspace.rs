//! `opsctl.toml` and `stacks/*.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::source::Diagnostic;
use super::values::{Day, Sourced};
use crate::model::{Amount, Arn};

/// `opsctl.toml`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "opsctl.toml")]
pub struct Workspace {
    pub project: Project,
    pub environments: BTreeMap<String, Sourced<Environment>>,
    /// One apply at a time, kept in S3.
    pub lock: Option<Lock>,
    /// Where drill records and report history are kept.
    pub evidence: Option<Evidence>,
    /// Whom `--notify` tells when it names nobody.
    pub notify: Option<NotifyTargets>,
    /// The account that pays for the others (AWS Organizations): asked once for all of them.
    pub payer: Option<Payer>,
    /// Blind spots that are known, and end.
    #[serde(default)]
    pub accept_unobserved: BTreeMap<String, AcceptUnobserved>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    pub name: Sourced<String>,
    pub team: Option<Sourced<String>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The guard: nothing runs against any other account. 12 digits.
    pub account: Sourced<String>,
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<Sourced<String>>,
    pub external_id: Option<String>,
    pub regions: Vec<Sourced<String>>,
    /// What `plan` uses when no stage is named.
    pub stage: Sourced<String>,
    pub monthly_budget_usd: Option<Sourced<Amount>>,
    pub users: Option<u64>,
    #[serde(default)]
    pub notify: Notify,
    /// Says that sharing the account with another environment is meant.
    #[serde(default)]
    pub shared_account: bool,
    /// What AWS cannot show: practice and the day it was declared.
    #[serde(default)]
    pub declared: BTreeMap<String, Day>,
    /// Over the stage's override, key by key.
    #[serde(default, rename = "override")]
    pub overrides: Overrides,
}

/// Layers over the policies, by their section (`tags`, `budgets`, `lifecycle`, `alarms`,
/// `backups`, `cost`, `readiness`); checked as part of what they are laid over.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[schemars(transparent)]
pub struct Overrides(BTreeMap<String, AnyTable>);

/// Anything: what it means is decided where it is laid over a policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AnyTable;

impl<'de> Deserialize<'de> for AnyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| AnyTable)
    }
}

impl JsonSchema for AnyTable {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyTable".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }
}

/// Targets of notifications: a list, or lists by severity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notify {
    pub page: Vec<Sourced<String>>,
    pub ticket: Vec<Sourced<String>>,
    pub info: Vec<Sourced<String>>,
}

impl Notify {
    pub fn targets(&self) -> impl Iterator<Item = &Sourced<String>> {
        self.page.iter().chain(&self.ticket).chain(&self.info)
    }
}

impl<'de> Deserialize<'de> for Notify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Notify;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a list of targets, or { page = […], ticket = […], info = […] }")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Notify, A::Error> {
                let mut all = Vec::new();
                while let Some(target) = seq.next_element::<Sourced<String>>()? {
                    all.push(target);
                }
                Ok(Notify {
                    page: all.clone(),
                    ticket: all.clone(),
                    info: all,
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Notify, A::Error> {
                let mut notify = Notify::default();
                while let Some(key) = map.next_key::<String>()? {
                    let list = match key.as_str() {
                        "page" => &mut notify.page,
                        "ticket" => &mut notify.ticket,
                        "info" => &mut notify.info,
                        _ => {
                            return Err(de::Error::unknown_field(
                                &key,
                                &["page", "ticket", "info"],
                            ));
                        }
                    };
                    *list = map.next_value()?;
                }
                Ok(notify)
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for Notify {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Notify".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let list = serde_json::json!({"type": "array", "items": {"type": "string", "pattern": "^(mailto:|sns:)."}});
        schemars::json_schema!({
            "description": "Targets like \"mailto:ops@example.com\" or \"sns:ops-alerts\": a list, or lists by severity.",
            "anyOf": [
                list,
                {"type": "object", "additionalProperties": false,
                 "properties": {"page": list, "ticket": list, "info": list}}
            ]
        })
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Whose account and first region hold the bucket.
    pub environment: Sourced<String>,
    pub bucket: String,
}

/// `[notify]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTargets {
    /// `"sns:TOPIC-ARN"`, `"slack"`, `"url"`: the addresses of the latter two are secrets, and stand in
    /// the environment variables `OPSCTL_SLACK_WEBHOOK` and `OPSCTL_NOTIFY_URL`.
    pub targets: Vec<Sourced<String>>,
    /// When: `"change"`, `"attention"` or `"always"`.
    #[serde(default)]
    pub on: NotifyOn,
}

/// When a notification is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum NotifyOn {
    /// When the result is another one than the last time.
    Change,
    /// When something needs attention, or could not be seen.
    Attention,
    #[default]
    Always,
}

/// `[payer]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// The environment with the management account's credentials.
    pub environment: Sourced<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub environment: Sourced<String>,
    pub bucket: String,
    #[serde(default)]
    pub prefix: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptUnobserved {
    /// `service:Operation`, as the plan names it.
    pub operation: Sourced<String>,
    pub reason: Sourced<String>,
    /// The last day on which it is accepted.
    pub until: Sourced<Day>,
}

/// Whether it is the ARN of a topic.
pub fn is_topic_arn(arn: &str) -> bool {
    Arn::parse(arn).is_some_and(|a| {
        a.service == "sns" && is_account(a.account) && is_region(a.region) && !a.resource.is_empty()
    })
}

impl Evidence {
    /// What keys begin with: nothing, or something that ends with `/`.
    pub fn folder(&self) -> String {
        match self.prefix.as_str() {
            "" => String::new(),
            prefix if prefix.ends_with('/') => prefix.to_owned(),
            prefix => format!("{prefix}/"),
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn is_region(text: &str) -> bool {
    // ^[a-z]{2}(-[a-z]+)+-[0-9]$
    let parts: Vec<_> = text.split('-').collect();
    parts.len() >= 3
        && parts[0].len() == 2
        && parts[..parts.len() - 1]
            .iter()
            .all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase()))
        && parts[parts.len() - 1].len() == 1
        && parts[parts.len() - 1].bytes().all(|b| b.is_ascii_digit())
}

/// Whether a topic can be written to: by its name, or by an ARN of the environment's account.
/// Sources: API model, `sns:CreateTopic`; "Creating an Amazon SNS topic for budget notifications".
fn check_topic(topic: &str, account: &str) -> Result<(), String> {
    let name = if topic.starts_with("arn:") {
        let arn = Arn::parse(topic).filter(|a| a.service == "sns" && is_region(a.region));
        let arn = arn.ok_or("it is not the ARN of a topic")?;
        if arn.account != account {
            return Err(format!(
                "the topic belongs to the account {}, and AWS notifies only topics of the same account",
                arn.account
            ));
        }
        arn.resource
    } else {
        topic
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 256 || !name.bytes().all(plain) {
        return Err("a topic has letters, digits, `-` and `_` in its name".to_owned());
    }
    Ok(())
}

impl Workspace {
    /// Mistakes that the types cannot catch, without looking at any other file.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if self.project.name.trim().is_empty() {
            out.push(Diagnostic::error(
                self.project.name.origin,
                "a project needs a name",
            ));
        }
        if self.environments.is_empty() {
            out.push(
                Diagnostic::error(self.project.name.origin, "no environment is configured")
                    .with_help("add one: [environments.prod] with account, regions and stage"),
            );
        }
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, environment) in &self.environments {
            if name.is_empty() || name.contains(['/', '#']) || name.contains(char::is_control) {
                out.push(Diagnostic::error(
                    environment.origin,
                    format!(
                        "`{name}` cannot name an environment: addresses are written with / and #"
                    ),
                ));
            }
            let account = &environment.account;
            if !is_account(account) {
                out.push(Diagnostic::error(
                    account.origin,
                    format!(
                        "`{}` is not an account id: 12 digits, in quotes",
                        account.value
                    ),
                ));
            } else if let Some(other) = owners.insert(account, name)
                && !environment.shared_account
                && !self.environments[other].shared_account
            {
                out.push(
                    Diagnostic::warning(account.origin, format!("`{name}` and `{other}` share the account {}: each will see and tag the other's resources", account.value))
                        .with_help("give each environment an account of its own, or say `shared_account = true`"),
                );
            }
            if environment.regions.is_empty() {
                out.push(Diagnostic::error(
                    environment.origin,
                    format!("environment `{name}` has no regions"),
                ));
            }
            if let Some(budget) = &environment.monthly_budget_usd
                && budget.0 <= 0.into()
            {
                out.push(Diagnostic::error(budget.origin, "a budget is above 0"));
            }
            let mut seen = std::collections::BTreeSet::new();
            for region in &environment.regions {
                if !is_region(region) {
                    out.push(
                        Diagnostic::error(
                            region.origin,
                            format!("`{}` is not a region", region.value),
                        )
                        .with_help("a region looks like \"eu-west-1\""),
                    );
                } else if !seen.insert(region.value.as_str()) {
                    out.push(Diagnostic::warning(
                        region.origin,
                        format!("region `{}` is listed twice", region.value),
                    ));
                }
            }
            if let Some(role) = &environment.role_arn
                && !(role.starts_with("arn:") && role.contains(":role/"))
            {
                out.push(Diagnostic::error(
                    role.origin,
                    format!("`{}` is not the ARN of a role", role.value),
                ));
            }
            for target in environment.notify.targets() {
                let ok = target
                    .strip_prefix("mailto:")
                    .is_some_and(|a| a.contains('@'))
                    || target.strip_prefix("sns:").is_some_and(|t| !t.is_empty());
                let d = Diagnostic::error(
                    target.origin,
                    format!("`{}` is not a notification target", target.value),
                )
                .with_help("\"mailto:ops@example.com\" or \"sns:topic-name\"");
                // One list stands for all three severities.
                if !ok && !out.contains(&d) {
                    out.push(d);
                } else if let Some(topic) = target.strip_prefix("sns:")
                    && let Err(why) = check_topic(topic, account)
                {
                    let d = Diagnostic::error(
                        target.origin,
                        format!("`{}` is not a notification target: {why}", target.value),
                    );
                    if !out.contains(&d) {
                        out.push(d);
                    }
                }
            }
        }
        let references = self
            .lock
            .iter()
            .map(|l| ("lock", &l.environment))
            .chain(self.evidence.iter().map(|e| ("evidence", &e.environment)))
            .chain(self.payer.iter().map(|p| ("payer", &p.environment)));
        for (table, environment) in references {
            if !self.environments.contains_key(&environment.value) {
                out.push(Diagnostic::error(
                    environment.origin,
                    format!(
                        "[{table}] names the environment `{}`, which is not configured",
                        environment.value
                    ),
                ));
            }
        }
        for target in self.notify.iter().flat_map(|n| &n.targets) {
            let topic = target.strip_prefix("sns:");
            if !matches!(target.value.as_str(), "slack" | "url") && !topic.is_some_and(is_topic_arn)
            {
                out.push(
                    Diagnostic::error(
                        target.origin,
                        format!("`{}` is not a target of [notify]", target.value),
                    )
                    .with_help("\"sns:TOPIC-ARN\", \"slack\" or \"url\": addresses are secrets, and stand in OPSCTL_SLACK_WEBHOOK and OPSCTL_NOTIFY_URL"),
                );
            } else if let Some(arn) = topic.and_then(Arn::parse)
                && !self
                    .environments
                    .values()
                    .any(|e| e.account.value == arn.account)
            {
                out.push(Diagnostic::error(
                    target.origin,
                    format!(
                        "`{}`: no environment has the account {}",
                        target.value, arn.account
                    ),
                ));
            }
        }
        for (name, accepted) in &self.accept_unobserved {
            if accepted.reason.trim().is_empty() {
                out.push(
                    Diagnostic::error(
                        accepted.reason.origin,
                        format!("[accept_unobserved.{name}]: reason is empty"),
                    )
                    .with_help("write down why it cannot be seen"),
                );
            }
            if !accepted.operation.contains(':') || accepted.operation.contains('*') {
                out.push(
                    Diagnostic::error(
                        accepted.operation.origin,
                        format!(
                            "[accept_unobserved.{name}]: `{}` is not an operation",
                            accepted.operation.value
                        ),
                    )
                    .with_help("write it as the plan does: \"rds:DescribeDBInstances\""),
                );
            }
        }
        out
    }
}

/// `stacks/stage-N.toml`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "opsctl stage profile")]
pub struct StageFile {
    pub stage: Stage,
    /// Laid over the policies, key by key.
    #[serde(default, rename = "override")]
    pub overrides: Overrides,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: Sourced<String>,
    pub title: String,
    pub users: Range<u64>,
    pub monthly_cost_usd: Range<Amount>,
    /// Names of files in `policies/`, without `.toml`.
    pub policies: Vec<Sourced<String>>,
}

/// From (inclusive) and to (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range<T> {
    pub from: T,
    pub to: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_form_of_one() {
        for good in ["eu-west-1", "us-gov-west-1", "ap-southeast-3"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["eu-west", "EU-west-1", "euw-1", "eu-west-10", "eu--1", ""] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
