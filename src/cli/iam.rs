use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::session::{Session, want};
use super::{Failure, Format, Global, Outcome, exit};
use crate::cloud::Target;
use crate::config::Resolved;
use crate::drill::spec::Spec;
use crate::iam::facts::Facts;
use crate::iam::policy::{Because, INLINE_LIMIT, MANAGED_LIMIT, PER_ROLE, Policy, because, policy};
use crate::iam::trust::Trust;
use crate::iam::{Part, Role};
use crate::model::Control;
use crate::plan::file::write_atomically;
use crate::render::text::escape;

/// The IAM policy that an environment needs, and no more
///
/// Made from the files alone: the policies that the stage lists, the regions, the account, the names
/// of what opsctl makes, the buckets and the sources of drills. AWS is not asked.
#[derive(Debug, Args)]
#[command(after_help = "\
One role per purpose is meant: pull requests plan, a protected environment applies, a schedule drills.
Exit codes: 0 written, 1 too large for one document without --out-dir, or bad input")]
pub struct IamArgs {
    /// plan: all that looks (plan, audit, cost, metrics); apply: what writes, and what it reads; drill:
    /// restores, removes copies, keeps evidence
    #[arg(value_enum, value_name = "PURPOSE")]
    pub role: Role,
    /// Write files here, split where one document would be too large; several environments are
    /// written at once
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Count against the limit of a role's inline policies (10,240 characters), not of one managed
    /// policy (6,144)
    #[arg(long)]
    pub inline: bool,
    /// The trust policy instead: who may take the role. github:ORG/REPO, github:ORG/REPO:ENVIRONMENT
    /// or role:ARN. With --out-dir it is written too
    #[arg(long, value_name = "WHO", value_parser = Trust::parse)]
    pub trust: Option<Trust>,
    /// The name of the role that it is for: lets it ask IAM about itself, which `opsctl doctor` does
    #[arg(long, value_name = "NAME", value_parser = role_name)]
    pub role_name: Option<String>,
    /// Instead of the policy, say for each of its actions which operations need it
    #[arg(long, conflicts_with_all = ["out_dir", "trust"])]
    pub explain: bool,
}

/// A role's name, with its path. Source: API model, iam (roleNameType, pathType).
fn role_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c);
    match !text.is_empty() && text.len() <= 512 && text.chars().all(plain) {
        true => Ok(text.trim_start_matches('/').to_owned()),
        false => Err("letters, digits and +=,.@_- (and / for a path)".to_owned()),
    }
}

pub fn run(global: &Global, args: &IamArgs) -> Outcome {
    let session = Session::open(global)?;
    let environments = session.environments(global, None)?;
    if let Some(dir) = &args.out_dir {
        // All of them before anything is written: what is refused leaves nothing behind.
        let all: Result<Vec<Documents>, Failure> = environments
            .iter()
            .map(|(target, resolved)| documents(global, args, &session, target, resolved))
            .collect();
        let all = all?;
        std::fs::create_dir_all(dir)
            .map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
        for documents in &all {
            write(global, dir, documents)?;
        }
        return Ok(exit::OK);
    }
    let [(target, resolved)] = environments.as_slice() else {
        let names: Vec<&str> = environments
            .iter()
            .map(|(t, _)| t.environment.as_str())
            .collect();
        return Err(Failure::new(format!(
            "a policy is of one environment, and there are {}",
            names.join(", ")
        ))
        .help(format!(
            "opsctl iam {} -e {}; or all of them with --out-dir DIR",
            args.role.as_str(),
            names.first().unwrap_or(&"NAME")
        )));
    };
    let facts = own_facts(global, args, &session, target, resolved)?;
    if let Some(trust) = &args.trust {
        emit(global, &trust_policy(args.role, trust, target, &facts)?)?;
        return Ok(exit::OK);
    }
    if args.explain {
        explain(
            global,
            args.role,
            target,
            resolved,
            &because(args.role, &facts),
        )?;
        return Ok(exit::OK);
    }
    let policy = whole(args.role, &facts)?;
    let size = policy.size();
    if size > limit(args) {
        return Err(Failure::new(format!(
            "the policy has {size} characters without white space, and {} takes {}",
            if args.inline { "a role's inline policies" } else { "a managed policy" },
            limit(args)
        ))
        .help(match args.inline || size > INLINE_LIMIT {
            true => "--out-dir DIR splits it into several managed policies; --control NAME narrows it".to_owned(),
            false => "--out-dir DIR splits it into several managed policies; --inline writes one for a role's inline policy".to_owned(),
        }));
    }
    emit(global, &policy)?;
    Ok(exit::OK)
}

