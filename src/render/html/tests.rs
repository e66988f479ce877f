//! The shell: what holds for every page.

use super::chart::{Limit, Line, LineKind, Plot};
use super::table::{Cell, Column, Explorer, Kind, Table};
use super::*;
use rust_decimal::Decimal;

/// What tags may be called, or worse.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; alert(1) //",
    "\u{202e}gnp.exe",
    "\x1b[31mred\x1b[0m",
    "{{ 7 * 7 }}{% raw %}",
];

fn head(text: &str) -> Head {
    Head {
        title: text.to_owned(),
        project: text.to_owned(),
        stand: text.to_owned(),
        generated_at: "2026-11-22T10:41:07Z".to_owned(),
        facts: vec![Fact {
            label: text.to_owned(),
            text: text.to_owned(),
        }],
        jumps: vec![Jump {
            id: "rows",
            title: "Rows",
        }],
        command: text.to_owned(),
    }
}

fn sample(text: &str) -> String {
    let columns = vec![
        Column::text("Name").facet(),
        Column::text("Fix").kind(Kind::Command),
        Column::number("Cost"),
    ];
    let row = vec![
        Cell::text(text).sub(text),
        Cell::text(text),
        Cell::number("1,200.00", Some(1200.0)),
    ];
    let plot = Plot {
        label: text,
        caption: text,
        slot: "Day",
        slots: vec![text.to_owned()],
        columns: None,
        lines: vec![Line {
            name: text,
            values: vec![Some(Decimal::TEN)],
            kind: LineKind::Main,
            hollow: vec![],
        }],
        band: None,
        limit: Some(Limit {
            name: text,
            value: Decimal::TEN,
        }),
        floor: None,
        ceiling: None,
        shown: crate::model::usd,
    };
    let body = context! {
        figures => [Figure { label: text.to_owned(), value: text.to_owned(), text: text.to_owned(), ..Figure::default() }],
        table => Table { caption: text.to_owned(), aside: text.to_owned(), columns: columns.clone(), rows: vec![row.clone()], stack: false },
        rows => Explorer::new(text, columns, vec![row]),
        chart => plot.figure(),
        text => text,
    };
    page("sample.html", &head(text), body).unwrap()
}

#[test]
fn foreign_text_stays_text() {
    let plain = sample("plain");
    let tags = |page: &str| page.matches('<').count();
    for text in HOSTILE {
        let page = sample(text);
        // Neither an element more nor one less than with a harmless text.
        assert_eq!(tags(&page), tags(&plain), "{text}");
        assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\x1b'));
        assert!(!page.contains("49"), "{text}");
    }
}

#[test]
fn nothing_leaves_a_page() {
    let page = sample("plain");
    for word in [
        "http://",
        "https://",
        "//cdn",
        "@import",
        "url(",
        " style=\"",
        "javascript:",
    ] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(word), "{word}");
    }
    let policy = page
        .split_once("Content-Security-Policy\" content=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    assert!(
        policy.starts_with("default-src &#x27;none&#x27;"),
        "{policy}"
    );
    // The digests are those of what is in the page.
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let text = page
            .split_once(&format!("<{element}>"))
            .unwrap()
            .1
            .split_once(&format!("</{element}>"))
            .unwrap()
            .0;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
        let hash = hash.replace('/', "&#x2f;");
        assert!(
            policy.contains(&format!("{directive} &#x27;sha256-{hash}&#x27;")),
            "{directive} {hash} {policy}"
        );
    }
}

#[test]
fn a_misspelled_field_is_an_error() {
    let e = page("sample.html", &head("x"), context! {}).unwrap_err();
    assert!(e.contains("sample.html"), "{e}");
}

#[test]
fn the_time_is_written_out() {
    let page = sample("plain");
    assert!(page.contains("22 November 2026, 10:41 UTC"));
    assert!(page.contains("<title>plain · plain · 2026-11-22</title>"));
}

#[test]
fn commands_in_backticks_are_code_and_nothing_else_is_markup() {
    let shown = |text: &str| prose(text).to_string();
    assert_eq!(
        shown("`opsctl <x>` asks"),
        "<code>opsctl &lt;x&gt;</code> asks"
    );
    assert_eq!(shown("a ` alone <b>"), "a ` alone &lt;b&gt;");
}
