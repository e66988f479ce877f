//! Tables of a page.

use std::borrow::Cow;

use minijinja::value::Value;
use serde::Serialize;
use serde_json::json;

use crate::render::text::{escape, number};

/// Rows of an explorer that are in the page without JavaScript.
const FIRST: usize = 100;

/// How the cells of a column are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Text,
    /// In the typewriter's face.
    Code,
    /// The same, with a button that copies it.
    Command,
    /// `low`, `medium`, `high`, `critical`.
    Severity,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Column {
    pub name: Cow<'static, str>,
    pub kind: Kind,
    /// `n`: numbers, to the right. `wide`: long words may break. `bars`: [`Cell::svg`], left out
    /// where there is no room.
    pub class: &'static str,
    /// Sorted by [`Cell::sort`] instead of by its text.
    pub number: bool,
    /// Rows can be chosen by its values: for columns with few different ones.
    pub facet: bool,
}

impl Column {
    pub const fn text(name: &'static str) -> Column {
        Column {
            name: Cow::Borrowed(name),
            kind: Kind::Text,
            class: "",
            number: false,
            facet: false,
        }
    }

    /// To the right, sorted by value, first the largest.
    pub fn number(name: &'static str) -> Column {
        Column {
            class: "n",
            number: true,
            ..Column::text(name)
        }
    }

    /// With a name that is not known before.
    pub fn named(self, name: &str) -> Column {
        Column {
            name: Cow::Owned(name.to_owned()),
            ..self
        }
    }

    pub fn kind(self, kind: Kind) -> Column {
        Column { kind, ..self }
    }

    pub fn class(self, class: &'static str) -> Column {
        Column { class, ..self }
    }

    pub fn facet(self) -> Column {
        Column {
            facet: true,
            ..self
        }
    }
}

/// One cell. The first of a row is its heading.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cell {
    pub text: String,
    /// What a column of numbers is sorted by; `None` is last, in both directions.
    #[serde(skip)]
    pub sort: Option<f64>,
    /// A second, quieter line; not in explorers.
    pub sub: String,
    /// `good`, `careful`, `bad`, `muted` or empty; not in explorers.
    pub tone: &'static str,
    /// Markup of [`super::chart`] instead of the text; not in explorers.
    pub svg: Option<Value>,
    /// In a column of commands: a text, and no command.
    pub plain: bool,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            ..Cell::default()
        }
    }

    /// A number as it is shown, and as it is compared.
    pub fn number(text: impl Into<String>, sort: Option<f64>) -> Cell {
        Cell {
            text: text.into(),
            sort,
            ..Cell::default()
        }
    }

    pub fn svg(markup: Value) -> Cell {
        Cell {
            svg: Some(markup),
            ..Cell::default()
        }
    }

    /// A command, or what is to be done where there is none.
    pub fn fix(command: Option<&str>, text: &str) -> Cell {
        Cell {
            text: command.unwrap_or(text).to_owned(),
            plain: command.is_none(),
            ..Cell::default()
        }
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "a cell is nothing to subtract from"
    )]
    pub fn sub(self, sub: impl Into<String>) -> Cell {
        Cell {
            sub: sub.into(),
            ..self
        }
    }

    pub fn tone(self, tone: &'static str) -> Cell {
        Cell { tone, ..self }
    }
}

/// A table of some rows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Table {
    /// Empty where the heading above says it all.
    pub caption: String,
    /// Behind the caption, quieter.
    pub aside: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// Where there is no room its rows become blocks: for long texts in few columns. Tables of more
    /// than four columns always do.
    pub stack: bool,
}

/// A table that may have tens of thousands of rows: all of them as data, the first as markup.
#[derive(Debug, Clone, Serialize)]
pub struct Explorer {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// With thousands grouped.
    total: String,
    /// Not all rows are markup.
    more: bool,
    /// JSON for a data block.
    data: Value,
}

impl Explorer {
    pub fn new(caption: impl Into<String>, columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Explorer {
        let cells: Vec<Vec<serde_json::Value>> = rows
            .iter()
            .map(|row| {
                columns
                    .iter()
                    .zip(row)
                    .map(|(column, cell)| match (column.number, cell.plain) {
                        (true, _) => json!([escape(&cell.text), cell.sort]),
                        // In a list of its own: not of the kind of its column.
                        (false, true) => json!([escape(&cell.text)]),
                        (false, false) => json!(escape(&cell.text)),
                    })
                    .collect()
            })
            .collect();
        let total = rows.len();
        let data = in_script(&json!({ "columns": columns, "rows": cells }));
        let mut rows = rows;
        rows.truncate(FIRST);
        Explorer {
            caption: caption.into(),
            more: total > rows.len(),
            total: number(total as u64),
            columns,
            rows,
            data: Value::from_safe_string(data),
        }
    }
}

/// JSON in which nothing ends the script element, or begins anything else in it.
///
/// Source: HTML standard, "Restrictions for contents of script elements".
fn in_script(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let rows = vec![vec![Cell::text("</script><script>alert(1)</script><!--")]];
        let explorer = Explorer::new("x", vec![Column::text("a")], rows);
        let text = explorer.data.to_string();
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["rows"][0][0], "</script><script>alert(1)</script><!--");
    }
}
