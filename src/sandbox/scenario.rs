//! The scenarios that ship, each a system that people described publicly.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::world::{Parsed, Scenario, World};
use crate::config::source::suggest;
use crate::config::{Diagnostic, Loaded};

/// `(name, file)` of every scenario.
pub const SCENARIOS: [(&str, &str); 6] = [
    ("findash", include_str!("scenarios/findash.toml")),
    ("dartsyn", include_str!("scenarios/dartsyn.toml")),
    ("acme", include_str!("scenarios/acme.toml")),
    ("medtrack", include_str!("scenarios/medtrack.toml")),
    ("burst", include_str!("scenarios/burst.toml")),
    (
        "findash-denied",
        include_str!("scenarios/findash-denied.toml"),
    ),
];

pub const DEFAULT: &str = "findash";

/// A scenario with the files of the project folder, or those that ship.
pub struct Opened {
    pub scenario: Scenario,
    pub world: World,
    pub loaded: Loaded,
}

/// Opens a scenario; stages and policies come from `dir` where there is one.
///
/// # Errors
/// An unknown name, or mistakes in the files.
pub fn open(name: &str, dir: Option<&Path>) -> Result<Opened, Box<(Loaded, Vec<Diagnostic>)>> {
    // The scenario brings its own environments: of the project only stages and policies count.
    let mut loaded = dir.map_or_else(|| Loaded::read(None), Loaded::read_without_workspace);
    let Some((_, text)) = SCENARIOS.iter().find(|(n, _)| *n == name) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|(n, _)| *n).collect();
        let d = Diagnostic::plain(format!("unknown scenario `{name}`"));
        let d = match suggest(name, names.iter().copied()) {
            Some(close) => d.with_help(format!("did you mean `{close}`?")),
            None => d.with_help(format!("there are: {}", names.join(", "))),
        };
        return Err(Box::new((loaded, vec![d])));
    };
    let Some(node) = loaded.parse(
        &format!("builtin:scenarios/{name}.toml"),
        (*text).to_owned(),
    ) else {
        let errors = std::mem::take(&mut loaded.diagnostics);
        return Err(Box::new((loaded, errors)));
    };
    let parsed = match Parsed::new(node) {
        Ok(parsed) => parsed,
        Err(errors) => return Err(Box::new((loaded, errors))),
    };
    loaded.take_workspace(parsed.workspace.clone());
    let seed = hex::encode(Sha256::digest(text.as_bytes()));
    match parsed.world(name, &seed, &loaded) {
        Ok(world) => Ok(Opened {
            scenario: parsed.scenario,
            world,
            loaded,
        }),
        Err(errors) => Err(Box::new((loaded, errors))),
    }
}
