//! Costs as people see them.

use insta::assert_snapshot;

use crate::cloud::ApiUse;
use crate::cost::tests::sample;
use crate::render::{Style, human, markdown};

const NOW: &str = "2026-11-22T07:10:00Z";

fn api() -> ApiUse {
    ApiUse {
        requests: 11,
        by_operation: [
            ("ce:GetCostAndUsage".to_owned(), 8),
            ("ce:GetCostForecast".to_owned(), 1),
            ("sts:GetCallerIdentity".to_owned(), 2),
        ]
        .into(),
        cost_usd: "0.09".to_owned(),
        ..ApiUse::default()
    }
}

fn page(width: usize, colour: bool) -> String {
    let style = Style {
        width,
        colour,
        verbose: false,
    };
    human::cost(&sample(), NOW, &api(), &style)
}

#[test]
fn terminal() {
    for width in [60, 80, 140] {
        let page = page(width, false);
        for line in page.lines() {
            assert!(crate::render::text::width(line) <= width, "{width}: {line}");
        }
        assert_snapshot!(format!("cost_{width}"), page);
    }
    // Colour changes nothing but colour.
    let plain: String = anstream::adapter::strip_str(&page(80, true)).to_string();
    assert_eq!(plain, page(80, false));
    assert_ne!(page(80, true), page(80, false));
}

#[test]
fn pull_request() {
    let page = markdown::cost(&sample(), NOW, &api());
    assert!(!page.contains("<script>"));
    assert_snapshot!("markdown_cost", page);
}
