use clap::Subcommand;
use serde_json::json;

use super::session::project_dir;
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::config::node::Node;
use crate::config::{Loaded, Resolved};
use crate::model::usd;
use crate::render;
use crate::sandbox::scenario;

#[derive(Debug, Subcommand)]
pub enum StageCommand {
    /// All stages, with the users and the monthly cost that each is for
    List,
    /// One stage: what it lays over the policies; with --resolved every value and where it is from
    Show {
        stage: String,
        /// The policies with all layers applied (with -e, those of the environment too)
        #[arg(long)]
        resolved: bool,
    },
    /// What moves between two stages
    Diff { from: String, to: String },
}

fn load(global: &Global) -> Result<Loaded, Failure> {
    let dir = project_dir(global)?;
    let mut loaded = match (&global.sandbox, dir.as_deref()) {
        (Some(name), dir) => scenario::open(name, dir).map_err(Failure::in_files)?.loaded,
        // Without a project the shipped stages are shown.
        (None, dir) => Loaded::read(dir),
    };
    loaded.check_all();
    if loaded.has_errors() {
        let found = loaded.diagnostics.clone();
        return Err(Failure::files(loaded, found));
    }
    Ok(loaded)
}

pub fn run(global: &Global, command: &StageCommand) -> Outcome {
    let loaded = load(global)?;
    let text = match command {
        StageCommand::List => list(global, &loaded),
        StageCommand::Show { stage, resolved } => show(global, &loaded, stage, *resolved)?,
        StageCommand::Diff { from, to } => diff(global, &loaded, from, to)?,
    };
    global.show(&text)?;
    Ok(exit::OK)
}

fn head(stages: serde_json::Value) -> String {
    let mut document = json_head("stage");
    document["stages"] = stages;
    format!(
        "{}\n",
        serde_json::to_string_pretty(&document).unwrap_or_default()
    )
}

fn list(global: &Global, loaded: &Loaded) -> String {
    let environments = |stage: &str| -> Vec<String> {
        loaded
            .workspace
            .iter()
            .flat_map(|w| &w.environments)
            .filter(|(_, e)| e.stage.value == stage)
            .map(|(name, _)| name.clone())
            .collect()
    };
    if global.format == Format::Json {
        return head(json!(loaded.stages.iter().map(|(name, profile)| {
            let stage = &profile.file.stage;
            json!({
                "name": name, "title": stage.title,
                "users": {"from": stage.users.from, "to": stage.users.to},
                "monthly_cost_usd": {"from": stage.monthly_cost_usd.from, "to": stage.monthly_cost_usd.to},
                "policies": stage.policies.iter().map(|p| &p.value).collect::<Vec<_>>(),
                "environments": environments(name),
            })
        }).collect::<Vec<_>>()));
    }
    let rows: Vec<Vec<String>> = loaded
        .stages
        .iter()
        .map(|(name, profile)| {
            let stage = &profile.file.stage;
            let whole =
                |amount: crate::model::Amount| usd(amount.0).trim_end_matches(".00").to_owned();
            vec![
                name.clone(),
                stage.title.clone(),
                format!(
                    "{} to {}",
                    whole(crate::model::Amount(stage.users.from.into())),
                    whole(crate::model::Amount(stage.users.to.into()))
                ),
                format!(
                    "{} to {}",
                    whole(stage.monthly_cost_usd.from),
                    whole(stage.monthly_cost_usd.to)
                ),
                environments(name).join(", "),
            ]
        })
        .collect();
    render::table(
        &["stage", "title", "users", "USD a month", "environments"],
        &rows,
        global.format == Format::Markdown,
    )
}

fn resolve(global: &Global, loaded: &Loaded, stage: &str) -> Result<Resolved, Failure> {
    let environment = match global.environments.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => return Err(Failure::new("one environment at a time, please")),
    };
    if let Some(name) = environment
        && !loaded
            .workspace
            .as_ref()
            .is_some_and(|w| w.environments.contains_key(name))
    {
        return Err(Failure::new(format!("unknown environment `{name}`")));
    }
    loaded
        .resolve(environment, stage)
        .map_err(|found| Failure::files(loaded.clone(), found))
}

