//! The page of `report tags`.

use minijinja::context;

use super::table::{Cell, Column, Explorer, Kind, Table};
use super::{Figure, Head, Jump, chart};
use crate::audit::Audit;
use crate::render::text::decimal;
use crate::render::verdict::{dimensions, share};

/// # Errors
/// See [`super::page`].
pub fn page(audit: &Audit) -> Result<String, String> {
    let compliance = audit.compliance.clone().unwrap_or_default();
    let panels: Vec<Table> = dimensions(&compliance)
        .into_iter()
        .map(|(name, shares)| Table {
            caption: format!("By {name}"),
            columns: vec![
                Column::text(name),
                Column::text("").class("bars"),
                Column::number("By count"),
            ],
            rows: shares
                .into_iter()
                .map(|(name, one)| {
                    let percent = one.percent.as_deref().and_then(decimal);
                    vec![
                        Cell::text(name),
                        Cell::svg(chart::bar(percent, "")),
                        Cell::text(share(one)),
                    ]
                })
                .collect(),
            ..Table::default()
        })
        .collect();
    let rows = audit
        .findings
        .iter()
        .map(|f| {
            vec![
                Cell::text(f.address.as_str()),
                Cell::text(f.severity.as_str()),
                Cell::text(f.id.as_str()),
                Cell::text(f.message.as_str()),
                Cell::text(f.remediation.as_str()),
            ]
        })
        .collect();
    let columns = vec![
        Column::text("Address").class("wide"),
        Column::text("Severity").kind(Kind::Severity).facet(),
        Column::text("Finding").kind(Kind::Code).facet(),
        Column::text("What").class("wide"),
        Column::text("Fix").kind(Kind::Command).class("wide"),
    ];
    let head = Head {
        title: "Tag compliance".to_owned(),
        project: String::new(),
        stand: String::new(),
        generated_at: audit.generated_at.clone(),
        facts: Head::scope(&audit.scope, audit.sandbox.as_deref()),
        jumps: vec![Jump {
            id: "findings",
            title: "Findings",
        }],
        command: "opsctl report tags --format html".to_owned(),
    };
    let overall = &compliance.overall;
    let body = context! {
        figures => [Figure {
            label: "Compliant".to_owned(),
            value: overall.percent.clone().unwrap_or_else(|| "–".to_owned()),
            unit: "%",
            text: share(overall),
            ..Figure::default()
        }],
        panels => panels,
        findings => Explorer::new("All findings", columns, rows),
    };
    super::page("tags.html", &head, body)
}
