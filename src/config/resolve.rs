//! Lays the layers of one environment together: policy files, stage override, environment
//! override. What comes out is all that planning needs to know of the configuration.

use std::collections::BTreeMap;

use super::load::Loaded;
use super::node::Node;
use super::policy::Policies;
use super::source::{Diagnostic, Origin, Sources, suggest};
use super::values::{Day, Sourced};
use super::workspace::{Environment, Stage};
use crate::model::{Amount, Control, usd};
use crate::plan::Reason;

/// The policies of one environment at one stage, every value with its origin.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Empty when a stage is resolved for nobody.
    pub environment: String,
    pub stage: Stage,
    /// Name of the project; empty when a stage is resolved for nobody.
    pub project: String,
    /// What `opsctl.toml` says of the environment: budget, users, notification targets.
    pub config: Option<Environment>,
    /// The environment whose account pays for this one, where that is configured.
    pub payer: Option<String>,
    /// Other environments on the same account.
    pub neighbours: Vec<String>,
    /// What all environments on the account may spend together; `None` where one does not say.
    pub account_budget_usd: Option<Amount>,
    pub policies: Policies,
    /// The merged tree behind `policies`.
    pub node: Node,
    pub sources: Sources,
}

impl Resolved {
    /// The reason for a finding: the policy, its rule, and the line that says so.
    pub fn reason(&self, control: Control, rule: impl Into<String>, origin: Origin) -> Reason {
        Reason {
            policy: match control {
                Control::Lifecycle => "s3-lifecycle",
                other => other.as_str(),
            }
            .to_owned(),
            rule: rule.into(),
            file: self.sources.file(origin).to_owned(),
            line: self.sources.line(origin),
        }
    }
}

impl Policies {
    /// Whether the stage lists a policy for it.
    pub fn has(&self, control: Control) -> bool {
        match control {
            Control::Tags => self.tags.is_some(),
            Control::Budgets => self.budgets.is_some(),
            Control::Lifecycle => self.lifecycle.is_some(),
            Control::Alarms => self.alarms.is_some(),
            Control::Backups => self.backups.is_some(),
            Control::Cost => self.cost.is_some(),
            Control::Readiness => self.readiness.is_some(),
        }
    }

    /// Mistakes that the types cannot catch.
    pub fn check(&self, sources: &Sources) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if let Some(p) = &self.tags {
            out.extend(p.check(sources));
        }
        if let Some(p) = &self.budgets {
            out.extend(p.check());
        }
        if let Some(p) = &self.lifecycle {
            out.extend(p.check());
        }
        if let Some(p) = &self.alarms {
            out.extend(p.check());
        }
        if let Some(p) = &self.backups {
            out.extend(p.check());
        }
        if let Some(p) = &self.cost {
            out.extend(p.check());
        }
        if let Some(p) = &self.readiness {
            out.extend(super::later::check_readiness(p));
        }
        out
    }
}

/// Years after which nobody remembers why something was left alone.
const FAR: i16 = 5;

/// A day that is so far away that it is no end. The files are checked on a day, so this is where today
/// is known.
fn far(what: &str, until: &Sourced<Day>) -> Option<Diagnostic> {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let last = today.checked_add(jiff::Span::new().years(FAR)).ok()?;
    (until.value.0 > last).then(|| {
        Diagnostic::warning(
            until.origin,
            format!(
                "{what} holds until {}, which is as good as for ever",
                until.value.0
            ),
        )
        .with_help("set a day on which somebody looks at it again")
    })
}