fn limit(args: &IamArgs) -> usize {
    match args.inline {
        true => INLINE_LIMIT,
        false => MANAGED_LIMIT,
    }
}

/// The facts with the role that was named.
fn own_facts(
    global: &Global,
    args: &IamArgs,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
) -> Result<Facts, Failure> {
    let mut facts = facts(global, args.role, session, target, resolved)?;
    if args.role == Role::Drill && !facts.parts.contains(&Part::Drill) {
        without_drills(global, session, &facts)?;
    }
    if let Some(name) = &args.role_name {
        facts.role = Some(facts.arn("iam", "", &format!("role/{name}")));
        facts.parts.insert(Part::Simulate);
    }
    Ok(facts)
}

/// What the profile fixes, for the controls in question.
pub fn facts(
    global: &Global,
    role: Role,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
) -> Result<Facts, Failure> {
    let controls: Vec<Control> = [
        Control::Tags,
        Control::Budgets,
        Control::Lifecycle,
        Control::Alarms,
        Control::Backups,
        Control::Cost,
        Control::Readiness,
    ]
    .into_iter()
    .filter(|c| global.controls.is_empty() || global.controls.contains(c))
    .collect();
    let mut want = want(&controls, resolved);
    if role == Role::Plan {
        crate::controls::want_for_audit(&controls, resolved, &mut want);
    }
    Facts::new(target, resolved, session.workspace()?, &controls, &want).map_err(Failure::new)
}

/// An environment without drills of its own is only of use to the drills of others: it keeps their
/// evidence, or has the topic that is told.
fn without_drills(global: &Global, session: &Session, facts: &Facts) -> Result<(), Failure> {
    let everywhere = Global {
        environments: Vec::new(),
        regions: Vec::new(),
        ..global.clone()
    };
    let mut others = Vec::new();
    for (target, resolved) in &session.environments(&everywhere, None)? {
        if !Spec::all(target, resolved)
            .map_err(Failure::new)?
            .is_empty()
        {
            others.push(target.environment.clone());
        }
    }
    let environment = &facts.environment;
    let does: Vec<&str> = [
        (Part::Evidence, "keeps their evidence"),
        (Part::Notify, "has a topic that is told their results"),
    ]
    .into_iter()
    .filter_map(|(part, what)| facts.parts.contains(&part).then_some(what))
    .collect();
    if others.is_empty() || does.is_empty() {
        let help = match others.is_empty() {
            true => {
                "no drill is configured: [backups.drill.NAME] in policies/backups.toml".to_owned()
            }
            false => format!("there are drills in {}", others.join(", ")),
        };
        return Err(Failure::new(format!(
            "{environment} has no drills, so it needs no permission for them"
        ))
        .help(help));
    }
    global.say(&format!(
        "{environment} has no drills of its own; this is for those of {}: it {}",
        others.join(", "),
        does.join(" and ")
    ));
    Ok(())
}

/// A policy that grants something.
fn whole(role: Role, facts: &Facts) -> Result<Policy, Failure> {
    let policy = policy(role, facts);
    if policy.statement.is_empty() {
        let failure = Failure::new(format!(
            "{} needs no permission for {}",
            facts.environment,
            role.as_str()
        ));
        return Err(failure.help("none of the controls in question has a policy at this stage"));
    }
    Ok(policy)
}

fn trust_policy(
    role: Role,
    trust: &Trust,
    target: &Target,
    facts: &Facts,
) -> Result<Value, Failure> {
    trust.suits(role, &facts.partition).map_err(|why| {
        Failure::new(why).help(match trust {
            Trust::Github { repository, .. } => format!(
                "opsctl iam {} -e {} --trust github:{repository}:ENVIRONMENT",
                role.as_str(),
                target.environment
            ),
            Trust::Principal { .. } => "name a role or user of the same partition".to_owned(),
        })
    })?;
    Ok(trust.policy(
        &facts.partition,
        &facts.account,
        target.external_id.as_deref(),
    ))
}

