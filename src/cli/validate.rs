use clap::Args;
use serde_json::json;

use super::session::project_dir;
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::config::{Diagnostic, Level, Loaded};
use crate::sandbox::scenario;

/// Check every file without AWS: each mistake with file, line, the text and a suggestion
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Warnings fail too
    #[arg(long)]
    pub strict: bool,
}

pub fn run(global: &Global, args: &ValidateArgs) -> Outcome {
    let dir = project_dir(global)?;
    let mut loaded = match (&global.sandbox, &dir) {
        (Some(name), dir) => {
            scenario::open(name, dir.as_deref())
                .map_err(Failure::in_files)?
                .loaded
        }
        (None, Some(dir)) => Loaded::read(Some(dir)),
        (None, None) => {
            return Err(
                Failure::new("there is no opsctl.toml in this folder or above it")
                    .help("`opsctl init` writes a first one"),
            );
        }
    };
    loaded.check_all();
    let failed = loaded.has_errors() || (args.strict && !loaded.diagnostics.is_empty());
    if global.format == Format::Json {
        let list: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| describe(&loaded, d))
            .collect();
        let mut document = json_head("validate");
        document["valid"] = json!(!failed);
        document["diagnostics"] = json!(list);
        global.emit(&format!(
            "{}\n",
            serde_json::to_string_pretty(&document).unwrap_or_default()
        ))?;
    } else if failed {
        let found = loaded.diagnostics.clone();
        return Err(Failure::files(loaded, found));
    } else {
        global.print_warnings(&loaded);
        let environments = loaded
            .workspace
            .as_ref()
            .map_or(0, |w| w.environments.len());
        global.emit(&format!(
            "valid: {environments} environment{}, {} stages, {} policies\n",
            if environments == 1 { "" } else { "s" },
            loaded.stages.len(),
            loaded.policies.len()
        ))?;
    }
    Ok(if failed { exit::FAILED } else { exit::OK })
}

fn describe(loaded: &Loaded, d: &Diagnostic) -> serde_json::Value {
    json!({
        "level": match d.level { Level::Error => "error", Level::Warning => "warning" },
        "message": d.message,
        "file": d.origin.map(|o| loaded.sources.file(o).to_owned()),
        "line": d.origin.map(|o| loaded.sources.line(o)),
        "help": d.help,
    })
}
