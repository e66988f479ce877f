use clap::Args;

use crate::audit::{Audit, AuditRequest, FAIL_ON, assemble};
use crate::cli::context::Interrupt;
use crate::cli::session::{Session, target_glob};
use crate::cli::{Failure, Format, Global, Outcome, exit};
use crate::model::Control;
use crate::render;

/// Tag compliance: the page that is reviewed every week
#[derive(Debug, Args)]
pub struct TagsArgs {
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
}

pub async fn run(global: &Global, args: &TagsArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let looked = look(global, args, &session, &interrupt).await;
    if let Some(code) = interrupt.code() {
        global.say("interrupted; nothing was changed");
        return Ok(code);
    }
    let audit = looked?;
    match global.format {
        Format::Json => global.emit_json(&audit)?,
        Format::Csv => global.emit(&render::csv::audit(&audit).map_err(Failure::new)?)?,
        Format::Markdown => global.emit(&render::markdown::audit(&audit))?,
        Format::Html => global.emit(&render::html::tags::page(&audit).map_err(Failure::new)?)?,
        _ => global.emit(&render::human::audit(&audit, &global.style()))?,
    }
    Ok(match audit.unobserved.is_empty() || args.allow_incomplete {
        true => exit::OK,
        false => exit::BLIND,
    })
}

async fn look(
    global: &Global,
    args: &TagsArgs,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<Audit, Failure> {
    const CONTROLS: &[Control] = &[Control::Tags];
    let environments = session.environments(global, None)?;
    let only = target_glob(global)?;
    let environments = session
        .observe(global, environments, CONTROLS, true, interrupt)
        .await?;
    let judged = session.judged(&environments, CONTROLS, only.as_ref());
    Ok(assemble(
        &environments,
        judged,
        None,
        &AuditRequest {
            controls: CONTROLS,
            only: only.as_ref(),
            fail_on: FAIL_ON,
            baseline: None,
            allow_incomplete: args.allow_incomplete,
            api: session.cloud.meter().snapshot(),
        },
    ))
}
