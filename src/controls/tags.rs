//! # Tags
//!
//! **What.** Every resource bears the required tags with allowed values; old and wrong-case
//! spellings are migrated; what is missing is inferred or filled from defaults.
//!
//! **Why.** Cost allocation, backup selections and permissions hang on tags, and `Environment` and
//! `environment` are two different tags to all of them.
//!
//! **How safe.** A key is written only where the policy names it; a value that is there is never
//! overwritten. An alias is removed only after the right key stands with the same value. Resources
//! of CloudFormation, Terraform and the like are reported, not changed, unless the policy says
//! otherwise. `opsctl:ignore` and unexpired exemptions leave a resource alone, and so do the copies
//! that restore drills make.
//!
//! **References.** `config.md` (policies/tags.toml); AWS Tag Editor guide.

use std::collections::BTreeMap;

use super::{Input, Report, Standing, expired_exemption, is_copy, reference, selected, standing};
use crate::config::Origin;
use crate::config::policy::{OwnedElsewhere, TagPolicy};
use crate::config::values::Matched;
use crate::inventory::Resource;
use crate::model::{Control, Risk, Severity, Tags, check_tag_value};
use crate::plan::{ActionKind, Change, FieldChange, Finding, Operation, Verdict, tag_values};

/// Most user tags that one resource can have. Source: "Tag Editor: Service quotas".
const MAX_TAGS: usize = 50;

/// Plans the tags of one environment.
pub fn plan(input: &Input) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(policy) = &input.resolved.policies.tags else {
        return verdict;
    };
    if input.destroy {
        verdict.notes.push(
            "tags: left in place; a tag does not say who set it, so none can be removed as ours"
                .to_owned(),
        );
        return verdict;
    }
    for resource in &input.inventory.resources {
        if !selected(input, resource, "tags") {
            continue;
        }
        // Its tags are the drill's: those of a policy would make it look like production.
        if is_copy(resource) {
            verdict.counts.copies += 1;
            continue;
        }
        verdict.counts.checked += 1;
        let mut one = Resolution::new(input, policy, resource);
        match standing(input, resource, policy.owned_elsewhere) {
            Standing::Copy => {}
            Standing::Unseen => verdict.counts.unobserved += 1,
            Standing::Ignored => verdict.counts.ignored += 1,
            Standing::Exempt => verdict.counts.exempt += 1,
            Standing::Owned(owner) => {
                verdict.counts.owned_elsewhere += 1;
                one.resolve();
                let mut wrong: Vec<String> = one.fields.iter().map(|f| f.field.clone()).collect();
                wrong.extend(one.findings.iter().map(|f| f.message.clone()));
                wrong.dedup();
                if wrong.is_empty() {
                    verdict.counts.compliant += 1;
                } else {
                    let finding = one.report(
                        "tags.owned-elsewhere",
                        Severity::Low,
                        format!("belongs to {owner}, so its tags are left alone"),
                        format!("would change: {}", wrong.join(", ")),
                        format!(
                            "set the tags in {}, or say owned_elsewhere = \"write\" in the policy",
                            owner.tool
                        ),
                        ("tags.required", policy_origin(policy)),
                    );
                    verdict.findings.push(finding);
                }
            }
            Standing::Ours { expired } => {
                one.resolve();
                if let Some(name) = expired {
                    verdict.findings.extend(expired_exemption(
                        input,
                        resource,
                        Control::Tags,
                        &name,
                    ));
                }
                let (change, findings) = one.finish();
                if change.is_none() && findings.is_empty() {
                    verdict.counts.compliant += 1;
                }
                verdict.changes.extend(change);
                verdict.findings.extend(findings);
            }
        }
    }
    verdict
}

/// The tags that the policy asks for on something that is made, as far as it knows their values.
pub(crate) fn initial(input: &Input, resource: &Resource) -> Tags {
    let Some(policy) = &input.resolved.policies.tags else {
        return Tags::new();
    };
    let mut one = Resolution::new(input, policy, resource);
    one.resolve();
    let added = one.fields.into_iter();
    added.filter_map(|f| Some((f.field, f.after?))).collect()
}