fn leaves_with_places(node: &Node, loaded: &Loaded) -> Vec<(String, String, String)> {
    node.leaves()
        .into_iter()
        .map(|(path, leaf)| (path, leaf.to_toml(), loaded.sources.place(leaf.origin)))
        .collect()
}

fn show(global: &Global, loaded: &Loaded, stage: &str, resolved: bool) -> Result<String, Failure> {
    let whole = resolve(global, loaded, stage)?;
    let profile = &loaded.stages[stage];
    let node = if resolved {
        &whole.node
    } else {
        &profile.overrides
    };
    let rows = leaves_with_places(node, loaded);
    if global.format == Format::Json {
        let values: Vec<_> = rows
            .iter()
            .map(|(path, value, place)| json!({"key": path, "value": value, "from": place}))
            .collect();
        return Ok(head(
            json!([{ "name": stage, "title": profile.file.stage.title, "resolved": resolved, "values": values }]),
        ));
    }
    let s = &whole.stage;
    let mut out = format!(
        "# {stage}: {} ({} to {} users, {} to {} USD a month)\n# policies: {}\n",
        s.title,
        s.users.from,
        s.users.to,
        usd(s.monthly_cost_usd.from.0),
        usd(s.monthly_cost_usd.to.0),
        s.policies
            .iter()
            .map(|p| p.value.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    if !resolved {
        out.push_str("# what this stage lays over the policies; --resolved shows every value\n");
    }
    out.push('\n');
    let width = rows
        .iter()
        .map(|(path, value, _)| path.len() + value.chars().count() + 3)
        .filter(|w| *w <= 70)
        .max()
        .unwrap_or(0);
    for (path, value, place) in rows {
        let line = format!("{path} = {value}");
        let pad = width.saturating_sub(line.chars().count());
        out.push_str(&format!("{line}{:pad$}  # {place}\n", ""));
    }
    Ok(out)
}

fn diff(global: &Global, loaded: &Loaded, from: &str, to: &str) -> Result<String, Failure> {
    let (a, b) = (resolve(global, loaded, from)?, resolve(global, loaded, to)?);
    let (left, right) = (a.node.leaves(), b.node.leaves());
    let find = |side: &[(String, &Node)], path: &str| {
        side.iter()
            .find(|(p, _)| p == path)
            .map(|(_, n)| (*n).clone())
    };
    let mut paths: Vec<&String> = left.iter().chain(&right).map(|(p, _)| p).collect();
    paths.sort();
    paths.dedup();
    let mut rows = Vec::new();
    for path in paths {
        let (before, after) = (find(&left, path), find(&right, path));
        let text = |n: &Option<Node>| n.as_ref().map(Node::to_toml);
        if text(&before) != text(&after) {
            let place = after
                .as_ref()
                .or(before.as_ref())
                .map(|n| loaded.sources.place(n.origin));
            rows.push((
                path.clone(),
                text(&before),
                text(&after),
                place.unwrap_or_default(),
            ));
        }
    }
    if global.format == Format::Json {
        return Ok(head(
            json!([{ "from": from, "to": to, "values": rows.iter().map(|(k, a, b, p)| json!({"key": k, "before": a, "after": b, "from": p})).collect::<Vec<_>>() }]),
        ));
    }
    let band = |r: &Resolved| {
        format!(
            "{} to {} users, {} to {} USD a month",
            r.stage.users.from,
            r.stage.users.to,
            usd(r.stage.monthly_cost_usd.from.0),
            usd(r.stage.monthly_cost_usd.to.0)
        )
    };
    let mut out = format!("# {from} ({})\n# {to} ({})\n\n", band(&a), band(&b));
    if rows.is_empty() {
        out.push_str("no policy value differs\n");
    }
    for (path, before, after, place) in rows {
        out.push_str(&match (before, after) {
            (Some(before), Some(after)) => format!("~ {path}: {before} → {after}  # {place}\n"),
            (None, Some(after)) => format!("+ {path} = {after}  # {place}\n"),
            (Some(before), None) => format!("- {path} = {before}  # {place}\n"),
            (None, None) => String::new(),
        });
    }
    Ok(out)
}
