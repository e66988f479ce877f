use clap::Args;

use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::catalog;
use crate::render;

/// What a finding means, why it matters, how to fix it
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The id of a finding, e.g. tags.missing; all are listed, if none is named
    #[arg(value_name = "FINDING-ID")]
    pub id: Option<String>,
}

pub fn run(global: &Global, args: &ExplainArgs) -> Outcome {
    let one = args.id.as_deref().map(find).transpose()?;
    if global.format == Format::Json {
        let mut document = json_head("explain");
        if let Some(map) = document.as_object_mut() {
            let entries: Vec<serde_json::Value> = match one {
                Some(entry) => vec![value(entry)],
                None => catalog::entries().map(value).collect(),
            };
            map.insert("explained".to_owned(), entries.into());
        }
        global.emit_json(&document)?;
        return Ok(exit::OK);
    }
    let text = match (one, global.format) {
        (Some(entry), Format::Markdown) => render::markdown::explain(entry),
        (Some(entry), _) => render::human::explain(entry, &global.style()),
        (None, Format::Markdown) => render::markdown::catalog(),
        (None, _) => render::human::catalog(&global.style()),
    };
    global.show(&text)?;
    Ok(exit::OK)
}

fn find(id: &str) -> Result<&'static catalog::Entry, Failure> {
    catalog::find(id.trim()).ok_or_else(|| {
        let failure = Failure::new(format!(
            "there is no finding `{}`",
            render::text::escape(id)
        ));
        match catalog::nearest(id) {
            Some(close) => failure.help(format!(
                "did you mean `{close}`? `opsctl explain` lists all"
            )),
            None => failure.help("`opsctl explain` lists all"),
        }
    })
}

fn value(entry: &catalog::Entry) -> serde_json::Value {
    serde_json::json!({
        "id": entry.id,
        "title": entry.title,
        "means": entry.means,
        "matters": entry.matters,
        "fix": entry.fix,
    })
}