fn policy_origin(policy: &TagPolicy) -> Origin {
    policy
        .required
        .first()
        .map(|k| k.origin)
        .or_else(|| policy.defaults.values().next().map(|v| v.origin))
        .unwrap_or_default()
}

/// The tags of one resource being worked out.
struct Resolution<'a> {
    input: &'a Input<'a>,
    policy: &'a TagPolicy,
    resource: &'a Resource,
    tags: Tags,
    fields: Vec<FieldChange>,
    findings: Vec<Finding>,
    risk: Risk,
}

impl<'a> Resolution<'a> {
    fn new(input: &'a Input<'a>, policy: &'a TagPolicy, resource: &'a Resource) -> Self {
        Resolution {
            input,
            policy,
            resource,
            tags: resource.tags.known().cloned().unwrap_or_default(),
            fields: Vec::new(),
            findings: Vec::new(),
            risk: Risk::Low,
        }
    }

    fn report(
        &self,
        id: &str,
        severity: Severity,
        message: String,
        evidence: String,
        remediation: String,
        (rule, origin): (&str, Origin),
    ) -> Finding {
        Report {
            id,
            control: Control::Tags,
            severity,
            message,
            evidence,
            remediation,
            policy: self.input.resolved.reason(Control::Tags, rule, origin),
        }
        .on(self.input, self.resource)
    }

    fn write(&mut self, key: &str, after: Option<&str>, (rule, origin): (String, Origin)) {
        self.fields.push(FieldChange {
            field: key.to_owned(),
            before: self.tags.get(key).cloned(),
            after: after.map(str::to_owned),
            reason: self.input.resolved.reason(Control::Tags, rule, origin),
        });
    }

    /// Why a value may not stand under a key, by the policy or by AWS.
    fn refuses(&self, key: &str, value: &str) -> Option<String> {
        self.policy
            .values
            .get(key)
            .and_then(|rule| rule.refuses(value))
            .or_else(|| check_tag_value(value).err().map(|e| e.to_string()))
    }

    /// Where the policy speaks of a key: its allowed values, else its place in `required`, …
    fn origin_of(&self, key: &str) -> Origin {
        self.policy
            .values
            .get(key)
            .map(|v| v.origin)
            .or_else(|| {
                self.policy
                    .required
                    .iter()
                    .find(|k| k.value == key)
                    .map(|k| k.origin)
            })
            .or_else(|| self.policy.defaults.get(key).map(|v| v.origin))
            .or_else(|| {
                self.policy
                    .aliases
                    .get(key)
                    .and_then(|a| a.first())
                    .map(|a| a.origin)
            })
            .unwrap_or_default()
    }

    fn resolve(&mut self) {
        for key in self.policy.managed_keys() {
            self.resolve_key(key);
        }
    }

