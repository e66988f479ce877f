use clap::Args;

use super::{Global, Outcome, exit};
use crate::config::schema;

/// The JSON Schemas of every file and every JSON output
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// One of them; all, if none is named
    #[arg(value_parser = ["workspace", "stage", "policy", "plan", "audit", "evidence", "report-tags", "doctor"])]
    pub name: Option<String>,
}

pub fn run(global: &Global, args: &SchemaArgs) -> Outcome {
    let all = schema::all();
    let text = match &args.name {
        Some(name) => all
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, s)| schema::to_text(s))
            .unwrap_or_default(),
        None => {
            let map: serde_json::Map<String, serde_json::Value> = all
                .into_iter()
                .map(|(name, schema)| (name.to_owned(), schema.to_value()))
                .collect();
            format!(
                "{}\n",
                serde_json::to_string_pretty(&map).unwrap_or_default()
            )
        }
    };
    global.emit(&text)?;
    Ok(exit::OK)
}
