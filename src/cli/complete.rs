use clap::Args;
use clap_complete::Shell;

use super::{Failure, Global, Outcome, command, exit};

/// Shell completions: bash, zsh, fish, elvish, powershell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    pub shell: Shell,
}

pub fn completions(global: &Global, args: &CompletionsArgs) -> Outcome {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "opsctl", &mut out);
    global.emit(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}

/// The manual page, as roff (`opsctl man | man -l -`)
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The page of one command
    pub command: Option<String>,
}

pub fn man(global: &Global, args: &ManArgs) -> Outcome {
    let mut root = command();
    root.build();
    let page = match &args.command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .cloned()
            .map(|c| c.display_name(format!("opsctl-{name}")))
            .ok_or_else(|| Failure::new(format!("there is no command `{name}`")))?,
    };
    let mut out = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut out)
        .map_err(|e| Failure::new(e.to_string()))?;
    global.emit(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}