    fn resolve_key(&mut self, key: &'a str) {
        let aliases: Vec<_> = self
            .policy
            .aliases
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|alias| Some((alias, self.tags.get(&alias.value)?.clone())))
            .collect();
        let value = match self.tags.get(key).cloned() {
            Some(value) => {
                if let Some(why) = self.refuses(key, &value) {
                    let finding = self.report(
                        "tags.invalid-value",
                        Severity::Medium,
                        format!("tag {key} = \"{value}\" {why}"),
                        format!("{key} = \"{value}\""),
                        "opsctl does not overwrite a value that somebody set: correct it, or allow it in the policy".to_owned(),
                        (&format!("tags.values.{key}"), self.origin_of(key)),
                    );
                    self.findings.push(finding);
                }
                Some(value)
            }
            None => self.fill(key, &aliases),
        };
        // A spelling that says the same as the right key goes; one that says otherwise is told.
        for (alias, old) in &aliases {
            let rule = format!("tags.aliases.{key}");
            if value.as_ref() == Some(old) && self.refuses(key, old).is_none() {
                self.risk = self.risk.max(Risk::Medium);
                self.write(&alias.value, None, (rule, alias.origin));
            } else if value.is_some() {
                let finding = self.report(
                    "tags.twin-conflict",
                    Severity::Medium,
                    format!(
                        "has both {key} and its old spelling {}, with different values",
                        alias.value
                    ),
                    format!(
                        "{key} = \"{}\", {} = \"{old}\"",
                        value.as_deref().unwrap_or_default(),
                        alias.value
                    ),
                    format!("decide which is right and remove {}", alias.value),
                    (&rule, alias.origin),
                );
                self.findings.push(finding);
            }
        }
        self.report_other_case(key);
    }

    /// A missing key: from an alias, an inference, or a default; else a finding.
    fn fill(
        &mut self,
        key: &str,
        aliases: &[(&'a crate::config::values::Sourced<String>, String)],
    ) -> Option<String> {
        let mut values: Vec<&str> = aliases.iter().map(|(_, v)| v.as_str()).collect();
        values.sort_unstable();
        values.dedup();
        if values.len() > 1 {
            let origin = aliases[0].0.origin;
            let finding = self.report(
                "tags.alias-conflict",
                Severity::Medium,
                format!("{key} is missing, and its old spellings disagree"),
                aliases
                    .iter()
                    .map(|(k, v)| format!("{} = \"{v}\"", k.value))
                    .collect::<Vec<_>>()
                    .join(", "),
                format!("set {key} to the right value; the old spellings are migrated after that"),
                (&format!("tags.aliases.{key}"), origin),
            );
            self.findings.push(finding);
            return None;
        }
        if let Some((alias, value)) = aliases.first()
            && self.refuses(key, value).is_none()
        {
            self.write(
                key,
                Some(value),
                (format!("tags.aliases.{key}"), alias.origin),
            );
            return Some(value.clone());
        }
        let inferred = self.policy.infer.iter().enumerate().find_map(|(i, infer)| {
            let value = infer.set.get(key)?;
            (infer.matches.resource(self.resource) == Matched::Yes)
                .then(|| (format!("tags.infer[{i}].{key}"), value))
        });
        let found = inferred.or_else(|| {
            let value = self.policy.defaults.get(key)?;
            Some((format!("tags.defaults.{key}"), value))
        });
        if let Some((rule, value)) = found {
            if let Some(why) = self.refuses(key, value) {
                let finding = self.report(
                    "tags.default-not-allowed",
                    Severity::Medium,
                    format!(
                        "{key} is missing, and \"{}\" from {rule} {why}",
                        value.value
                    ),
                    format!("{key} is not there"),
                    "correct the default, or allow it in the policy".to_owned(),
                    (&rule, value.origin),
                );
                self.findings.push(finding);
                return None;
            }
            self.write(key, Some(value), (rule, value.origin));
            return Some(value.value.clone());
        }
        if let Some(required) = self.policy.required.iter().find(|k| k.value == key) {
            let finding = self.report(
                "tags.missing",
                Severity::Medium,
                format!("required tag {key} is missing, and the policy has no default for it"),
                format!("tags: {}", join_keys(&self.tags)),
                format!("set {key} on the resource, or give it a default in the policy"),
                ("tags.required", required.origin),
            );
            self.findings.push(finding);
        }
        None
    }

    /// `ENVIRONMENT` beside `environment`, where the policy does not list it: told, not touched.
    fn report_other_case(&mut self, key: &str) {
        let listed = self.policy.aliases.get(key);
        let managed = self.policy.managed_keys();
        let twins: Vec<String> = self
            .tags
            .keys()
            .filter(|k| {
                k.as_str() != key
                    && k.to_lowercase() == key.to_lowercase()
                    && !managed.contains(k.as_str())
                    && !listed.is_some_and(|l| l.iter().any(|a| a.value == **k))
            })
            .cloned()
            .collect();
        for twin in twins {
            let finding = self.report(
                "tags.wrong-case",
                Severity::Low,
                format!("{twin} is {key} in another case: to AWS they are two tags"),
                format!("{twin} = \"{}\"", self.tags[&twin]),
                format!("add it to tags.aliases.{key} to have it migrated"),
                (&format!("tags.aliases.{key}"), self.origin_of(key)),
            );
            self.findings.push(finding);
        }
    }

    fn finish(mut self) -> (Option<Change>, Vec<Finding>) {
        if self.fields.is_empty() {
            return (None, self.findings);
        }
        let user_tags = self.tags.keys().filter(|k| !k.starts_with("aws:")).count();
        let added = self
            .fields
            .iter()
            .filter(|f| f.before.is_none() && f.after.is_some())
            .count();
        if user_tags + added > MAX_TAGS {
            let finding = self.report(
                "tags.no-room",
                Severity::Medium,
                format!("has {user_tags} tags; {added} more would pass the limit of {MAX_TAGS}"),
                join_keys(&self.tags),
                "remove tags that are not needed".to_owned(),
                ("tags.required", policy_origin(self.policy)),
            );
            self.findings.push(finding);
            return (None, self.findings);
        }
        self.fields
            .sort_by(|a, b| (a.after.is_none(), &a.field).cmp(&(b.after.is_none(), &b.field)));
        let side = |pick: fn(&FieldChange) -> &Option<String>| -> BTreeMap<String, Option<String>> {
            self.fields
                .iter()
                .map(|f| (f.field.clone(), pick(f).clone()))
                .collect()
        };
        let (before, after) = (side(|f| &f.before), side(|f| &f.after));
        let change = Change {
            address: super::address(self.input, self.resource, "tags"),
            control: Control::Tags,
            action: ActionKind::Update,
            resource: reference(self.resource),
            before: tag_values(&before),
            after: tag_values(&after),
            reason: self.fields[0].reason.clone(),
            risk: self.risk,
            monthly_cost_delta_usd: Some("0.00".to_owned()),
            cost_basis: None,
            fields: self.fields,
            operation: Operation::Tags {
                before,
                after,
                unless_owned: self.policy.owned_elsewhere == OwnedElsewhere::Leave,
            },
        };
        (Some(change), self.findings)
    }
}

fn join_keys(tags: &Tags) -> String {
    if tags.is_empty() {
        return "none".to_owned();
    }
    tags.keys().cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::config::Loaded;
    use crate::inventory::{EnvironmentInventory, Observed};
    use crate::model::ResourceType;

    /// Tags of production would make a copy look like production to everything that reads them.
    #[test]
    fn copies_of_restore_drills_are_left_out() {
        let dir = tempfile::TempDir::new().unwrap();
        let workspace = "[project]\nname = \"shop\"\nteam = \"core\"\n[environments.prod]\naccount = \"123456789012\"\nregions = [\"eu-west-1\"]\nstage = \"stage-1\"\n";
        std::fs::write(dir.path().join("opsctl.toml"), workspace).unwrap();
        let mut loaded = Loaded::read(Some(dir.path()));
        loaded.check_all();
        let resolved = loaded.resolve(Some("prod"), "stage-1").unwrap();
        let all = ["opsctl:drill", "opsctl:drill-source", "opsctl:drill-intent"];
        let database = |name: &str, tags: &[&str]| Resource {
            arn: format!("arn:aws:rds:eu-west-1:123456789012:db:{name}"),
            kind: ResourceType::RDS_INSTANCE,
            name: name.to_owned(),
            region: "eu-west-1".to_owned(),
            tags: Observed::Known(
                tags.iter()
                    .map(|t| ((*t).to_owned(), "run".to_owned()))
                    .collect(),
            ),
        };
        let inventory = EnvironmentInventory {
            resources: vec![
                database("drill-orders-1", &all),
                // Name or tags alone hide nothing.
                database("drill-orders-2", &all[..1]),
                database("orders", &all),
            ],
            ..EnvironmentInventory::default()
        };
        let verdict = plan(&Input {
            resolved: &resolved,
            inventory: &inventory,
            today: date(2026, 11, 22),
            only: None,
            destroy: false,
            controls: &[Control::Tags],
        });
        let named: Vec<&str> = verdict
            .changes
            .iter()
            .map(|c| c.resource.name.as_str())
            .collect();
        assert_eq!(named, ["drill-orders-2", "orders"]);
        assert_eq!((verdict.counts.copies, verdict.counts.checked), (1, 2));
    }
}
