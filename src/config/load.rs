//! Finds and reads the files of a project, or the shipped ones where there is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::node::{self, Node};
use super::policy::Policies;
use super::source::{Diagnostic, Origin, ReadError, Sources, read_text, suggest};
use super::workspace::{StageFile, Workspace};

pub const WORKSPACE_FILE: &str = "opsctl.toml";

/// What ships: `(path, text)`, and what `init` writes.
pub const SHIPPED: [(&str, &str); 11] = [
    (
        "stacks/stage-1.toml",
        include_str!("../../stacks/stage-1.toml"),
    ),
    (
        "stacks/stage-2.toml",
        include_str!("../../stacks/stage-2.toml"),
    ),
    (
        "stacks/stage-3.toml",
        include_str!("../../stacks/stage-3.toml"),
    ),
    (
        "stacks/stage-4.toml",
        include_str!("../../stacks/stage-4.toml"),
    ),
    (
        "policies/tags.toml",
        include_str!("../../policies/tags.toml"),
    ),
    (
        "policies/budgets.toml",
        include_str!("../../policies/budgets.toml"),
    ),
    (
        "policies/s3-lifecycle.toml",
        include_str!("../../policies/s3-lifecycle.toml"),
    ),
    (
        "policies/alarms.toml",
        include_str!("../../policies/alarms.toml"),
    ),
    (
        "policies/backups.toml",
        include_str!("../../policies/backups.toml"),
    ),
    (
        "policies/cost.toml",
        include_str!("../../policies/cost.toml"),
    ),
    (
        "policies/readiness.toml",
        include_str!("../../policies/readiness.toml"),
    ),
];

/// A stage profile with the layer that it lays over the policies.
#[derive(Debug, Clone)]
pub struct StageProfile {
    pub file: StageFile,
    pub overrides: Node,
}

/// Everything that was read, with all mistakes found on the way.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub sources: Sources,
    /// The project folder; `None` where only the shipped files are used.
    pub dir: Option<PathBuf>,
    pub workspace: Option<Workspace>,
    /// By environment.
    pub overrides: BTreeMap<String, Node>,
    pub stages: BTreeMap<String, StageProfile>,
    /// By file name without `.toml`.
    pub policies: BTreeMap<String, Node>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The nearest folder, from `start` upwards, that holds `opsctl.toml`.
pub fn find_project(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|dir| dir.join(WORKSPACE_FILE).is_file())
        .map(Path::to_path_buf)
}

impl Loaded {
    /// Reads the project in `dir`, or the shipped files.
    ///
    /// Stages and policies come from the project's `stacks/` and `policies/` where those folders
    /// exist, else from what ships. Mistakes are collected in `diagnostics`.
    pub fn read(dir: Option<&Path>) -> Loaded {
        let mut loaded = Loaded::default();
        if let Some(dir) = dir
            && let Some(node) = loaded.read_file(&dir.join(WORKSPACE_FILE), WORKSPACE_FILE)
        {
            loaded.take_workspace(node);
        }
        loaded.read_profiles(dir);
        loaded
    }