fn pretty(value: &impl Serialize) -> String {
    format!(
        "{}\n",
        serde_json::to_string_pretty(value).unwrap_or_default()
    )
}

fn emit(global: &Global, value: &impl Serialize) -> Result<(), Failure> {
    match global.format {
        Format::Markdown => global.emit(&format!("```json\n{}```\n", pretty(value))),
        _ => global.emit(&pretty(value)),
    }
}

/// Letters that file systems and IAM names both take.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect()
}

/// What is written for one environment.
struct Documents {
    /// What the names of its files begin with.
    stem: String,
    /// Names and texts.
    files: Vec<(String, String)>,
}

fn documents(
    global: &Global,
    args: &IamArgs,
    session: &Session,
    target: &Target,
    resolved: &Resolved,
) -> Result<Documents, Failure> {
    let facts = own_facts(global, args, session, target, resolved)?;
    let trust = match &args.trust {
        Some(trust) => Some(trust_policy(args.role, trust, target, &facts)?),
        None => None,
    };
    let stem = format!(
        "opsctl-{}-{}",
        args.role.as_str(),
        plain(&target.environment)
    );
    let parts = whole(args.role, &facts)?
        .split(limit(args))
        .map_err(|sid| {
            Failure::new(format!(
                "the statement {sid} alone is larger than AWS takes"
            ))
            .help("--region and --control narrow it")
        })?;
    if parts.len() > PER_ROLE {
        global.say(&format!(
            "warning: {} policies for {}, and a role takes {PER_ROLE} unless its quota was raised",
            parts.len(),
            target.environment
        ));
    }
    let mut files = Vec::new();
    let several = parts.len() > 1;
    for (i, part) in parts.iter().enumerate() {
        let name = match several {
            true => format!("{stem}-{}.json", i + 1),
            false => format!("{stem}.json"),
        };
        files.push((name, pretty(part)));
    }
    if let Some(trust) = &trust {
        files.push((format!("{stem}-trust.json"), pretty(trust)));
    }
    Ok(Documents { stem, files })
}

fn write(global: &Global, dir: &Path, documents: &Documents) -> Result<(), Failure> {
    let mut written = BTreeSet::new();
    for (name, text) in &documents.files {
        let path = dir.join(name);
        write_atomically(&path, text.as_bytes())
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        global.say(&format!("written: {}", path.display()));
        written.insert(name.as_str());
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let numbered = name
            .strip_prefix(&documents.stem)
            .and_then(|rest| rest.strip_suffix(".json"))
            .is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix('-')
                        .is_some_and(|n| n.parse::<u32>().is_ok())
            });
        if numbered && !written.contains(name.as_str()) {
            global.say(&format!(
                "warning: {} is of an earlier run and no longer part of the policy",
                dir.join(&name).display()
            ));
        }
    }
    Ok(())
}

fn explain(
    global: &Global,
    role: Role,
    target: &Target,
    resolved: &Resolved,
    all: &[Because],
) -> Result<(), Failure> {
    if global.format == Format::Json {
        let mut document = super::json_head("iam-explain");
        let places = target.regions.iter().map(|region| {
            json!({
                "environment": target.environment,
                "account": target.account,
                "region": region,
                "stage": resolved.stage.name.value,
            })
        });
        document["scope"] = places.collect();
        document["purpose"] = role.as_str().into();
        document["actions"] = json!(all);
        return global.emit_json(&document);
    }
    let mut out = String::new();
    let markdown = global.format == Format::Markdown;
    if markdown {
        out.push_str("| action | statement | operations | why |\n|---|---|---|---|\n");
    }
    for entry in all {
        let operations: Vec<&str> = entry.operations.iter().map(String::as_str).collect();
        let why: Vec<&str> = entry.why.iter().map(String::as_str).collect();
        let (operations, why) = (operations.join(", "), why.join("; "));
        out.push_str(&match markdown {
            true => format!(
                "| {} | {} | {operations} | {why} |\n",
                entry.action, entry.sid
            ),
            false => {
                let because = if why.is_empty() {
                    String::new()
                } else {
                    format!("\n    {}", escape(&why))
                };
                format!(
                    "{} ({})\n    for {operations}{because}\n",
                    entry.action, entry.sid
                )
            }
        });
    }
    global.show(&out)
}