impl Loaded {
    /// Lays the policies of a stage together, for an environment where one is given.
    ///
    /// # Errors
    /// All mistakes of the merged result, each at the place of the layer that brought it.
    pub fn resolve(
        &self,
        environment: Option<&str>,
        stage: &str,
    ) -> Result<Resolved, Vec<Diagnostic>> {
        let profile = self
            .stages
            .get(stage)
            .ok_or_else(|| vec![self.unknown_stage(stage)])?;
        let mut errors = Vec::new();
        let mut node = Node::empty_table(profile.overrides.origin);
        let listed: Vec<&str> = profile
            .file
            .stage
            .policies
            .iter()
            .map(|p| p.value.as_str())
            .collect();
        if self.policies.is_empty() && !listed.is_empty() {
            return Err(vec![
                Diagnostic::plain(
                    "the folder policies/ has no policy: not one of those that the stages list is there",
                )
                .with_help("`opsctl init` writes them; without the folder, those that ship are used"),
            ]);
        }
        for (i, policy) in profile.file.stage.policies.iter().enumerate() {
            if listed[..i].contains(&policy.value.as_str()) {
                errors.push(Diagnostic::error(
                    policy.origin,
                    format!("`{}` is listed twice", policy.value),
                ));
            }
            match self.policies.get(&policy.value) {
                Some(layer) => node.overlay(layer.clone()),
                None => {
                    let known = self.policies.keys().map(String::as_str);
                    let help = match suggest(&policy.value, known) {
                        Some(close) => format!("did you mean `{close}`?"),
                        None => format!(
                            "write it, or take it off the list; there are: {}",
                            self.policies.keys().cloned().collect::<Vec<_>>().join(", ")
                        ),
                    };
                    errors.push(
                        Diagnostic::error(
                            policy.origin,
                            format!(
                                "there is no policy `{}`: policies/{}.toml does not exist",
                                policy.value, policy.value
                            ),
                        )
                        .with_help(help),
                    );
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        node.overlay(profile.overrides.clone());
        if let Some(layer) = environment.and_then(|e| self.overrides.get(e)) {
            node.overlay(layer.clone());
        }
        if let Some(environment) = environment {
            errors.extend(self.expand(&mut node, environment, stage));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let workspace = self.workspace.as_ref();
        let config = workspace
            .zip(environment)
            .and_then(|(w, name)| w.environments.get(name))
            .map(|e| e.value.clone());
        let policies: Policies = node.read()?;
        let found = policies.check(&self.sources);
        if found.iter().any(Diagnostic::is_error) {
            return Err(found);
        }
        Ok(Resolved {
            environment: environment.unwrap_or_default().to_owned(),
            stage: profile.file.stage.clone(),
            project: workspace.map_or_else(String::new, |w| w.project.name.value.clone()),
            neighbours: workspace
                .zip(config.as_ref())
                .map(|(w, own)| {
                    let others = w.environments.iter();
                    let same = others.filter(|(name, e)| {
                        Some(name.as_str()) != environment && e.account.value == own.account.value
                    });
                    same.map(|(name, _)| name.clone()).collect()
                })
                .unwrap_or_default(),
            account_budget_usd: workspace.zip(config.as_ref()).and_then(|(w, own)| {
                let mine = w.environments.values();
                let mine = mine.filter(|e| e.account.value == own.account.value);
                mine.map(|e| e.monthly_budget_usd.as_ref().map(|b| b.value.0))
                    .sum::<Option<_>>()
                    .map(Amount)
            }),
            payer: workspace.and_then(|w| w.payer.as_ref().map(|p| p.environment.value.clone())),
            config,
            policies,
            node,
            sources: self.sources.clone(),
        })
    }

    /// Replaces `{project.name}` and its like in every string.
    fn expand(&self, node: &mut Node, environment: &str, stage: &str) -> Vec<Diagnostic> {
        let Some(workspace) = &self.workspace else {
            return Vec::new();
        };
        let account = workspace
            .environments
            .get(environment)
            .map(|e| e.account.value.as_str());
        let mut values: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        values.insert("project.name", Some(&workspace.project.name));
        values.insert(
            "project.team",
            workspace.project.team.as_ref().map(|t| t.value.as_str()),
        );
        values.insert("environment.name", Some(environment));
        values.insert("environment.account", account);
        values.insert("stage.name", Some(stage));
        let mut errors = Vec::new();
        node.map_strings(&mut |text, origin| {
            if !text.contains('{') {
                return None;
            }
            let mut out = String::new();
            let mut rest = text;
            while let Some((before, after)) = rest.split_once('{') {
                out.push_str(before);
                let Some((name, tail)) = after.split_once('}') else {
                    out.push('{');
                    rest = after;
                    continue;
                };
                match values.get(name) {
                    Some(Some(value)) => out.push_str(value),
                    Some(None) => errors.push(
                        Diagnostic::error(
                            origin,
                            format!("`{{{name}}}` is not set for the environment `{environment}`"),
                        )
                        .with_help("set it in opsctl.toml, or write the value here"),
                    ),
                    None if ["project.", "environment.", "stage."]
                        .iter()
                        .any(|p| name.starts_with(p)) =>
                    {
                        let help = suggest(name, values.keys().copied()).map_or_else(
                            || "see the placeholders in the documentation".to_owned(),
                            |s| format!("did you mean `{{{s}}}`?"),
                        );
                        errors.push(
                            Diagnostic::error(origin, format!("unknown placeholder `{{{name}}}`"))
                                .with_help(help),
                        );
                    }
                    // Not ours: a regular expression, or a tunnel command's {port}.
                    None => {
                        out.push('{');
                        out.push_str(name);
                        out.push('}');
                    }
                }
                rest = tail;
            }
            out.push_str(rest);
            Some(out)
        });
        errors
    }

    fn unknown_stage(&self, stage: &str) -> Diagnostic {
        let known: Vec<&str> = self.stages.keys().map(String::as_str).collect();
        let d = Diagnostic::plain(format!("unknown stage `{stage}`"));
        match suggest(stage, known.iter().copied()) {
            Some(close) => d.with_help(format!(
                "did you mean `{close}`? There are: {}",
                known.join(", ")
            )),
            None => d.with_help(format!("there are: {}", known.join(", "))),
        }
    }

    /// Checks that concern several files together: every stage, every environment at its stage.
    pub fn check_all(&mut self) {
        let mut found = Vec::new();
        for name in self.stages.keys() {
            if let Err(errors) = self.resolve(None, name) {
                found.extend(errors);
            }
        }
        let of_stages = found.clone();
        if let Some(workspace) = &self.workspace {
            for (name, spot) in &workspace.accept_unobserved {
                found.extend(far(&format!("[accept_unobserved.{name}]"), &spot.until));
            }
            for (name, environment) in &workspace.environments {
                let stage = &environment.stage;
                let Some(profile) = self.stages.get(&stage.value) else {
                    let mut d = self.unknown_stage(stage);
                    d.origin = Some(stage.origin);
                    found.push(d);
                    continue;
                };
                match self.resolve(Some(name), &stage.value) {
                    // What is wrong only here says for whom it is.
                    Err(errors) => found.extend(errors.into_iter().map(|mut d| {
                        let named = d.message.contains(&format!("environment `{name}`"));
                        if !named && !of_stages.contains(&d) && !self.diagnostics.contains(&d) {
                            d.message = format!("{} (in the environment `{name}`)", d.message);
                        }
                        d
                    })),
                    Ok(resolved) => {
                        found.extend(resolved.policies.check(&self.sources));
                        let exempt = resolved.policies.tags.iter().flat_map(|t| &t.exempt);
                        found.extend(
                            exempt.filter_map(|(n, e)| far(&format!("exemption `{n}`"), &e.until)),
                        );
                    }
                }
                let band = profile.file.stage.monthly_cost_usd;
                if let Some(budget) = &environment.monthly_budget_usd
                    && (budget.value < band.from || budget.value > band.to)
                {
                    found.push(
                        Diagnostic::warning(
                            budget.origin,
                            format!("a budget of {} USD is outside the cost band of {}: {} to {} USD a month", usd(budget.0), stage.value, usd(band.from.0), usd(band.to.0)),
                        )
                        .with_help("either the stage or the budget is not what you mean"),
                    );
                }
            }
        }
        self.diagnostics.extend(found);
        let mut unique: Vec<Diagnostic> = Vec::new();
        for d in std::mem::take(&mut self.diagnostics) {
            if !unique.contains(&d) {
                unique.push(d);
            }
        }
        unique.sort_by_key(|d| (d.level == super::source::Level::Warning, d.origin));
        self.diagnostics = unique;
    }
}