    /// Only the stages and policies: a sandbox scenario brings its own environments.
    pub fn read_without_workspace(dir: &Path) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.read_profiles(Some(dir));
        loaded
    }

    fn read_profiles(&mut self, dir: Option<&Path>) {
        let loaded = self;
        loaded.dir = dir.map(Path::to_path_buf);
        for (name, node) in loaded.read_folder(dir, "stacks") {
            loaded.take_stage(&name, node);
        }
        for (name, node) in loaded.read_folder(dir, "policies") {
            // Each file on its own, so that one which no stage uses is checked too.
            match node.read::<Policies>() {
                Ok(policies) => {
                    let found = policies.check(&loaded.sources);
                    loaded.diagnostics.extend(found);
                    if node.table().is_none_or(|t| t.is_empty()) {
                        loaded.diagnostics.push(Diagnostic::warning(
                            Origin {
                                end: node.origin.start,
                                ..node.origin
                            },
                            "an empty policy: it asks for nothing",
                        ));
                    }
                }
                Err(errors) => loaded.diagnostics.extend(errors),
            }
            loaded.policies.insert(name, node);
        }
    }

    /// Takes `[project]`, `[environments]` and the rest of `opsctl.toml`, also from a scenario.
    pub fn take_workspace(&mut self, node: Node) {
        if let Some(environments) = node
            .table()
            .and_then(|t| t.get("environments"))
            .and_then(|e| e.node.table())
        {
            for (name, environment) in environments {
                let layer = environment.node.table().and_then(|t| t.get("override"));
                if let Some(layer) = layer {
                    let layer = self.layer(layer.node.clone());
                    self.overrides.insert(name.clone(), layer);
                }
            }
        }
        match node.read::<Workspace>() {
            Ok(workspace) => {
                self.diagnostics.extend(workspace.check());
                self.workspace = Some(workspace);
            }
            Err(errors) => self.diagnostics.extend(errors),
        }
    }

    fn take_stage(&mut self, name: &str, node: Node) {
        let layer = node
            .table()
            .and_then(|t| t.get("override"))
            .map(|e| e.node.clone());
        let overrides = match layer {
            Some(layer) => self.layer(layer),
            None => Node::empty_table(node.origin),
        };
        match node.read::<StageFile>() {
            Ok(file) => {
                if file.stage.name.value != name {
                    self.diagnostics.push(
                        Diagnostic::error(
                            file.stage.name.origin,
                            format!("this file is stacks/{name}.toml, so the stage is `{name}`, not `{}`", file.stage.name.value),
                        )
                        .with_help("the name of a stage is the name of its file"),
                    );
                }
                if file.stage.users.from >= file.stage.users.to
                    || file.stage.monthly_cost_usd.from >= file.stage.monthly_cost_usd.to
                {
                    self.diagnostics.push(Diagnostic::error(
                        file.stage.name.origin,
                        "a range goes from a smaller to a larger number",
                    ));
                }
                self.stages
                    .insert(name.to_owned(), StageProfile { file, overrides });
            }
            Err(errors) => self.diagnostics.extend(errors),
        }
    }

    /// An override layer with its sections under their own names, unknown ones reported.
    fn layer(&mut self, mut node: Node) -> Node {
        const SECTIONS: [&str; 7] = [
            "tags",
            "budgets",
            "lifecycle",
            "alarms",
            "backups",
            "cost",
            "readiness",
        ];
        let Some(table) = node.table_mut() else {
            self.diagnostics.push(Diagnostic::error(
                node.origin,
                "an override is a table of policies",
            ));
            return Node::empty_table(node.origin);
        };
        if let Some(entry) = table.remove("s3-lifecycle") {
            if table.contains_key("lifecycle") {
                let d = Diagnostic::error(
                    entry.key,
                    "`s3-lifecycle` and `lifecycle` are the same policy: override it once",
                );
                self.diagnostics.push(d);
            } else {
                table.insert("lifecycle".to_owned(), entry);
            }
        }
        let unknown: Vec<String> = table
            .keys()
            .filter(|k| !SECTIONS.contains(&k.as_str()))
            .cloned()
            .collect();
        for key in unknown {
            if let Some(entry) = table.remove(&key) {
                let help = suggest(&key, SECTIONS).map_or_else(
                    || format!("one of: {}", SECTIONS.join(", ")),
                    |s| format!("did you mean `{s}`?"),
                );
                self.diagnostics.push(
                    Diagnostic::error(entry.key, format!("there is no policy `{key}` to override"))
                        .with_help(help),
                );
            }
        }
        node
    }

    fn read_file(&mut self, path: &Path, name: &str) -> Option<Node> {
        match read_text(path, name) {
            Ok(text) => self.parse(name, text),
            Err(e) => {
                let mut d = Diagnostic::plain(e.to_string());
                if matches!(e, ReadError::Missing(_)) {
                    d.help = Some("`opsctl init` writes a first one".to_owned());
                }
                self.diagnostics.push(d);
                None
            }
        }
    }

    /// Parses a text under a name; its mistakes go to the diagnostics.
    pub fn parse(&mut self, name: &str, text: String) -> Option<Node> {
        let id = self.sources.add(name, text);
        match node::parse(id, &self.sources.get(id).text) {
            Ok(node) => Some(node),
            Err(errors) => {
                self.diagnostics.extend(errors);
                None
            }
        }
    }

    fn read_folder(&mut self, dir: Option<&Path>, folder: &str) -> Vec<(String, Node)> {
        let own = dir.map(|d| d.join(folder));
        if let Some(own) = &own
            && own.symlink_metadata().is_ok()
            && !own.is_dir()
        {
            self.diagnostics.push(Diagnostic::plain(format!(
                "{folder} is there, but is not a folder"
            )));
            return Vec::new();
        }
        let Some(own) = own.filter(|d| d.is_dir()) else {
            return SHIPPED
                .iter()
                .filter_map(|(path, text)| {
                    let name = path
                        .strip_prefix(folder)?
                        .strip_prefix('/')?
                        .strip_suffix(".toml")?;
                    let node = self.parse(&format!("builtin:{path}"), (*text).to_owned())?;
                    Some((name.to_owned(), node))
                })
                .collect();
        };
        let mut names: Vec<String> = match std::fs::read_dir(&own) {
            Ok(entries) => entries
                .filter_map(|e| e.ok()?.file_name().into_string().ok())
                .filter(|n| n.ends_with(".toml") && !n.starts_with('.'))
                .collect(),
            Err(e) => {
                self.diagnostics
                    .push(Diagnostic::plain(format!("{folder}/: {e}")));
                return Vec::new();
            }
        };
        names.sort();
        names
            .into_iter()
            .filter_map(|file| {
                let node = self.read_file(&own.join(&file), &format!("{folder}/{file}"))?;
                let name = file.strip_suffix(".toml").unwrap_or(&file);
                if name.contains('.') {
                    let message = format!("{folder}/{file}: the name of the file is the name of what is in it, and has no dot");
                    self.diagnostics.push(Diagnostic::plain(message));
                }
                Some((name.to_owned(), node))
            })
            .collect()
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
