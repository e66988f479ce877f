//! The page of `report summary`.

use minijinja::context;
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::{Head, Jump};
use crate::render::summary::{
    about, accepted, changed, direction, explain, gaps, name, stand, standing,
};
use crate::report::summary::{Area, Standing, Step, SummaryReport};

#[derive(Serialize)]
struct Tile {
    name: &'static str,
    word: &'static str,
    tone: &'static str,
    value: Option<String>,
    unit: String,
    label: String,
    text: Vec<String>,
    command: String,
    looked: bool,
}

#[derive(Serialize)]
struct Next {
    area: &'static str,
    title: String,
    effect: String,
    about: String,
    command: Option<String>,
    how: String,
    explain: Option<String>,
}

/// # Errors
/// See [`super::page`].
pub fn page(report: &SummaryReport) -> Result<String, String> {
    let mut command = "opsctl report summary --format html".to_owned();
    if let Some(name) = &report.sandbox {
        command.push_str(&format!(" --sandbox {name}"));
    }
    let head = Head {
        title: "Summary".to_owned(),
        project: report.project.clone(),
        stand: stand(report),
        generated_at: report.generated_at.clone(),
        facts: Head::scope(&report.scope, report.sandbox.as_deref()),
        jumps: vec![
            Jump {
                id: "areas",
                title: "How it stands",
            },
            Jump {
                id: "next",
                title: "What to do next",
            },
            Jump {
                id: "changed",
                title: "What has changed",
            },
        ],
        command,
    };
    let body = context! {
        gaps => gaps(report),
        accepted => accepted(report),
        tiles => report.areas.iter().map(tile).collect::<Vec<_>>(),
        next => report.next.iter().map(next).collect::<Vec<_>>(),
        changed => changed(report),
        moved => (!report.changed.moved.is_empty()).then(|| moved(report)),
    };
    super::page("summary.html", &head, body)
}

fn tile(area: &Area) -> Tile {
    let (word, tone) = standing(area.standing);
    Tile {
        name: name(area.id),
        word,
        tone,
        value: area.value.clone(),
        unit: area.unit.clone(),
        label: area.label.clone(),
        text: area.text.clone(),
        command: area.command.clone(),
        looked: area.standing != Standing::NotLookedAt,
    }
}

fn next(step: &Step) -> Next {
    Next {
        area: name(step.area),
        title: step.title.clone(),
        effect: step.effect.clone(),
        about: about(step),
        command: step.command.clone(),
        how: step.how.clone(),
        explain: explain(step),
    }
}

fn moved(report: &SummaryReport) -> Table {
    Table {
        stack: true,
        columns: vec![
            Column::text("Area"),
            Column::text("Then"),
            Column::text("Now"),
            Column::text("Better or worse"),
        ],
        rows: report
            .changed
            .moved
            .iter()
            .map(|m| {
                let (word, tone) = direction(m);
                vec![
                    Cell::text(name(m.area)).sub(m.label.clone()),
                    Cell::text(m.before.as_str()),
                    Cell::text(m.now.as_str()),
                    Cell::text(word).tone(tone),
                ]
            })
            .collect(),
        ..Table::default()
    }
}
